//! The history's own files, not copies of them, as a crate that depends on nothing which loom's flag would break.
#![allow(dead_code, unused_imports)]

#[path = "../../src/sync.rs"]
mod sync;

mod history;
