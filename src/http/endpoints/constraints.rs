//! `POST /callback-agents/{id}/check-constraints`: checks a proposed callback role without storing it.

use super::callback::{PROPOSED_SOURCES, SOURCES};
use crate::event::Direction;
use crate::http::Api;
use crate::http::middleware::work::pause;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::form::Form;
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::reply;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{AgentView, CallbackView, DefaultChoice, NumberView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// A callback role to check. A missing field keeps its current value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Proposed {
    is_callback_agent: Option<bool>,
    /// The source agents. `source_agent_ids` is another name of this field.
    #[schema(max_items = 1000, value_type = Option<Vec<Uuid>>)]
    callback_source_agents: Option<Vec<AgentId>>,
    #[schema(schema_with = schema::any_outcomes, required = false)]
    callback_trigger_statuses: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 3650)]
    lookback_days: Option<u32>,
}

/// The maximum number of errors, and of warnings, in a response. Further ones are only counted.
const MAX_TOLD: usize = 250;

/// The number of phone numbers after which other tenants get their turn.
const SLICE: usize = 4096;

/// The proposal of a request. A missing field keeps its current value.
struct Proposal {
    is_callback_agent: Option<bool>,
    sources: Option<Vec<AgentId>>,
}

/// The response for a role without errors.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Valid {
    #[schema(schema_with = schema::yes)]
    success: bool,
    message: &'static str,
    /// Findings that do not prevent the role but may be mistakes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// The response for a role with errors, or for an invalid body.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Invalid {
    #[schema(schema_with = schema::no)]
    success: bool,
    message: &'static str,
    #[schema(schema_with = schema::code)]
    code: &'static str,
    /// The errors; by field if the code is `VALIDATION_ERROR`.
    #[schema(schema_with = schema::errors)]
    errors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// Checks a proposed callback role. Nothing is stored.
