//! Compiles the history's own source files in a crate without dependencies, because loom's flag would break
//! dependencies.
#![allow(dead_code, unused_imports)]

#[path = "../../src/sync.rs"]
mod sync;

mod history;
