//! Why a change was refused.

use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use std::fmt;

/// A change that cannot be made. Nothing of its batch was. Carries what an operator needs to see; never a phone number.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such environment.
    UnknownEnvironment(EnvironmentId),
    /// The environment has no such agent.
    UnknownAgent(AgentId),
    /// The environment has no such numbers.
    UnknownNumbers(Vec<NumberId>),
    /// The environment has an agent of that identity, which is not the same.
    AgentExists(AgentId),
    /// The environment has a number of that identity.
    NumberExists(NumberId),
    /// An environment holds that number already, this one or another.
    NumberTaken(NumberId),
    /// A number is named more than once.
    DuplicateNumber(NumberId),
    /// Agents own the number.
    NumberInUse {
        /// The number.
        number: NumberId,
        /// Its owners.
        owners: Vec<AgentId>,
    },
    /// The agent must be unpublished first.
    AgentIsPublished(AgentId),
    /// A callback agent cannot place calls.
    AgentIsCallback {
        /// The callback agent.
        agent: AgentId,
        /// The source agents whose callbacks it takes.
        sources: Vec<AgentId>,
    },
    /// A source agent cannot take calls.
    AgentIsSource {
        /// The source agent.
        agent: AgentId,
        /// The callback agents that take its callbacks.
        callback_agents: Vec<AgentId>,
    },
    /// Only an inbound agent can serve as a callback agent.
    CallbackNotInbound(AgentId),
    /// A callback agent needs at least one source.
    NoSources,
    /// A source is named more than once.
    DuplicateSource(AgentId),
    /// More sources than a callback agent may have.
    TooManySources {
        /// How many were named.
        named: usize,
        /// How many there may be.
        limit: usize,
    },
    /// These are unknown, inbound, or the agent itself.
    InvalidSources(Vec<AgentId>),
    /// The agent has no callback role.
    NotACallbackAgent(AgentId),
    /// A number's default agent must be an inbound agent that owns it.
    DefaultNotInboundOwner {
        /// The number.
        number: NumberId,
        /// Who was named.
        agent: AgentId,
    },
    /// There is no such token.
    UnknownToken(TokenId),
    /// A token of that identity or digest exists.
    TokenExists(TokenId),
    /// All slots of this kind have been given out.
    SlotsExhausted {
        /// `agents`, `numbers` or `environments`.
        kind: &'static str,
        /// How many there can ever be.
        limit: usize,
    },
    /// The event does not follow the last one that was applied.
    OutOfOrder {
        /// The sequence that may come next.
        expected: u64,
        /// The sequence that came.
        found: u64,
    },
}

impl ConfigError {
    /// The control API's name for it, such as `AGENT_IS_PUBLISHED`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownEnvironment(_) => "ENVIRONMENT_NOT_FOUND",
            Self::UnknownAgent(_) => "AGENT_NOT_FOUND",
            Self::UnknownNumbers(_) => "NUMBER_NOT_FOUND",
            Self::AgentExists(_) => "AGENT_EXISTS",
            Self::NumberExists(_) => "PHONE_NUMBER_EXISTS",
            Self::NumberTaken(_) => "PHONE_NUMBER_TAKEN",
            Self::NumberInUse { .. } => "PHONE_NUMBER_IN_USE",
            Self::AgentIsPublished(_) => "AGENT_IS_PUBLISHED",
            Self::AgentIsCallback { .. } => "AGENT_IS_CALLBACK",
            Self::AgentIsSource { .. } => "AGENT_IS_SOURCE",
            Self::CallbackNotInbound(_) => "INVALID_AGENT_DIRECTION",
            Self::NoSources
            | Self::DuplicateSource(_)
            | Self::TooManySources { .. }
            | Self::DuplicateNumber(_)
            | Self::OutOfOrder { .. } => "VALIDATION_ERROR",
            Self::InvalidSources(_) => "INVALID_SOURCE_AGENT",
            Self::NotACallbackAgent(_) => "NOT_A_CALLBACK_AGENT",
            Self::DefaultNotInboundOwner { .. } => "INVALID_DEFAULT_AGENT",
            Self::UnknownToken(_) => "TOKEN_NOT_FOUND",
            Self::TokenExists(_) => "TOKEN_EXISTS",
            Self::SlotsExhausted { .. } => "LIMIT_REACHED",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEnvironment(id) => write!(f, "there is no environment {id}"),
            Self::UnknownAgent(id) => write!(f, "there is no agent {id}"),
            Self::UnknownNumbers(ids) => write!(f, "there is no phone number {}", List(ids)),
            Self::AgentExists(id) => write!(f, "agent {id} exists and is not the same"),
            Self::NumberExists(id) => write!(f, "phone number {id} exists"),
            Self::NumberTaken(_) => f.write_str("the phone number is taken"),
            Self::DuplicateNumber(id) => write!(f, "phone number {id} is named more than once"),
            Self::NumberInUse { number, owners } => {
                write!(f, "phone number {number} is assigned to {}", List(owners))
            }
            Self::AgentIsPublished(id) => write!(f, "agent {id} is published"),
            // Its sources may have been deleted since.
            Self::AgentIsCallback { agent, sources } if sources.is_empty() => {
                write!(f, "agent {agent} is a callback agent, of no source agents at present")
            }
            Self::AgentIsCallback { agent, sources } => {
                write!(f, "agent {agent} takes the callbacks of {}", List(sources))
            }
            Self::AgentIsSource { agent, callback_agents } => {
                write!(f, "the callbacks of agent {agent} are taken by {}", List(callback_agents))
            }
            Self::CallbackNotInbound(_) => f.write_str("Agent must have direction=inbound to serve as a callback"),
            Self::NoSources => f.write_str("a callback agent needs at least one source agent"),
            Self::DuplicateSource(id) => write!(f, "source agent {id} is named more than once"),
            Self::TooManySources { named, limit } => write!(f, "{named} source agents, at most {limit} may be named"),
            Self::InvalidSources(ids) => {
                write!(f, "not another outbound agent of this environment: {}", List(ids))
            }
            Self::NotACallbackAgent(id) => write!(f, "agent {id} is not a callback agent"),
            Self::DefaultNotInboundOwner { number, agent } => {
                write!(f, "agent {agent} is not an inbound agent that owns phone number {number}")
            }
            Self::UnknownToken(id) => write!(f, "there is no token {id}"),
            Self::TokenExists(id) => write!(f, "token {id} exists"),
            Self::SlotsExhausted { kind, limit } => write!(f, "all {limit} {kind} that there can ever be are used up"),
            Self::OutOfOrder { expected, found } => {
                write!(f, "configuration {found} does not follow the last one; {expected} may come next")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}
