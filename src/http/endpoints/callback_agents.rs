//! `/callback-agents`: the agents with the callback role, and the agents that can be their sources.

use super::statistics::Period;
use crate::event::Direction;
use crate::http::Api;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::path::Named;
use crate::http::response::error::Refusal;
use crate::http::response::list::{self, Items, Listing, Shows};
use crate::http::response::render::{CallbackConfig, agent_status, direction};
use crate::http::response::reply::{self, Data};
use crate::http::response::shown::callback_agent;
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{EnvironmentView, Plan};
use crate::tally::Count;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// An agent with the callback role.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CallbackAgent<'a> {
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

/// An agent that can be the source of a callback role.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SourceAgent<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(schema_with = schema::direction)]
    direction: &'static str,
    #[schema(schema_with = schema::agent_status)]
    current_status: &'static str,
}

/// A callback agent, its source agents, and its counts.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Detail<'a> {
    agent: DetailAgent<'a>,
    source_agents: Vec<DetailSource<'a>>,
    stats: Stats,
}

/// A callback agent.
#[derive(Serialize, ToSchema)]
struct DetailAgent<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
    #[schema(schema_with = schema::direction)]
    direction: &'static str,
    #[schema(schema_with = schema::agent_status)]
    current_status: &'static str,
}

/// A source agent of a callback agent.
#[derive(Serialize, ToSchema)]
struct DetailSource<'a> {
    #[schema(value_type = Uuid)]
    id: AgentId,
    name: &'a str,
}

/// The counts of the last thirty days and today.
#[derive(Serialize, ToSchema)]
struct Stats {
    total_callbacks_received: u64,
    callbacks_answered: u64,
    period: Period,
}

/// Lists the agents with the callback role, including drafts, in the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/callback-agents", tag = "callbacks", operation_id = "listCallbackAgents",
    responses((status = 200, description = "All callback agents", body = Data<Vec<CallbackAgent<'static>>>, example = json!({
        "success": true,
        "data": [{
            "id": example::CALLBACK, "name": "Callback Handler", "label": null, "direction": "inbound",
            "current_status": "published", "callback_config": {"source_agent_ids": [example::SOURCE]},
        }],
    }))),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(Tenant(environment): Tenant, State(api): State<Api>) -> Response {
    Listing::new(CallbackAgents(environment), Shows::Plain).answer(&api, environment).await
}

struct CallbackAgents(EnvironmentId);

impl Items for CallbackAgents {
    fn places(&self, plan: &Plan) -> usize {
        plan.environment(self.0).map_or(0, EnvironmentView::agent_slots)
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let agent = plan.environment(self.0).and_then(|tenant| tenant.agent_at(place));
        let Some((agent, callback)) = agent.and_then(|agent| Some((agent, agent.callback()?))) else { return false };
        if let Some(out) = out {
            let shown = CallbackAgent {
                id: agent.id(),
                name: agent.name(),
                label: agent.label(),
                direction: direction(agent),
                current_status: agent_status(agent.is_published()),
                callback_config: callback.into(),
            };
            list::write(out, &shown);
        }
        true
    }
}

/// Lists the agents that can be sources of a callback role: the published outbound agents.
#[utoipa::path(
    get, path = "/api/v1/callback-agents/source-agents", tag = "callbacks", operation_id = "listSourceAgents",
    responses((status = 200, description = "All such agents", body = Data<Vec<SourceAgent<'static>>>, example = json!({
        "success": true,
        "data": [{"id": example::SOURCE, "name": "Reminders", "direction": "outbound", "current_status": "published"}],
    }))),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list_sources(Tenant(environment): Tenant, State(api): State<Api>) -> Response {
    Listing::new(SourceAgents(environment), Shows::Plain).answer(&api, environment).await
}

struct SourceAgents(EnvironmentId);

impl Items for SourceAgents {
    fn places(&self, plan: &Plan) -> usize {
        plan.environment(self.0).map_or(0, EnvironmentView::agent_slots)
    }

    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool {
        let agent = plan.environment(self.0).and_then(|tenant| tenant.agent_at(place));
        let agent = agent.filter(|agent| agent.is_published() && agent.direction() == Some(Direction::Outbound));
        let Some(agent) = agent else { return false };
        if let Some(out) = out {
            let shown = SourceAgent {
                id: agent.id(),
                name: agent.name(),
                direction: direction(agent),
                current_status: agent_status(agent.is_published()),
            };
            list::write(out, &shown);
        }
        true
    }
}

/// Returns a callback agent with its source agents, and its counts of the last thirty days and today.
#[utoipa::path(
    get, path = "/api/v1/callback-agents/{agent}", tag = "callbacks", operation_id = "showCallbackAgent",
    params(("agent" = Uuid, Path, description = "A callback agent", example = json!(example::CALLBACK))),
    responses(
        (status = 200, description = "The callback agent", body = Data<Detail<'static>>, example = json!({
            "success": true,
            "data": {
                "agent": {
                    "id": example::CALLBACK, "name": "Callback Handler", "direction": "inbound",
                    "current_status": "published",
                },
                "source_agents": [{"id": example::SOURCE, "name": "Reminders"}],
                "stats": {
                    "total_callbacks_received": 134, "callbacks_answered": 121,
                    "period": {"start": "2026-05-02", "end": "2026-06-01"},
                },
            },
        })),
        (status = 404, description = "`AGENT_NOT_FOUND`; `NOT_A_CALLBACK_AGENT`: the agent does not have the callback role"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    Named(id): Named<AgentId>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    callback_agent(&api.service().plan(), environment, id)?;
    let (period, statistics) = api.recent_statistics(environment).await?;
    let own = statistics.callbacks.iter().filter(|callbacks| callbacks.agent == id);
    let count = own.fold(Count::default(), |sum, callbacks| sum.plus(callbacks.count));

    let plan = api.service().plan();
    let (agent, callback) = callback_agent(&plan, environment, id)?;
    let source = |id| plan.agent(environment, id).map(|source| DetailSource { id, name: source.name() });
    Ok(reply::data(Detail {
        agent: DetailAgent {
            id,
            name: agent.name(),
            direction: direction(agent),
            current_status: agent_status(agent.is_published()),
        },
        source_agents: callback.sources().into_iter().filter_map(source).collect(),
        stats: Stats { total_callbacks_received: count.received, callbacks_answered: count.answered, period },
    }))
}
