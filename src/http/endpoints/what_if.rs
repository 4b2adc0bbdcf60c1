//! `POST /route/what-if`: compares the current decisions with those of a proposed configuration. Nothing is stored or
//! counted.

use super::configuration::{Document, refused};
use super::route::{self, Decided, Question};
use super::{callback, calls};
use crate::decision::Trace;
use crate::declaration::{Declaration, Wish};
use crate::event::{Change, Configuration};
use crate::http::middleware::answer_budget::LARGE;
use crate::http::middleware::work::pause;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Reach, Tenant};
use crate::http::request::form::{Form, Wrong};
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::explain::{Explanation, explanation};
use crate::http::response::reply::Data;
use crate::http::response::{list, reply, time_text};
use crate::http::{Api, new_id};
use crate::id::{AgentId, EnvironmentId};
use crate::number::{Caller, DialPlan};
use crate::plan::Plan;
use crate::time::Timestamp;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The maximum number of changes in a request.
const MAX_CHANGES: usize = 100;

/// The maximum size of the decisions in a response, in bytes. It holds a thousand decisions, or a few hundred explained ones.
const MAX_BYTES: usize = (LARGE as usize - 1) << 10;

/// The number of calls after which other tenants get their turn.
const SLICE: usize = 64;

/// The maximum number of calls in a request.
const MAX_CALLS: usize = 1000;

/// Proposed changes or a proposed configuration, and calls to decide with and without it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct WhatIf {
    #[schema(min_items = 1, max_items = 100, required = false)]
    changes: Vec<RoleChange>,
    /// A whole environment, as `PUT /configuration` accepts it, in place of `changes`.
    configuration: Option<Document>,
    /// Whether agents and numbers that the configuration does not name would be deleted.
    prune: Option<bool>,
    #[schema(min_items = 1, max_items = 1000)]
    calls: Vec<InboundCall>,
    /// The time to decide for. Missing: now.
    #[schema(format = DateTime, min_length = 20)]
    at: Option<String>,
    /// Whether the response explains each decision.
    explain: Option<bool>,
}

/// A proposed callback role, or its removal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct RoleChange {
    #[schema(value_type = Uuid)]
    agent_id: AgentId,
    /// The source agents. Null removes the role.
    #[schema(schema_with = schema::sources_or_null, required = true)]
    source_agent_ids: Option<Vec<AgentId>>,
    #[schema(schema_with = schema::any_outcomes, required = false)]
    callback_trigger_statuses: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 3650)]
    lookback_days: Option<u32>,
}

/// An inbound call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct InboundCall {
    #[schema(schema_with = schema::any_number)]
    dialed: String,
    /// The caller as the trunk sends it.
    caller: Option<String>,
    /// The time of this call. Missing: that of the request.
    #[schema(format = DateTime, min_length = 20)]
    at: Option<String>,
}

/// The decisions with and without the changes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: it is written decision by decision")]
pub(in crate::http) struct Comparison {
    #[schema(schema_with = schema::moment)]
    at: String,
    /// The version of the current configuration.
    generation: u64,
    /// The number of decisions that differ.
    differing: usize,
    decisions: Vec<Pair>,
}

/// The two decisions about one call.
#[derive(Serialize, ToSchema)]
struct Pair {
    /// Whether `decision` or `agent_id` differs.
    differs: bool,
    current: Imagined,
    proposed: Imagined,
}

/// A decision that routes no call.
#[derive(Serialize, ToSchema)]
struct Imagined {
    #[serde(flatten)]
    decided: Decided,
    #[serde(flatten)]
    #[schema(value_type = Explanation)]
    explanation: Option<Explanation>,
}

