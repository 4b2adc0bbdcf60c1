//! Events: each change of the state, a call or a configuration, as a value.
//!
//! The state of an engine is a fold of events. HTTP, imports, replication and tests all end in
//! [`Engine::apply`](crate::Engine::apply). Applying an event twice changes nothing.
//!
//! * [`Call`]s and [`Erasure`]s converge in any order.
//! * A [`Configuration`] has a place in a sequence, and is validated before it becomes an event.

mod actor;
mod answer;
mod names;
mod report;
#[cfg(feature = "store")]
#[cfg_attr(not(feature = "fleet"), allow(dead_code, reason = "a store only keeps what a fleet reads"))]
pub(crate) mod wire;

pub use actor::{Actor, Stamp};
pub use answer::{StoredAnswer, StoredAnswerBody, StoredAnswerSubject};
pub use names::Names;
#[cfg(feature = "http")]
pub(crate) use report::distinct;
pub use report::{CallId, Context, ContextError, Counted, Details, Joined, Report, Update};

use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::named::named;
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, Outcome, OutcomeSet};
use crate::time::{Lookback, Timestamp};

/// An event: a change of the engine's state.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An outbound call was placed, or its status changed.
    Call(Call),
    /// A call, with an id or a context. An [`Engine`](crate::Engine) without a service takes it as the call alone.
    Report(Box<Report>),
    /// A later report of a call, by its id. Only a [`Service`](crate::Service) knows ids.
    Update(Box<Update>),
    /// What another node of a fleet knows of a call after a report with an id or a context. An [`Engine`](crate::Engine)
    /// without a service ignores it, because the call comes as an [`Event::Call`], too.
    Joined(Box<Joined>),
    /// A contact is erased.
    Erasure(Erasure),
    /// The configuration changed.
    Configuration(Configuration),
}

impl Event {
    /// Returns the event of a report: a plain [`Event::Call`] if it has no details.
    pub fn reported(call: Call, details: Details) -> Self {
        if details.is_empty() { Self::Call(call) } else { Self::Report(Box::new(Report { call, details })) }
    }

    /// Returns the call, if the event has one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Call(call) => Some(call),
            Self::Report(report) => Some(&report.call),
            Self::Joined(joined) => Some(&joined.call),
            Self::Update(_) | Self::Erasure(_) | Self::Configuration(_) => None,
        }
    }

    /// Returns the bytes that the ids and contexts of a report take, beside the event's own size.
    pub(crate) fn detail_bytes(&self) -> usize {
        match self {
            Self::Report(report) => size_of::<Report>() + report.heap_bytes(),
            Self::Update(update) => size_of::<Update>() + update.heap_bytes(),
            Self::Joined(joined) => size_of::<Joined>() + joined.heap_bytes(),
            Self::Call(_) | Self::Erasure(_) | Self::Configuration(_) => 0,
        }
    }
}

/// An outbound call. Reports of one call have the same `at` and `agent`; the report with the highest outcome counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Call {
    /// The tenant.
    pub environment: EnvironmentId,
    /// The outbound agent that placed it: the source agent.
    pub agent: AgentId,
    /// The number that the call was placed from. It belongs to the environment.
    pub from: E164,
    /// The contact.
    pub to: E164,
    /// When the call was placed (not when the status was reported).
    pub at: Timestamp,
    /// The status of the call so far.
    pub outcome: Outcome,
}

/// Erases a contact from one environment, up to a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Erasure {
    /// The tenant.
    pub environment: EnvironmentId,
    /// The contact to erase.
    pub contact: E164,
    /// Calls up to and including this time are erased, also calls that are reported later.
    pub until: Timestamp,
    /// Whether that time was in the future when the contact was erased, because a call was dated ahead. A call that is
    /// reported later and that the erasure covers may then be newer than the erasure.
    pub is_ahead: bool,
}

/// A batch of changes that take effect together, as one event and one new plan.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Configuration {
    /// The place in the sequence of configurations, from 1, without gaps. It is also the generation of the resulting
    /// plan.
    pub sequence: u64,
    /// The tenant whose configuration changes.
    pub environment: EnvironmentId,
    /// When the change was made.
    pub at: Timestamp,
    /// The changes, in the order in which they apply.
    pub changes: Vec<Change>,
    /// The actor that made the change. An earlier version ignores this field, and the next one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Actor::is_unknown"))]
    pub actor: Actor,
    /// The names of the ids in the changes, as they were before the change.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Names::is_empty"))]
    pub names: Names,
}

