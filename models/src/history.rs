//! The modules under test.

#[path = "../../src/history/index/mod.rs"]
mod index;

#[cfg(all(test, loom))]
#[path = "models.rs"]
mod models;
