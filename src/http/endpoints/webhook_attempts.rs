//! The attempts to send messages of a webhook, and a test.

use crate::http::Api;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::path::Named;
use crate::http::response::error::Refusal;
use crate::http::response::reply::{self, Data};
use crate::http::response::time_text;
use crate::http::webhooks::sender::Sent;
use crate::http::webhooks::webhook::Attempt;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An attempt to send a message.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownAttempt {
    /// The header `webhook-id` of the message: `msg_` and the cursor of its event.
    message_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(schema_with = schema::moment)]
    at: String,
    /// The number of the attempt of this message.
    #[schema(minimum = 1)]
    attempt: u32,
    /// Whether the receiver accepted the message: it answered with a status from 200 to 299.
    is_accepted: bool,
    /// The status with which the receiver answered; null if it did not answer.
    #[schema(required, minimum = 100, maximum = 999)]
    response_status: Option<u16>,
    /// Why there was no answer.
    #[schema(required)]
    error: Option<&'static str>,
    /// How long it took, in milliseconds.
    #[schema(minimum = 0)]
    took_ms: u64,
}

fn shown(attempt: Attempt) -> ShownAttempt {
    let Attempt { message, kind, at, number, sent, millis } = attempt;
    let (response_status, error) = match sent {
        Sent::Answered(status) => (Some(status), None),
        Sent::Failed(why) => (None, Some(why)),
        Sent::Busy => (None, Some("the daemon has no place for the message now: it is sent later")),
    };
    ShownAttempt {
        message_id: message,
        kind,
        at: time_text::render(at),
        attempt: number,
        is_accepted: sent.is_accepted(),
        response_status,
        error,
        took_ms: millis,
    }
}

/// Lists the last attempts to send messages, at most 100 since the start of the service, the newest first.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}/deliveries", tag = "events", operation_id = "listDeliveries",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    responses(
        (status = 200, description = "The last attempts", body = Data<Vec<ShownAttempt>>, example = json!(
            {"success": true, "data": [example::attempt()]}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events, or sends no webhooks"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let hook = api.webhooks()?.find(environment, id)?;
    Ok(reply::data(hook.attempts().into_iter().map(shown).collect::<Vec<_>>()))
}

/// Sends a message of the type `webhook.test` now, also if the webhook is disabled, and shows the result. It is not repeated.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/test", tag = "events", operation_id = "testWebhook",
    params(("webhook" = Uuid, Path, description = "The webhook", example = json!(example::WEBHOOK))),
    responses(
        (status = 200, description = "The attempt", body = Data<ShownAttempt>, example = json!(
            {"success": true, "data": example::test_attempt()}
        )),
        (status = 404, description = "`WEBHOOK_NOT_FOUND`: the id is malformed or unknown"),
        (status = 429, description = "`TOO_MANY_TESTS`: two tests of the environment, or sixteen of all, are under way"),
        (status = 501, description = "`NOT_STORED`: the service sends no webhooks"),
        (status = 503, description = "`TIMEOUT`: the receiver did not answer in time, or the daemon stops"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn test(
    Tenant(environment): Tenant,
    Named(id): Named<Uuid>,
    State(api): State<Api>,
) -> Result<Response, Refusal> {
    let hooks = api.webhooks()?;
    let hook = hooks.find(environment, id)?;
    let attempt = tokio::time::timeout(api.limits.patience, hooks.test(&hook)).await;
    Ok(reply::data(shown(attempt.map_err(|_| Refusal::too_slow())??)))
}
