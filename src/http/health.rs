//! Whether everything works. Takes no token, so it names nothing.

use super::{Api, reply};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

#[derive(Serialize)]
struct Well {
    status: &'static str,
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
        return reply::json(StatusCode::OK, &Well { status: "ok" });
    }
    let unwell = Unwell {
        status: "failing",
        success: false,
        message: "The store cannot be written; routes are answered from memory",
        code: "NOT_DURABLE",
    };
    reply::json(StatusCode::SERVICE_UNAVAILABLE, &unwell)
}
