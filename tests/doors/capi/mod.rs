//! Tests of the C interface: its header, its error handling, a C program, and the scenarios.
#![allow(unsafe_code, reason = "what C calls is unsafe to call")]
#![allow(
    clippy::borrow_as_ptr,
    clippy::cast_possible_truncation,
    clippy::items_after_statements,
    clippy::wildcard_imports,
    reason = "written as a C program would be"
)]

mod c;
mod details;
mod door;
mod edge;
mod header;
mod program;
