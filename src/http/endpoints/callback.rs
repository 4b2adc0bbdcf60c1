//! `/agents/{id}/callback`: the callback role of an agent.

use super::defaults;
use crate::event::{Change, Configuration, StoredAnswerSubject};
use crate::http::Api;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::etag::{Conditions, Versions, tagged};
use crate::http::request::form::Form;
use crate::http::request::idempotency::{Key, Repeatable};
use crate::http::request::path::Named;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::render::CallbackConfig;
use crate::http::response::reply::{Data, Message, Warned};
use crate::http::response::shown::{Created, callback_agent};
use crate::http::response::{reply, shown};
use crate::id::{AgentId, EnvironmentId};
use crate::outcome::OutcomeSet;
use crate::plan::{AgentView, CallbackView, EnvironmentView, Plan};
use crate::time::{Lookback, Timestamp};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// The callback role of an agent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct Config {
    /// The outbound agents whose callbacks the agent takes, without duplicates. `callback_source_agents` is another name of this
    /// field.
    #[schema(schema_with = schema::sources)]
    source_agent_ids: Vec<AgentId>,
    /// The outcomes of the source agent's call for which the role applies. Missing: all outcomes.
    #[schema(schema_with = schema::any_outcomes, required = false)]
    callback_trigger_statuses: Option<Vec<String>>,
    /// How long after the call the role applies, in days. Missing: the look-back of the environment.
    #[schema(minimum = 1, maximum = 3650)]
    lookback_days: Option<u32>,
}

/// The field with the source agents of a role.
pub(in crate::http) const SOURCES: &str = "source_agent_ids";

/// The name of that field in the dry run. The public API uses both names; here each request accepts either.
pub(in crate::http) const PROPOSED_SOURCES: &str = "callback_source_agents";

/// The fields that both requests that set the role share.
struct Role {
    sources: Vec<AgentId>,
    outcomes: Option<OutcomeSet>,
    lookback: Option<Lookback>,
}

impl Role {
    fn read(mut form: Form) -> Result<Self, Refusal> {
        let sources = form.either(SOURCES, PROPOSED_SOURCES);
        let sources = form.required(sources, read::source_agents);
        if form.optional("is_callback_agent", read::boolean) == Some(false) {
            form.error("is_callback_agent", &"must be true: DELETE removes the callback role".into());
        }
        let outcomes = form.optional("callback_trigger_statuses", read::outcomes);
        let lookback = form.optional("lookback_days", read::lookback);
        form.finish(|| Some(Self { sources: sources?, outcomes, lookback }))
    }

    fn set_on(self, id: AgentId) -> Change {
        Change::CallbackSet { id, sources: self.sources, outcomes: self.outcomes, lookback: self.lookback }
    }
}

/// An agent whose callback role was replaced.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Replaced {
    #[schema(value_type = Uuid)]
    id: AgentId,
    callback_config: CallbackConfig,
}

