//! Whether everything works. Takes no token, so it names nothing.

use super::openapi::schema;
use super::{Api, loading, reply};
use crate::service::Recovered;
use crate::store::Durability;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// Everything works.
#[derive(Serialize, ToSchema)]
pub(super) struct Well {
    status: &'static str,
    /// Named where it is less than everybody expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::durability, required = false)]
    durability: Option<&'static str>,
    /// How a node stands to its fleet: `joining`, `following`, `away` (the stream cannot be reached; it goes on with what it has) or
    /// `stopped` (it has another configuration than the others: the log says which). Only of a node of a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    fleet: Option<&'static str>,
    /// By how many seconds the node is behind, where that is more than it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    lag_seconds: Option<u64>,
}

impl Well {
    const fn ok() -> Self {
        Self { status: "ok", durability: None, fleet: None, lag_seconds: None }
    }
}

/// Something does not.
#[derive(Serialize, ToSchema)]
pub(super) struct Unwell {
    status: &'static str,
    #[schema(schema_with = schema::no)]
    success: bool,
    message: &'static str,
    #[schema(schema_with = schema::code)]
    code: &'static str,
    /// How far loading has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    progress: Option<Progress>,
}

impl Unwell {
    const fn new(status: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { status, success: false, message, code, progress: None }
    }
}

/// What is there already of what is stored.
#[derive(Serialize, ToSchema)]
pub(super) struct Progress {
    configurations: u64,
    pairs: u64,
}

/// Whether the daemon runs: not so, it is to be started again.
#[utoipa::path(
    get, path = "/health/live", tag = "service", operation_id = "live",
    responses((status = 200, description = "It does", body = Well, example = json!({"status": "ok"}))),
)]
pub(super) async fn live() -> Response {
    reply::json(StatusCode::OK, &Well::ok())
}

/// Whether calls should be routed here. A store that has failed is no reason to send them elsewhere: they are routed from
/// memory. Nor is one that is still being loaded, where routes are answered meanwhile.
#[utoipa::path(
    get, path = "/health/ready", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "They should", body = Well, example = json!({"status": "ok"})),
        (status = 503, description = "`LOADING`: what is stored is still being loaded", body = Unwell),
    ),
)]
pub(super) async fn ready(State(api): State<Api>) -> Response {
    if let Some(so_far) = api.service.loading().filter(|_| !loading::routes_are_answered(&api)) {
        return still_loading(so_far);
    }
    reply::json(StatusCode::OK, &Well::ok())
}

/// Whether everything works. A node of a fleet that is behind or cut off works, and is named.
///
/// The `status` says how bad it is: `degraded` (the daemon takes changes, and something needs its operator), `failing` (it takes no
/// changes now) or `loading`. Routes are answered in any case.
#[utoipa::path(
    get, path = "/health", tag = "service", operation_id = "health",
    responses(
        (status = 200, description = "It does", body = Well, example = json!({"status": "ok"})),
        (status = 503, description = "`NOT_DURABLE`: the store cannot be written. `STORE_HANGS`: the store has not answered for \
                                      about two seconds. `UPKEEP_FAILING`: two purges in a row have failed. `LOADING`: what is \
                                      stored is still being loaded", body = Unwell),
    ),
)]
pub(super) async fn show(State(api): State<Api>) -> Response {
    if let Some(so_far) = api.service.loading() {
        return still_loading(so_far);
    }
    if let Some(unwell) = wrong(&api) {
        return reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell);
    }
    let durability = Some(api.service.durability()).filter(|durability| *durability != Durability::Synced);
    let fleet = api.service.fleet();
    let well = Well {
        status: "ok",
        durability: durability.map(Durability::name),
        fleet: fleet.map(|fleet| fleet.state().name()),
        lag_seconds: fleet.filter(|fleet| fleet.is_lagging()).map(|fleet| fleet.lag_millis() / 1000),
    };
    reply::json(StatusCode::OK, &well)
}

/// What is wrong with a daemon that has loaded everything: the worst of it.
fn wrong(api: &Api) -> Option<Unwell> {
    if api.service.failure().is_some() {
        let message = "The store cannot be written; routes are answered from memory";
        return Some(Unwell::new("failing", "NOT_DURABLE", message));
    }
    if api.service.commits().is_stalled() {
        let message = "The store does not answer: changes wait for the disk; routes are answered from memory";
        return Some(Unwell::new("failing", "STORE_HANGS", message));
    }
    api.upkeep.as_ref().filter(|upkeep| upkeep.is_failing()).map(|_| {
        let message = "Purges fail: erased numbers are still on the disk, and the store grows. The log says why";
        Unwell::new("degraded", "UPKEEP_FAILING", message)
    })
}

fn still_loading(so_far: Recovered) -> Response {
    let unwell = Unwell {
        progress: Some(Progress { configurations: so_far.configurations, pairs: so_far.pairs }),
        ..Unwell::new("loading", "LOADING", "What is stored is still being loaded")
    };
    loading::later(reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell))
}