/// Compares the current decisions with those after some changes. Nothing is stored or counted.
#[utoipa::path(
    post, path = "/api/v1/route/what-if", tag = "calls", operation_id = "whatIf",
    request_body(content = WhatIf, example = json!({
        "changes": [{"agent_id": example::CALLBACK, "source_agent_ids": [example::SOURCE], "lookback_days": 7}],
        "calls": [{"dialed": example::DIALED, "caller": example::CONTACT}],
        "at": "2026-06-20T12:00:00Z",
    })),
    responses(
        (status = 200, description = "The decisions, in the order of the calls", body = Data<Comparison>, example = json!({
            "success": true,
            "data": {
                "at": "2026-06-20T12:00:00.000Z", "generation": 12, "differing": 1,
                "decisions": [{
                    "differs": true,
                    "current": {
                        "decision": "callback", "agent_id": example::CALLBACK, "reason": "MATCHED",
                        "source_agent_id": example::SOURCE, "called_at": example::CALLED_AT,
                    },
                    "proposed": {
                        "decision": "default", "agent_id": example::CALLBACK, "reason": "EXPIRED",
                        "source_agent_id": example::SOURCE, "called_at": example::CALLED_AT,
                    },
                }],
            },
        })),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NOT_A_CALLBACK_AGENT`: the agent has no role to remove"),
        (status = 422, description = "`INVALID_AGENT_DIRECTION`: the agent is not inbound; `INVALID_SOURCE_AGENT`: names each source \
            that is unknown, inbound or the agent itself"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn compare(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let home = calls::dial_plan(&plan, Reach::One(environment));
    let at = form.optional("at", read::moment).unwrap_or_else(|| api.now());
    let explain = form.optional("explain", read::boolean).unwrap_or(false);
    let proposal = Proposal::read(&mut form);
    let questions = form.objects("calls", 1..=MAX_CALLS, |call| question(call, &home, at));
    let (proposal, questions) = form.finish(|| proposal.zip(questions))?;

    let proposed = proposal.on(&plan, environment, api.now())?;
    let ask = |plan: &Plan, question: &Question| {
        let is_own = plan.dialed(question.dialed).is_some_and(|number| number.environment() == environment);
        let mut trace = if is_own { route::explain_on(&api, plan, question) } else { route::unknown_number(0) };
        trace.decision.generation = route::generation(plan, Reach::One(environment));
        trace
    };
    let show = |plan: &Plan, trace: Trace, question: &Question| Imagined {
        decided: trace.decision.into(),
        explanation: explain.then(|| explanation(plan, trace, question.at, false).without_last_change()),
    };
    let (mut decisions, mut differing) = (Vec::new(), 0);
    for (place, question) in questions.iter().enumerate() {
        if place % SLICE == 0 {
            pause().await;
        }
        let (today, then) = (ask(&plan, question), ask(&proposed, question));
        // The caller notices neither another reason nor another source agent.
        let differs = today.decision.route != then.decision.route;
        differing += usize::from(differs);
        let pair = Pair { differs, current: show(&plan, today, question), proposed: show(&proposed, then, question) };
        decisions.extend_from_slice(if place == 0 { b"" } else { b"," });
        list::write(&mut decisions, &pair);
        if decisions.len() > MAX_BYTES {
            return Err(Refusal::invalid_field(
                "calls",
                "The calls field needs more decisions than a response holds: send fewer calls.",
            ));
        }
    }
    let generation = route::generation(&plan, Reach::One(environment));
    let mut answer = Vec::with_capacity(decisions.len() + 256);
    let at = time_text::render(at);
    let head = format!(
        r#"{{"success":true,"data":{{"at":"{at}","generation":{generation},"differing":{differing},"decisions":["#
    );
    answer.extend_from_slice(head.as_bytes());
    answer.append(&mut decisions);
    answer.extend_from_slice(b"]}}");
    Ok(reply::json_text(StatusCode::OK, answer))
}

/// Reads a change of a callback role. Null sources remove the role.
fn change(form: &mut Form) -> Option<Change> {
    // A malformed id becomes a random one, so it gets the same response as an unknown id.
    let agent = |text: &str| text.parse().unwrap_or_else(|_| AgentId::from(new_id::uuid()));
    let id = form.required("agent_id", |value| read::text(value).map(agent));
    let is_removed = form.is_null("source_agent_ids");
    let outcomes = form.optional("callback_trigger_statuses", read::outcomes);
    let lookback = form.optional("lookback_days", read::lookback);
    if is_removed {
        return Some(Change::CallbackRemoved { id: id? });
    }
    let sources = form.required("source_agent_ids", read::source_agents);
    Some(Change::CallbackSet { id: id?, sources: sources?, outcomes, lookback })
}

fn question(form: &mut Form, home: &DialPlan, at: Timestamp) -> Option<Question> {
    let dialed = form.required("dialed", |value| read::number(value, home));
    let caller = form.optional("caller", |value| Ok(read::text(value)?.to_owned())).unwrap_or_default();
    let at = form.optional("at", read::moment).unwrap_or(at);
    Some(Question { dialed: dialed?, caller: Caller::parse(&caller, home), at })
}

/// What is proposed.
enum Proposal {
    Changes(Vec<Change>),
    Configuration { declared: Box<Declaration>, prune: bool },
}

impl Proposal {
    fn read(form: &mut Form) -> Option<Self> {
        let prune = form.optional("prune", read::boolean).unwrap_or(false);
        if !form.has("configuration") {
            return form.objects("changes", 1..=MAX_CHANGES, change).map(Self::Changes);
        }
        if form.has("changes") {
            form.error("configuration", &"replaces the changes field: send one of them".into());
        }
        let declared = form.required("configuration", |value| {
            // The error of the parser can repeat a value.
            let wrong =
                || Wrong::from("must be an object, without unknown or missing fields and fields of a wrong type");
            // A list would be read as the values of the fields.
            let declared = if value.is_object() { Declaration::deserialize(value).ok() } else { None };
            declared.map(Box::new).ok_or_else(wrong)
        });
        Some(Self::Configuration { declared: declared?, prune })
    }

    /// Returns the plan with this proposal.
    fn on(self, plan: &Plan, environment: EnvironmentId, at: Timestamp) -> Result<Plan, Refusal> {
        match self {
            Self::Configuration { declared, prune } => {
                let compared = declared.compare(plan, environment, Wish { prune, at }, &mut new_id::uuid);
                Ok(compared.map_err(|wrong| refused("configuration.", wrong))?.next)
            }
            Self::Changes(changes) => {
                let mut proposed = plan.clone();
                for change in changes {
                    // Each change is made as its own request would make it.
                    if !callback::is_repeated(&proposed, environment, &change) {
                        let sequence = proposed.generation() + 1;
                        proposed = proposed.with(&Configuration::new(sequence, environment, at, vec![change]))?;
                    }
                }
                Ok(proposed)
            }
        }
    }
}
