//! The library's test of missing pages (`tests/alone/pages.rs`), for a build with optimization: the optimizer may remove
//! the store that touches a page.
#![cfg(target_os = "linux")]

#[path = "../tests/alone/pages.rs"]
mod pages;

#[path = "."]
mod support {
    #[path = "../tests/support/own_process.rs"]
    pub mod own_process;
}
