//! Commands: the work that callers submit to the committer.

use super::merging::Load;
use super::pending_totals::AnswerReport;
use super::recorder::Round;
use super::sequencer::Consumed;
use super::{Recording, ServiceError};
use crate::event::{Change, Event, Stamp};
use crate::id::EnvironmentId;
use crate::metrics::Stopwatch;
use crate::plan::{ConfigError, Plan};
use crate::store::WebhookPart;
use crate::tally::Delta;
use crate::time::Timestamp;
use std::sync::Arc;

/// Returns the changes, or `None` if the caller needs nothing but the plan that it was called with.
pub(super) type Decide = Box<dyn FnOnce(&Plan) -> Result<Option<Vec<Change>>, ConfigError> + Send>;
pub(super) type Done<T> = Box<dyn FnOnce(T) + Send>;

/// A value of a webhook to be kept: its environment, its id, the part, and the value; `None` removes it.
pub type KeptWebhook = (EnvironmentId, u128, WebhookPart, Option<Vec<u8>>);

/// A command, and the functions that receive its result.
pub(super) enum Command {
    Record {
        events: Vec<Event>,
        /// The moment of the report. If it is set, a call that may be newer than the erasure that covers it is
        /// rejected.
        now: Option<Timestamp>,
        /// Whether this installation had the calls already, with other numbers.
        are_moved: bool,
        done: Done<Recording>,
    },
    Configure {
        environment: EnvironmentId,
        stamp: Stamp,
        decide: Decide,
        done: Done<Result<Arc<Plan>, ServiceError>>,
    },
    /// Counts of decisions, which the committer adds to the durable totals.
    AddCounts {
        deltas: Vec<Delta>,
        done: Done<Result<(), ServiceError>>,
    },
    /// A report that a decision's call was answered.
    RecordAnswer {
        report: AnswerReport,
        done: Done<Result<(), ServiceError>>,
    },
    /// Decision records. The result says whether more of them are to be removed.
    Keep {
        round: Round,
        done: Done<Result<bool, ServiceError>>,
    },
    /// Values of webhooks. Those of environments that do not exist are left out.
    KeepWebhooks {
        values: Vec<KeptWebhook>,
        done: Done<Result<(), ServiceError>>,
    },
    /// Messages of the fleet's stream.
    Consume {
        consumed: Consumed,
        done: Done<Recording>,
    },
    /// The result of the request to the fleet's order that is under way.
    Ordered(Result<(), ServiceError>),
    /// The last command: the service is being dropped.
    Close,
    /// A snapshot to load.
    Merge {
        load: Load,
        /// Called when the snapshot is in memory, with the result of `load`.
        loaded: Done<Result<(), String>>,
        /// Called when the snapshot is in the store, too.
        stored: Done<Result<(), ServiceError>>,
    },
}

/// A command with the time at which it was submitted.
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
    /// Returns how many events or changes the command counts as.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Record { events, .. } => events.len(),
            Self::Consume { consumed, .. } => consumed.events.len(),
            Self::Configure { .. } | Self::RecordAnswer { .. } => 1,
            // These commands acknowledge nothing to a client.
            Self::AddCounts { .. }
            | Self::Keep { .. }
            | Self::KeepWebhooks { .. }
            | Self::Merge { .. }
            | Self::Ordered(_)
            | Self::Close => 0,
        }
    }

    /// Returns whether a client submitted the command, and so can repeat it. All others come from the service or a
    /// fleet.
    pub(super) fn is_of_a_client(&self) -> bool {
        matches!(self, Self::Record { .. } | Self::Configure { .. } | Self::RecordAnswer { .. })
    }

    pub(super) fn events(&self) -> &[Event] {
        match self {
            Self::Record { events, .. } => events,
            Self::Consume { consumed, .. } => &consumed.events,
            _ => &[],
        }
    }

    /// Returns the bytes that the ids and contexts of the command's events take.
    pub(super) fn detail_bytes(&self) -> u64 {
        detail_bytes(self.events())
    }

    pub(super) fn refuse(self, error: ServiceError) {
        match self {
            Self::Record { done, .. } | Self::Consume { done, .. } => done(Err(error)),
            Self::Merge { loaded, stored, .. } => {
                loaded(Err(error.to_string()));
                stored(Err(error));
            }
            Self::Configure { done, .. } => done(Err(error)),
            Self::AddCounts { done, .. } | Self::RecordAnswer { done, .. } | Self::KeepWebhooks { done, .. } => {
                done(Err(error));
            }
            Self::Keep { done, .. } => done(Err(error)),
            Self::Ordered(_) | Self::Close => {}
        }
    }
}

/// Returns the bytes that the ids and contexts of events take.
pub(super) fn detail_bytes(events: &[Event]) -> u64 {
    events.iter().map(|event| event.detail_bytes() as u64).sum()
}