impl Configuration {
    /// Returns a configuration of an unknown actor, without names.
    pub fn new(sequence: u64, environment: EnvironmentId, at: Timestamp, changes: Vec<Change>) -> Self {
        Self { sequence, environment, at, changes, actor: Actor::Unknown, names: Names::default() }
    }

    /// Returns this configuration with an actor.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Returns this configuration with names for its ids.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Returns whether both configurations make the same changes at the same place. Actors and names make no difference:
    /// a configuration that passed through an earlier version has lost both.
    pub fn changes_alike(&self, other: &Self) -> bool {
        let content = |of: &'_ Self| (of.sequence, of.environment, of.at);
        content(self) == content(other) && self.changes == other.changes
    }
}

/// One change of an environment's configuration. The [`Configuration`] names the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Change {
    /// The environment is created, or its settings are replaced.
    EnvironmentSet {
        /// The name, for people.
        name: String,
        /// How the environment's national numbers are written.
        dial_plan: DialPlan,
        /// The look-back of callback agents that have none of their own.
        lookback: Lookback,
    },
    /// The environment is deleted for good, with its tokens, its call history and its statistics. Its id is never used
    /// again.
    EnvironmentDeleted {},
    /// The attestation that the environment requires of a caller's number is set, or removed with `None`.
    AttestationRequired {
        /// The weakest attestation with which a caller's number counts.
        level: Option<Attestation>,
    },
    /// The status from which the environment's calls count is set. It applies to reports that arrive later. In a fleet,
    /// the node that receives a report applies it, and no other node.
    CountsFromSet {
        /// The status.
        from: CountsFrom,
    },
    /// An agent is created, as a draft.
    AgentCreated {
        /// Its id, which must not be in use in this environment.
        id: AgentId,
        /// The name, for people.
        name: String,
        /// An optional label, for people.
        label: Option<String>,
        /// The agent's direction.
        direction: Direction,
    },
    /// The agent is published: it takes new calls.
    AgentPublished {
        /// The agent.
        id: AgentId,
    },
    /// The agent is unpublished: it takes no new calls. Its configuration stays.
    AgentUnpublished {
        /// The agent.
        id: AgentId,
    },
    /// The agent is deleted and removed from each callback configuration.
    AgentDeleted {
        /// The agent, which must not be published.
        id: AgentId,
    },
    /// The agent's direction is set, and its numbers if they are given.
    CallingSet {
        /// The agent.
        id: AgentId,
        /// The agent's direction.
        direction: Direction,
        /// All numbers that the agent owns after the change. `None` leaves them unchanged.
        numbers: Option<Vec<NumberId>>,
    },
    /// A number is added to the environment.
    NumberAdded {
        /// Its id, which must not be in use in this environment.
        id: NumberId,
        /// The phone number. No other environment may hold it.
        #[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))]
        number: E164,
    },
    /// A number is removed from the environment.
    NumberReleased {
        /// The number, which no agent may own.
        id: NumberId,
    },
    /// The number's default agent is named, or is chosen by the order of assignment.
    DefaultAgentSet {
        /// The number.
        number: NumberId,
        /// An inbound agent that owns the number. With `None`, the published inbound owner that was assigned first is
        /// the default agent, as for a new number.
        agent: Option<AgentId>,
    },
    /// The agent becomes the callback agent of these source agents, and of no others. Its role is then the one that was
    /// configured last, also if it was equal before: the control API makes no such change.
    CallbackSet {
        /// An inbound agent.
        id: AgentId,
        /// Outbound agents: at least one, and none twice.
        sources: Vec<AgentId>,
        /// The outcomes of the source's call that make the contact eligible. `None` means all outcomes.
        outcomes: Option<OutcomeSet>,
        /// The agent's own look-back. `None` means the environment's.
        lookback: Option<Lookback>,
    },
    /// The agent stops being a callback agent.
    CallbackRemoved {
        /// The agent.
        id: AgentId,
    },
    /// The agent's name and label are replaced.
    AgentRenamed {
        /// The agent.
        id: AgentId,
        /// The name, for people.
        name: String,
        /// An optional label, for people.
        label: Option<String>,
    },
    /// An agent without a direction is created, as a draft. It cannot be published before it has one.
    AgentDrafted {
        /// Its id, which must not be in use in this environment.
        id: AgentId,
        /// The name, for people.
        name: String,
        /// An optional label, for people.
        label: Option<String>,
    },
    /// The agent's numbers are set. Its direction stays, also if it has none.
    NumbersAssigned {
        /// The agent.
        id: AgentId,
        /// All numbers that the agent owns after the change.
        numbers: Vec<NumberId>,
    },
    /// Owners of the number come first among its owners, in this order. The others follow in the order that they had.
    OwnersOrdered {
        /// The number.
        number: NumberId,
        /// Agents that own the number, none of them twice.
        owners: Vec<AgentId>,
    },
    /// The number gets no default agent, on purpose: a call that no callback agent takes is unrouted.
    DefaultAgentRemoved {
        /// The number.
        number: NumberId,
    },
    /// A token of the control API is issued.
    TokenIssued {
        /// Its id, for listing and revoking it.
        id: TokenId,
        /// The permissions of its holder.
        role: Role,
        /// A label, for people.
        label: String,
        /// The SHA-256 of the token. The token itself is not stored.
        digest: [u8; 32],
    },
    /// A token is revoked.
    TokenRevoked {
        /// The token.
        id: TokenId,
    },
    /// The token is valid until a time, in place of a former one.
    TokenExpires {
        /// The token.
        id: TokenId,
        /// The first moment at which it is not valid any more.
        at: Timestamp,
    },
    /// The response to the request that made these changes, under the request's idempotency key.
    AnswerGiven {
        /// The environment that the key belongs to, or [`EnvironmentId::SYSTEM`] for an operator's key.
        scope: EnvironmentId,
        /// The response, kept for a day.
        answer: StoredAnswer,
    },
}

