//! Events: every change there can be, a call or a configuration, as a value.
//!
//! The state of an engine is a fold of events. HTTP, imports, replication and tests all end in
//! [`Engine::apply`](crate::Engine::apply); a replayed event changes nothing.
//!
//! * [`Call`] and [`Erasure`] converge whatever their order.
//! * [`Configuration`] is ordered by its sequence and validated before it becomes an event.

mod answer;
#[cfg(feature = "store")]
#[cfg_attr(not(feature = "fleet"), allow(dead_code, reason = "a store only keeps what a fleet reads"))]
pub(crate) mod wire;

pub use answer::{Answer, AnswerAbout, AnswerBody};

use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{DialPlan, E164};
use crate::outcome::{Outcome, OutcomeSet};
use crate::time::{Lookback, Timestamp};

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An outbound call was placed, or its status changed.
    Call(Call),
    /// A contact is to be forgotten.
    Erasure(Erasure),
    /// The configuration changed.
    Configuration(Configuration),
}

/// An outbound call. Reports of one call share `at` and `agent`; the highest outcome stays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    /// The tenant.
    pub environment: EnvironmentId,
    /// The outbound agent that placed it: the source agent.
    pub agent: AgentId,
    /// The number of ours it was placed from.
    pub from: E164,
    /// The contact.
    pub to: E164,
    /// When it was placed (not when the status was reported).
    pub at: Timestamp,
    /// How it went so far.
    pub outcome: Outcome,
}

/// Forget everything about a contact, in one environment, up to a moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Erasure {
    /// The tenant.
    pub environment: EnvironmentId,
    /// Who is to be forgotten.
    pub contact: E164,
    /// Calls up to and including this moment are forgotten, also those that are reported later.
    pub until: Timestamp,
}

/// A batch of changes that take effect together: one event, one new plan, one swap.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Configuration {
    /// The place in the order of configurations, from 1, without gaps. Also the generation of the plan it makes.
    pub sequence: u64,
    /// The tenant whose configuration changes.
    pub environment: EnvironmentId,
    /// When it was decided.
    pub at: Timestamp,
    /// What changes, in order.
    pub changes: Vec<Change>,
}

/// One change of a configuration. Names the environment nowhere: the [`Configuration`] does.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Change {
    /// The environment is created, or its settings are replaced.
    EnvironmentSet {
        /// For people.
        name: String,
        /// How its national numbers are written.
        dial_plan: DialPlan,
        /// For callback agents without a look-back of their own.
        lookback: Lookback,
    },
    /// A new agent, as a draft.
    AgentCreated {
        /// Its identity, unused in this environment.
        id: AgentId,
        /// For people.
        name: String,
        /// For people, optional.
        label: Option<String>,
        /// What it is for.
        direction: Direction,
    },
    /// The agent takes new calls from now on.
    AgentPublished {
        /// Which.
        id: AgentId,
    },
    /// The agent takes no new calls from now on; its configuration stays.
    AgentUnpublished {
        /// Which.
        id: AgentId,
    },
    /// The agent is gone, and with it its part in every callback configuration.
    AgentDeleted {
        /// Which; it must not be published.
        id: AgentId,
    },
    /// The agent's direction and, where given, all its numbers.
    CallingSet {
        /// Which.
        id: AgentId,
        /// What it is for.
        direction: Direction,
        /// The numbers it owns from now on; `None` leaves them.
        numbers: Option<Vec<NumberId>>,
    },
    /// A number becomes the environment's.
    NumberAdded {
        /// Its identity, unused in this environment.
        id: NumberId,
        /// The number; no other environment may hold it.
        #[cfg_attr(feature = "serde", serde(with = "crate::number::plain"))]
        number: E164,
    },
    /// A number is the environment's no longer.
    NumberReleased {
        /// Which; no agent may own it.
        id: NumberId,
    },
    /// The number's default agent is named, or no longer named.
    DefaultAgentSet {
        /// Which number.
        number: NumberId,
        /// An inbound agent that owns the number; `None` goes back to the published inbound owner assigned first.
        agent: Option<AgentId>,
    },
    /// The agent becomes the callback agent of these sources, and of no others.
    CallbackSet {
        /// An inbound agent.
        id: AgentId,
        /// Outbound agents, at least one, none twice.
        sources: Vec<AgentId>,
        /// Which outcomes of the source's call make the contact eligible; `None`: every one.
        outcomes: Option<OutcomeSet>,
        /// `None`: the environment's.
        lookback: Option<Lookback>,
    },
    /// The agent is a callback agent no longer.
    CallbackRemoved {
        /// Which.
        id: AgentId,
    },
    /// A token of the control API is valid from now on.
    TokenIssued {
        /// Its identity, for lists and revocation.
        id: TokenId,
        /// What it may do.
        role: Role,
        /// For people.
        label: String,
        /// SHA-256 of the token. The token itself is kept nowhere.
        digest: [u8; 32],
    },
    /// A token is valid no longer.
    TokenRevoked {
        /// Which.
        id: TokenId,
    },
    /// What these changes were asked for with a key has been answered like this.
    AnswerGiven {
        /// Whose key it is: the environment's own, or [`EnvironmentId::SYSTEM`] for operators.
        scope: EnvironmentId,
        /// The answer, remembered for a day.
        answer: Answer,
    },
}

/// What an agent is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Direction {
    /// It places calls.
    Outbound,
    /// It takes calls.
    Inbound,
}

impl Direction {
    /// `outbound` or `inbound`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// What the holder of a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Role {
    /// Everything within the one environment that the token was issued in.
    Environment,
    /// Record calls and ask for routes in every environment; configure nothing.
    Gateway,
    /// Create environments and tokens.
    Operator,
}

impl Role {
    /// `environment`, `gateway` or `operator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}
