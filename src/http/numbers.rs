//! `/phone-numbers`: the numbers of an environment.

use super::auth::Tenant;
use super::error::Refusal;
use super::form::{Form, Given};
use super::path::Named;
use super::{Api, fresh, read, render, reply};
use crate::event::Change;
use crate::id::{AgentId, NumberId};
use crate::plan::{ConfigError, EnvironmentView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// All of them: an environment has few enough.
pub(super) async fn list(Tenant(environment): Tenant, State(api): State<Api>) -> Response {
    let plan = api.service.plan();
    let numbers = plan.environment(environment).into_iter().flat_map(EnvironmentView::numbers);
    reply::data(numbers.map(render::Number::from).collect::<Vec<_>>())
}

/// Takes a number into the environment. As with agents, a client may bring the identity along.
pub(super) async fn create(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let number = form.required("number", read::international);
    let id = form.optional("id", |value| read::uuid(value, NumberId::parse));
    let number = form.finish(|| number)?;
    let id = id.unwrap_or_else(|| fresh::uuid().into());

    let decide = move |plan: &Plan| match plan.number(environment, id) {
        Some(held) if held.number() == number => Ok((Vec::new(), false)),
        Some(_) => Err(ConfigError::NumberExists(id)),
        None => Ok((vec![Change::NumberAdded { id, number }], true)),
    };
    let (plan, is_new) = api.configure(environment, decide).await?;
    let number = plan.number(environment, id).map(render::Number::from).ok_or_else(Refusal::number_not_found)?;
    Ok(if is_new { reply::created(number) } else { reply::data(number) })
}

/// Names the number's default agent, or nobody.
pub(super) async fn set_default_agent(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let agent = form.nullable("default_agent_id", |value| Ok(AgentId::parse(read::text(value)?)));
    if matches!(agent, Given::Missing) {
        form.error("default_agent_id", &"must be the id of an agent, or null".into());
    }
    let agent = form.finish(|| Some(agent))?;

    let decide = move |plan: &Plan| {
        plan.number(environment, id).ok_or_else(|| ConfigError::UnknownNumbers(vec![id]))?;
        let agent = match agent {
            Given::Value(Some(agent)) => Some(agent),
            // What cannot be an identity is nobody's, like an identity that is not known.
            Given::Value(None) => return Err(ConfigError::UnknownAgent(AgentId::from_u128(0))),
            Given::Null | Given::Missing => None,
        };
        Ok(vec![Change::DefaultAgentSet { number: id, agent }])
    };
    let plan = api.change(environment, decide).await?;
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    Ok(reply::data(render::Number::from(number)))
}

pub(super) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    api.change(environment, move |_| Ok(vec![Change::NumberReleased { id }])).await?;
    Ok(reply::message(StatusCode::OK, "Phone number deleted"))
}
