//! The commands that end by themselves: one file each, and the client that they share.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod callback;
mod calls_file;
pub(crate) mod changes;
mod client;
pub(crate) mod contact;
pub(crate) mod daemon_options;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod number;
pub(crate) mod numbers;
pub(crate) mod partition;
mod place;
mod reference;
pub(crate) mod reload;
pub(crate) mod remote;
mod rerouting;
pub(crate) mod resolve;
mod table;
pub(crate) mod texts;
pub(crate) mod token;
mod trust;
pub(crate) mod verify;
