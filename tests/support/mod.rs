//! Shared by the test programs. Each program includes it once, with `#[path = "../support/mod.rs"] mod support;`.
//!
//! No program uses all of it.
#![allow(dead_code, unreachable_pub)]

#[cfg(feature = "nats")]
pub mod certificates;
#[cfg(feature = "daemon")]
pub mod cluster;
pub mod copy;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "http")]
pub mod described;
#[cfg(all(unix, feature = "store"))]
pub mod disk_search;
#[cfg(feature = "daemon")]
pub mod ledger;
#[cfg(feature = "sip")]
pub mod listening;
pub mod metrics_text;
#[cfg(feature = "nats")]
pub mod nats;
pub mod own_process;
#[cfg(feature = "nats")]
pub mod ports;
pub mod random;
#[cfg(feature = "http")]
pub mod receiver;
#[cfg(feature = "__testing")]
pub mod scenarios;
#[cfg(feature = "http")]
pub mod server;
pub mod setting;
#[cfg(feature = "sip")]
pub mod shop;
#[cfg(all(unix, feature = "store"))]
pub mod sparse;
#[cfg(feature = "fleet")]
pub mod stream;
#[cfg(feature = "store")]
pub mod table_file;
#[cfg(feature = "daemon")]
pub mod tls;
pub mod until;
