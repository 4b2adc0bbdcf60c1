//! Several nodes that share one history: a simulation, NATS as the stream, and real daemons that are killed.

#[cfg(feature = "daemon")]
mod cluster;
#[cfg(feature = "daemon")]
mod kills;
#[cfg(feature = "daemon")]
mod nats;
#[cfg(feature = "daemon")]
mod offline;
#[cfg(feature = "daemon")]
mod servers;
#[cfg(all(feature = "__testing", feature = "fleet"))]
mod simulation;
#[path = "../support/mod.rs"]
mod support;
