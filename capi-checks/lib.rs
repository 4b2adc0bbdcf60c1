//! The C interface as a static library, and the tests that `tests/doors/capi` has for scenarios and for mistakes of a
//! caller.
#![allow(
    clippy::borrow_as_ptr,
    clippy::cast_possible_truncation,
    clippy::items_after_statements,
    clippy::wildcard_imports,
    reason = "written as a C program would be"
)]

// Named, so that its functions become a part of the static library.
extern crate dialback as _;

#[cfg(test)]
#[path = "../tests/doors/capi/c.rs"]
mod c;
#[cfg(test)]
#[path = "../tests/doors/capi/details.rs"]
mod details;
#[cfg(test)]
#[path = "../tests/doors/capi/door.rs"]
mod door;
#[cfg(test)]
#[path = "../tests/doors/capi/edge.rs"]
mod edge;
#[cfg(test)]
#[path = "../tests/support/scenarios.rs"]
mod scenarios;

/// The path by which the files above name it.
#[cfg(test)]
mod support {
    pub(crate) use crate::scenarios;
}
