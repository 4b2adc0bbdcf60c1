//! The commands that end by themselves: one file each, and the client that they share.

pub(crate) mod apply;
mod client;
pub(crate) mod environment;
pub(crate) mod export;
pub(crate) mod numbers;
pub(crate) mod partition;
mod place;
pub(crate) mod reload;
pub(crate) mod remote;
pub(crate) mod resolve;
pub(crate) mod texts;
pub(crate) mod token;
pub(crate) mod verify;
