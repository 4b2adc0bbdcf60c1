//! The types that cross the C interface. No function takes an enumeration as an argument: a value outside the
//! enumeration would be undefined behaviour.

use crate::decision::{Decision, Route, SourceCall};
use crate::event::CallId;
use crate::id::AgentId;
use crate::outcome::Outcome;
use crate::time::Timestamp;
use std::ffi::c_char;

/// An open engine. It is a number, not a pointer: a handle that is closed or was never opened is rejected. 0 is never
/// a valid handle.
pub type Handle = u64;

/// A text: `len` bytes of UTF-8 without a NUL at the end. Null with length 0 is the empty text.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text {
    /// The first byte.
    pub bytes: *const c_char,
    /// The number of bytes.
    pub len: usize,
}

/// The kind of route that a call takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum RouteKind {
    /// No agent: the dialed number is unknown, or it has no default agent.
    Unrouted = 0,
    /// To the dialed number's default agent.
    Default = 1,
    /// To a callback agent of the agent that called the contact.
    Callback = 2,
}

/// The line of the rule that decided, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ReasonLine {
    /// The dialed number is not in the plan.
    UnknownNumber = 1,
    /// The caller is withheld, or is not a phone number that the history can hold.
    AnonymousCaller = 2,
    /// No outbound call is known.
    NoHistory = 3,
    /// The source agent is deleted, or feeds no callback agent.
    NoCallbackAgent = 4,
    /// None of its callback agents owns the dialed number.
    NumberNotOwned = 5,
    /// None of those is published.
    CallbackAgentUnpublished = 6,
    /// None of those accepts the outcome of the last call.
    OutcomeNotEligible = 7,
    /// The call is older than the look-back of each of those.
    Expired = 8,
    /// A callback agent remained.
    Matched = 9,
}

/// How an outbound call went. Of two reports of the same call, the one with the higher value counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CallOutcome {
    /// No call. Appears in decisions only.
    None = 0,
    /// Placed; no further status is known.
    Initiated = 1,
    /// The contact's phone is ringing.
    Ringing = 2,
    /// A person or a machine picked up.
    Answered = 3,
    /// Ended after it was answered.
    Completed = 4,
    /// Could not be placed, or broke off.
    Failed = 5,
    /// Not answered before ringing ended.
    NoAnswer = 6,
    /// The contact was on another call.
    Busy = 7,
    /// A machine answered.
    Voicemail = 8,
}

/// The failures that an acknowledged change survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Survives {
    /// A power failure: the change is synced to the disk.
    PowerFailure = 0,
    /// The end of the process, however it ends. A power failure may lose the last second.
    Kill = 1,
}

/// Options for opening an engine. Set `size` to the structure's size and all other bytes to zero first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// The size of this structure.
    pub size: u32,
    /// A `DIALBACK_SURVIVES_...` value. Without a data directory, nothing outlives the handle.
    pub survives: u32,
    /// The largest number of (number, contact) pairs to hold, at 32 bytes of address space each. 0 means 100,000,000.
    pub max_pairs: u64,
    /// The data directory, which is created if it does not exist. Empty: everything is kept in memory only.
    pub data_directory: Text,
}

/// A report of an outbound call that was placed or whose status changed. All reports of one call have the same agent
/// and `at_ms`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallReport {
    /// The size of this structure.
    pub size: u32,
    /// A `DIALBACK_OUTCOME_...` value.
    pub outcome: u32,
    /// When the call was placed, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// The UUID of the tenant.
    pub environment: Text,
    /// The UUID of the outbound agent that placed it.
    pub agent: Text,
    /// Your number that the call was placed from: E.164, or as the environment's dial plan writes it.
    pub from: Text,
    /// The contact: E.164, or as the environment's dial plan writes it.
    pub to: Text,
}

/// A report of an outbound call with its details: the fields of a `dialback_call`, and an id and a context. After the
/// first report with an id, later ones with the same id are of the same call.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DetailedCall {
    /// The size of this structure.
    pub size: u32,
    /// A `DIALBACK_OUTCOME_...` value.
    pub outcome: u32,
    /// When the call was placed, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// The UUID of the tenant.
    pub environment: Text,
    /// The UUID of the outbound agent that placed it.
    pub agent: Text,
    /// Your number that the call was placed from: E.164, or as the environment's dial plan writes it.
    pub from: Text,
    /// The contact: E.164, or as the environment's dial plan writes it.
    pub to: Text,
    /// Your id of the call, unique in the environment: 1 to 128 visible ASCII characters. Empty: none.
    pub call_id: Text,
    /// The context of the call: a JSON object of at most 4,096 bytes. It replaces the one that the call had. Empty: none.
    pub context: Text,
}

/// The result of recording calls.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Recorded {
    /// The size of this structure, set by the caller.
    pub size: u32,
    /// Padding.
    pub reserved: u32,
    /// The number of calls that changed the history: each is now the last call of its pair, or gave the last call a
    /// new outcome.
    pub recorded: u64,
    /// The number of calls that changed nothing: they were known, or a later call of the pair is known.
    pub unchanged: u64,
    /// The number of calls that were ignored: their agent or number is not configured, the contact was erased, or calls
    /// of the environment count from another outcome on.
    pub ignored: u64,
}

