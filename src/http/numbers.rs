//! `/phone-numbers`: the numbers of an environment.

use super::auth::Tenant;
use super::error::Refusal;
use super::etag::{Conditions, tagged};
use super::form::{Form, Given, QueryForm};
use super::page::Page;
use super::path::Named;
use super::{Api, fresh, read, render, reply};
use crate::event::Change;
use crate::id::{AgentId, NumberId};
use crate::plan::{ConfigError, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// A page of them, or all where no page is asked for: the public API's clients know of none here.
pub(super) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    conditions: Conditions,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let page = Page::read(&mut form).unwrap_or_else(Page::whole);
    form.finish(|| Some(()))?;
    let plan = api.service.plan();
    let tenant = plan.environment(environment).ok_or_else(Refusal::internal)?;
    conditions.show(tenant.revision(), || page.of(tenant.numbers(), render::Number::from))
}

pub(super) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service.plan();
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    conditions.show(number.revision(), || reply::data(render::Number::from(number)))
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
        Some(_) => Err(ConfigError::NumberExists(id).into()),
        None => Ok((vec![Change::NumberAdded { id, number }], true)),
    };
    let (plan, is_new) = api.configure(environment, decide).await?;
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    let shown = render::Number::from(number);
    Ok(tagged(number.revision(), if is_new { reply::created(shown) } else { reply::data(shown) }))
}

/// Names the number's default agent, or nobody.
pub(super) async fn set_default_agent(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    let agent = form.nullable("default_agent_id", |value| Ok(AgentId::parse(read::text(value)?)));
    if matches!(agent, Given::Missing) {
        form.error("default_agent_id", &"must be the id of an agent, or null".into());
    }
    let agent = form.finish(|| Some(agent))?;

    let decide = move |plan: &Plan| {
        let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
        conditions.allow(Some(number.revision()))?;
        let agent = match agent {
            Given::Value(Some(agent)) => Some(agent),
            // What cannot be an identity is nobody's, like an identity that is not known.
            Given::Value(None) => return Err(Refusal::agent_not_found()),
            Given::Null | Given::Missing => None,
        };
        Ok(vec![Change::DefaultAgentSet { number: id, agent }])
    };
    let plan = api.change(environment, decide).await?;
    let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
    Ok(tagged(number.revision(), reply::data(render::Number::from(number))))
}

pub(super) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<NumberId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let number = plan.number(environment, id).ok_or_else(Refusal::number_not_found)?;
        conditions.allow(Some(number.revision()))?;
        Ok(vec![Change::NumberReleased { id }])
    };
    api.change(environment, decide).await?;
    Ok(reply::message(StatusCode::OK, "Phone number deleted"))
}
