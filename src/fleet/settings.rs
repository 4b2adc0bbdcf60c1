//! The settings of a node.

use super::keys::Keys;
use super::message::NodeId;
use super::share::Share;
use crate::time::{Clock, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a node. [`new`](Self::new) returns values that suit most fleets.
#[derive(Clone)]
pub struct Settings {
    /// The identity of the node until it stops: random bytes, which must be new at each start. With a key, two starts
    /// with the same identity sign messages with the same numbers, and a reader of both could forge others.
    pub node: NodeId,
    /// The number of partitions of the calls, each with its own subject. The number that placed a call selects the
    /// partition. All nodes need the same value.
    pub partitions: u16,
    /// The partitions whose calls this node keeps. At least one node of a fleet has to keep all partitions, because
    /// only such a node writes snapshots. If all such nodes are lost, the fleet loses the calls of the partitions that
    /// no other node keeps.
    pub share: Share,
    /// The keys that authenticate messages and snapshots. Without any, every client that may publish to the stream
    /// counts as a node.
    pub keys: Keys,
    /// The maximum number of events in a message. Larger messages take less time for each event, but arrive later.
    pub batch: usize,
    /// Whether calls and erasures are acknowledged only after the stream has acknowledged them.
    pub replicated: bool,
    /// How long a request waits for the stream's acknowledgement. After that the request fails with
    /// [`NotReplicated`](crate::ServiceError::NotReplicated): its events are in force on this node, and are published
    /// later.
    pub replicated_wait: Duration,
    /// The time between two snapshots of the fleet. The node that writes one removes the messages that it covers from
    /// the stream.
    pub snapshot_every: Duration,
    /// How long a node waits for a snapshot that another node has to write, before it continues without the messages
    /// that the stream no longer holds. A configuration that only absent nodes have can then be lost.
    pub snapshot_wait: Duration,
    /// How long changes of the configuration are rejected after the stream is reachable again. If the stream was rolled
    /// back, nodes publish the configurations that it lacks during this time.
    pub settle: Duration,
    /// How long a node publishes nothing before it publishes a heartbeat.
    pub beat_every: Duration,
    /// How far a node may be behind the stream before its health check reports it.
    pub lag_limit: Duration,
    /// Returns the current time. Nodes do not rely on each other's clocks.
    pub now: Clock,
    /// A bug that a test plants, to show that it is found.
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub planted: Option<Planted>,
}

/// A callback that receives texts for a log. The texts contain no contact.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// A bug that a test can plant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(hidden)]
pub enum Planted {
    /// The node publishes nothing again after the stream lost messages.
    NoRepublish,
    /// An outbox entry is removed before the stream has delivered its messages back.
    ForgetsEarly,
    /// A stray message in the subject of configurations does not count as its last message.
    StrayBlocks,
    /// The node does not read the stray messages after its last proof again, when it checks the stream.
    StrayTail,
    /// The node does not check signatures.
    TrustsAll,
    /// The node publishes messages that are longer than the stream accepts.
    IgnoresLimit,
    /// The node does not write a snapshot that other nodes need before the next one is due.
    IgnoresNeed,
    /// The node computes the age of a snapshot by its writer's clock.
    TrustsClocks,
    /// The node writes no snapshot to make room in a full stream.
    IgnoresFull,
    /// The node skips what a newer version wrote, even if that loses something.
    SkipsNewer,
    /// The node does not compare the message at its place with the one that was there.
    NoWitness,
    /// The node acknowledges a request that changes nothing without a place in the stream's order.
    NoFence,
    /// The node does not publish ids and contexts again after the stream lost messages.
    NoDetailsAgain,
    /// The node dates the contexts of other nodes by its own clock.
    DatesAnew,
}

impl Settings {
    /// The default number of partitions.
    pub const PARTITIONS: u16 = 16;

    /// Returns the default settings with this clock.
    ///
    /// # Panics
    /// Panics if the system provides no random bytes.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let mut node = NodeId::default();
        getrandom::fill(&mut node).expect("the system gives random bytes");
        Self {
            node,
            partitions: Self::PARTITIONS,
            share: Share::ALL,
            keys: Keys::NONE,
            batch: 500,
            replicated: false,
            replicated_wait: Duration::from_secs(5),
            snapshot_every: Duration::from_secs(24 * 60 * 60),
            snapshot_wait: Duration::from_secs(600),
            settle: Duration::from_secs(5),
            beat_every: Duration::from_secs(10),
            lag_limit: Duration::from_secs(10),
            now: Arc::new(now),
            #[cfg(feature = "__testing")]
            planted: None,
        }
    }

    #[cfg(feature = "__testing")]
    pub(super) fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    #[cfg(not(feature = "__testing"))]
    #[allow(clippy::unused_self, reason = "the variant with planted bugs needs it")]
    pub(super) const fn is_planted(&self, _: Planted) -> bool {
        false
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("partitions", &self.partitions)
            .field("share", &self.share)
            .field("keys", &self.keys)
            .field("batch", &self.batch)
            .field("replicated", &self.replicated)
            .field("snapshot_every", &self.snapshot_every)
            .finish_non_exhaustive()
    }
}
