//! Counters of a fleet's node.

use super::stopwatch::Stopwatch;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How old the last measurement of the lag may be, in nanoseconds. A node that reaches its stream measures each second.
const FRESH: u64 = 5_000_000_000;

/// The state of a node within its fleet. All accesses are relaxed, because a count orders nothing else.
pub struct Fleet {
    position: AtomicU64,
    last: AtomicU64,
    /// The numbers of the last entry that the outbox got, and of the last one that left it.
    entered: AtomicU64,
    left: AtomicU64,
    lag_events: AtomicU64,
    lag_millis: AtomicU64,
    clock: Stopwatch,
    /// When the lag was last measured, in nanoseconds of `clock`.
    measured: AtomicU64,
    lag_limit_millis: AtomicU64,
    peers: AtomicU64,
    published: AtomicU64,
    consumed: AtomicU64,
    republished: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    skipped: [AtomicU64; Skipped::ALL.len()],
    snapshot_failures: AtomicU64,
    state: Mutex<FleetState>,
}

/// The reason why a node skipped a message of its stream. Each message has at most one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// The message is no message of a fleet.
    Foreign,
    /// The message is corrupt.
    Damaged,
    /// A newer version wrote the message, and said that other versions may skip it.
    Newer,
    /// The message is in a subject where its kind does not belong.
    Misplaced,
    /// The message has no signature, and this node has a key.
    Unsigned,
    /// The signature of the message is wrong.
    Forged,
    /// The message was signed with a key that this node does not have.
    UnknownKey,
}

impl Skipped {
    /// All reasons.
    pub const ALL: [Self; 7] =
        [Self::Foreign, Self::Damaged, Self::Newer, Self::Misplaced, Self::Unsigned, Self::Forged, Self::UnknownKey];

    /// Returns the reason's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Damaged => "damaged",
            Self::Newer => "newer",
            Self::Misplaced => "misplaced",
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::UnknownKey => "unknown_key",
        }
    }
}

/// The state of a node's connection to the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FleetState {
    /// The node has not reached the stream yet, or is still reading the messages that the stream held when it joined. If
    /// its last attempt failed, this is the reason.
    Joining(Option<String>),
    /// The node consumes messages as they come.
    Following,
    /// The stream is unreachable, for this reason.
    Away(String),
    /// The stream takes no more messages, for this reason. The node consumes those of others.
    Full(String),
    /// The node has stopped taking part, for this reason. An operator has to act.
    Stopped(String),
    /// The node waits before a message that it cannot read and must not skip, for this reason. An operator has to act.
    Halted(String),
}

impl FleetState {
    /// The names of all states.
    pub const NAMES: [&'static str; 6] = ["joining", "following", "away", "full", "stopped", "halted"];

    /// Returns the state's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Joining(_) => "joining",
            Self::Following => "following",
            Self::Away(_) => "away",
            Self::Full(_) => "full",
            Self::Stopped(_) => "stopped",
            Self::Halted(_) => "halted",
        }
    }

    /// Returns the reason for the state, if there is one. It contains no contact and no secret.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Joining(why) => why.as_deref(),
            Self::Following => None,
            Self::Away(why) | Self::Full(why) | Self::Stopped(why) | Self::Halted(why) => Some(why),
        }
    }
}

impl Default for FleetState {
    fn default() -> Self {
        Self::Joining(None)
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
    /// Returns the position up to which the node has consumed the stream.
    position,
    /// Returns the stream's last position, when the node last read it.
    last,
    /// Returns about how many events the node is behind: the missing messages times the average number of events in
    /// earlier ones.
    lag_events,
    /// Returns the number of other nodes that sent a message within the last minutes.
    peers,
    /// Returns the number of this node's events that the stream has acknowledged.
    published,
    /// Returns the number of consumed events of other nodes.
    consumed,
    /// Returns the number of events that were published again, because the stream had lost them or might have.
    republished,
    /// Returns the number of configurations that are void, and of events that could not be applied.
    refused,
    /// Returns the number of calls whose agent or number this node has no configuration of.
    unknown,
    /// Returns the number of failed attempts to write a snapshot.
    snapshot_failures,
}

impl Fleet {
    /// Returns the node's state.
    pub fn state(&self) -> FleetState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how old the last consumed message is, in milliseconds; 0 if there are no more messages. While the node does
    /// not reach the stream, the last known value grows.
    pub fn lag_millis(&self) -> u64 {
        let age = self.age();
        let grown = if age > FRESH { age / 1_000_000 } else { 0 };
        self.lag_millis.load(Ordering::Relaxed).saturating_add(grown)
    }

