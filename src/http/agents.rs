//! `/agents`: what talks on calls.

use super::auth::Tenant;
use super::error::Refusal;
use super::form::{Form, QueryForm};
use super::path::Named;
use super::{Api, fresh, read, render, reply};
use crate::event::{Change, Direction};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, ConfigError, EnvironmentView, NumberView, Plan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

const DEFAULT_PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 100;

#[derive(Serialize)]
struct Meta {
    current_page: usize,
    per_page: usize,
    total: usize,
    last_page: usize,
}

pub(super) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let published = form.optional("status", |value| match read::text(value)? {
        "published" => Ok(true),
        "draft" => Ok(false),
        _ => Err("must be draft or published".into()),
    });
    let direction = form.optional("direction", read::direction);
    let search = form.optional("search", |value| Ok(read::text(value)?.to_lowercase()));
    let per_page = form.optional("per_page", |value| read::digits(value, 1..=MAX_PER_PAGE));
    let page = form.optional("page", |value| read::digits(value, 1..=usize::MAX));
    form.finish(|| Some(()))?;

    let contains = |text: &str| search.as_deref().is_none_or(|search| text.to_lowercase().contains(search));
    let wanted = |agent: &AgentView<'_>| {
        published.is_none_or(|published| agent.is_published() == published)
            && direction.is_none_or(|direction| agent.direction() == direction)
            && (contains(agent.name()) || search.is_some() && agent.label().is_some_and(contains))
    };
    let per_page = per_page.unwrap_or(DEFAULT_PER_PAGE);
    let page = page.unwrap_or(1);
    let plan = api.service.plan();
    let agents = plan.environment(environment).into_iter().flat_map(EnvironmentView::agents);
    let first = (page - 1).saturating_mul(per_page);
    let mut total = 0;
    let mut shown = Vec::new();
    for agent in agents.filter(wanted) {
        if total >= first && shown.len() < per_page {
            shown.push(render::Agent::from(agent));
        }
        total += 1;
    }
    let last_page = total.div_ceil(per_page).max(1);
    Ok(reply::page(shown, Meta { current_page: page, per_page, total, last_page }))
}

pub(super) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    show_agent(&api.service.plan(), environment, id)
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
        Some(_) => Err(ConfigError::AgentExists(id)),
        None => Ok((vec![Change::AgentCreated { id, name, label, direction }], true)),
    };
    let (plan, is_new) = api.configure(environment, decide).await?;
    let agent = plan.agent(environment, id).map(render::Agent::from).ok_or_else(Refusal::agent_not_found)?;
    Ok(if is_new { reply::created(agent) } else { reply::data(agent) })
}

/// Sets the direction and, where they are given, all numbers.
pub(super) async fn set_calling(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    mut form: Form,
) -> Result<Response, Refusal> {
    let direction = form.required("direction", read::direction);
    let numbers = form.optional("phone_number_ids", read::known_numbers);
    let direction = form.finish(|| direction)?;

    let decide = move |plan: &Plan| {
        plan.agent(environment, id).ok_or(ConfigError::UnknownAgent(id))?;
        // What cannot be an identity is nobody's, like an identity that is not known.
        let numbers = numbers.map(|ids| ids.into_iter().collect::<Option<Vec<_>>>().ok_or(vec![])).transpose();
        let numbers = numbers.map_err(ConfigError::UnknownNumbers)?;
        Ok(if changes_nothing(plan, environment, id, direction, numbers.as_deref()) {
            Vec::new()
        } else {
            vec![Change::CallingSet { id, direction, numbers }]
        })
    };
    let plan = api.change(environment, decide).await?;
    show_agent(&plan, environment, id)
}

fn changes_nothing(
    plan: &Plan,
    environment: EnvironmentId,
    id: AgentId,
    direction: Direction,
    numbers: Option<&[crate::NumberId]>,
) -> bool {
    plan.agent(environment, id).is_some_and(|agent| {
        let same_numbers = |numbers: &[_]| agent.numbers().map(NumberView::id).eq(numbers.iter().copied());
        agent.direction() == direction && numbers.is_none_or(same_numbers)
    })
}

pub(super) async fn publish(tenant: Tenant, agent: Named<AgentId>, api: State<Api>) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, true).await
}

pub(super) async fn unpublish(tenant: Tenant, agent: Named<AgentId>, api: State<Api>) -> Result<Response, Refusal> {
    set_published(tenant, agent, api, false).await
}

async fn set_published(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
    published: bool,
) -> Result<Response, Refusal> {
    let decide = move |plan: &Plan| match plan.agent(environment, id) {
        None => Err(ConfigError::UnknownAgent(id)),
        Some(agent) if agent.is_published() == published => Ok(Vec::new()),
        Some(_) if published => Ok(vec![Change::AgentPublished { id }]),
        Some(_) => Ok(vec![Change::AgentUnpublished { id }]),
    };
    let plan = api.change(environment, decide).await?;
    show_agent(&plan, environment, id)
}

pub(super) async fn remove(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    api.change(environment, move |_| Ok(vec![Change::AgentDeleted { id }])).await?;
    Ok(reply::message(StatusCode::OK, "Agent deleted"))
}

fn show_agent(plan: &Plan, environment: EnvironmentId, id: AgentId) -> Result<Response, Refusal> {
    let agent = plan.agent(environment, id).ok_or_else(Refusal::agent_not_found)?;
    Ok(reply::data(render::Agent::from(agent)))
}