impl Change {
    /// Returns the change that creates an agent, as a draft. Without a direction, the agent cannot be published yet.
    pub fn agent(id: AgentId, name: String, label: Option<String>, direction: Option<Direction>) -> Self {
        match direction {
            Some(direction) => Self::AgentCreated { id, name, label, direction },
            None => Self::AgentDrafted { id, name, label },
        }
    }

    /// Returns whether decisions may depend on the change: it is not about tokens, and not a stored response.
    pub const fn may_reroute(&self) -> bool {
        !matches!(
            self,
            Self::TokenIssued { .. } | Self::TokenRevoked { .. } | Self::TokenExpires { .. } | Self::AnswerGiven { .. }
        )
    }

    /// Returns the change that sets the direction and all numbers of an agent, as far as they are given. `None` if neither
    /// is.
    pub fn calling(id: AgentId, direction: Option<Direction>, numbers: Option<Vec<NumberId>>) -> Option<Self> {
        match direction {
            Some(direction) => Some(Self::CallingSet { id, direction, numbers }),
            None => numbers.map(|numbers| Self::NumbersAssigned { id, numbers }),
        }
    }
}

/// The direction of an agent's calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Direction {
    /// The agent places calls.
    Outbound,
    /// The agent takes calls.
    Inbound,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Outbound, Self::Inbound];

    /// Returns `outbound` or `inbound`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

named!(Direction, "a direction: outbound or inbound");

/// The permissions of a token's holder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Role {
    /// All operations in the environment that the token was issued in.
    Environment,
    /// Recording calls and asking for routes in each environment; no configuration.
    Gateway,
    /// Creating environments and tokens.
    Operator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Environment, Self::Gateway, Self::Operator];

    /// Returns `environment`, `gateway` or `operator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}