/// Gives the agent the callback role. If it has the role, replaces it. A role that the agent already has changes nothing.
#[utoipa::path(
    post, path = "/api/v1/agents/{agent}/callback", tag = "callbacks", operation_id = "createCallback",
    params(("agent" = Uuid, Path, description = "An inbound agent", example = json!(example::CALLBACK)), Versions, Repeatable),
    request_body(content = Config, examples(
        ("plain" = (value = json!({"source_agent_ids": [example::SOURCE]}))),
        ("limited" = (value = json!(example::limited_config()))),
    )),
    responses(
        (status = 200, description = "The agent with its role", body = Warned<Created<'static>>, examples(
            ("plain" = (value = json!({"success": true, "data": {
                "id": example::CALLBACK, "name": "Callback Handler", "direction": "inbound",
                "callback_config": {"source_agent_ids": [example::SOURCE]},
            }}))),
            ("limited" = (value = json!({"success": true, "data": {
                "id": example::CALLBACK, "name": "Callback Handler", "direction": "inbound",
                "callback_config": example::limited_config(),
            }}))),
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`: the id is malformed, unknown, or another environment's"),
        (status = 409, description = "`QUOTA_EXCEEDED`: the environment has reached its limit of pairs of a callback agent and a source agent"),
        (status = 422, description = "`INVALID_AGENT_DIRECTION`: the agent is not inbound; `INVALID_SOURCE_AGENT`: names each source that is unknown, inbound or the agent itself"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn create(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    key: Key,
    form: Form,
) -> Result<Response, Refusal> {
    let keyed = key.of(environment, &form);
    let role = Role::read(form)?;
    let (limit, at) = (api.limits.callback_pairs, api.now());
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(agent.callback().map(CallbackView::revision))?;
        Ok((within_quota(plan, environment, role.set_on(id), limit, at)?, ()))
    };
    let render =
        move |plan: &Plan, ()| shown::callback_warned(plan, environment, id, defaults::of_role(plan, environment, id));
    api.answer(environment, keyed.about(StoredAnswerSubject::Callback(id)), decide, render).await
}

/// Replaces the callback role of an agent. A role that the agent already has changes nothing.
#[utoipa::path(
    put, path = "/api/v1/agents/{agent}/callback", tag = "callbacks", operation_id = "replaceCallback",
    params(("agent" = Uuid, Path, description = "A callback agent", example = json!(example::CALLBACK)), Versions),
    request_body(content = Config, examples(
        ("plain" = (value = json!({"source_agent_ids": [example::SOURCE]}))),
        ("limited" = (value = json!(example::limited_config()))),
    )),
    responses(
        (status = 200, description = "The new role", body = Warned<Replaced>, examples(
            ("plain" = (value = json!({"success": true, "data": {
                "id": example::CALLBACK, "callback_config": {"source_agent_ids": [example::SOURCE]},
            }}))),
            ("limited" = (value = json!({"success": true, "data": {
                "id": example::CALLBACK, "callback_config": example::limited_config(),
            }}))),
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NOT_A_CALLBACK_AGENT`: the agent does not have the callback role"),
        (status = 409, description = "`QUOTA_EXCEEDED`: the environment has reached its limit of pairs of a callback agent and a source agent"),
        (status = 422, description = "`INVALID_SOURCE_AGENT`: names each source that is unknown, inbound or the agent itself"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn replace(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    form: Form,
) -> Result<Response, Refusal> {
    let role = Role::read(form)?;
    let (limit, at) = (api.limits.callback_pairs, api.now());
    let decide = move |plan: &Plan| {
        let (_, callback) = callback_agent(plan, environment, id)?;
        conditions.allow(Some(callback.revision()))?;
        within_quota(plan, environment, role.set_on(id), limit, at)
    };
    let plan = api.change(environment, decide).await?;
    let (_, callback) = callback_agent(&plan, environment, id)?;
    let warnings = defaults::of_role(&plan, environment, id);
    Ok(tagged(callback.revision(), reply::warned(Replaced { id, callback_config: callback.into() }, warnings)))
}

/// Returns the callback role of an agent, with its `ETag`.
#[utoipa::path(
    get, path = "/api/v1/agents/{agent}/callback", tag = "callbacks", operation_id = "showCallback",
    params(("agent" = Uuid, Path, description = "A callback agent", example = json!(example::CALLBACK)), Versions),
    responses(
        (status = 200, description = "The role", body = Data<Replaced>, example = json!({
            "success": true,
            "data": {"id": example::CALLBACK, "callback_config": {"source_agent_ids": [example::SOURCE]}},
        })),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NOT_A_CALLBACK_AGENT`: the agent does not have the callback role"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service().plan();
    let (_, callback) = callback_agent(&plan, environment, id)?;
    conditions.show(callback.revision(), || reply::data(Replaced { id, callback_config: callback.into() }))
}

/// Removes the callback role. The agent continues to take normal inbound calls.
#[utoipa::path(
    delete, path = "/api/v1/agents/{agent}/callback", tag = "callbacks", operation_id = "removeCallback",
    params(("agent" = Uuid, Path, description = "A callback agent", example = json!(example::CALLBACK)), Versions),
    responses(
        (status = 200, description = "The role is removed", body = Message<'static>, example = json!(
            {"success": true, "message": "Callback role removed"}
        )),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NOT_A_CALLBACK_AGENT`: the agent does not have the callback role"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let (_, callback) = callback_agent(plan, environment, id)?;
        conditions.allow(Some(callback.revision()))?;
        Ok(vec![Change::CallbackRemoved { id }])
    };
    api.change(environment, decide).await?;
    Ok(reply::message(StatusCode::OK, "Callback role removed"))
}

/// Returns whether the agent already has the role that the change would set. Such a change is not made: it would put the role
/// before all others of its sources.
pub(in crate::http) fn is_repeated(plan: &Plan, environment: EnvironmentId, change: &Change) -> bool {
    let Change::CallbackSet { id, sources, outcomes, lookback } = change else { return false };
    let held = plan.agent(environment, *id).and_then(AgentView::callback);
    held.is_some_and(|held| held.equals(sources, *outcomes, *lookback))
}

/// Returns the change, unless it changes nothing or exceeds the environment's limit of pairs. The exact number of pairs is known
/// only after the change, so the change is tried on a copy of the plan if it might exceed the limit.
fn within_quota(
    plan: &Plan,
    environment: EnvironmentId,
    change: Change,
    limit: usize,
    at: Timestamp,
) -> Result<Vec<Change>, Refusal> {
    if is_repeated(plan, environment, &change) {
        return Ok(Vec::new());
    }
    let slots = |plan: &Plan| plan.environment(environment).map_or(0, EnvironmentView::callback_slots);
    let most = match &change {
        Change::CallbackSet { sources, .. } => slots(plan) + sources.len(),
        _ => 0,
    };
    let changes = vec![change];
    if most > limit {
        let sequence = plan.generation() + 1;
        let next = plan.with(&Configuration::new(sequence, environment, at, changes.clone()))?;
        if slots(&next) > limit.max(slots(plan)) {
            return Err(Refusal::pair_quota(limit));
        }
    }
    Ok(changes)
}
