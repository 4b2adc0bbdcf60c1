//! `dialback serve`: the daemon, its listeners, its threads and its upkeep.

mod addresses;
mod agi;
mod budgets;
mod certificate;
mod connection;
mod connections;
mod cors;
mod daemon;
mod descriptors;
mod exchange;
mod fleet;
mod http2;
mod limits;
mod options;
mod origins;
mod progress;
mod reload;
mod retention;
mod runtimes;
mod schedule;
mod sip;
mod sockets;
mod stall;
mod started;
mod tls;
mod webhooks;
mod wire;

pub(crate) use connections::Listener;
pub(crate) use daemon::{Stop, run, serve};
pub(crate) use limits::ConnectionLimits;
pub(crate) use options::ServeOptions;
pub(crate) use origins::Origins;
pub(crate) use reload::USUAL_LOG;
pub(crate) use runtimes::Runtimes;
pub(crate) use sockets::Socket;
pub(crate) use started::{Reread, Started};