named!(Role, "a role: environment, gateway or operator");

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    const NUMBER: &str = "00000000-0000-0000-0000-000000000007";

    /// The texts are those in the directories and streams of earlier versions.
    #[test]
    fn changes_of_earlier_versions_keep_their_text_and_their_meaning() {
        let (number, agent) = (NumberId::from_u128(7), AgentId::from_u128(9));
        for (text, change) in [
            (
                format!(r#"{{"default_agent_set":{{"number":"{NUMBER}","agent":null}}}}"#),
                Change::DefaultAgentSet { number, agent: None },
            ),
            (
                format!(r#"{{"default_agent_set":{{"number":"{NUMBER}","agent":"{agent}"}}}}"#),
                Change::DefaultAgentSet { number, agent: Some(agent) },
            ),
            (
                r#"{"counts_from_set":{"from":"answered"}}"#.to_owned(),
                Change::CountsFromSet { from: CountsFrom::Answered },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Change>(&text).expect("an earlier version wrote it"), change);
            assert_eq!(serde_json::to_string(&change).expect("JSON"), text);
        }
    }

    const AGENT: &str = "00000000-0000-0000-0000-000000000009";

    /// The text of a configuration that publishes an agent, with more fields at its end.
    fn text(fields: &str) -> String {
        let environment = "00000000-0000-0000-0000-000000000001";
        let changes = format!(r#"[{{"agent_published":{{"id":"{AGENT}"}}}}]"#);
        format!(r#"{{"sequence":4,"environment":"{environment}","at":1780315200000,"changes":{changes}{fields}}}"#)
    }

    fn published() -> Configuration {
        let changes = vec![Change::AgentPublished { id: AgentId::from_u128(9) }];
        Configuration::new(4, EnvironmentId::from_u128(1), Timestamp::from_secs(1_780_315_200), changes)
    }

    #[test]
    fn configuration_of_an_earlier_version_has_an_unknown_actor_and_keeps_its_text() {
        assert_eq!(serde_json::from_str::<Configuration>(&text("")).expect("an earlier version wrote it"), published());
        assert_eq!(serde_json::to_string(&published()).expect("JSON"), text(""));
    }

    #[test]
    fn actor_and_names_have_a_text_of_their_own() {
        let token = Actor::Token { id: TokenId::from_u128(9), role: Role::Environment, label: "CRM".into() };
        let of_token = format!(r#"{{"kind":"token","id":"{AGENT}","role":"environment","label":"CRM"}}"#);
        for (actor, written) in [
            (token, of_token.as_str()),
            (Actor::Command, r#"{"kind":"command"}"#),
            (Actor::Import, r#"{"kind":"import"}"#),
        ] {
            let (text, configuration) = (text(&format!(r#","actor":{written}"#)), published().by(actor));
            assert_eq!(serde_json::to_string(&configuration).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Configuration>(&text).expect("it was just written"), configuration);
        }
        let mut names = Names::default();
        names.set_agent(AgentId::from_u128(9), "Desk");
        names.set_number(NumberId::from_u128(7), E164::from_digits("15550100").expect("digits"));
        names.set_token(TokenId::from_u128(9), "CRM");
        let written = format!(
            r#","names":{{"agents":{{"{AGENT}":"Desk"}},"numbers":{{"{NUMBER}":"+15550100"}},"tokens":{{"{AGENT}":"CRM"}}}}"#
        );
        let (text, configuration) = (text(&written), published().with_names(names));
        assert_eq!(serde_json::to_string(&configuration).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<Configuration>(&text).expect("it was just written"), configuration);
        assert!(!format!("{configuration:?}").contains("15550100"));
    }

    #[test]
    fn actor_of_a_newer_version_reads_as_unknown_and_more_fields_are_ignored() {
        for fields in [r#","actor":{"kind":"robot","serial":[7]}"#, r#","actor":{"kind":"unknown"},"mood":"fine""#] {
            assert_eq!(serde_json::from_str::<Configuration>(&text(fields)).expect("readable"), published());
        }
    }

    /// An older version reads no change that it does not know, so it does not start, and a node of it stops.
    #[test]
    fn new_change_has_a_name_of_its_own() {
        let (number, id) = (NumberId::from_u128(7), AgentId::from_u128(9));
        for (text, change) in [
            (format!(r#"{{"default_agent_removed":{{"number":"{NUMBER}"}}}}"#), Change::DefaultAgentRemoved { number }),
            (r#"{"environment_deleted":{}}"#.to_owned(), Change::EnvironmentDeleted {}),
            (
                format!(r#"{{"token_expires":{{"id":"{id}","at":1780315200000}}}}"#),
                Change::TokenExpires { id: TokenId::from_u128(9), at: Timestamp::from_secs(1_780_315_200) },
            ),
            (
                format!(r#"{{"agent_drafted":{{"id":"{id}","name":"Desk","label":null}}}}"#),
                Change::AgentDrafted { id, name: "Desk".into(), label: None },
            ),
            (
                format!(r#"{{"numbers_assigned":{{"id":"{id}","numbers":["{NUMBER}"]}}}}"#),
                Change::NumbersAssigned { id, numbers: vec![number] },
            ),
            (
                format!(r#"{{"agent_renamed":{{"id":"{id}","name":"Desk","label":null}}}}"#),
                Change::AgentRenamed { id, name: "Desk".into(), label: None },
            ),
            (
                format!(r#"{{"owners_ordered":{{"number":"{NUMBER}","owners":["{id}"]}}}}"#),
                Change::OwnersOrdered { number, owners: vec![id] },
            ),
        ] {
            assert_eq!(serde_json::to_string(&change).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Change>(&text).expect("it was just written"), change);
        }
    }
}
