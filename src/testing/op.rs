//! The operations of a test run, as values.

use super::universe::{Agent, Back, Contact, Dialed, Moment, Number, Span, Tenant, Threshold, Token, Went, Wents};
use crate::{Change, DialPlan, Direction, Role, Timestamp};
use arbitrary::Arbitrary;

/// One operation of a test run. The order of the variants is part of the fuzzer's corpus format, so only append new
/// ones.
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// One change of configuration.
    Edit(Tenant, Edit),
    /// A batch of changes, which takes effect as a whole or not at all.
    Batch(Tenant, Vec<Edit>),
    /// A configuration whose sequence number skips one.
    OutOfOrder(Tenant, Edit),
    /// An outbound call.
    Call {
        /// The tenant of the agent.
        tenant: Tenant,
        /// The source agent.
        agent: Agent,
        /// The number that the call was placed from.
        from: Dialed,
        /// The contact.
        to: Contact,
        /// When the call was placed.
        at: Moment,
        /// The outcome.
        went: Went,
    },
    /// A contact is erased.
    Erase {
        /// The tenant.
        tenant: Tenant,
        /// The contact.
        contact: Contact,
        /// Calls up to this time are erased.
        until: Moment,
    },
    /// An earlier event of this run is applied again; the value is its index.
    Again(u8),
    /// A contact calls.
    Query {
        /// The dialed number. One value stands for a number that belongs to no tenant.
        dialed: u8,
        /// The caller. One value stands for a withheld caller.
        caller: u8,
        /// The time of the call.
        at: Moment,
    },
    /// Time advances.
    Advance(Span),
    /// The process ends and starts again. Without a store, nothing happens.
    Restart,
}

/// A [`Change`] of the entities in [`universe`](super::universe).
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// [`Change::EnvironmentSet`]
    EnvironmentSet(Back),
    /// [`Change::AgentCreated`], inbound or outbound.
    AgentCreated(Agent, bool),
    /// [`Change::AgentPublished`]
    AgentPublished(Agent),
    /// [`Change::AgentUnpublished`]
    AgentUnpublished(Agent),
    /// [`Change::AgentDeleted`]
    AgentDeleted(Agent),
    /// [`Change::CallingSet`], inbound or outbound.
    CallingSet(Agent, bool, Option<Few<Number>>),
    /// [`Change::NumberAdded`]
    NumberAdded(Number, Dialed),
    /// [`Change::NumberReleased`]
    NumberReleased(Number),
    /// [`Change::DefaultAgentSet`]
    DefaultAgentSet(Number, Option<Agent>),
    /// [`Change::CallbackSet`]
    CallbackSet(Agent, Few<Agent>, Option<Wents>, Option<Back>),
    /// [`Change::CallbackRemoved`]
    CallbackRemoved(Agent),
    /// [`Change::TokenIssued`], with a digest that depends on the second byte.
    TokenIssued(Token, u8),
    /// [`Change::TokenRevoked`]
    TokenRevoked(Token),
    /// [`Change::DefaultAgentRemoved`]
    DefaultAgentRemoved(Number),
    /// [`Change::AgentRenamed`]
    AgentRenamed(Agent),
    /// [`Change::EnvironmentDeleted`]
    EnvironmentDeleted,
    /// [`Change::AgentDrafted`]
    AgentDrafted(Agent),
    /// [`Change::NumbersAssigned`]
    NumbersAssigned(Agent, Few<Number>),
    /// [`Change::TokenExpires`]
    TokenExpires(Token),
    /// [`Change::OwnersOrdered`]
    OwnersOrdered(Number, Few<Agent>),
    /// [`Change::CountsFromSet`]
    CountsFromSet(Threshold),
}

/// Up to three values.
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug)]
pub struct Few<T>(pub [T; 3], pub u8);

impl<T: Copy> Few<T> {
    fn map<U>(&self, one: impl Fn(T) -> U) -> Vec<U> {
        self.0.iter().take(usize::from(self.1 % 4)).map(|item| one(*item)).collect()
    }
}

impl Edit {
    /// The number of variants.
    pub const KINDS: usize = 21;

