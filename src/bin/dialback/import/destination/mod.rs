//! The place that an import writes to: a data directory or a daemon.

pub(super) mod daemon;
pub(super) mod directory;
pub(super) mod pipeline;
pub(super) mod place;
pub(super) mod roster;
pub(super) mod tenant;
pub(super) mod upload;

use crate::import::error::ImportError;
use crate::import::report::rejection::Rejection;
use crate::import::report::span::Span;
use ahash::HashMap;
use dialback::{AgentId, Call, Details, E164, EnvironmentId, NumberId, Plan, Timestamp};
use std::sync::Arc;

/// Accepts the entities and calls of an import.
pub(in crate::import) trait Destination {
    /// Creates the entities that these calls need, and the environment first if it is missing. Returns those that were
    /// rejected or not needed.
    fn create(&mut self, additions: Additions, calls: &[Batch]) -> Result<Unmade, ImportError>;

    /// Submits a batch. Waits while too many batches are pending.
    fn submit(&mut self, batch: Batch) -> Result<(), ImportError>;

    /// Waits until all batches are durable, or have failed. Returns the first error.
    fn finish(&mut self) -> Result<(), ImportError>;

    /// Returns the results that have arrived since the last call.
    fn results(&mut self) -> Results;

    /// Returns what has been created so far.
    fn made(&self) -> Made;
}

/// The environment that the calls belong to, as the destination knew it when the import began.
pub(in crate::import) struct Tenant {
    pub(in crate::import) id: EnvironmentId,
    /// The name, for people.
    pub(in crate::import) name: String,
    /// Whether the environment has to be created. Then `plan` does not have it.
    pub(in crate::import) is_new: bool,
    /// Whether the destination has quotas of its own, and rejects entities beyond them.
    pub(in crate::import) has_quotas: bool,
    /// The numbers and agents of the environment. A data directory's plan has those of all environments.
    pub(in crate::import) plan: Arc<Plan>,
    /// Returns whether another environment holds a number that `plan` does not have. `None` if this cannot be known: a
    /// tenant must not learn of the numbers of others.
    pub(in crate::import) is_foreign: Option<Box<dyn FnMut(E164) -> bool>>,
}

/// The numbers and agents that the next batch needs.
#[derive(Default)]
pub(in crate::import) struct Additions {
    pub(in crate::import) numbers: Vec<(NumberId, E164)>,
    /// Outbound agents, by name.
    pub(in crate::import) agents: Vec<(AgentId, String)>,
}

impl Additions {
    pub(in crate::import) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.agents.is_empty()
    }
}

/// The entities that the destination rejected, with the reasons.
#[derive(Default)]
pub(in crate::import) struct Unmade {
    pub(in crate::import) numbers: HashMap<E164, Rejection>,
    pub(in crate::import) agents: HashMap<AgentId, Rejection>,
    /// Agents all of whose calls so far come from rejected numbers. They are created when another call needs them.
    pub(in crate::import) postponed: Vec<(AgentId, String)>,
}

impl Unmade {
    pub(in crate::import) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.agents.is_empty() && self.postponed.is_empty()
    }

    /// Returns why a call cannot be imported, if it needs an entity that was rejected.
    pub(in crate::import) fn reason(&self, call: &Call) -> Option<&Rejection> {
        self.numbers.get(&call.from).or_else(|| self.agents.get(&call.agent))
    }
}

/// The entities that an import has created.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(in crate::import) struct Made {
    /// The name of the environment, if it was created.
    pub(in crate::import) environment: Option<String>,
    pub(in crate::import) numbers: u64,
    pub(in crate::import) agents: u64,
    /// Whether a request had no certain answer, so that there may be one entity more.
    pub(in crate::import) is_least: bool,
}

/// Calls that are submitted together.
#[derive(Default)]
pub(in crate::import) struct Batch {
    pub(in crate::import) calls: Vec<Call>,
    /// The record of each call.
    pub(in crate::import) origins: Vec<Origin>,
}

/// The record that a call was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::import) struct Origin {
    /// The number of the record in the file. Several records may begin on one line of JSON.
    pub(in crate::import) record: u64,
    /// The line number on which it begins.
    pub(in crate::import) line: u64,
    /// When the call was placed.
    pub(in crate::import) at: Timestamp,
    /// The record as it is in the file, if rejected records are kept; else empty.
    pub(in crate::import) text: Box<[u8]>,
    /// The id and the context of the call.
    pub(in crate::import) details: Details,
}

impl Origin {
    /// Returns the bytes that the record and the details take.
    pub(in crate::import) fn bytes(&self) -> usize {
        let Details { id, context } = &self.details;
        let id = id.as_ref().map_or(0, |id| id.as_str().len());
        self.text.len() + id + context.as_ref().map_or(0, |context| context.as_str().len())
    }
}

impl Batch {
    pub(in crate::import) fn with_capacity(calls: usize) -> Self {
        Self { calls: Vec::with_capacity(calls), origins: Vec::with_capacity(calls) }
    }
}

/// The results of calls that are durable or rejected.
#[derive(Default, PartialEq, Debug)]
pub(in crate::import) struct Results {
    pub(in crate::import) recorded: u64,
    pub(in crate::import) unchanged: u64,
    pub(in crate::import) erased: u64,
    pub(in crate::import) uncounted: u64,
    /// When the calls that were not rejected were placed.
    pub(in crate::import) span: Span,
    /// The records that the destination rejected, with the reasons.
    pub(in crate::import) refused: Vec<(Origin, Rejection)>,
}
