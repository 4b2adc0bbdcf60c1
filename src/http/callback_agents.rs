//! `/callback-agents`: who has the role, and who may be a source.

use super::auth::Tenant;
use super::openapi::{example, schema};
use super::render::{CallbackConfig, agent_status};
use super::reply::Data;
use super::{Api, reply};
use crate::event::Direction;
use crate::id::AgentId;
use crate::plan::EnvironmentView;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// An agent that has the role.
#[derive(Serialize, ToSchema)]
pub(super) struct CallbackAgent<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(required)]
    label: Option<&'a str>,
    #[schema(schema_with = schema::direction)]
    direction: &'static str,
    #[schema(schema_with = schema::agent_status)]
    current_status: &'static str,
    callback_config: CallbackConfig,
}

/// An agent whose callbacks somebody may take.
#[derive(Serialize, ToSchema)]
pub(super) struct SourceAgent<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(schema_with = schema::direction)]
    direction: &'static str,
    #[schema(schema_with = schema::agent_status)]
    current_status: &'static str,
}

/// The agents that have the role, drafts too, in the order of their creation.
#[utoipa::path(
    get, path = "/callback-agents", tag = "callbacks", operation_id = "listCallbackAgents",
    responses((status = 200, description = "All of them", body = Data<Vec<CallbackAgent<'static>>>, example = json!({
        "success": true,
        "data": [{
            "id": example::CALLBACK, "name": "Callback Handler", "label": null, "direction": "inbound",
            "current_status": "published", "callback_config": {"source_agent_ids": [example::SOURCE]},
        }],
    }))),
    security(("environment" = [])),
)]
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
#[utoipa::path(
    get, path = "/callback-agents/source-agents", tag = "callbacks", operation_id = "listSourceAgents",
    responses((status = 200, description = "All of them", body = Data<Vec<SourceAgent<'static>>>, example = json!({
        "success": true,
        "data": [{"id": example::SOURCE, "name": "Reminders", "direction": "outbound", "current_status": "published"}],
    }))),
    security(("environment" = [])),
)]
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
