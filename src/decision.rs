//! Decisions: the route of a call, and the reason for it.

use crate::id::{AgentId, EnvironmentId};
use crate::named::named;
use crate::outcome::Outcome;
use crate::time::{Lookback, Timestamp};

/// The result of applying the rule to an inbound call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// The agent to route the call to.
    pub route: Route,
    /// The line of the rule that decided.
    pub reason: Reason,
    /// The last outbound call to the caller, if the rule got far enough to find one.
    pub call: Option<SourceCall>,
    /// The generation of the plan that the decision was made with. A decision reads one plan only.
    pub generation: u64,
}

impl Decision {
    /// The decision about an unknown number by a plan of generation 0: the content of a buffer for
    /// [`Engine::resolve_batch`](crate::Engine::resolve_batch) before the call.
    pub const UNROUTED: Self =
        Self { route: Route::Unrouted, reason: Reason::UnknownNumber, call: None, generation: 0 };
}

/// The route of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Route {
    /// To the callback agent of the source agent.
    Callback(AgentId),
    /// To the dialed number's default agent.
    Default(AgentId),
    /// To no agent: the dialed number is unknown, or it has no default agent.
    Unrouted,
}

impl Route {
    /// Returns the agent, if there is one.
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Callback(agent) | Self::Default(agent) => Some(agent),
            Self::Unrouted => None,
        }
    }

    /// Returns `callback`, `default` or `unrouted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Callback(_) => "callback",
            Self::Default(_) => "default",
            Self::Unrouted => "unrouted",
        }
    }
}

/// The last outbound call to the caller from the dialed number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SourceCall {
    /// The source agent. It may have been deleted since.
    pub agent: AgentId,
    /// When the call was placed.
    pub at: Timestamp,
    /// The last known status of the call.
    pub outcome: Outcome,
}

/// The lines of the rule, in the order in which they are tried. The first that applies decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reason {
    /// 1: the dialed number is not in the plan.
    UnknownNumber,
    /// 2: the caller is withheld, or is not a number that the history can hold.
    AnonymousCaller,
    /// 3: no outbound call in the history.
    NoHistory,
    /// 4: the source agent is deleted, or feeds no callback agent.
    NoCallbackAgent,
    /// 5: none of its callback agents owns the dialed number.
    NumberNotOwned,
    /// 6: none of those is published.
    CallbackAgentUnpublished,
    /// 7: none of those accepts the outcome of the last call.
    OutcomeNotEligible,
    /// 8: the call is older than the look-back of each of those.
    Expired,
    /// 9: a callback agent remained.
    Matched,
}

impl Reason {
    /// All reasons, in the order of the rule.
    pub const ALL: [Self; 9] = [
        Self::UnknownNumber,
        Self::AnonymousCaller,
        Self::NoHistory,
        Self::NoCallbackAgent,
        Self::NumberNotOwned,
        Self::CallbackAgentUnpublished,
        Self::OutcomeNotEligible,
        Self::Expired,
        Self::Matched,
    ];

    /// Returns the number of the line, 1 to 9.
    pub const fn line(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the name used in the API, such as `NO_HISTORY`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownNumber => "UNKNOWN_NUMBER",
            Self::AnonymousCaller => "ANONYMOUS_CALLER",
            Self::NoHistory => "NO_HISTORY",
            Self::NoCallbackAgent => "NO_CALLBACK_AGENT",
            Self::NumberNotOwned => "NUMBER_NOT_OWNED",
            Self::CallbackAgentUnpublished => "CALLBACK_AGENT_UNPUBLISHED",
            Self::OutcomeNotEligible => "OUTCOME_NOT_ELIGIBLE",
            Self::Expired => "EXPIRED",
            Self::Matched => "MATCHED",
        }
    }
}

named!(Reason, "a reason");

/// A decision with its explanation: each line of the rule that was tried, in order, and what it found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// The decision. It equals the result of [`Engine::resolve`](crate::Engine::resolve).
    pub decision: Decision,
    /// One step for each line of the rule that was tried. The last step decided.
    pub steps: Vec<Step>,
}

/// One line of the rule that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The line.
    pub line: Reason,
    /// Whether this line decided. This is true for the last step only.
    pub applies: bool,
    /// The data that the line examined.
    pub saw: Saw,
}

/// The data that a line of the rule examined.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Saw {
    /// Line 1: the environment that holds the dialed number.
    Number {
        /// The environment. `None` if the number is unknown.
        environment: Option<EnvironmentId>,
    },
    /// Line 2: whether the caller is a number.
    Caller {
        /// `false` if the caller is withheld or is not a number that the history can hold.
        is_number: bool,
    },
    /// Line 3: the last outbound call, if there is one.
    History {
        /// The call.
        call: Option<SourceCall>,
        /// The age of the call in milliseconds. It is zero for a call dated in the future.
        age_millis: u64,
    },
    /// Line 4: whether the source agent still exists, and the callback agents that it feeds.
    Source {
        /// `false` if the source agent was deleted.
        exists: bool,
        /// Its callback agents. The one whose role was configured last comes first.
        callback_agents: Vec<AgentId>,
    },
    /// Lines 5 to 9: the callback agents that the line examined, and the result for each.
    Candidates(Vec<Candidate>),
}

/// A callback agent as one of the lines 5 to 9 examined it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The agent.
    pub agent: AgentId,
    /// Whether the agent remains for the next line.
    pub remains: bool,
    /// The look-back that applies: the agent's own, else the environment's.
    pub lookback: Lookback,
}
