//! What crosses the edge, as C sees it. No function takes an enumeration: a number that is none would be undefined.

use crate::decision::{Decision, Route};
use crate::id::AgentId;
use crate::outcome::Outcome;
use std::ffi::c_char;

/// An open engine. A number, not a pointer: one that was closed, or was made up, is refused. 0 is none.
pub type Handle = u64;

/// A text: so many bytes of UTF-8, with no NUL at the end. Null with length 0 is the empty text.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    /// The first byte.
    pub bytes: *const c_char,
    /// How many there are.
    pub len: usize,
}

/// Where a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum RouteKind {
    /// Nowhere: there is no such number, or it has no default agent.
    Unrouted = 0,
    /// To the dialed number's default agent.
    Default = 1,
    /// To the callback agent of the agent that called.
    Callback = 2,
}

/// Which line of the rule decided: its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ReasonLine {
    /// The dialed number is not in the plan.
    UnknownNumber = 1,
    /// The caller is withheld, or not a number that can be held.
    AnonymousCaller = 2,
    /// No outbound call is known.
    NoHistory = 3,
    /// The source agent is gone, or feeds no callback agent.
    NoCallbackAgent = 4,
    /// None of its callback agents owns the dialed number.
    NumberNotOwned = 5,
    /// None of those is published.
    CallbackAgentUnpublished = 6,
    /// None of those takes the last call's outcome.
    OutcomeNotEligible = 7,
    /// The call is older than the look-back of each of those.
    Expired = 8,
    /// A callback agent remained.
    Matched = 9,
}

/// How an outbound call went. Of two reports of one call the higher stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CallOutcome {
    /// No call: in a decision only.
    None = 0,
    /// Placed; nothing heard yet.
    Initiated = 1,
    /// The far end rings.
    Ringing = 2,
    /// Somebody or something picked up.
    Answered = 3,
    /// Over after an answer.
    Completed = 4,
    /// Could not be placed, or broke.
    Failed = 5,
    /// Rang out.
    NoAnswer = 6,
    /// The contact was on another call.
    Busy = 7,
    /// A machine answered.
    Voicemail = 8,
}

/// What an acknowledged change survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Survives {
    /// A power failure: it is on the disk, synced.
    PowerFailure = 0,
    /// The end of the process, however it ends. A power failure may take the last second.
    Kill = 1,
}

/// How an engine is opened. Set `size` to the structure's size and the rest to zero first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// The size of this structure.
    pub size: u32,
    /// A `DIALBACK_SURVIVES_...`. Without a data directory nothing survives the handle.
    pub survives: u32,
    /// How many (number, contact) pairs may be held, 32 bytes of address space each; 0: a hundred million.
    pub max_pairs: u64,
    /// The data directory, which is made where there is none. Empty: everything is in memory.
    pub data_directory: Text,
}

/// An outbound call that was placed, or whose status changed. Reports of one call share agent and `at_ms`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallReport {
    /// The size of this structure.
    pub size: u32,
    /// A `DIALBACK_OUTCOME_...`.
    pub outcome: u32,
    /// When it was placed, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// The UUID of the tenant.
    pub environment: Text,
    /// The UUID of the outbound agent that placed it.
    pub agent: Text,
    /// The number of ours it was placed from: E.164, or as the environment's dial plan writes it.
    pub from: Text,
    /// The contact, likewise.
    pub to: Text,
}

/// What became of the calls that were recorded.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Recorded {
    /// The size of this structure, set by the caller.
    pub size: u32,
    /// For padding.
    pub reserved: u32,
    /// Calls that are their pair's last now, or whose outcome is.
    pub recorded: u64,
    /// Calls that were known already, or that something later followed.
    pub unchanged: u64,
    /// Calls of no agent or number of the configuration, or of a contact that was erased.
    pub ignored: u64,
}