#[utoipa::path(
    post, path = "/api/v1/callback-agents/{agent}/check-constraints", tag = "callbacks", operation_id = "checkConstraints",
    params(("agent" = Uuid, Path, description = "The agent", example = json!(example::CALLBACK))),
    request_body(content = Proposed, examples(
        ("nothing" = (value = json!({}))),
        ("all" = (value = json!({
            "is_callback_agent": true, "callback_source_agents": [example::SOURCE],
            "callback_trigger_statuses": ["no_answer", "voicemail", "busy"],
        }))),
    )),
    responses(
        (status = 200, description = "The role has no errors", body = Valid, example = json!(
            {"success": true, "message": "Configuration is valid"}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
        (status = 422, description = "`INVALID_CONFIGURATION`: the role has errors", body = Invalid, example = json!({
            "success": false, "message": "Configuration has errors", "code": "INVALID_CONFIGURATION",
            "errors": ["Agent must be inbound to serve as a callback agent"],
        })),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn check(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let is_callback_agent = form.optional("is_callback_agent", read::boolean);
    let sources = form.either(PROPOSED_SOURCES, SOURCES);
    let sources = form.optional(sources, read::agents);
    // The statuses and the look-back need no further check: each valid value can be set.
    form.optional("callback_trigger_statuses", read::outcomes);
    form.optional("lookback_days", read::lookback);
    let proposal = form.finish(|| Some(Proposal { is_callback_agent, sources }))?;

    let plan = api.service().plan();
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    let Findings { errors, warnings, .. } = Findings::of(&plan, environment, agent, &proposal).await.summarized();
    Ok(if errors.is_empty() {
        reply::json(StatusCode::OK, &Valid { success: true, message: "Configuration is valid", warnings })
    } else {
        let (message, code) = ("Configuration has errors", "INVALID_CONFIGURATION");
        reply::json(StatusCode::UNPROCESSABLE_ENTITY, &Invalid { success: false, message, code, errors, warnings })
    })
}

/// The errors and warnings of a role. An error means that the role cannot be set.
#[derive(Default)]
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
    more_errors: usize,
    more_warnings: usize,
}

impl Findings {
    async fn of(plan: &Plan, environment: EnvironmentId, agent: AgentView<'_>, proposal: &Proposal) -> Self {
        let mut findings = Self::default();
        let held = agent.callback().map(CallbackView::sources);
        // Without `is_callback_agent` the request is about an agent with the role.
        if proposal.is_callback_agent == Some(false) {
            if held.is_some() {
                findings
                    .warn("Callbacks that the agent takes now will follow the default routing of the dialed number");
            }
            return findings;
        }
        findings.check_agent(agent);
        match proposal.sources.as_ref().or(held.as_ref()) {
            None => findings.warn("No source agents are named yet"),
            Some(sources) => findings.check_sources(plan, environment, agent, sources).await,
        }
        findings
    }

    fn check_agent(&mut self, agent: AgentView<'_>) {
        if agent.direction() != Some(Direction::Inbound) {
            self.error("Agent must be inbound to serve as a callback agent");
        }
        if !agent.is_published() {
            self.warn("Agent is not published; routing skips it until it is");
        }
        if agent.numbers().next().is_none() {
            self.warn("Agent owns no phone number");
        }
        for number in agent.numbers().filter(|number| number.default_agent() == Some(agent.id())) {
            let id = number.id();
            match number.default_choice() {
                // It is so on purpose.
                DefaultChoice::Named(named) if named == agent.id() => {}
                DefaultChoice::Named(named) => self.warn(format!(
                    "Agent takes all other calls of phone number {id} while its default agent {named} is not published"
                )),
                DefaultChoice::Auto | DefaultChoice::Nobody => self.warn(format!(
                    "Agent takes all other calls of phone number {id}, which has no default agent of its own"
                )),
            }
        }
    }

    async fn check_sources(
        &mut self,
        plan: &Plan,
        environment: EnvironmentId,
        agent: AgentView<'_>,
        sources: &[AgentId],
    ) {
        if sources.is_empty() {
            self.error("At least one source agent is required");
        }
        let mut sharing = Sharing::with(agent);
        let mut seen = HashSet::new();
        for id in sources {
            if !seen.insert(*id) {
                self.error(format!("Source agent {id} is named more than once"));
                continue;
            }
            match plan.agent(environment, *id) {
                _ if *id == agent.id() => self.error(format!("Source agent {id} is the agent itself")),
                None => self.error(format!("Source agent {id} does not exist")),
                Some(source) => {
                    self.check_source(source);
                    self.check_numbers(agent, source, &mut sharing).await;
                }
            }
        }
    }

    fn check_source(&mut self, source: AgentView<'_>) {
        let id = source.id();
        if source.direction() != Some(Direction::Outbound) {
            self.error(format!("Source agent {id} is not outbound"));
        }
        // The calls of an unpublished agent still count.
        if !source.is_published() {
            self.warn(format!("Source agent {id} is not published"));
        }
    }

    /// Warns if the agent owns none of the source's numbers, and about other callback agents of the source on the same number.
    /// A callback is for the number from which the contact was called, so a callback agent must own that number.
    async fn check_numbers(&mut self, agent: AgentView<'_>, source: AgentView<'_>, sharing: &mut Sharing) {
        let id = source.id();
        if !sharing.owned.is_empty() && !sharing.look(source).await {
            self.warn(format!("Source agent {id} calls from no number that the agent owns"));
        }
        for other in source.feeds().filter(|other| other.id() != agent.id()) {
            if sharing.look(other).await {
                let other = other.id();
                self.warn(format!("Callback agent {other} takes callbacks of source agent {id} on the same number"));
            }
        }
    }

    fn error(&mut self, what: impl Into<String>) {
        keep(&mut self.errors, &mut self.more_errors, what.into());
    }

    fn warn(&mut self, what: impl Into<String>) {
        keep(&mut self.warnings, &mut self.more_warnings, what.into());
    }

    /// Appends how many errors and warnings are not listed.
    fn summarized(mut self) -> Self {
        for (all, more) in [(&mut self.errors, self.more_errors), (&mut self.warnings, self.more_warnings)] {
            if more > 0 {
                all.push(format!("{more} more are not listed"));
            }
        }
        self
    }
}

fn keep(all: &mut Vec<String>, more: &mut usize, what: String) {
    if all.len() < MAX_TOLD {
        all.push(what);
    } else {
        *more += 1;
    }
}

/// Finds which agents own a number of the given agent. It examines each agent once, and pauses between slices.
struct Sharing {
    owned: HashSet<NumberId>,
    known: HashMap<AgentId, bool>,
    /// The numbers examined since the last pause.
    looks: usize,
}

impl Sharing {
    fn with(agent: AgentView<'_>) -> Self {
        let owned = agent.numbers().map(NumberView::id).collect();
        Self { owned, known: HashMap::new(), looks: 0 }
    }

    async fn look(&mut self, other: AgentView<'_>) -> bool {
        if self.looks >= SLICE {
            self.looks = 0;
            pause().await;
        }
        self.looks += 1;
        if let Some(known) = self.known.get(&other.id()) {
            return *known;
        }
        let place = other.numbers().position(|number| self.owned.contains(&number.id()));
        self.looks += place.unwrap_or(other.number_count());
        self.known.insert(other.id(), place.is_some());
        place.is_some()
    }
}
