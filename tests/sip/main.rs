//! The SIP door: what it answers to what, on the wire and off it.

mod calls;
mod hostile;
mod listening;
mod loading;
mod scenarios;
mod shop;
mod torture;
mod wire;
