//! Tests of the SIP door, with and without a network.

mod calls;
mod hostile;
mod listening;
mod loading;
mod scenarios;
mod shop;
mod torture;
mod wire;
