//! What the rule answers, and why.

use crate::id::{AgentId, EnvironmentId};
use crate::outcome::Outcome;
use crate::time::{Lookback, Timestamp};
use std::fmt;

/// Which agent takes an inbound call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Where the call goes.
    pub route: Route,
    /// Which line of the rule decided.
    pub reason: Reason,
    /// The outbound call behind it, wherever the rule got as far as finding one.
    pub call: Option<SourceCall>,
    /// The generation of the one plan that was read from beginning to end.
    pub generation: u64,
}

/// Where a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To the callback agent of the source agent.
    Callback(AgentId),
    /// To the dialed number's default agent.
    Default(AgentId),
    /// Nowhere: there is no such number, or it has no default agent.
    Unrouted,
}

impl Route {
    /// The agent, if there is one.
    pub const fn agent(self) -> Option<AgentId> {
        match self {
            Self::Callback(agent) | Self::Default(agent) => Some(agent),
            Self::Unrouted => None,
        }
    }

    /// `callback`, `default` or `unrouted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Callback(_) => "callback",
            Self::Default(_) => "default",
            Self::Unrouted => "unrouted",
        }
    }
}

/// The last outbound call to the caller, from the dialed number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceCall {
    /// The source agent. It may be gone by now.
    pub agent: AgentId,
    /// When the call was placed.
    pub at: Timestamp,
    /// How it went.
    pub outcome: Outcome,
}

/// The lines of the rule, in the order in which they are tried. The first that applies decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reason {
    /// 1: the dialed number is not in the plan.
    UnknownNumber,
    /// 2: the caller is withheld or not a number we can hold.
    AnonymousCaller,
    /// 3: no outbound call in the history.
    NoHistory,
    /// 4: the source agent is gone, or feeds no callback agent.
    NoCallbackAgent,
    /// 5: none of its callback agents owns the dialed number.
    NumberNotOwned,
    /// 6: none of those is published.
    CallbackAgentUnpublished,
    /// 7: none of those takes the last call's outcome.
    OutcomeNotEligible,
    /// 8: the call is older than the look-back of each of those.
    Expired,
    /// 9: a callback agent remained.
    Matched,
}

impl Reason {
    /// Every reason, in the order of the rule.
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

    /// The number of the line, 1 to 9.
    pub const fn line(self) -> u8 {
        self as u8 + 1
    }

    /// The name on the wire, such as `NO_HISTORY`.
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

    /// The reason with this name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A decision and everything that led to it: each line tried, in order, and what it saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The same that the fast path answers.
    pub decision: Decision,
    /// One step for each line of the rule that was tried; the last one decided.
    pub steps: Vec<Step>,
}

/// One line of the rule, tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Which line.
    pub line: Reason,
    /// Whether this line decided. Only the last step's does.
    pub applies: bool,
    /// What the line looked at.
    pub saw: Saw,
}

/// What a line of the rule looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Saw {
    /// Line 1: the environment that holds the dialed number, if any does.
    Number {
        /// The holder.
        environment: Option<EnvironmentId>,
    },
    /// Line 2: whether the caller is a number.
    Caller {
        /// `false`: withheld, or nothing that a number can hold.
        is_number: bool,
    },
    /// Line 3: the last outbound call, if there is one.
    History {
        /// The call.
        call: Option<SourceCall>,
        /// How long before the question it was placed, in milliseconds; zero for a call dated in the future.
        age_millis: u64,
    },
    /// Line 4: whether the source agent still exists, and the callback agents that it feeds.
    Source {
        /// `false`: deleted since.
        exists: bool,
        /// Its callback agents, the one whose role was configured last first.
        callback_agents: Vec<AgentId>,
    },
    /// Lines 5 to 9: the callback agents that the line looked at, and what it found of each.
    Candidates(Vec<Candidate>),
}

/// A callback agent as one of the lines 5 to 9 saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub agent: AgentId,
    /// Whether it remains for the next line.
    pub remains: bool,
    /// The look-back that counts for it: its own, else the environment's.
    pub lookback: Lookback,
}