/// A call to decide, of many.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Question {
    /// The number that was called.
    pub dialed: Text,
    /// The caller, as the trunk sends it.
    pub caller: Text,
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DecisionOut {
    /// The size of this structure, set by the caller. What the library does not know of it is set to zero.
    pub size: u32,
    /// How this decision went: `DIALBACK_STATUS_OK`, or why there is none (in a batch).
    pub status: i32,
    /// A `DIALBACK_ROUTE_KIND_...`.
    pub route: u32,
    /// A `DIALBACK_REASON_...`.
    pub reason: u32,
    /// A `DIALBACK_OUTCOME_...`: how the outbound call behind it went; `DIALBACK_OUTCOME_NONE` where there is none.
    pub outcome: u32,
    /// For padding.
    pub reserved: u32,
    /// Which configuration decided.
    pub generation: u64,
    /// When the outbound call was placed; 0 where there is none.
    pub called_at_ms: u64,
    /// The agent that takes the call, a UUID; zeros where nobody does.
    pub agent: [u8; 16],
    /// The agent that placed the outbound call; zeros where there is none.
    pub source_agent: [u8; 16],
}

/// Callbacks over some days of an environment, and what the engine holds.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StatisticsOut {
    /// The size of this structure, set by the caller.
    pub size: u32,
    /// For padding.
    pub reserved: u32,
    /// Calls that `dialback_route` sent to callback agents.
    pub callbacks: u64,
    /// Calls to numbers of callback agents that no callback agent took.
    pub unmatched: u64,
    /// (number, contact) pairs that are held, of all environments.
    pub pairs: u64,
    /// How many configurations have been made, of all environments.
    pub generation: u64,
}

impl DecisionOut {
    /// No decision, for this reason.
    pub(super) const fn none(status: i32) -> Self {
        Self {
            size: 0,
            status,
            route: 0,
            reason: 0,
            outcome: 0,
            reserved: 0,
            generation: 0,
            called_at_ms: 0,
            agent: [0; 16],
            source_agent: [0; 16],
        }
    }
}

impl From<&Decision> for DecisionOut {
    #[inline]
    fn from(decision: &Decision) -> Self {
        let route = match decision.route {
            Route::Unrouted => RouteKind::Unrouted,
            Route::Default(_) => RouteKind::Default,
            Route::Callback(_) => RouteKind::Callback,
        };
        let bytes = |agent: Option<AgentId>| agent.map_or(0, AgentId::as_u128).to_be_bytes();
        Self {
            route: route as u32,
            reason: u32::from(decision.reason.line()),
            outcome: decision.call.map_or(0, |call| u32::from(call.outcome.rank()) + 1),
            generation: decision.generation,
            called_at_ms: decision.call.map_or(0, |call| call.at.millis()),
            agent: bytes(decision.route.agent()),
            source_agent: bytes(decision.call.map(|call| call.agent)),
            ..Self::none(0)
        }
    }
}

/// The outcome of this number.
pub(super) fn outcome(number: u32) -> Option<Outcome> {
    let rank = u64::from(number).checked_sub(1).filter(|rank| *rank < Outcome::ALL.len() as u64)?;
    Some(Outcome::from_rank(rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;

    #[test]
    fn the_numbers_are_those_of_the_library() {
        let lines = [
            ReasonLine::UnknownNumber,
            ReasonLine::AnonymousCaller,
            ReasonLine::NoHistory,
            ReasonLine::NoCallbackAgent,
            ReasonLine::NumberNotOwned,
            ReasonLine::CallbackAgentUnpublished,
            ReasonLine::OutcomeNotEligible,
            ReasonLine::Expired,
            ReasonLine::Matched,
        ];
        for (line, reason) in lines.into_iter().zip(Reason::ALL) {
            assert_eq!(line as u32, u32::from(reason.line()));
            assert_eq!(format!("{line:?}"), format!("{reason:?}"));
        }
        let outcomes = [
            CallOutcome::Initiated,
            CallOutcome::Ringing,
            CallOutcome::Answered,
            CallOutcome::Completed,
            CallOutcome::Failed,
            CallOutcome::NoAnswer,
            CallOutcome::Busy,
            CallOutcome::Voicemail,
        ];
        for (number, known) in outcomes.into_iter().zip(Outcome::ALL) {
            assert_eq!(outcome(number as u32), Some(known));
            assert_eq!(format!("{number:?}"), format!("{known:?}"));
        }
        assert_eq!([outcome(0), outcome(9), outcome(u32::MAX)], [None; 3]);
    }
}
