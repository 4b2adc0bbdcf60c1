//! The configuration as the API shows it. The order of the fields is part of the API contract.

use super::list::MAX_WITHIN;
use super::time_text;
use crate::event::Direction;
use crate::http::openapi::schema;
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{Attestation, Written};
use crate::plan::{self, AgentView, CallbackView, DefaultChoice, EnvironmentView, NumberView};
use crate::time::Timestamp;
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// An agent.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Agent<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(required)]
    label: Option<&'a str>,
    /// Null if it was not set yet.
    #[schema(schema_with = schema::direction_or_null)]
    direction: Option<&'static str>,
    #[schema(schema_with = schema::agent_status)]
    current_status: &'static str,
    /// Whether the agent has all that it needs to be published: a direction and, if it is inbound, a number.
    is_ready_to_publish: bool,
    /// At most the first thousand numbers, and fewer if the page already lists ten thousand.
    #[schema(max_items = 1000)]
    phone_numbers: Vec<OwnedNumber>,
    #[serde(flatten)]
    #[schema(value_type = MoreNumbers)]
    more: Option<MoreNumbers>,
    #[schema(schema_with = schema::moment)]
    created_at: String,
    #[schema(schema_with = schema::moment)]
    updated_at: String,
}

/// Where to find all numbers of an agent; present only if not all are listed.
#[derive(Serialize, ToSchema)]
struct MoreNumbers {
    /// The total of the agent's numbers.
    #[schema(required = false)]
    phone_numbers_total: usize,
    /// The path that lists all of them.
    #[schema(required = false)]
    phone_numbers_url: String,
}

impl<'a> Agent<'a> {
    /// Returns the agent with at most `most` of its numbers, and how many numbers it lists.
    pub(in crate::http) fn listing(agent: AgentView<'a>, most: usize) -> (Self, usize) {
        let (total, id) = (agent.number_count(), agent.id());
        let more = (total > most).then(|| MoreNumbers {
            phone_numbers_total: total,
            phone_numbers_url: format!("/api/v1/phone-numbers?agent_id={id}"),
        });
        let shown = Self {
            id,
            name: agent.name(),
            label: agent.label(),
            direction: agent.direction().map(Direction::name),
            current_status: agent_status(agent.is_published()),
            is_ready_to_publish: agent.lacks().is_none(),
            phone_numbers: agent.numbers().take(most).map(OwnedNumber::from).collect(),
            more,
            created_at: time_text::render(agent.created_at()),
            updated_at: time_text::render(agent.updated_at()),
        };
        (shown, total.min(most))
    }
}

impl<'a> From<AgentView<'a>> for Agent<'a> {
    fn from(agent: AgentView<'a>) -> Self {
        Self::listing(agent, MAX_WITHIN).0
    }
}

/// Returns the direction of an agent that has one, as each callback agent and source agent does.
pub(in crate::http) fn direction(agent: AgentView<'_>) -> &'static str {
    agent.direction().map_or("", Direction::name)
}

/// Returns `published` or `draft`.
pub(in crate::http) fn agent_status(published: bool) -> &'static str {
    if published { "published" } else { "draft" }
}

/// A number of an agent.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OwnedNumber {
    #[schema(value_type = Uuid)]
    id: NumberId,
    #[schema(schema_with = schema::number)]
    number: String,
    #[schema(schema_with = schema::number_status)]
    current_status: &'static str,
}

impl From<NumberView<'_>> for OwnedNumber {
    fn from(number: NumberView<'_>) -> Self {
        Self {
            id: number.id(),
            number: number.number().to_plus_form().to_string(),
            current_status: if number.is_active() { "active" } else { "inactive" },
        }
    }
}

/// A number, with its owners and its default agent.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "as the public API names them")]
pub(in crate::http) struct Number {
    #[serde(flatten)]
    owned: OwnedNumber,
    /// The country of the number, in ISO 3166-1 alpha-2; null if it is unknown.
    #[schema(schema_with = schema::country)]
    country_code: Option<String>,
    /// The number as it is written in its country; without separators if the country is unknown.
    formatted_number: String,
    /// The number as it is written abroad.
    international_number: String,
    /// Each number is for calls.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::voice)]
    kind: &'static str,
    /// The agent that takes a call if no callback agent does.
    #[schema(required, value_type = Option<Uuid>)]
    default_agent_id: Option<AgentId>,
    /// How that agent is chosen: `auto`, `nobody`, or the id of the agent that was named. This value can be sent as
    /// `default_agent_id`.
    #[schema(schema_with = schema::default_choice)]
    default_agent_setting: Cow<'static, str>,
    /// At most the first thousand owners in the order of their assignment, and fewer if the page already lists ten thousand.
    #[schema(value_type = Vec<Uuid>, max_items = 1000)]
    agent_ids: Vec<AgentId>,
    #[serde(flatten)]
    #[schema(value_type = MoreAgents)]
    more: Option<MoreAgents>,
}

/// Where to find all owners of a number; present only if not all are listed.
#[derive(Serialize, ToSchema)]
struct MoreAgents {
    /// The total of the number's owners.
    #[schema(required = false)]
    agents_total: usize,
    /// The path that lists all of them.
    #[schema(required = false)]
    agents_url: String,
}

