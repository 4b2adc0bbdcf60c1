//! `/callback-agents`: who has the role, and who may be a source.

use super::auth::Tenant;
use super::render::{CallbackConfig, agent_status};
use super::{Api, reply};
use crate::event::Direction;
use crate::id::AgentId;
use crate::plan::EnvironmentView;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

#[derive(Serialize)]
struct CallbackAgent<'a> {
    id: AgentId,
    name: &'a str,
    label: Option<&'a str>,
    direction: &'static str,
    current_status: &'static str,
    callback_config: CallbackConfig,
}

#[derive(Serialize)]
struct SourceAgent<'a> {
    id: AgentId,
    name: &'a str,
    direction: &'static str,
    current_status: &'static str,
}

/// The agents that have the role, drafts too, in the order of their creation.
pub(super) async fn list(Tenant(environment): Tenant, State(api): State<Api>) -> Response {
    let plan = api.service.plan();
    let agents = plan.environment(environment).into_iter().flat_map(EnvironmentView::agents);
    let shown = agents.filter_map(|agent| {
        Some(CallbackAgent {
            id: agent.id(),
            name: agent.name(),
            label: agent.label(),
            direction: agent.direction().name(),
            current_status: agent_status(agent.is_published()),
            callback_config: agent.callback()?.into(),
        })
    });
    reply::data(shown.collect::<Vec<_>>())
}

/// The agents whose callbacks somebody may take: published, outbound.
pub(super) async fn list_sources(Tenant(environment): Tenant, State(api): State<Api>) -> Response {
    let plan = api.service.plan();
    let agents = plan.environment(environment).into_iter().flat_map(EnvironmentView::agents);
    let sources = agents.filter(|agent| agent.is_published() && agent.direction() == Direction::Outbound);
    let shown = sources.map(|agent| SourceAgent {
        id: agent.id(),
        name: agent.name(),
        direction: agent.direction().name(),
        current_status: agent_status(agent.is_published()),
    });
    reply::data(shown.collect::<Vec<_>>())
}
