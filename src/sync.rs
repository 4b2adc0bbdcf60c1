//! The one place that names atomics.
//!
//! Everything lock-free in this crate imports its atomics from here, so that a model checker can put its own in their
//! place. A partial seam would give partial models; a test (`tests/layers.rs`) holds the rest of the crate to this one.

pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