/// The type of each number.
pub(in crate::http) const VOICE: &str = "voice";

impl Number {
    /// Returns the number with at most `most` of its owners, and how many owners it lists.
    pub(in crate::http) fn listing(number: NumberView<'_>, most: usize) -> (Self, usize) {
        let (total, id) = (number.owner_count(), number.id());
        let more = (total > most)
            .then(|| MoreAgents { agents_total: total, agents_url: format!("/api/v1/agents?phone_number_id={id}") });
        let Written { country, national, international } = number.number().written();
        let shown = Self {
            owned: number.into(),
            country_code: country,
            formatted_number: national,
            international_number: international,
            kind: VOICE,
            default_agent_id: number.default_agent(),
            default_agent_setting: default_setting(number.default_choice()),
            agent_ids: number.first_owners(most),
            more,
        };
        (shown, total.min(most))
    }
}

/// Returns the text that sets this choice in a request.
fn default_setting(choice: DefaultChoice) -> Cow<'static, str> {
    match choice {
        DefaultChoice::Auto => "auto".into(),
        DefaultChoice::Named(agent) => agent.to_string().into(),
        DefaultChoice::Nobody => "nobody".into(),
    }
}

impl From<NumberView<'_>> for Number {
    fn from(number: NumberView<'_>) -> Self {
        Self::listing(number, MAX_WITHIN).0
    }
}

/// The callback role of an agent. It shows only the fields that were set.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallbackConfig {
    #[schema(value_type = Vec<Uuid>)]
    source_agent_ids: Vec<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::outcomes, required = false)]
    callback_trigger_statuses: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookback_days: Option<u32>,
}

impl From<CallbackView<'_>> for CallbackConfig {
    fn from(callback: CallbackView<'_>) -> Self {
        let names = |outcomes: crate::OutcomeSet| outcomes.iter().map(crate::Outcome::public_name).collect();
        Self {
            source_agent_ids: callback.sources(),
            callback_trigger_statuses: callback.outcomes().map(names),
            lookback_days: callback.lookback().map(crate::Lookback::days),
        }
    }
}

/// An environment: one tenant.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Environment<'a> {
    #[schema(value_type = Uuid)]
    id: EnvironmentId,
    name: &'a str,
    /// The region; null with a dial plan that was written by hand, or without one.
    #[schema(required)]
    region: Option<&'a str>,
    country_code: &'a str,
    national_prefix: &'a str,
    international_prefix: &'a str,
    /// Empty if the lengths are unknown, or if the region determines them.
    #[schema(schema_with = schema::lengths)]
    national_number_lengths: Vec<usize>,
    /// The look-back in days; null if it is not a whole number of days.
    #[schema(required)]
    lookback_days: Option<u32>,
    lookback_seconds: u32,
    /// The weakest attestation with which a caller's number counts, if the environment requires one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::required_attestation)]
    require_attestation: Option<&'static str>,
    /// The status from which calls count.
    #[schema(schema_with = schema::counts_from)]
    counts_from: &'static str,
}

impl<'a> From<EnvironmentView<'a>> for Environment<'a> {
    fn from(environment: EnvironmentView<'a>) -> Self {
        let dial_plan = environment.dial_plan();
        Self {
            id: environment.id(),
            name: environment.name(),
            region: dial_plan.region(),
            country_code: dial_plan.country_code(),
            national_prefix: dial_plan.national_prefix(),
            international_prefix: dial_plan.international_prefix(),
            national_number_lengths: dial_plan.national_lengths().collect(),
            lookback_days: environment.lookback().whole_days(),
            lookback_seconds: environment.lookback().secs(),
            require_attestation: environment.required_attestation().map(Attestation::name),
            counts_from: environment.counts_from().name(),
        }
    }
}

/// A token without its secret, which is not stored.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Token<'a> {
    #[schema(value_type = Uuid)]
    id: TokenId,
    #[schema(schema_with = schema::role)]
    role: &'static str,
    /// The environment of an environment token; null for other tokens.
    #[schema(required, value_type = Option<Uuid>)]
    environment_id: Option<EnvironmentId>,
    label: &'a str,
    #[schema(schema_with = schema::moment)]
    issued_at: String,
    /// The first moment at which the token is not valid any more; null if it does not expire.
    #[schema(schema_with = schema::moment_or_null)]
    expires_at: Option<String>,
    /// When the token was last used at this node, to the minute; null if it was not used since the daemon started.
    #[schema(schema_with = schema::moment_or_null)]
    last_used_at: Option<String>,
}

impl<'a> Token<'a> {
    pub(in crate::http) fn new(token: &'a plan::Token, last_used: Option<Timestamp>) -> Self {
        Self {
            id: token.id,
            role: token.role.name(),
            environment_id: Some(token.environment).filter(|environment| *environment != EnvironmentId::SYSTEM),
            label: &token.label,
            issued_at: time_text::render(token.issued_at),
            expires_at: token.expires_at.map(time_text::render),
            last_used_at: last_used.map(time_text::render),
        }
    }
}
