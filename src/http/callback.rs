//! `/agents/{id}/callback`: who takes whose callbacks.

use super::auth::Tenant;
use super::error::Refusal;
use super::etag::{Conditions, tagged};
use super::form::Form;
use super::path::Named;
use super::render::CallbackConfig;
use super::{Api, read, reply};
use crate::event::Change;
use crate::id::{AgentId, EnvironmentId};
use crate::outcome::OutcomeSet;
use crate::plan::{AgentView, CallbackView, ConfigError, Plan};
use crate::time::Lookback;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

/// What both requests that set the role say.
struct Role {
    sources: Vec<AgentId>,
    outcomes: Option<OutcomeSet>,
    lookback: Option<Lookback>,
}

impl Role {
    fn read(mut form: Form) -> Result<Self, Refusal> {
        let sources = form.required("source_agent_ids", read::source_agents);
        let outcomes = form.optional("callback_trigger_statuses", read::outcomes);
        let lookback = form.optional("lookback_days", read::lookback);
        form.finish(|| Some(Self { sources: sources?, outcomes, lookback }))
    }

    fn set_on(self, id: AgentId) -> Change {
        Change::CallbackSet { id, sources: self.sources, outcomes: self.outcomes, lookback: self.lookback }
    }
}

#[derive(Serialize)]
struct Created<'a> {
    id: AgentId,
    name: &'a str,
    direction: &'static str,
    callback_config: CallbackConfig,
}

#[derive(Serialize)]
struct Replaced {
    id: AgentId,
    callback_config: CallbackConfig,
}

/// Gives the role; on an agent that has it, replaces its sources.
pub(super) async fn create(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    form: Form,
) -> Result<Response, Refusal> {
    let role = Role::read(form)?;
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(agent.callback().map(CallbackView::revision))?;
        Ok(vec![role.set_on(id)])
    };
    let plan = api.change(environment, decide).await?;
    let (agent, callback) = callback_agent(&plan, environment, id)?;
    let (name, direction) = (agent.name(), agent.direction().name());
    let created = Created { id, name, direction, callback_config: callback.into() };
    Ok(tagged(callback.revision(), reply::data(created)))
}

/// Replaces the sources of an agent that has the role.
pub(super) async fn replace(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    form: Form,
) -> Result<Response, Refusal> {
    let role = Role::read(form)?;
    let decide = move |plan: &Plan| {
        let (_, callback) = callback_agent(plan, environment, id)?;
        conditions.allow(Some(callback.revision()))?;
        Ok(vec![role.set_on(id)])
    };
    let plan = api.change(environment, decide).await?;
    let (_, callback) = callback_agent(&plan, environment, id)?;
    Ok(tagged(callback.revision(), reply::data(Replaced { id, callback_config: callback.into() })))
}

/// Shows what [`replace`] would replace, for its tag.
pub(super) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service.plan();
    let (_, callback) = callback_agent(&plan, environment, id)?;
    conditions.show(callback.revision(), || reply::data(Replaced { id, callback_config: callback.into() }))
}

pub(super) async fn remove(
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

/// The agent, which must be there and have the role.
fn callback_agent(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
) -> Result<(AgentView<'_>, CallbackView<'_>), ConfigError> {
    let agent = plan.agent(environment, id).ok_or(ConfigError::UnknownAgent(id))?;
    let callback = agent.callback().ok_or(ConfigError::NotACallbackAgent(id))?;
    Ok((agent, callback))
}
