//! The sequencer: the connection between a service and the other nodes of its fleet.

use super::ServiceError;
use crate::event::{Configuration, Event};
use crate::metrics::Fleet;
use crate::store::Pseudonyms;
use std::fmt;
use std::sync::Arc;

/// Orders configurations among several services, and decides when a change is acknowledged. A service that belongs to
/// no fleet uses [`Alone`].
///
/// The committer thread calls these methods, except for [`order`](Self::order) and [`confirm`](Self::confirm). All submitted
/// commands wait meanwhile, so none of them may wait for the network.
pub trait Sequencer: Send + Sync + 'static {
    /// Returns whether the service belongs to a fleet: committed events are also written to the outbox, and changes of
    /// the configuration are [ordered](Self::order).
    fn has_outbox(&self) -> bool;

    /// Gives a configuration its place in the common order, before it is committed here. The configuration is valid,
    /// and its sequence is the next one.
    ///
    /// A thread of its own calls this, so the method may wait for the network. Other changes of the
    /// configuration wait meanwhile, and calls do not.
    ///
    /// # Errors
    /// The reason not to commit it: [`ServiceError::Superseded`], [`ServiceError::StreamAway`] or
    /// [`ServiceError::OutcomeUnknown`].
    fn order(&self, configuration: &Configuration) -> Result<(), ServiceError>;

    /// Confirms that the configuration with this sequence is the last one in the common order, and that no
    /// configuration with an unknown outcome can follow it any more. This is the place of a request that changes
    /// nothing.
    ///
    /// The same thread calls this as [`order`](Self::order).
    ///
    /// # Errors
    /// [`ServiceError::Superseded`] if there is a later configuration, or [`ServiceError::StreamAway`].
    fn confirm(&self, sequence: u64) -> Result<(), ServiceError>;

    /// Called when a command is durable here and in force, and outbox entries up to `entry` are committed. The
    /// implementation calls `done` when the command can be acknowledged, or when it is certain that it cannot be.
    fn acknowledge(&self, entry: u64, done: Acknowledge);

    /// Returns the fleet's counters, if there are any.
    fn metrics(&self) -> Option<&Arc<Fleet>> {
        None
    }
}

/// A function that sends the result to the caller that submitted the command.
pub type Acknowledge = Box<dyn FnOnce(Result<(), ServiceError>) + Send>;

/// The sequencer of a single service: a change is acknowledged as soon as it is durable here.
#[derive(Clone, Copy, Default, Debug)]
pub struct Alone;

impl Sequencer for Alone {
    fn has_outbox(&self) -> bool {
        false
    }

    fn order(&self, _: &Configuration) -> Result<(), ServiceError> {
        Ok(())
    }

    fn confirm(&self, _: u64) -> Result<(), ServiceError> {
        Ok(())
    }

    fn acknowledge(&self, _: u64, done: Acknowledge) {
        done(Ok(()));
    }
}

/// The sequencer of a fleet's node while only a command has its store open: no stream is reachable. Events go to the outbox,
/// and the node publishes them after its next start. Changes of the configuration are rejected.
#[derive(Clone, Copy, Default, Debug)]
pub struct CutOff;

impl Sequencer for CutOff {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, _: &Configuration) -> Result<(), ServiceError> {
        Err(ServiceError::StreamAway("start this node, and change the configuration through it".into()))
    }

    fn confirm(&self, _: u64) -> Result<(), ServiceError> {
        Err(ServiceError::StreamAway("start this node, and change the configuration through it".into()))
    }

    fn acknowledge(&self, _: u64, done: Acknowledge) {
        done(Ok(()));
    }
}

/// Messages read from the stream, and the progress of the outbox, to be committed together.
#[derive(Clone, Default)]
pub struct Consumed {
    /// The events of other nodes, in the stream's order. They are not written to the outbox.
    pub events: Vec<Event>,
    /// Erasures of contacts that are identified only by pseudonyms.
    pub pseudonyms: Pseudonyms,
    /// Outbox entries up to this one have been published and can be removed.
    pub published: Option<u64>,
    /// The node's place in the stream, in the fleet's own encoding.
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
