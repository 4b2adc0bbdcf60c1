//! Why a service refuses a command.

use crate::history::Full;
use crate::plan::ConfigError;
use crate::store::StoreError;
use std::fmt;

/// Why the service did not perform a command.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store cannot be written. Nothing is in force; after a restart, the submitted events may or may not be
    /// stored.
    NotDurable(String),
    /// The configuration is invalid.
    Config(ConfigError),
    /// The history holds as many pairs as it may.
    Full(Full),
    /// The environment holds as many pairs as it may.
    ShareUsed(ShareUsed),
    /// The stored data is still being loaded.
    Loading,
    /// An erasure that reached into the future covers the call, which may be newer than the erasure. The call is not
    /// recorded.
    ContactErased,
    /// No call of the environment has this id.
    CallNotFound,
    /// The id belongs to a call with another agent, number or contact.
    CallIdReused,
    /// The environment's calls with ids and contexts take as many bytes as they may.
    ContextsFull(ContextsFull),
    /// The store keeps no calls with ids or contexts.
    CallsNotKept,
    /// The service belongs to a fleet, whose other nodes would not receive calls that are recorded under another number.
    NotMovable,
    /// The store does not answer, and the queue of waiting commands is full. Nothing is in force.
    Stalled,
    /// Another node changed the configuration first. Nothing is in force.
    Superseded,
    /// The fleet's stream is unreachable, so that it cannot order a change. Nothing is in force.
    StreamAway(String),
    /// The stream did not report whether it accepted a change. The change is not in force now. If the stream accepted
    /// it, it will be in force soon.
    OutcomeUnknown(String),
    /// The change is durable on this node and in force, but the stream did not acknowledge it in time. The node
    /// publishes it later.
    NotReplicated,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDurable(what) => write!(f, "the store cannot be written: {what}"),
            Self::Config(error) => error.fmt(f),
            Self::Full(full) => full.fmt(f),
            Self::ShareUsed(used) => used.fmt(f),
            Self::Loading => f.write_str("the stored data is still being loaded: retry soon"),
            Self::ContactErased => f.write_str("the contact was erased together with a call dated in the future, and this call may be older than the erasure"),
            Self::CallNotFound => f.write_str("no call has this id"),
            Self::CallIdReused => f.write_str("the id belongs to a call with another agent, number or contact"),
            Self::ContextsFull(full) => full.fmt(f),
            Self::CallsNotKept => f.write_str("this service keeps no data on disk, so it keeps no ids and contexts of calls"),
            Self::NotMovable => f.write_str("calls cannot be recorded under another number at a node of a fleet: its other nodes would not receive them"),
            Self::Stalled => f.write_str("the store does not answer, and too many changes wait for it: retry later"),
            Self::Superseded => f.write_str("another node changed the configuration first: read it again and retry"),
            Self::StreamAway(what) => write!(f, "the fleet's stream cannot order the change, which is not in force: {what}"),
            Self::OutcomeUnknown(what) => write!(f, "the fleet's stream did not report whether it accepted the change: {what}"),
            Self::NotReplicated => f.write_str("durable on this node, but not acknowledged by the fleet's stream in time"),
        }
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Full(full) => Some(full),
            Self::ShareUsed(used) => Some(used),
            Self::ContextsFull(full) => Some(full),
            _ => None,
        }
    }
}

/// An environment holds as many pairs as it may, while the history still has room for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ShareUsed {
    /// The number of pairs that the environment holds.
    pub pairs: usize,
    /// The number of pairs that the environment may hold.
    pub may_hold: usize,
    /// Whether the operator set that limit. Otherwise the limit is an equal share of the history for each environment.
    /// Shares apply while the history is at least seven eighths full.
    pub is_fixed: bool,
}

impl fmt::Display for ShareUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, may_hold, is_fixed } = self;
        let why = if *is_fixed {
            "the limit of each environment"
        } else {
            "an equal share of the history, which is nearly full"
        };
        write!(
            f,
            "this environment holds {pairs} contacts and may hold {may_hold}, {why}: erase contacts, or wait until some expire"
        )
    }
}

impl std::error::Error for ShareUsed {}

/// An environment's calls with ids and contexts take as many bytes as they may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ContextsFull {
    /// The bytes that they take.
    pub bytes: u64,
    /// The bytes that they may take.
    pub may_hold: u64,
}

impl fmt::Display for ContextsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, may_hold } = self;
        write!(
            f,
            "the ids and contexts of this environment's calls take {bytes} bytes of at most {may_hold}: report the call \
             without them, erase contacts, or wait until some calls expire"
        )
    }
}

impl std::error::Error for ContextsFull {}

impl From<StoreError> for ServiceError {
    /// A store that cannot be read.
    fn from(error: StoreError) -> Self {
        Self::NotDurable(error.to_string())
    }
}

impl From<ConfigError> for ServiceError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
