//! The feed of an environment: its events, in the order in which they were committed.

use super::{RecordLimits, StoreError};
use crate::event::Actor;
use crate::id::AgentId;
use crate::named::named;
use crate::number::E164;
use crate::outcome::Outcome;
use crate::record::DecisionRecord;
use crate::slot::Scope;
use crate::time::Timestamp;
use std::fmt;

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A call was routed.
    RouteDecided,
    /// A routed call was reported answered.
    RouteAnswered,
    /// An outbound call, or a new status of it, was recorded.
    CallRecorded,
    /// The configuration changed.
    ConfigurationChanged,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::RouteDecided, Self::RouteAnswered, Self::CallRecorded, Self::ConfigurationChanged];

    /// Returns the name used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RouteDecided => "route.decided",
            Self::RouteAnswered => "route.answered",
            Self::CallRecorded => "call.recorded",
            Self::ConfigurationChanged => "configuration.changed",
        }
    }

    /// Returns the number under which a store keeps the kind. It never changes.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::RouteDecided => 1,
            Self::RouteAnswered => 2,
            Self::CallRecorded => 3,
            Self::ConfigurationChanged => 4,
        }
    }
}

named!(EventKind, "a kind of event");

/// Some kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventKinds(u8);

impl EventKinds {
    /// All kinds.
    pub const ALL: Self = Self(u8::MAX);
    /// No kinds.
    pub const NONE: Self = Self(0);

    /// Returns these kinds and one more.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self(self.0 | 1 << kind.code())
    }

    /// Returns whether the kind is one of these.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 >> kind.code() & 1 != 0
    }
}

/// An event to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The scope of its environment.
    pub environment: Scope,
    /// Its kind.
    pub kind: EventKind,
    /// When that happened.
    pub at: Timestamp,
    /// The decision that it is about. If the feed has an event of this kind and id, the new one is left out.
    pub id: Option<u128>,
    /// The contact that it is about. Erasing this contact removes the event.
    pub contact: Option<E164>,
    /// Erasures of the contact up to this time or a later one cover the event.
    pub known_at: Timestamp,
    /// The content as JSON: a [`DecisionRecord`], a [`FeedCall`] or a [`FeedChange`]. Empty for an answer.
    pub text: Vec<u8>,
}

/// Prints no number.
impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewEvent({}, {} bytes)", self.kind, self.text.len())
    }
}

/// A call that was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeedCall {
    /// The agent that placed it.
    pub agent: AgentId,
    /// The number that the call was placed from.
    #[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))]
    pub from: E164,
    /// The contact.
    #[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))]
    pub to: E164,
    /// When it was placed.
    pub at: Timestamp,
    /// Its status so far.
    pub outcome: Outcome,
    /// The platform's id of the call. It may contain a phone number: never log it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub call_id: Option<String>,
}

/// A configuration that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeedChange {
    /// The version of the environment's configuration that it made.
    pub revision: u64,
    /// The actor that made the change.
    pub actor: Actor,
    /// The number of changes.
    pub changes: usize,
}

/// The content of an event that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventContent {
    /// The decision about a routed call.
    Decided(Box<DecisionRecord>),
    /// A routed call was answered. The event's id is the decision.
    Answered,
    /// The call that was recorded.
    Called(FeedCall),
    /// The configuration that was accepted.
    Changed(FeedChange),
}

/// An event that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    /// Its number. Numbers of later events are greater, and there are gaps.
    pub sequence: u64,
    /// Its kind.
    pub kind: EventKind,
    /// When that happened.
    pub at: Timestamp,
    /// The decision that it is about.
    pub id: Option<u128>,
    /// Its content; `None` if it is damaged.
    pub content: Option<EventContent>,
}

/// Which events to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedQuery {
    /// The scope of the environment.
    pub environment: Scope,
    /// Only events after this number. 0 stands for the oldest event.
    pub after: u64,
    /// Only events of these kinds.
    pub kinds: EventKinds,
    /// The most events.
    pub limit: usize,
    /// The number of stored bytes after which the page ends, if it is less than [`FeedPage::MAX_BYTES`].
    pub max_bytes: usize,
}

/// A part of the feed, in the order of its events.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FeedPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// The number after which the next part begins. It is that of the query if there was nothing after it, and never 0.
    pub reached: u64,
    /// Whether the page ended although there are more events.
    pub is_more: bool,
}

impl FeedPage {
    /// The most events that one page examines.
    pub const MAX_EXAMINED: usize = 2048;
    /// The number of bytes after which a page ends.
    pub const MAX_BYTES: usize = 1 << 20;
}

/// Where a feed begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FeedEnds {
    /// Distinguishes the feeds of the nodes of a fleet. A restored store has the same one.
    pub origin: [u8; 4],
    /// The number up to which events were removed, or were not written. The feed can be read after this number or a later one.
    pub removed: u64,
    /// The number of the last event whose effect is in force, or a greater one without an event.
    pub last: u64,
    /// Events up to this number can be read: up to the last one, if that is known.
    pub readable: u64,
    /// No event has got a number above this one.
    pub highest: u64,
}

/// Reads feeds while others commit.
pub trait StoredFeed: Send + Sync {
    /// Returns whether no environment ever had an event.
    fn is_empty(&self) -> bool;

    /// Returns where the feed of an environment begins and ends, or `None` if the store has been closed.
    fn ends(&self, environment: Scope) -> Option<FeedEnds>;

    /// Returns a part of a feed, or `None` if events after the number of the query were removed because they had expired or
    /// were too many: never if the number is 0. Events of erased contacts are left out.
    ///
    /// # Errors
    /// The store cannot be read. An event that can be read and is not valid is no error, but has no content.
    fn page(&self, query: &FeedQuery) -> Result<Option<FeedPage>, StoreError>;
}

/// Returns the content of an event, or `None` if it is damaged.
#[cfg(feature = "serde")]
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store reads events"))]
pub(crate) fn event_content(kind: EventKind, text: &[u8]) -> Option<EventContent> {
    match kind {
        EventKind::RouteDecided => serde_json::from_slice(text).ok().map(EventContent::Decided),
        EventKind::RouteAnswered => text.is_empty().then_some(EventContent::Answered),
        EventKind::CallRecorded => serde_json::from_slice(text).ok().map(EventContent::Called),
        EventKind::ConfigurationChanged => serde_json::from_slice(text).ok().map(EventContent::Changed),
    }
}

/// Returns the most events that a commit with `added` new ones removes. It is more than it adds, so that the number of events
/// stays bounded under any load.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store on disk removes events"))]
pub(super) const fn removed_at_once(added: usize) -> usize {
    RecordLimits::REMOVED_AT_ONCE + 2 * added
}
