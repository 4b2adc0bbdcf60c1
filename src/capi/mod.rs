//! The C interface: `include/dialback.h`, which is made from this module. See `docs/c.md`.
//!
//! Nothing here trusts what it is given but for what C cannot be asked: that a pointer which is not null is good for what its length or size
//! field says. A handle is a number in a table (`registry.rs`), so that a closed one is a status; a panic is a status; nothing unwinds across
//! the edge.
//!
//! Unsafe code is in three files: `foreign.rs` reads and writes the caller's memory, `registry.rs` follows a handle, and `exports.rs` has the
//! functions themselves, which are unsafe to call by their nature. "The head of this file" in their safety sections is that of the header.

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
    dialback_close, dialback_configure, dialback_erase, dialback_explain, dialback_id_parse, dialback_id_text,
    dialback_last_error, dialback_open, dialback_purge, dialback_reason_name, dialback_record, dialback_resolve,
    dialback_resolve_batch, dialback_route, dialback_statistics, dialback_status_message,
};
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub use message::plant_panic;
pub use status::Status;
pub use types::{
    CallOutcome, CallReport, DecisionOut, Handle, Options, Question, ReasonLine, Recorded, RouteKind, StatisticsOut,
    Survives, Text,
};
