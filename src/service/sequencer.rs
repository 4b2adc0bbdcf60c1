//! What others have to do with what is committed here.

use super::ServiceError;
use crate::event::{Configuration, Event};
use crate::metrics::Fleet;
use crate::store::Pseudonyms;
use std::fmt;
use std::sync::Arc;

/// Orders configurations beyond one service, and is told what is committed. [`Alone`] where there is nobody else.
///
/// Its methods are called on the thread that commits, which everything waits for that is handed in: they must not block for
/// longer than that may stand.
pub trait Sequencer: Send + Sync + 'static {
    /// Whether what is committed goes into the outbox, too.
    fn has_outbox(&self) -> bool;

    /// Gives a configuration its place in the order of all, before it is committed here. It is valid, and its sequence is the next.
    ///
    /// # Errors
    /// Why it is not to be committed: [`ServiceError::Superseded`], [`ServiceError::StreamAway`] or [`ServiceError::OutcomeUnknown`].
    fn order(&self, configuration: &Configuration) -> Result<(), ServiceError>;

    /// What was handed in is durable here and in force, and entries of the outbox up to `entry` are committed. `done` is called
    /// when that is enough for an acknowledgement, or is not going to be.
    fn acknowledge(&self, entry: u64, done: Acknowledge);

    /// What it counts.
    fn metrics(&self) -> Option<&Arc<Fleet>> {
        None
    }
}

/// Tells whoever handed something in.
pub type Acknowledge = Box<dyn FnOnce(Result<(), ServiceError>) + Send>;

/// Nobody else: what is durable here is acknowledged.
#[derive(Clone, Copy, Default, Debug)]
pub struct Alone;

impl Sequencer for Alone {
    fn has_outbox(&self) -> bool {
        false
    }

    fn order(&self, _: &Configuration) -> Result<(), ServiceError> {
        Ok(())
    }

    fn acknowledge(&self, _: u64, done: Acknowledge) {
        done(Ok(()));
    }
}

/// What a stream brought, or what became of the outbox: committed together.
#[derive(Clone, Default)]
pub struct Consumed {
    /// What others did, in the stream's order. None of it goes into the outbox.
    pub events: Vec<Event>,
    /// Erasures of contacts that are not named.
    pub pseudonyms: Pseudonyms,
    /// Entries of the outbox up to this one are needed no more.
    pub published: Option<u64>,
    /// Where the node stands now, in its own words.
    pub place: Option<Vec<u8>>,
}

impl fmt::Debug for Consumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumed")
            .field("events", &self.events.len())
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}
