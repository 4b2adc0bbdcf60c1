//! `dialback serve`: the daemon, its listeners, its threads and its upkeep.

mod address_space;
mod addresses;
mod agi;
mod budgets;
mod connection;
mod connections;
mod daemon;
mod descriptors;
mod fleet;
mod limits;
mod retention;
mod runtimes;
mod schedule;
mod sip;
mod stall;
mod tls;
mod wire;

pub(crate) use connections::Listener;
pub(crate) use daemon::{ServeOptions, Stop, listen, run, serve};
pub(crate) use limits::ConnectionLimits;
pub(crate) use runtimes::Runtimes;
