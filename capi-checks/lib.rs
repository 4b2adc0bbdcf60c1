//! The tests of the C interface that `tests/doors/capi` has for scenarios and for mistakes of a caller.
#![cfg(test)]
#![allow(
    clippy::borrow_as_ptr,
    clippy::cast_possible_truncation,
    clippy::items_after_statements,
    clippy::wildcard_imports,
    reason = "written as a C program would be"
)]

#[path = "../tests/doors/capi/c.rs"]
mod c;
#[path = "../tests/doors/capi/door.rs"]
mod door;
#[path = "../tests/doors/capi/edge.rs"]
mod edge;
#[path = "../tests/support/scenarios.rs"]
mod scenarios;

/// The path by which the files above name it.
mod support {
    pub(crate) use crate::scenarios;
}
