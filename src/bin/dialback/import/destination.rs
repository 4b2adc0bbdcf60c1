//! The place that an import writes to: a data directory or a daemon.

use super::error::ImportError;
use super::rejection::Rejection;
use ahash::HashMap;
use dialback::{AgentId, Call, E164, EnvironmentId, NumberId, Plan};
use std::sync::Arc;

/// Accepts the entities and calls of an import.
pub(super) trait Destination {
    /// Creates entities, and the environment first if it is missing. Returns those that were rejected.
    fn create(&mut self, additions: Additions) -> Result<Unmade, ImportError>;

    /// Submits a batch. Waits while too many batches are pending.
    fn submit(&mut self, batch: Batch) -> Result<(), ImportError>;

    /// Waits until all batches are durable.
    fn finish(&mut self) -> Result<(), ImportError>;

    /// Returns the results that have arrived since the last call.
    fn results(&mut self) -> Results;
}

/// The environment that the calls belong to, as the destination knew it when the import began.
pub(super) struct Tenant {
    pub(super) id: EnvironmentId,
    /// The name, for people.
    pub(super) name: String,
    /// Whether the environment has to be created. Then `plan` does not have it.
    pub(super) is_new: bool,
    /// Whether the destination has quotas of its own, and rejects entities beyond them.
    pub(super) has_quotas: bool,
    /// The numbers and agents of the environment. A data directory's plan has those of all environments.
    pub(super) plan: Arc<Plan>,
    /// Returns whether another environment holds a number that `plan` does not have.
    pub(super) is_foreign: Box<dyn FnMut(E164) -> bool>,
}

/// The numbers and agents that the next batch needs.
#[derive(Default)]
pub(super) struct Additions {
    pub(super) numbers: Vec<(NumberId, E164)>,
    /// Outbound agents, by name.
    pub(super) agents: Vec<(AgentId, String)>,
}

impl Additions {
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.agents.is_empty()
    }
}

/// The entities that the destination rejected, with the reasons.
#[derive(Default)]
pub(super) struct Unmade {
    pub(super) numbers: HashMap<E164, Rejection>,
    pub(super) agents: HashMap<AgentId, Rejection>,
}

impl Unmade {
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.agents.is_empty()
    }

    /// Returns why a call cannot be imported, if it needs an entity that was rejected.
    pub(super) fn reason(&self, call: &Call) -> Option<&Rejection> {
        self.numbers.get(&call.from).or_else(|| self.agents.get(&call.agent))
    }
}

/// Calls that are submitted together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) calls: Vec<Call>,
    /// The record of each call.
    pub(super) origins: Vec<Origin>,
}

/// The record that a call was read from.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    /// The line number on which it begins.
    pub(super) line: u64,
    /// The record as it is in the file, if rejected records are kept; else empty.
    pub(super) text: Box<[u8]>,
}

impl Batch {
    pub(super) fn with_capacity(calls: usize) -> Self {
        Self { calls: Vec::with_capacity(calls), origins: Vec::with_capacity(calls) }
    }
}

/// The results of calls that are durable or rejected.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Results {
    pub(super) recorded: u64,
    pub(super) unchanged: u64,
    pub(super) erased: u64,
    /// The records that the destination rejected, with the reasons.
    pub(super) refused: Vec<(Origin, Rejection)>,
}
