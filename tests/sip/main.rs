//! The SIP door: what it answers to what, on the wire and off it.

mod calls;
mod scenarios;
mod shop;
mod wire;
