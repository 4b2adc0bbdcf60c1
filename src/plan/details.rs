//! The parts of a configuration that the control API reads and decisions do not.

use super::answers::Answers;
use super::slots::Slots;
use super::tally::Resting;
use crate::event::{Direction, Role, Stamp};
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, OutcomeSet};
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, TallySlot};
use crate::time::{Lookback, Timestamp};

/// An agent.
#[derive(Clone, Debug)]
pub(super) struct AgentDetails {
    pub(super) id: AgentId,
    pub(super) name: String,
    pub(super) label: Option<String>,
    /// `None` if it was not set yet. Such an agent is a draft.
    pub(super) direction: Option<Direction>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// The environment's revision when the agent's visible details last changed.
    pub(super) revision: u64,
    /// The numbers that the agent owns, in the order in which they were assigned.
    pub(super) numbers: Vec<NumberSlot>,
    pub(super) callback: Option<CallbackDetails>,
}

/// The callback role of an agent.
#[derive(Clone, Debug)]
pub(super) struct CallbackDetails {
    /// The environment's revision when the role last changed.
    pub(super) revision: u64,
    /// The source agents, in the order in which they were configured.
    pub(super) sources: Vec<AgentSlot>,
    /// `None` if the outcomes were not set. The API distinguishes that from a list of all outcomes.
    pub(super) outcomes: Option<OutcomeSet>,
    pub(super) lookback: Option<Lookback>,
}

/// A number.
#[derive(Clone, Debug)]
pub(super) struct NumberDetails {
    pub(super) id: NumberId,
    pub(super) number: E164,
    pub(super) environment: EnvironmentSlot,
    /// The environment's revision when the number's visible details last changed.
    pub(super) revision: u64,
    pub(super) default: DefaultChoice<AgentSlot>,
}

/// How the default agent of a number is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum DefaultChoice<A = AgentId> {
    /// The published inbound owner that was assigned first. This is the choice of a new number.
    #[default]
    Auto,
    /// This agent while it is published, else as with [`Auto`](Self::Auto).
    Named(A),
    /// No agent, on purpose.
    Nobody,
}

/// An environment.
#[derive(Clone)]
pub(super) struct EnvironmentDetails {
    pub(super) id: EnvironmentId,
    pub(super) name: String,
    pub(super) dial_plan: DialPlan,
    pub(super) lookback: Lookback,
    /// The weakest attestation with which a caller's number counts. `None` means without any.
    pub(super) attestation: Option<Attestation>,
    pub(super) counts_from: CountsFrom,
    /// The number of configurations since the environment was created.
    pub(super) revision: u64,
    /// The revision when the settings last changed: the name, the dial plan, the look-back, the attestation or the
    /// status from which calls count.
    pub(super) settings_revision: u64,
    /// The moment and the actor of the last change that a decision may depend on. The label is a short one.
    pub(super) last_change: Option<Stamp>,
    /// The tally that counts the environment's unmatched calls.
    pub(super) unmatched: TallySlot,
    /// The number of slots for pairs of callback agents and source agents, including resting ones.
    pub(super) callback_slots: usize,
    /// The slots of removed pairs, which rest before they are reused.
    pub(super) resting: Resting,
    /// The number of agents that exist.
    pub(super) live_agents: usize,
    /// The number of numbers that the environment holds.
    pub(super) live_numbers: usize,
    /// All agents that the environment has or had, in the order of creation.
    pub(super) agents: Slots<Option<AgentSlot>>,
    /// All numbers that the environment has or had, in the order of addition.
    pub(super) numbers: Slots<Option<NumberSlot>>,
    /// The answers to the environment's requests with an idempotency key.
    pub(super) answers: Answers,
}

/// A deleted environment: the slots under which its records are stored.
#[derive(Clone)]
pub(super) struct Deleted {
    pub(super) slot: EnvironmentSlot,
    /// All numbers that it had.
    pub(super) numbers: Slots<Option<NumberSlot>>,
}

/// A token of the control API. Only the token's digest is stored, never the token itself.
#[derive(Clone, Debug)]
pub struct Token {
    /// The identity of the token.
    pub id: TokenId,
    /// The environment that the token belongs to, or [`EnvironmentId::SYSTEM`] for gateways and operators.
    pub environment: EnvironmentId,
    /// The role, which says what a client with this token may do.
    pub role: Role,
    /// A description for people.
    pub label: String,
    /// The time at which the token was issued.
    pub issued_at: Timestamp,
    /// The first moment at which the token is not valid any more, if there is one.
    pub expires_at: Option<Timestamp>,
    /// The SHA-256 digest of the token.
    pub digest: [u8; 32],
}

impl Token {
    /// Returns whether the token is valid. Reads the clock only for a token that expires.
    pub fn is_valid(&self, now: impl FnOnce() -> Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now() < end)
    }
}
