//! The specification as code, for this crate's tests and fuzz targets. It is not a public interface, and may change
//! or disappear in any version.
//!
//! * [`Op`](op::Op) is the set of operations that all drivers use: proptest, the fuzz targets, and others.
//! * [`Model`](model::Model) answers the questions that the engine answers. It works on lists and shares no code with
//!   the engine.
//! * [`Driver`](driver::Driver) runs the two side by side and panics at the first difference.
//! * [`RecordingStore`](recording::RecordingStore) restarts without a disk.
//! * [`FailingStore`](failing::FailingStore) fails at a chosen commit.
//! * [`LastingStore`](lasting::LastingStore) keeps calls with ids and contexts, and what a node of a fleet needs.
//! * [`scenario`] reads the files of `tests/data` and runs them through any door.

pub mod driver;
pub mod failing;
pub mod lasting;
pub mod model;
pub mod op;
pub mod recording;
pub mod scenario;
pub mod universe;
