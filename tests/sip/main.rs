//! The SIP door: what it answers to what, on the wire and off it.

mod shop;
mod wire;
