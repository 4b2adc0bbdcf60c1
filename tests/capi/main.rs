//! The C interface: its header, its edge, a program in C, and the scenarios through it.
#![cfg(feature = "capi")]
#![allow(unsafe_code, reason = "what C calls is unsafe to call")]

mod c;
mod door;
mod edge;
mod header;
mod program;