    /// Returns the change.
    pub fn change(&self) -> Change {
        match self {
            Self::EnvironmentSet(back) => {
                Change::EnvironmentSet { name: "tenant".into(), dial_plan: DialPlan::NONE, lookback: back.lookback() }
            }
            Self::AgentCreated(agent, inbound) => Change::AgentCreated {
                id: agent.id(),
                name: "agent".into(),
                label: None,
                direction: direction(*inbound),
            },
            Self::AgentPublished(agent) => Change::AgentPublished { id: agent.id() },
            Self::AgentUnpublished(agent) => Change::AgentUnpublished { id: agent.id() },
            Self::AgentDeleted(agent) => Change::AgentDeleted { id: agent.id() },
            Self::CallingSet(agent, inbound, numbers) => Change::CallingSet {
                id: agent.id(),
                direction: direction(*inbound),
                numbers: numbers.as_ref().map(|few| few.map(Number::id)),
            },
            Self::NumberAdded(id, number) => Change::NumberAdded { id: id.id(), number: number.number() },
            Self::NumberReleased(id) => Change::NumberReleased { id: id.id() },
            Self::DefaultAgentSet(number, agent) => {
                Change::DefaultAgentSet { number: number.id(), agent: agent.map(Agent::id) }
            }
            Self::CallbackSet(agent, sources, outcomes, lookback) => Change::CallbackSet {
                id: agent.id(),
                sources: sources.map(Agent::id),
                outcomes: outcomes.map(Wents::outcomes),
                lookback: lookback.map(Back::lookback),
            },
            Self::CallbackRemoved(agent) => Change::CallbackRemoved { id: agent.id() },
            Self::TokenIssued(token, digest) => Change::TokenIssued {
                id: token.id(),
                role: [Role::Environment, Role::Gateway, Role::Operator][usize::from(digest / 4 % 3)],
                label: "token".into(),
                digest: [digest % 4; 32],
            },
            Self::TokenRevoked(token) => Change::TokenRevoked { id: token.id() },
            Self::DefaultAgentRemoved(number) => Change::DefaultAgentRemoved { number: number.id() },
            Self::EnvironmentDeleted => Change::EnvironmentDeleted {},
            Self::AgentDrafted(agent) => Change::AgentDrafted { id: agent.id(), name: "draft".into(), label: None },
            Self::TokenExpires(token) => {
                Change::TokenExpires { id: token.id(), at: Timestamp::from_secs(1_800_000_000) }
            }
            Self::OwnersOrdered(number, owners) => {
                Change::OwnersOrdered { number: number.id(), owners: owners.map(Agent::id) }
            }
            Self::CountsFromSet(threshold) => Change::CountsFromSet { from: threshold.from() },
            Self::NumbersAssigned(agent, numbers) => {
                Change::NumbersAssigned { id: agent.id(), numbers: numbers.map(Number::id) }
            }
            Self::AgentRenamed(agent) => {
                Change::AgentRenamed { id: agent.id(), name: "renamed".into(), label: Some("label".into()) }
            }
        }
    }

    /// Returns the index of the variant in the order above.
    pub fn kind(&self) -> usize {
        match self {
            Self::EnvironmentSet(..) => 0,
            Self::AgentCreated(..) => 1,
            Self::AgentPublished(..) => 2,
            Self::AgentUnpublished(..) => 3,
            Self::AgentDeleted(..) => 4,
            Self::CallingSet(..) => 5,
            Self::NumberAdded(..) => 6,
            Self::NumberReleased(..) => 7,
            Self::DefaultAgentSet(..) => 8,
            Self::CallbackSet(..) => 9,
            Self::CallbackRemoved(..) => 10,
            Self::TokenIssued(..) => 11,
            Self::TokenRevoked(..) => 12,
            Self::DefaultAgentRemoved(..) => 13,
            Self::AgentRenamed(..) => 14,
            Self::EnvironmentDeleted => 15,
            Self::AgentDrafted(..) => 16,
            Self::NumbersAssigned(..) => 17,
            Self::TokenExpires(..) => 18,
            Self::OwnersOrdered(..) => 19,
            Self::CountsFromSet(..) => 20,
        }
    }
}

fn direction(inbound: bool) -> Direction {
    if inbound { Direction::Inbound } else { Direction::Outbound }
}

/// Returns operations that set up a useful state, because random operations alone rarely lead to return calls. Both
/// tenants have three source agents (0 to 2), three callback agents (3 to 5), and two numbers for them. They also
/// have a third number that no some agents own, and a token.
pub fn initial_state() -> Vec<Op> {
    [0, 1].into_iter().map(Tenant).map(|tenant| Op::Batch(tenant, tenant_setup(tenant.0 * 3))).collect()
}

fn tenant_setup(first_number: u8) -> Vec<Edit> {
    let numbers = [Number(0), Number(1), Number(2)];
    let mut edits = vec![
        Edit::EnvironmentSet(Back(2)),
        Edit::NumberAdded(Number(0), Dialed(first_number)),
        Edit::NumberAdded(Number(1), Dialed(first_number + 1)),
        Edit::NumberAdded(Number(2), Dialed(first_number + 2)),
    ];
    for agent in 0..Agent::COUNT {
        edits.push(Edit::AgentCreated(Agent(agent), agent >= 3));
        edits.push(Edit::CallingSet(Agent(agent), agent >= 3, Some(Few(numbers, 1 + u8::from(agent != 4)))));
        edits.push(Edit::AgentPublished(Agent(agent)));
    }
    let sources = [Agent(0), Agent(1), Agent(2)];
    edits.extend([
        Edit::TokenIssued(Token(first_number), first_number % 4),
        Edit::CallbackSet(Agent(3), Few(sources, 2), None, None),
        Edit::CallbackSet(Agent(4), Few(sources, 1), Some(Wents(0b1110_0000)), Some(Back(1))),
        Edit::CallbackSet(Agent(5), Few([Agent(1), Agent(2), Agent(0)], 1), Some(Wents(0b0000_1111)), Some(Back(3))),
    ]);
    edits
}
