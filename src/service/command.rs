//! What is handed in to be committed.

use super::merging::Load;
use super::reckoning::Report;
use super::sequencer::Consumed;
use super::{Recording, ServiceError};
use crate::event::{Change, Event};
use crate::id::EnvironmentId;
use crate::metrics::Stopwatch;
use crate::plan::{ConfigError, Plan};
use crate::tally::Delta;
use crate::time::Timestamp;
use std::sync::Arc;

pub(super) type Decide = Box<dyn FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send>;
pub(super) type Done<T> = Box<dyn FnOnce(T) + Send>;

/// What a caller hands in, and who is told.
pub(super) enum Command {
    Record {
        events: Vec<Event>,
        /// When they were handed in, where a call that an erasure reaching past that covers is to be refused.
        now: Option<Timestamp>,
        done: Done<Recording>,
    },
    Configure {
        environment: EnvironmentId,
        at: Timestamp,
        decide: Decide,
        done: Done<Result<Arc<Plan>, ServiceError>>,
    },
    /// What was counted, to be carried into the book.
    Carry {
        deltas: Vec<Delta>,
        done: Done<Result<(), ServiceError>>,
    },
    /// A decision was reported answered.
    Answer {
        report: Report,
        done: Done<Result<(), ServiceError>>,
    },
    /// What a fleet's stream brought.
    Consume {
        consumed: Consumed,
        done: Done<Recording>,
    },
    /// A snapshot is to be loaded.
    Merge {
        load: Load,
        /// Told when it is in memory, with what the loading said.
        loaded: Done<Result<(), String>>,
        /// Told when it is in the store, too.
        stored: Done<Result<(), ServiceError>>,
    },
}

/// A command on its way.
pub(super) struct Submitted {
    pub(super) command: Command,
    pub(super) since: Stopwatch,
}

impl Submitted {
    pub(super) fn new(command: Command) -> Self {
        Self { command, since: Stopwatch::start() }
    }
}

impl Command {
    /// Events, or the one configuration.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Record { events, .. } => events.len(),
            Self::Consume { consumed, .. } => consumed.events.len(),
            Self::Configure { .. } | Self::Answer { .. } => 1,
            // Counted before, and acknowledged to nobody.
            Self::Carry { .. } | Self::Merge { .. } => 0,
        }
    }

    /// Whether a client hands it in, and can repeat it. The rest is the service's own, or a fleet's.
    pub(super) fn is_of_a_client(&self) -> bool {
        matches!(self, Self::Record { .. } | Self::Configure { .. } | Self::Answer { .. })
    }

    pub(super) fn events(&self) -> &[Event] {
        match self {
            Self::Record { events, .. } => events,
            Self::Consume { consumed, .. } => &consumed.events,
            Self::Configure { .. } | Self::Carry { .. } | Self::Answer { .. } | Self::Merge { .. } => &[],
        }
    }

    pub(super) fn refuse(self, error: ServiceError) {
        match self {
            Self::Record { done, .. } | Self::Consume { done, .. } => done(Err(error)),
            Self::Merge { loaded, stored, .. } => {
                loaded(Err(error.to_string()));
                stored(Err(error));
            }
            Self::Configure { done, .. } => done(Err(error)),
            Self::Carry { done, .. } | Self::Answer { done, .. } => done(Err(error)),
        }
    }
}
