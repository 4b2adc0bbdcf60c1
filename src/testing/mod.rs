//! The specification as code, for this crate's own tests and fuzz targets. Not a public interface: it may change or go in
//! any version.
//!
//! * [`Op`](op::Op) is the one vocabulary of every driver: proptest, the fuzz targets, and what comes later.
//! * [`Model`](model::Model) answers the same questions as the engine, from lists, naively, with no code in common.
//! * [`Driver`](driver::Driver) puts the two side by side and panics at the first difference.
//! * [`RecordingStore`](recording::RecordingStore) is restarted without a disk, [`FailingStore`](failing::FailingStore) fails
//!   when it is told to. `LastingStore` (with the feature `fleet`) keeps what a node needs.
//! * [`scenario`] reads the files of `tests/data` and runs them through any door.

pub mod driver;
pub mod failing;
#[cfg(feature = "fleet")]
pub mod lasting;
pub mod model;
pub mod op;
pub mod recording;
pub mod scenario;
pub mod universe;
