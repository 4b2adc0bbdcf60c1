//! The responses that show one entity, with its `ETag`.

use super::error::Refusal;
use super::render::{Agent, CallbackConfig, Number, direction};
use super::reply;
use crate::event::StoredAnswerSubject;
use crate::http::openapi::schema;
use crate::http::request::etag::tagged;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{AgentView, CallbackView, ConfigError, Plan};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// An agent that has received the callback role.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Created<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(schema_with = schema::direction)]
    direction: &'static str,
    callback_config: CallbackConfig,
}

/// Returns the response that shows the entity. That of an agent has the message, if there is one.
pub(in crate::http) fn subject(
    plan: &Plan,
    environment: EnvironmentId,
    subject: StoredAnswerSubject,
    message: Option<&str>,
) -> Result<Response, Refusal> {
    match subject {
        StoredAnswerSubject::Agent(id) => match message {
            Some(message) => agent_done(plan, environment, id, (StatusCode::OK, message), Vec::new()),
            None => agent(plan, environment, id),
        },
        StoredAnswerSubject::Callback(id) => callback(plan, environment, id),
        StoredAnswerSubject::Number(id) => number(plan, environment, id),
    }
}

/// Returns the response that shows the agent, with its `ETag`.
pub(in crate::http) fn agent(plan: &Plan, environment: EnvironmentId, id: AgentId) -> Result<Response, Refusal> {
    agent_warned(plan, environment, id, Vec::new())
}

/// Returns the response that says what was done, with warnings, and shows the agent with its `ETag`.
pub(in crate::http) fn agent_done(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
    (status, message): (StatusCode, &str),
    warnings: Vec<String>,
) -> Result<Response, Refusal> {
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    Ok(tagged(agent.revision(), reply::done(status, message, Agent::from(agent), warnings)))
}

/// Returns the response that shows the agent, with warnings and its `ETag`.
pub(in crate::http) fn agent_warned(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
    warnings: Vec<String>,
) -> Result<Response, Refusal> {
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    Ok(tagged(agent.revision(), reply::warned(Agent::from(agent), warnings)))
}

/// Returns the response that shows the number, with its `ETag`.
pub(in crate::http) fn number(plan: &Plan, environment: EnvironmentId, id: NumberId) -> Result<Response, Refusal> {
    number_warned(plan, environment, id, Vec::new())
}

/// Returns the response that shows the number, with warnings and its `ETag`.
pub(in crate::http) fn number_warned(
    plan: &Plan,
    environment: EnvironmentId,
    id: NumberId,
    warnings: Vec<String>,
) -> Result<Response, Refusal> {
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    Ok(tagged(number.revision(), reply::warned(Number::from(number), warnings)))
}

/// Returns the response that shows the agent with its role, tagged with the role's version.
pub(in crate::http) fn callback(plan: &Plan, environment: EnvironmentId, id: AgentId) -> Result<Response, Refusal> {
    callback_warned(plan, environment, id, Vec::new())
}

/// Returns the response that shows the agent with its role, with warnings, tagged with the role's version.
pub(in crate::http) fn callback_warned(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
    warnings: Vec<String>,
) -> Result<Response, Refusal> {
    let (agent, callback) = callback_agent(plan, environment, id)?;
    let created = Created { id, name: agent.name(), direction: direction(agent), callback_config: callback.into() };
    Ok(tagged(callback.revision(), reply::warned(created, warnings)))
}

/// Returns the agent and its callback role.
///
/// # Errors
/// If the agent does not exist or does not have the role.
pub(in crate::http) fn callback_agent(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
) -> Result<(AgentView<'_>, CallbackView<'_>), ConfigError> {
    let agent = plan.agent(environment, id).ok_or(ConfigError::UnknownAgent(id))?;
    let callback = agent.callback().ok_or(ConfigError::NotACallbackAgent(id))?;
    Ok((agent, callback))
}
