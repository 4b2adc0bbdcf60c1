//! The reasons why a change is rejected.

use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use std::fmt;

/// The reason why a change was rejected. Then no change of the same configuration was made. The error contains what an
/// operator needs to see, and never a phone number.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The environment does not exist.
    UnknownEnvironment(EnvironmentId),
    /// An environment with agents or numbers cannot be deleted.
    EnvironmentNotEmpty {
        /// The environment.
        environment: EnvironmentId,
        /// The number of its agents.
        agents: usize,
        /// The number of its phone numbers.
        numbers: usize,
    },
    /// An environment with this identity was deleted, and the identity is not used again.
    EnvironmentDeleted(EnvironmentId),
    /// The agent does not exist in the environment.
    UnknownAgent(AgentId),
    /// These numbers do not exist in the environment.
    UnknownNumbers(Vec<NumberId>),
    /// The environment has another agent with this identity.
    AgentExists(AgentId),
    /// The environment already has a number with this identity.
    NumberExists(NumberId),
    /// This environment or another one already holds the phone number.
    NumberTaken(NumberId),
    /// A number is listed more than once.
    DuplicateNumber(NumberId),
    /// The number is assigned to agents.
    NumberInUse {
        /// The number.
        number: NumberId,
        /// The agents that own it.
        owners: Vec<AgentId>,
    },
    /// The agent is published and must be unpublished first.
    AgentIsPublished(AgentId),
    /// The agent has no direction, so it cannot be published.
    AgentHasNoDirection(AgentId),
    /// A callback agent must stay inbound.
    AgentIsCallback {
        /// The callback agent.
        agent: AgentId,
        /// The source agents whose callbacks it gets.
        sources: Vec<AgentId>,
    },
    /// A source agent must stay outbound.
    AgentIsSource {
        /// The source agent.
        agent: AgentId,
        /// The callback agents that get its callbacks.
        callback_agents: Vec<AgentId>,
    },
    /// Only an inbound agent can serve as a callback agent.
    CallbackNotInbound(AgentId),
    /// A callback agent needs at least one source.
    NoSources,
    /// A source agent is listed more than once.
    DuplicateSource(AgentId),
    /// The list has more source agents than a callback agent may have.
    TooManySources {
        /// The number of source agents in the list.
        named: usize,
        /// The maximum number.
        limit: usize,
    },
    /// These source agents are unknown, inbound, or the callback agent itself.
    InvalidSources(Vec<AgentId>),
    /// The agent has no callback role.
    NotACallbackAgent(AgentId),
    /// A number's default agent must be an inbound agent that owns it.
    DefaultNotInboundOwner {
        /// The number.
        number: NumberId,
        /// The agent that was named as the default.
        agent: AgentId,
    },
    /// The order of a number's owners lists an agent that does not own it, or an agent twice.
    InvalidOrder {
        /// The number.
        number: NumberId,
        /// The agent.
        agent: AgentId,
    },
    /// The token does not exist.
    UnknownToken(TokenId),
    /// A token with this identity or digest already exists.
    TokenExists(TokenId),
    /// All slots of this kind are used.
    SlotsExhausted {
        /// `agents`, `numbers` or `environments`.
        kind: &'static str,
        /// The number of slots of this kind.
        limit: usize,
    },
    /// The configuration does not follow the last one that was applied.
    OutOfOrder {
        /// The sequence that must come next.
        expected: u64,
        /// The sequence of the rejected configuration.
        found: u64,
    },
}

impl ConfigError {
    /// Returns the control API's error code, such as `AGENT_IS_PUBLISHED`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownEnvironment(_) => "ENVIRONMENT_NOT_FOUND",
            Self::EnvironmentNotEmpty { .. } => "ENVIRONMENT_NOT_EMPTY",
            Self::EnvironmentDeleted(_) => "ENVIRONMENT_DELETED",
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
            Self::AgentHasNoDirection(_)
            | Self::NoSources
            | Self::DuplicateSource(_)
            | Self::TooManySources { .. }
            | Self::DuplicateNumber(_)
            | Self::InvalidOrder { .. }
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
            Self::EnvironmentNotEmpty { environment, agents, numbers } => {
                let (agents, numbers) = (Counted(*agents, "agent"), Counted(*numbers, "phone number"));
                write!(f, "environment {environment} has {agents} and {numbers}: delete these first")
            }
            Self::EnvironmentDeleted(id) => write!(f, "environment {id} was deleted, and its id is not used again"),
            Self::UnknownAgent(id) => write!(f, "there is no agent {id}"),
            Self::UnknownNumbers(ids) => write!(f, "there is no phone number {}", List(ids)),
            Self::AgentExists(id) => write!(f, "agent {id} already exists with other properties"),
            Self::NumberExists(id) => write!(f, "phone number {id} already exists"),
            Self::NumberTaken(_) => f.write_str("the phone number is already in use"),
            Self::DuplicateNumber(id) => write!(f, "phone number {id} is listed more than once"),
            Self::NumberInUse { number, owners } => {
                write!(f, "phone number {number} is assigned to {}: take it from these agents first", List(owners))
            }
            Self::AgentIsPublished(id) => write!(f, "agent {id} is published: unpublish it first"),
            Self::AgentHasNoDirection(id) => {
                write!(f, "agent {id} has no direction: set it to inbound or outbound before you publish the agent")
            }
            // Its source agents may have been deleted since the role was configured.
            Self::AgentIsCallback { agent, sources } if sources.is_empty() => {
                write!(f, "agent {agent} is a callback agent, of no source agents at present")
            }
            Self::AgentIsCallback { agent, sources } => {
                write!(f, "agent {agent} gets the callbacks of {}: remove its callback role first", List(sources))
            }
            Self::AgentIsSource { agent, callback_agents } => {
                write!(
                    f,
                    "the callbacks of agent {agent} go to {}: remove it from their source agents first",
                    List(callback_agents)
                )
            }
            Self::CallbackNotInbound(_) => f.write_str("Agent must have direction=inbound to serve as a callback"),
            Self::NoSources => f.write_str("a callback agent needs at least one source agent"),
            Self::DuplicateSource(id) => write!(f, "source agent {id} is listed more than once"),
            Self::TooManySources { named, limit } => {
                write!(f, "{named} source agents are listed, but at most {limit} are allowed")
            }
            Self::InvalidSources(ids) => {
                write!(
                    f,
                    "each source must be another outbound agent of this environment, which these are not: {}",
                    List(ids)
                )
            }
            Self::NotACallbackAgent(id) => write!(f, "agent {id} is not a callback agent"),
            Self::DefaultNotInboundOwner { number, agent } => {
                write!(f, "agent {agent} is not an inbound agent that owns phone number {number}")
            }
            Self::InvalidOrder { number, agent } => {
                write!(f, "agent {agent} does not own phone number {number}, or is listed more than once")
            }
            Self::UnknownToken(id) => write!(f, "there is no token {id}"),
            Self::TokenExists(id) => write!(f, "token {id} already exists"),
            Self::SlotsExhausted { kind, limit } => write!(f, "cannot create more {kind}: all {limit} slots are used"),
            Self::OutOfOrder { expected, found } => {
                write!(f, "configuration {found} is out of order: configuration {expected} must come next")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// A number of entities of one kind.
struct Counted(usize, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, kind) = self;
        write!(f, "{count} {kind}{}", if *count == 1 { "" } else { "s" })
    }
}

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