    /// Returns the number of entries in the outbox: commits whose events the stream has not delivered back yet.
    pub fn outbox(&self) -> u64 {
        let left = self.left.load(Ordering::Relaxed);
        self.entered.load(Ordering::Relaxed).saturating_sub(left)
    }

    /// Returns whether the lag in events is known: the node reached the stream lately.
    pub fn is_lag_known(&self) -> bool {
        self.age() <= FRESH && self.measured.load(Ordering::Relaxed) > 0
    }

    /// Returns the nanoseconds since the lag was measured, or since the start if it never was.
    fn age(&self) -> u64 {
        let measured = self.measured.load(Ordering::Relaxed);
        self.clock.nanos().saturating_sub(measured)
    }

    /// Returns the number of messages that the node skipped for this reason.
    pub fn skipped(&self, why: Skipped) -> u64 {
        self.skipped[why as usize].load(Ordering::Relaxed)
    }

    /// Returns whether the node is further behind than its limit allows.
    pub fn is_lagging(&self) -> bool {
        self.lag_millis() > self.lag_limit_millis.load(Ordering::Relaxed)
    }
}

/// The methods by which the node updates its counters.
impl Fleet {
    /// Sets the node's state.
    pub fn set_state(&self, state: FleetState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Records that the outbox has got entries up to this one.
    pub fn enter(&self, entry: u64) {
        self.entered.fetch_max(entry, Ordering::Relaxed);
    }

    /// Records that entries up to this one have left the outbox.
    #[cfg(feature = "fleet")]
    pub(crate) fn leave(&self, entry: u64) {
        self.left.fetch_max(entry, Ordering::Relaxed);
    }

    /// Sets how far the node may be behind before it counts as lagging.
    pub fn set_lag_limit(&self, millis: u64) {
        self.lag_limit_millis.store(millis, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn stand(&self, position: u64, last: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
    }

    /// Sets how far the node is behind.
    pub fn set_lag(&self, events: u64, millis: u64) {
        self.lag_events.store(events, Ordering::Relaxed);
        self.lag_millis.store(millis, Ordering::Relaxed);
        self.measured.store(self.clock.nanos().max(1), Ordering::Relaxed);
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

    /// Counts a skipped message. Returns the number of messages that were skipped for this reason.
    #[cfg(feature = "fleet")]
    pub(crate) fn count_skipped(&self, why: Skipped) -> u64 {
        self.skipped[why as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_snapshot_failure(&self) {
        self.snapshot_failures.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "fleet")]
    pub(crate) fn count_unknown(&self, events: u64) {
        self.unknown.fetch_add(events, Ordering::Relaxed);
    }
}

impl Default for Fleet {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            skipped: Default::default(),
            snapshot_failures: zero(),
            position: zero(),
            last: zero(),
            entered: zero(),
            left: zero(),
            lag_events: zero(),
            lag_millis: zero(),
            clock: Stopwatch::start(),
            measured: zero(),
            lag_limit_millis: zero(),
            peers: zero(),
            published: zero(),
            consumed: zero(),
            republished: zero(),
            refused: zero(),
            unknown: zero(),
            state: Mutex::default(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_grows_and_is_unknown_while_the_stream_is_not_reached() {
        let mut fleet = Fleet::default();
        assert!(!fleet.is_lag_known(), "it was never measured");
        fleet.set_lag(3, 1500);
        assert_eq!((fleet.is_lag_known(), fleet.lag_millis()), (true, 1500));
        fleet.set_lag(0, 0);
        assert_eq!(fleet.lag_millis(), 0);
        // As if the last measurement was a minute ago.
        fleet.clock = Stopwatch::started_before(60_000_000_000);
        fleet.measured.store(1, Ordering::Relaxed);
        assert!(!fleet.is_lag_known() && fleet.lag_millis() >= 59_000, "{}", fleet.lag_millis());
        fleet.set_lag(0, 0);
        assert_eq!((fleet.is_lag_known(), fleet.lag_millis()), (true, 0));
    }
}
