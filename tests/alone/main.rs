//! Tests that measure a process or depend on a setting of the whole process. Each runs in a process of its own, one
//! at a time (`support/own_process.rs`).

#[cfg(feature = "http")]
mod log;
#[cfg(all(target_os = "linux", feature = "daemon"))]
mod neighbours;
#[cfg(feature = "http")]
mod one_tenant;
#[cfg(target_os = "linux")]
mod pages;
#[cfg(feature = "sip")]
mod sip_memory;
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(target_os = "linux", feature = "daemon"))]
mod unfinished_bodies;
