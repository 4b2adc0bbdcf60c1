//! `DELETE /contacts/{number}`: erases a contact from the environment.

use crate::engine::Applied;
use crate::event::{Erasure, Event};
use crate::history::LastCall;
use crate::http::Api;
use crate::http::openapi::example;
use crate::http::request::auth::Tenant;
use crate::http::response::error::Refusal;
use crate::http::response::reply::{self, Data};
use crate::id::EnvironmentId;
use crate::number::{DialPlan, E164};
use crate::service::Service;
use crate::time::Timestamp;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// The result of an erasure.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Erased {
    pairs_erased: u64,
}

/// Erases a contact from the environment's call history, for good.
#[utoipa::path(
    delete, path = "/api/v1/contacts/{number}", tag = "calls", operation_id = "eraseContact",
    params(
        ("number" = String, Path, description = "The contact", example = json!(example::CONTACT), format = "phone-number"),
    ),
    responses(
        (status = 200, description = "The contact is erased, durably", body = Data<Erased>, example = json!(
            {"success": true, "data": {"pairs_erased": 1}}
        )),
        (status = 422, description = "`VALIDATION_ERROR`: the path does not contain a phone number"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn erase(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let service = api.service();
    let dial_plan = service.plan().environment(environment).map_or(DialPlan::NONE, |held| *held.dial_plan());
    let contact = path.ok().and_then(|Path(text)| E164::parse(&text, &dial_plan).ok());
    let contact =
        contact.ok_or_else(|| Refusal::invalid_field("number", "The number in the path must be a phone number."))?;

    let now = api.now();
    let until = last_call(service, environment, contact).map_or(now, |last| last.max(now));
    let event = Event::Erasure(Erasure { environment, contact, until, is_ahead: until > now });
    let recording = api.submit(vec![event]).await.map_err(|_| Refusal::internal())?;
    let mut pairs_erased = 0;
    for applied in recording? {
        if let Applied::Erased { pairs } = applied? {
            pairs_erased += pairs;
        }
    }
    Ok(reply::data(Erased { pairs_erased }))
}

/// Returns the time of the contact's last call. It may be in the future if a gateway's clock is ahead. The erasure must cover
/// that call too.
fn last_call(service: &Service, environment: EnvironmentId, contact: E164) -> Option<Timestamp> {
    let plan = service.plan();
    let scopes = plan.number_scopes(plan.environment_slot(environment)?);
    let last = scopes.filter_map(|scope| match service.history().get(scope, contact)?.read() {
        LastCall::Placed { at, .. } => Some(at),
        LastCall::Erased { .. } => None,
    });
    last.max()
}
