//! Several nodes that share one history: a simulation, NATS as the stream, and real daemons that are killed.

#[cfg(all(feature = "daemon", feature = "nats"))]
mod kills;
#[cfg(all(feature = "daemon", feature = "nats"))]
mod nats;
#[cfg(all(feature = "__testing", feature = "fleet"))]
mod simulation;
#[path = "../support/mod.rs"]
mod support;
