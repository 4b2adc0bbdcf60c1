//! What a node of a fleet counts.

use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How a node stands to its fleet. All relaxed: a count orders nothing else.
#[derive(Default)]
pub struct Fleet {
    position: AtomicU64,
    last: AtomicU64,
    lag_events: AtomicU64,
    lag_millis: AtomicU64,
    lag_limit_millis: AtomicU64,
    peers: AtomicU64,
    published: AtomicU64,
    consumed: AtomicU64,
    republished: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    state: Mutex<FleetState>,
}

/// What a node is doing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum FleetState {
    /// It has not been at the stream yet, or is still taking what was there when it came.
    #[default]
    Joining,
    /// It takes what comes.
    Following,
    /// The stream cannot be reached: why.
    Away(String),
    /// It does not take part any more, as far as this says, until somebody looks at it.
    Stopped(String),
}

impl FleetState {
    /// Every word there is for one.
    pub const NAMES: [&'static str; 4] = ["joining", "following", "away", "stopped"];

    /// A word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Following => "following",
            Self::Away(_) => "away",
            Self::Stopped(_) => "stopped",
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Fleet {
            $($(#[$doc])* pub fn $name(&self) -> u64 {
                self.$name.load(Ordering::Relaxed)
            })*
        }
    };
}

counters! {
    /// Up to where the stream has been taken.
    position,
    /// Where the stream ended when it was last asked.
    last,
    /// About how many events the node is behind: messages that are missing, by the events that those before had each.
    lag_events,
    /// By how many milliseconds what was taken last is older than now, while there is more to take; else 0.
    lag_millis,
    /// Other nodes that were heard within the last minutes.
    peers,
    /// Events of this node that the stream has acknowledged.
    published,
    /// Events of others that were taken.
    consumed,
    /// Events that were published again since a stream had lost them, or might have.
    republished,
    /// Messages that could not be read, and events that could not be applied.
    refused,
    /// Calls of agents or numbers that this node has no configuration of.
    unknown,
}

impl Fleet {
    /// What the node is doing.
    pub fn state(&self) -> FleetState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node is further behind than it may be before it is said.
    pub fn is_lagging(&self) -> bool {
        self.lag_millis() > self.lag_limit_millis.load(Ordering::Relaxed)
    }
}

/// What the node says.
impl Fleet {
    /// What it is doing.
    pub fn set_state(&self, state: FleetState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// How far it may be behind before that is said.
    pub fn set_lag_limit(&self, millis: u64) {
        self.lag_limit_millis.store(millis, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn stand(&self, position: u64, last: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
    }

    /// How far it is behind.
    pub fn set_lag(&self, events: u64, millis: u64) {
        self.lag_events.store(events, Ordering::Relaxed);
        self.lag_millis.store(millis, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn set_peers(&self, peers: usize) {
        self.peers.store(peers as u64, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_published(&self, events: u64) {
        self.published.fetch_add(events, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_consumed(&self, events: u64) {
        self.consumed.fetch_add(events, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_republished(&self, events: u64) {
        self.republished.fetch_add(events, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_refused(&self, events: u64) {
        self.refused.fetch_add(events, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_unknown(&self, events: u64) {
        self.unknown.fetch_add(events, Ordering::Relaxed);
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("state", &self.state())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