/// One call to decide, in a batch.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Question {
    /// The dialed number.
    pub dialed: Text,
    /// The caller, as the trunk sends it.
    pub caller: Text,
}

/// A decision: where a call goes, and why.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DecisionOut {
    /// The size of this structure, set by the caller. The library sets bytes that it does not know to zero.
    pub size: u32,
    /// `DIALBACK_STATUS_OK`, or in a batch the reason why this question has no decision.
    pub status: i32,
    /// A `DIALBACK_ROUTE_KIND_...` value.
    pub route: u32,
    /// A `DIALBACK_REASON_...` value.
    pub reason: u32,
    /// A `DIALBACK_OUTCOME_...` value: how the outbound call went that the decision follows. `DIALBACK_OUTCOME_NONE`
    /// if there is none.
    pub outcome: u32,
    /// Padding.
    pub reserved: u32,
    /// The number of the configuration that decided.
    pub generation: u64,
    /// When the outbound call was placed, in milliseconds since 1970-01-01T00:00:00Z. 0 if there is none.
    pub called_at_ms: u64,
    /// The UUID of the agent to route the call to. All zeros if there is none.
    pub agent: [u8; 16],
    /// The UUID of the agent that placed the outbound call. All zeros if there is none.
    pub source_agent: [u8; 16],
}

/// The call behind a decision.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallBehind {
    /// The size of this structure, set by the caller.
    pub size: u32,
    /// A `DIALBACK_OUTCOME_...` value: the status of the call. `DIALBACK_OUTCOME_NONE` if no call is behind the decision.
    pub outcome: u32,
    /// When the call was placed, in milliseconds since 1970-01-01T00:00:00Z. 0 if there is none.
    pub called_at_ms: u64,
    /// The number of characters of `call_id`. 0 if the call was reported without an id.
    pub call_id_len: u32,
    /// 1 if the call has a context, else 0.
    pub has_context: u32,
    /// The id of the call, with a NUL at its end.
    pub call_id: [c_char; 136],
}

/// Callback counts of one environment over a range of days, and the size of the engine's state.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StatisticsOut {
    /// The size of this structure, set by the caller.
    pub size: u32,
    /// Padding.
    pub reserved: u32,
    /// The number of calls that `dialback_route` sent to callback agents.
    pub callbacks: u64,
    /// The number of calls to numbers with a callback agent that were not sent to one.
    pub unmatched: u64,
    /// The number of (number, contact) pairs in the history, over all environments.
    pub pairs: u64,
    /// The number of the configuration that is in force. It counts changes of all environments.
    pub generation: u64,
}

impl DecisionOut {
    /// Returns a result that holds `status` and no decision.
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

impl DecisionOut {
    /// Returns the outbound call that the decision follows, if there is one.
    pub(super) fn call(&self) -> Option<SourceCall> {
        let outcome = outcome(self.outcome)?;
        let agent = AgentId::from_u128(u128::from_be_bytes(self.source_agent));
        Some(SourceCall { agent, at: Timestamp::from_millis(self.called_at_ms), outcome })
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
            outcome: decision.call.map_or(0, |call| u32::from(call.outcome.code()) + 1),
            generation: decision.generation,
            called_at_ms: decision.call.map_or(0, |call| call.at.millis()),
            agent: bytes(decision.route.agent()),
            source_agent: bytes(decision.call.map(|call| call.agent)),
            ..Self::none(0)
        }
    }
}

impl CallBehind {
    /// Returns the call of a decision, with what is known of it.
    pub(super) fn new(call: Option<&SourceCall>, id: Option<&CallId>, has_context: bool) -> Self {
        let mut call_id = [0; 136];
        let id = id.map(CallId::as_str).unwrap_or_default();
        // An id is ASCII, and shorter than the array.
        for (place, byte) in call_id.iter_mut().zip(id.bytes()) {
            *place = c_char::from_ne_bytes([byte]);
        }
        Self {
            size: 0,
            outcome: call.map_or(0, |call| u32::from(call.outcome.code()) + 1),
            called_at_ms: call.map_or(0, |call| call.at.millis()),
            call_id_len: u32::try_from(id.len()).unwrap_or_default(),
            has_context: has_context.into(),
            call_id,
        }
    }
}

// An id and its NUL fit into the array.
const _: () = assert!(CallId::MAX < 136);

/// Returns the outcome that the C interface gives this number.
pub(super) fn outcome(number: u32) -> Option<Outcome> {
    let code = u64::from(number).checked_sub(1).filter(|code| *code < Outcome::ALL.len() as u64)?;
    Some(Outcome::from_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;

    #[test]
    fn numbers_match_the_library() {
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
        for number in outcomes {
            let known = outcome(number as u32).expect("an outcome");
            assert_eq!(u32::from(known.code()) + 1, number as u32);
            assert_eq!(format!("{number:?}"), format!("{known:?}"));
        }
        assert_eq!([outcome(0), outcome(9), outcome(u32::MAX)], [None; 3]);
    }
}
