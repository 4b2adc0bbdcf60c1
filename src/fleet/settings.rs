//! How a node takes part in its fleet.

use super::message::NodeId;
use super::share::Share;
use crate::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a node takes part in its fleet. [`new`](Self::new) has values that suit most.
#[derive(Clone)]
pub struct Settings {
    /// Which node it is, in this life of it: drawn at random.
    pub node: NodeId,
    /// In how many subjects calls are published, by the number that they were placed from. The same on every node.
    pub partitions: u16,
    /// Those of them that this node keeps the calls of. At least one node of a fleet has to keep all, since only such a node writes
    /// snapshots; where all are gone, what no share had is.
    pub share: Share,
    /// Events in a message, at most. More take longer to be told and less time each.
    pub batch: usize,
    /// Whether a call or an erasure is acknowledged only when the stream has acknowledged it, too.
    pub replicated: bool,
    /// For how long that is waited for. Afterwards it is [`NotReplicated`](crate::ServiceError::NotReplicated): there, and told later.
    pub replicated_wait: Duration,
    /// How often one of the nodes writes a snapshot and has the stream forget what is in it.
    pub snapshot_every: Duration,
    /// For how long changes of the configuration are refused when the stream is there again after it was away: nodes that know more of
    /// the configuration than a stream that was rolled back publish it meanwhile.
    pub settle: Duration,
    /// How often a node says that it is there, where it has nothing else to say.
    pub beat_every: Duration,
    /// How far a node may be behind before its health says so.
    pub lag_limit: Duration,
    /// The time. Nothing is decided by it between nodes.
    pub now: Clock,
    /// What is done wrong on purpose, to see that it is found out.
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub planted: Option<Planted>,
}

/// What can be done wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(hidden)]
pub enum Planted {
    /// A stream that lost something gets nothing again.
    NoRepublish,
    /// The outbox is rid of what was published before the stream has brought it back.
    ForgetsEarly,
    /// No message is compared with the one that was there.
    NoWitness,
}

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Settings {
    /// In how many subjects calls are published unless somebody says otherwise.
    pub const PARTITIONS: u16 = 16;

    /// The usual ones, with this clock.
    ///
    /// # Panics
    /// Where the system gives no random bytes.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let mut node = NodeId::default();
        getrandom::fill(&mut node).expect("the system gives random bytes");
        Self {
            node,
            partitions: Self::PARTITIONS,
            share: Share::ALL,
            batch: 500,
            replicated: false,
            replicated_wait: Duration::from_secs(5),
            snapshot_every: Duration::from_secs(24 * 60 * 60),
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
    #[allow(clippy::unused_self, reason = "the other one looks")]
    pub(super) const fn is_planted(&self, _: Planted) -> bool {
        false
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("partitions", &self.partitions)
            .field("share", &self.share)
            .field("batch", &self.batch)
            .field("replicated", &self.replicated)
            .field("snapshot_every", &self.snapshot_every)
            .finish_non_exhaustive()
    }
}
