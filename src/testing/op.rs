//! What can happen to an engine, as a value.

use super::universe::{Agent, Back, Contact, Dialed, Moment, Number, Span, Tenant, Token, Went, Wents};
use crate::{Change, DialPlan, Direction, Role};
use arbitrary::Arbitrary;

/// One step of a run. The order of the variants is part of the fuzzer's corpus format: append, never insert.
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// One change of configuration.
    Edit(Tenant, Edit),
    /// A batch of them, which takes effect together or not at all.
    Batch(Tenant, Vec<Edit>),
    /// A configuration that does not follow the last one.
    OutOfOrder(Tenant, Edit),
    /// An outbound call.
    Call {
        /// Whose.
        tenant: Tenant,
        /// The source agent.
        agent: Agent,
        /// From which number of ours.
        from: Dialed,
        /// Whom.
        to: Contact,
        /// When.
        at: Moment,
        /// How it went.
        went: Went,
    },
    /// A contact is forgotten.
    Erase {
        /// Where.
        tenant: Tenant,
        /// Who.
        contact: Contact,
        /// Up to when.
        until: Moment,
    },
    /// An event of this run once more, counted from the first.
    Again(u8),
    /// A contact calls.
    Query {
        /// Which number; one more than there are of ours.
        dialed: u8,
        /// Who; one more than there are contacts: withheld.
        caller: u8,
        /// When.
        at: Moment,
    },
    /// Time goes on.
    Advance(Span),
    /// The process ends and starts again. Nothing, where there is no store.
    Restart,
}

/// A [`Change`] over the small universe.
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
}

/// Up to three.
#[derive(Arbitrary, Clone, PartialEq, Eq, Debug)]
pub struct Few<T>(pub [T; 3], pub u8);

impl<T: Copy> Few<T> {
    fn map<U>(&self, one: impl Fn(T) -> U) -> Vec<U> {
        self.0.iter().take(usize::from(self.1 % 4)).map(|item| one(*item)).collect()
    }
}

impl Edit {
    /// How many kinds there are.
    pub const KINDS: usize = 13;

    /// The change.
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
        }
    }

    /// The kind's place in the order above.
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
        }
    }
}

fn direction(inbound: bool) -> Direction {
    if inbound { Direction::Inbound } else { Direction::Outbound }
}

/// A furnished world to begin from: random operations alone rarely build one in which calls come back. Both tenants have
/// three source agents (0 to 2) and three callback agents (3 to 5) behind two numbers of their own, and a third number that
/// nobody is behind; each has a token.
pub fn furnished() -> Vec<Op> {
    [0, 1].into_iter().map(Tenant).map(|tenant| Op::Batch(tenant, furniture(tenant.0 * 3))).collect()
}

fn furniture(first_number: u8) -> Vec<Edit> {
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
