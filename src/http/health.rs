//! Whether everything works. Takes no token, so it names nothing.

use super::{Api, reply};
use crate::store::Durability;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

#[derive(Serialize)]
struct Well {
    status: &'static str,
    /// Named where it is less than everybody expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
}

#[derive(Serialize)]
struct Unwell {
    status: &'static str,
    success: bool,
    message: &'static str,
    code: &'static str,
}

pub(super) async fn show(State(api): State<Api>) -> Response {
    if api.service.failure().is_none() {
        let durability = Some(api.service.durability()).filter(|durability| *durability != Durability::Synced);
        return reply::json(StatusCode::OK, &Well { status: "ok", durability: durability.map(Durability::name) });
    }
    let unwell = Unwell {
        status: "failing",
        success: false,
        message: "The store cannot be written; routes are answered from memory",
        code: "NOT_DURABLE",
    };
    reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell)
}
