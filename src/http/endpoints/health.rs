//! Health endpoints. They need no token, so they name no tenant, agent or number.

use crate::http::Api;
use crate::http::middleware::loading;
use crate::http::openapi::schema;
use crate::http::response::reply;
use crate::metrics::{Fleet, FleetState, Skipped};
use crate::service::Recovered;
use crate::store::Durability;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The response of a healthy daemon.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Well {
    status: &'static str,
    /// The durability of acknowledgements; present if it is less than `synced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::durability, required = false)]
    durability: Option<&'static str>,
    /// The state of the node in its fleet; present on a node of a fleet. `joining`: not caught up yet. `following`: up to date
    /// with the stream. `away`: the stream is unreachable, and the node continues with the data it has. `full`: the stream
    /// takes no more messages, and the node keeps its own. `stopped`: its configuration differs from the other nodes'.
    /// `halted`: the node waits before a message that it cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    fleet: Option<&'static str>,
    /// The reason for the state; present if it is `away`, `full`, `stopped` or `halted`, and if a node that joins has failed to
    /// do so and tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    fleet_reason: Option<String>,
    /// How many entries wait in the outbox for the other nodes; present on a node of a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    fleet_outbox: Option<u64>,
    /// How many messages of the fleet's stream the node has skipped, by reason; present if there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    fleet_skipped: BTreeMap<&'static str, u64>,
    /// The lag of the node in seconds; present if it exceeds the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    lag_seconds: Option<u64>,
}

impl Well {
    const fn ok() -> Self {
        Self {
            status: "ok",
            durability: None,
            fleet: None,
            fleet_reason: None,
            fleet_outbox: None,
            fleet_skipped: BTreeMap::new(),
            lag_seconds: None,
        }
    }
}

/// The response of an unhealthy daemon.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Unwell {
    status: &'static str,
    #[schema(schema_with = schema::no)]
    success: bool,
    message: &'static str,
    #[schema(schema_with = schema::code)]
    code: &'static str,
    /// The progress of loading; present while the daemon loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    progress: Option<Progress>,
}

impl Unwell {
    const fn new(status: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { status, success: false, message, code, progress: None }
    }
}

/// The amount of stored data that has been loaded.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Progress {
    configurations: u64,
    pairs: u64,
}

/// Reports whether the daemon runs. If there is no response, restart the daemon.
#[utoipa::path(
    get, path = "/health/live", tag = "service", operation_id = "live",
    responses((status = 200, description = "The daemon runs", body = Well, example = json!({"status": "ok"}))),
)]
pub(in crate::http) async fn live() -> Response {
    reply::json(StatusCode::OK, &Well::ok())
}

/// Reports whether calls should be routed here. A failed store does not change the result, because calls are routed from memory.
/// Neither does loading, if routes are answered while loading.
#[utoipa::path(
    get, path = "/health/ready", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "Calls should be routed here", body = Well, example = json!({"status": "ok"})),
        (status = 503, description = "`LOADING`: the stored data is still being loaded", body = Unwell),
    ),
)]
pub(in crate::http) async fn ready(State(api): State<Api>) -> Response {
    if let Some(so_far) = api.service().loading().filter(|_| !api.inbound.is_ready()) {
        return still_loading(so_far);
    }
    reply::json(StatusCode::OK, &Well::ok())
}

/// Reports the health of the daemon. A node of a fleet that lags or is cut off is healthy; the response says that it lags.
///
/// The `status` says how severe a problem is. `degraded`: the daemon accepts changes, but an operator must act. `failing`:
/// the daemon accepts no changes now. `loading`: the stored data is still being loaded. A failing daemon still answers routes;
/// a loading one may reject them.
#[utoipa::path(
    get, path = "/health", tag = "service", operation_id = "health",
    responses(
        (status = 200, description = "The daemon is healthy", body = Well, example = json!({"status": "ok"})),
        (status = 503, description = "`NOT_DURABLE`: the store cannot be written. `STORE_HANGS`: the store has not responded for \
                                      about two seconds. `UPKEEP_FAILING`: two purges in a row have failed. `LOADING`: the \
                                      stored data is still being loaded", body = Unwell),
    ),
)]
pub(in crate::http) async fn show(State(api): State<Api>) -> Response {
    if let Some(so_far) = api.service().loading() {
        return still_loading(so_far);
    }
    if let Some(unwell) = wrong(&api) {
        return reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell);
    }
    let durability = Some(api.service().durability()).filter(|durability| *durability != Durability::Synced);
    let fleet = api.service().fleet();
    let state = fleet.map(|fleet| fleet.state());
    let well = Well {
        status: "ok",
        durability: durability.map(Durability::name),
        fleet: state.as_ref().map(FleetState::name),
        fleet_reason: state.and_then(|state| state.reason().map(str::to_owned)),
        fleet_outbox: fleet.map(|fleet| fleet.outbox()),
        fleet_skipped: fleet.map(|fleet| skipped(fleet)).unwrap_or_default(),
        lag_seconds: fleet.filter(|fleet| fleet.is_lagging()).map(|fleet| fleet.lag_millis() / 1000),
    };
    reply::json(StatusCode::OK, &well)
}

fn skipped(fleet: &Fleet) -> BTreeMap<&'static str, u64> {
    let counts = Skipped::ALL.map(|why| (why.name(), fleet.skipped(why)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Returns the most severe problem of a daemon that has finished loading.
fn wrong(api: &Api) -> Option<Unwell> {
    if api.service().failure().is_some() {
        let message = "The store cannot be written; routes are answered from memory";
        return Some(Unwell::new("failing", "NOT_DURABLE", message));
    }
    if api.service().commits().is_stalled() {
        let message = "The store does not respond: changes wait for the disk; routes are answered from memory";
        return Some(Unwell::new("failing", "STORE_HANGS", message));
    }
    api.upkeep.as_ref().filter(|upkeep| upkeep.is_failing()).map(|_| {
        let message =
            "Purges fail: erased numbers are still on the disk, and the store grows. Find the reason in the log";
        Unwell::new("degraded", "UPKEEP_FAILING", message)
    })
}

fn still_loading(so_far: Recovered) -> Response {
    let unwell = Unwell {
        progress: Some(Progress { configurations: so_far.configurations, pairs: so_far.pairs }),
        ..Unwell::new("loading", "LOADING", "The stored data is still being loaded")
    };
    loading::later(reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell))
}
