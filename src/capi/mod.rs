//! The C interface. `include/dialback.h` is generated from this module. See `docs/c.md`.
//!
//! The functions check everything that can be checked. They must trust one thing: a pointer that is not null is valid
//! for the length or size that comes with it. A handle is a number in a table (`registry.rs`), so using a closed
//! handle returns a status. A panic becomes a status too, and nothing unwinds into C.
//!
//! Unsafe code is in three files. `foreign.rs` reads and writes the caller's memory, `registry.rs` follows a handle,
//! and `exports.rs` has the exported functions, which are unsafe to call by nature. In their safety sections, "the
//! head of this file" means the head of the C header.

mod barrier;
mod explain;
mod exports;
mod foreign;
mod instance;
mod message;
mod pin;
mod registry;
mod status;
mod types;

pub use exports::{
    dialback_call_behind, dialback_close, dialback_configure, dialback_erase, dialback_explain, dialback_id_parse,
    dialback_id_text, dialback_last_error, dialback_open, dialback_purge, dialback_reason_name, dialback_record,
    dialback_record_with_details, dialback_resolve, dialback_resolve_batch, dialback_route, dialback_statistics,
    dialback_status_message,
};
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub use message::plant_panic;
pub use status::Status;
pub use types::{
    CallBehind, CallOutcome, CallReport, DecisionOut, DetailedCall, Handle, Options, Question, ReasonLine, Recorded,
    RouteKind, StatisticsOut, Survives, Text,
};
