//! What people and the control API read of a configuration; no decision does.

use super::answers::Answers;
use super::slots::Slots;
use super::tally::Resting;
use crate::event::{Direction, Role};
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{DialPlan, E164};
use crate::outcome::OutcomeSet;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, TallySlot};
use crate::time::{Lookback, Timestamp};

#[derive(Clone, Debug)]
pub(super) struct AgentCard {
    pub(super) id: AgentId,
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) direction: Direction,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// Its environment's revision when what people see of it last changed.
    pub(super) revision: u64,
    /// The numbers it owns, in the order in which they were given.
    pub(super) numbers: Vec<NumberSlot>,
    pub(super) callback: Option<CallbackCard>,
}

#[derive(Clone, Debug)]
pub(super) struct CallbackCard {
    /// As of an agent.
    pub(super) revision: u64,
    /// In the order in which they were given.
    pub(super) sources: Vec<AgentSlot>,
    /// `None` where it was not set, which is not the same answer as "every one" spelled out.
    pub(super) outcomes: Option<OutcomeSet>,
    pub(super) lookback: Option<Lookback>,
}

#[derive(Clone, Debug)]
pub(super) struct NumberCard {
    pub(super) id: NumberId,
    pub(super) number: E164,
    pub(super) environment: EnvironmentSlot,
    /// As of an agent.
    pub(super) revision: u64,
    /// The default agent that was named.
    pub(super) named_default: Option<AgentSlot>,
}

#[derive(Clone)]
pub(super) struct EnvironmentCard {
    pub(super) id: EnvironmentId,
    pub(super) name: String,
    pub(super) dial_plan: DialPlan,
    pub(super) lookback: Lookback,
    /// How many configurations it has had since it was created.
    pub(super) revision: u64,
    /// Where its unmatched calls count.
    pub(super) unmatched: TallySlot,
    /// Slots that its pairs of callback agents and sources have taken, those that rest included.
    pub(super) callback_slots: usize,
    /// Those of them that rest.
    pub(super) resting: Resting,
    /// Every agent it ever had, in the order of creation.
    pub(super) agents: Slots<Option<AgentSlot>>,
    /// Every number it ever had, in the order of addition.
    pub(super) numbers: Slots<Option<NumberSlot>>,
    /// What its requests with a key were answered.
    pub(super) answers: Answers,
}

/// A token of the control API. The token itself is kept nowhere; only its digest is.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its identity.
    pub id: TokenId,
    /// The environment it belongs to; [`EnvironmentId::SYSTEM`] for gateways and operators.
    pub environment: EnvironmentId,
    /// What its holder may do.
    pub role: Role,
    /// For people.
    pub label: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
}
