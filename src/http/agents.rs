//! `/agents`: what talks on calls.

use super::auth::Tenant;
use super::error::Refusal;
use super::etag::{Conditions, tagged};
use super::form::{Form, QueryForm};
use super::page::Page;
use super::path::Named;
use super::{Api, fresh, read, render, reply};
use crate::event::{Change, Direction};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, ConfigError, NumberView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

pub(super) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    conditions: Conditions,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let published = form.optional("status", |value| match read::text(value)? {
        "published" => Ok(true),
        "draft" => Ok(false),
        _ => Err("must be draft or published".into()),
    });
    let direction = form.optional("direction", read::direction);
    let search = form.optional("search", |value| Ok(read::text(value)?.to_lowercase()));
    let page = Page::read(&mut form).unwrap_or_else(Page::first);
    form.finish(|| Some(()))?;

    let contains = |text: &str| search.as_deref().is_none_or(|search| text.to_lowercase().contains(search));
    let wanted = |agent: &AgentView<'_>| {
        published.is_none_or(|published| agent.is_published() == published)
            && direction.is_none_or(|direction| agent.direction() == direction)
            && (contains(agent.name()) || search.is_some() && agent.label().is_some_and(contains))
    };
    let plan = api.service.plan();
    let tenant = plan.environment(environment).ok_or_else(Refusal::internal)?;
    conditions.show(tenant.revision(), || page.of(tenant.agents().filter(wanted), render::Agent::from))
}

pub(super) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let plan = api.service.plan();
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    conditions.show(agent.revision(), || reply::data(render::Agent::from(agent)))
}

/// Makes a draft. A client may bring the identity along, and may then ask as often as it likes.
pub(super) async fn create(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let name = form.required("name", read::name);
    let direction = form.required("direction", read::direction);
    let label = form.optional("label", read::name);
    let id = form.optional("id", |value| read::uuid(value, AgentId::parse));
    let (name, direction) = form.finish(|| name.zip(direction))?;
    let id = id.unwrap_or_else(|| fresh::uuid().into());

    let decide = move |plan: &Plan| match plan.agent(environment, id) {
        Some(held) if held.name() == name && held.label() == label.as_deref() && held.direction() == direction => {
            Ok((Vec::new(), false))
        }
        Some(_) => Err(ConfigError::AgentExists(id).into()),
        None => Ok((vec![Change::AgentCreated { id, name, label, direction }], true)),
    };
    let (plan, is_new) = api.configure(environment, decide).await?;
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    let shown = render::Agent::from(agent);
    Ok(tagged(agent.revision(), if is_new { reply::created(shown) } else { reply::data(shown) }))
}

/// Sets the direction and, where they are given, all numbers.
pub(super) async fn set_calling(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    mut form: Form,
) -> Result<Response, Refusal> {
    let direction = form.required("direction", read::direction);
    let numbers = form.optional("phone_number_ids", read::known_numbers);
    let direction = form.finish(|| direction)?;

    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        // What cannot be an identity is nobody's, like an identity that is not known.
        let numbers = numbers.map(|ids| ids.into_iter().collect::<Option<Vec<_>>>().ok_or(vec![])).transpose();
        let numbers = numbers.map_err(ConfigError::UnknownNumbers)?;
        Ok(if changes_nothing(agent, direction, numbers.as_deref()) {
            Vec::new()
        } else {
            vec![Change::CallingSet { id, direction, numbers }]
        })
    };
    let plan = api.change(environment, decide).await?;
    show_agent(&plan, environment, id)
}

fn changes_nothing(agent: AgentView<'_>, direction: Direction, numbers: Option<&[crate::NumberId]>) -> bool {
    let same_numbers = |numbers: &[_]| agent.numbers().map(NumberView::id).eq(numbers.iter().copied());
    agent.direction() == direction && numbers.is_none_or(same_numbers)
}

pub(super) async fn publish(
    tenant: Tenant,
    agent: Named<AgentId>,
    api: State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, conditions, true).await
}

pub(super) async fn unpublish(
    tenant: Tenant,
    agent: Named<AgentId>,
    api: State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, conditions, false).await
}

async fn set_published(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
    published: bool,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        Ok(match published {
            _ if agent.is_published() == published => Vec::new(),
            true => vec![Change::AgentPublished { id }],
            false => vec![Change::AgentUnpublished { id }],
        })
    };
    let plan = api.change(environment, decide).await?;
    show_agent(&plan, environment, id)
}

pub(super) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    conditions: Conditions,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| {
        let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
        conditions.allow(Some(agent.revision()))?;
        Ok(vec![Change::AgentDeleted { id }])
    };
    api.change(environment, decide).await?;
    Ok(reply::message(StatusCode::OK, "Agent deleted"))
}

fn show_agent(plan: &Plan, environment: EnvironmentId, id: AgentId) -> Result<Response, Refusal> {
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    Ok(tagged(agent.revision(), reply::data(render::Agent::from(agent))))
}
