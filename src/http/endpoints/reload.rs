//! `POST /reload`: the daemon reads its settings again.

use crate::http::Api;
use crate::http::request::auth::Operator;
use crate::http::response::error::Refusal;
use crate::http::response::reply::{self, Data};
use crate::id::EnvironmentId;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The result of a reload.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Reloaded {
    /// The options that have changed and are taken over only by a restart.
    needs_restart: Vec<String>,
}

/// Reads the configuration file, the TLS certificate, the addresses of agents and the log filter again, and takes them over.
///
/// SIGHUP does the same. If one of them is wrong, nothing changes.
#[utoipa::path(
    post, path = "/api/v1/reload", tag = "operators", operation_id = "reload",
    responses(
        (status = 200, description = "The settings are taken over", body = Data<Reloaded>, example = json!(
            {"success": true, "data": {"needs_restart": ["listen"]}}
        )),
        (status = 409, description = "`NOT_RELOADED`: an option or a file is wrong, and nothing has changed"),
        (status = 501, description = "`NOT_RELOADABLE`: the service reads its settings only when it starts"),
    ),
    security(("operator" = [])),
)]
pub(in crate::http) async fn run(_: Operator, State(api): State<Api>) -> Result<Response, Refusal> {
    let reload = Arc::clone(api.reload.as_ref().ok_or_else(Refusal::not_reloadable)?);
    let reloaded = api.work.run(EnvironmentId::SYSTEM, move || reload()).await;
    let needs_restart = reloaded.map_err(|why| Refusal::not_reloaded(&why))?;
    Ok(reply::data(Reloaded { needs_restart }))
}
