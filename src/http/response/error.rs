//! The errors of the API. This is the only place that gives an error its status, code and text.

use super::header::{RATE_LIMIT, RATE_REMAINING, RATE_RESET};
use super::reply;
use crate::http::openapi::schema;
use crate::plan::{ConfigError, Lacking, REST_DAYS};
use crate::service::ServiceError;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// Error texts by field.
pub(in crate::http) type FieldErrors = BTreeMap<String, Vec<String>>;

/// A rejected request. Nothing has changed, unless the text says otherwise.
#[derive(Debug)]
pub(in crate::http) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    errors: FieldErrors,
    /// When the client may retry.
    retry_after: Option<Duration>,
    /// The rate limit that the token has reached.
    rate: Option<ReachedRate>,
}

/// The rate limit that a token has reached.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct ReachedRate {
    /// The number of requests in a second.
    pub(in crate::http) limit: u32,
    /// When the next request is allowed, in seconds since 1970.
    pub(in crate::http) reset: u64,
}

/// A rejected request.
#[derive(Serialize, ToSchema)]
#[schema(as = Refused)]
pub(in crate::http) struct Envelope<'a> {
    #[schema(schema_with = schema::no)]
    success: bool,
    /// A text for people.
    message: &'a str,
    /// A code for programs.
    #[schema(schema_with = schema::code)]
    code: &'a str,
    /// The errors by field; only with the code `VALIDATION_ERROR`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, Vec<String>>)]
    errors: &'a FieldErrors,
}

impl Refusal {
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), errors: FieldErrors::new(), retry_after: None, rate: None }
    }

    pub(in crate::http) fn invalid(errors: FieldErrors) -> Self {
        let message = "The given data was invalid.";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", message) }
    }

    pub(in crate::http) fn invalid_field(field: &str, what: impl Into<String>) -> Self {
        Self::invalid(FieldErrors::from([(field.to_owned(), vec![what.into()])]))
    }

    /// Replaces the text.
    pub(in crate::http) fn saying(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// Returns the first error as one line, for a list of errors.
    pub(in crate::http) fn line(&self) -> String {
        let first = self.errors.values().flatten().next();
        first.map_or_else(|| self.message.clone().into_owned(), Clone::clone)
    }

    pub(in crate::http) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", "The token is missing or not valid")
    }

    pub(in crate::http) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "UNAUTHORIZED", message)
    }

    pub(in crate::http) fn agent_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "AGENT_NOT_FOUND", "Agent not found")
    }

    pub(in crate::http) fn number_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NUMBER_NOT_FOUND", "Phone number not found")
    }

    pub(in crate::http) fn environment_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ENVIRONMENT_NOT_FOUND", "Environment not found")
    }

    pub(in crate::http) fn environment_name_taken() -> Self {
        let message = "Another environment has this name: choose another one";
        Self::new(StatusCode::CONFLICT, "ENVIRONMENT_NAME_TAKEN", message)
    }

    pub(in crate::http) fn decision_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "DECISION_NOT_FOUND", "Decision not found")
    }

    pub(in crate::http) fn token_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "TOKEN_NOT_FOUND", "Token not found")
    }

    pub(in crate::http) fn token_expired() -> Self {
        let message = "The token is not valid any more: create a new one";
        Self::new(StatusCode::CONFLICT, "TOKEN_EXPIRED", message)
    }

    pub(in crate::http) fn not_outbound() -> Self {
        let message = "Agent must have direction=outbound to place calls";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_AGENT_DIRECTION", message)
    }

    /// The agent cannot be published yet.
    pub(in crate::http) fn not_ready(lacking: Lacking) -> Self {
        match lacking {
            Lacking::Direction => {
                Self::invalid_field("direction", "The agent needs a direction before it can be published.")
            }
            Lacking::Number => {
                let what = "An inbound agent needs a phone number before it can be published.";
                Self::invalid_field("phone_number_ids", what)
            }
        }
    }

    pub(in crate::http) fn rate_limited(wait: Duration, rate: ReachedRate) -> Self {
        let message = "Too many requests with this token: wait as long as Retry-After says";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", message);
        Self { retry_after: Some(wait), rate: Some(rate), ..refusal }
    }

    /// The environment has reached its limit of something whose deleted items count too.
    pub(in crate::http) fn quota(kind: &str, limit: usize) -> Self {
        let message = format!("This environment has reached its limit of {limit} {kind}; deleted ones count too");
        Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", message)
    }

    /// The environment has reached its limit of pairs of a callback agent and a source agent. Removed pairs stop counting
    /// after [`REST_DAYS`] days.
    pub(in crate::http) fn pair_quota(limit: usize) -> Self {
        let message = format!(
            "This environment has reached its limit of {limit} pairs of a callback agent and a source agent; pairs removed within \
             the last {REST_DAYS} days count too"
        );
        Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", message)
    }

    /// The idempotency key belongs to another request.
    pub(in crate::http) fn key_reused() -> Self {
        let message = "This Idempotency-Key was used for another request: send a new key";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", message)
    }

    /// The request was carried out before, and its response is not stored.
    pub(in crate::http) fn shown_once() -> Self {
        let message = "This request was carried out before, and its response is shown only once: revoke the token that it created, \
                       and repeat the request with a new Idempotency-Key";
        Self::new(StatusCode::CONFLICT, "SHOWN_ONCE", message)
    }

    /// The request was carried out before, and the entity that its response showed has been deleted.
    pub(in crate::http) fn answer_gone() -> Self {
        let message = "This request was carried out before, and what its response showed has been deleted since";
        Self::new(StatusCode::CONFLICT, "ANSWER_GONE", message)
    }

    /// `If-Match` or `If-None-Match` is not satisfied.
    pub(in crate::http) fn stale() -> Self {
        let message = "The version does not satisfy If-Match or If-None-Match: read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", message)
    }

    pub(in crate::http) fn not_stored() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", "This service keeps no data on disk, so it has no export")
    }

    pub(in crate::http) fn no_changes() -> Self {
        let message = "This service keeps no data on disk, so it has no list of changes";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", message)
    }

    pub(in crate::http) fn no_calls() -> Self {
        let message = "This service keeps no data on disk, so it keeps no call ids and contexts";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", message)
    }

    pub(in crate::http) fn call_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "CALL_NOT_FOUND", "Call not found")
    }

    pub(in crate::http) fn no_records() -> Self {
        let message = "This service keeps no records of routed calls";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", message)
    }

    pub(in crate::http) fn record_damaged() -> Self {
        let message = "The record of a decision is damaged: run `dialback verify` with the daemon stopped";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "RECORD_DAMAGED", message)
    }

    pub(in crate::http) fn no_webhooks() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", "This service keeps no events, or sends no webhooks")
    }

    pub(in crate::http) fn webhook_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "WEBHOOK_NOT_FOUND", "Webhook not found")
    }

    pub(in crate::http) fn too_many_tests() -> Self {
        let message = "Too many tests of webhooks are under way: retry when they have ended";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_TESTS", message)
    }

    pub(in crate::http) fn webhook_exists() -> Self {
        Self::new(StatusCode::CONFLICT, "WEBHOOK_EXISTS", "The environment has a webhook with this id")
    }

    pub(in crate::http) fn too_many_webhooks() -> Self {
        let message = "This environment, or this service, has as many webhooks as it may have: delete one";
        Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", message)
    }

    pub(in crate::http) fn no_events() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", "This service keeps no events")
    }

    pub(in crate::http) fn cursor_expired() -> Self {
        let message = "Events after this cursor were removed, or it is the cursor of another feed: read what you \
                       need to know anew, and begin without a cursor";
        Self::new(StatusCode::GONE, "CURSOR_EXPIRED", message)
    }

    pub(in crate::http) fn events_damaged() -> Self {
        let message = "The events cannot be read: run `dialback verify` with the daemon stopped";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "EVENTS_DAMAGED", message)
    }

    /// Too many requests of the environment wait for events.
    pub(in crate::http) fn too_many_readers() -> Self {
        let message = "Too many requests of this environment wait for events: close some, or retry later";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_READERS", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..refusal }
    }

    /// Too many requests of all environments wait for events.
    pub(in crate::http) fn no_room_for_readers() -> Self {
        let message = "Too many requests wait for events: retry later";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_READERS", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..refusal }
    }

    /// Returns the error as the last event of a stream.
    pub(in crate::http) fn server_sent(&self) -> Bytes {
        let Self { code, message, errors, .. } = self;
        let text = reply::json_bytes(&Envelope { success: false, message, code, errors });
        [&b"event: error\ndata: "[..], &text, b"\n\n"].concat().into()
    }

    pub(in crate::http) fn not_reloadable() -> Self {
        let message = "This service reads its settings only when it starts";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_RELOADABLE", message)
    }

    pub(in crate::http) fn not_reloaded(why: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "NOT_RELOADED", format!("Nothing has changed: {why}"))
    }

    pub(in crate::http) fn loading() -> Self {
        let message = "The stored data is still being loaded: retry in a second";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "LOADING", message)
    }

    pub(in crate::http) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "This path does not exist")
    }

    pub(in crate::http) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This path does not support this method")
    }

    pub(in crate::http) fn malformed_json(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", message)
    }

    pub(in crate::http) fn media_type(message: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    pub(in crate::http) fn compressed() -> Self {
        Self::media_type("The body must not be compressed: decompress it, and send it without Content-Encoding")
    }

    pub(in crate::http) fn too_large(limit: usize) -> Self {
        let message = format!("The body has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    pub(in crate::http) fn too_many_values(bytes: usize, limit: usize) -> Self {
        let message = format!("The body has too many values: they need {bytes} bytes of memory, more than {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    pub(in crate::http) fn cut_short() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BODY_CUT_SHORT", "The request body was cut short")
    }

    pub(in crate::http) fn broken_framing() -> Self {
        let message = "The framing of the request body is not valid HTTP/1.1";
        Self::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", message)
    }

    pub(in crate::http) fn too_many_bodies() -> Self {
        let message = "Too much memory is in use for request bodies that have not arrived completely, altogether or in this \
                       environment: retry as Retry-After says";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_BODIES", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..refusal }
    }

    pub(in crate::http) fn too_slow() -> Self {
        let message = "The request took too long and changed nothing: retry later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", message)
    }

    /// A change was submitted, and its outcome was not known in time.
    pub(in crate::http) fn outcome_unknown() -> Self {
        let message = "The change was not confirmed in time and may still take effect: repeat the request, \
                       with the same Idempotency-Key if it had one";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", message)
    }

    /// An internal error or a panic. The text of a panic never reaches a response.
    pub(in crate::http) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "SERVER_ERROR", "An internal error occurred")
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope { success: false, message: &self.message, code: self.code, errors: &self.errors }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = reply::json(self.status, &self.envelope());
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up to whole seconds.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(ReachedRate { limit, reset }) = self.rate {
            let headers = response.headers_mut();
            headers.insert(RATE_LIMIT, HeaderValue::from(limit));
            headers.insert(RATE_REMAINING, HeaderValue::from(0));
            headers.insert(RATE_RESET, HeaderValue::from(reset));
        }
        response
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Config(error) => error.into(),
            // The reason names files of this machine, so only the log contains it.
            ServiceError::NotDurable(_) => {
                let message = "The store cannot be written, so the request changed nothing; the log has the reason";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_DURABLE", message)
            }
            ServiceError::Loading => Self::loading(),
            ServiceError::ContactErased => {
                let message = "This contact was erased together with a call dated in the future; \
                               a call dated before that one is not recorded";
                Self::new(StatusCode::CONFLICT, "CONTACT_ERASED", message)
            }
            ServiceError::CallNotFound => Self::call_not_found(),
            ServiceError::CallIdReused => {
                let message =
                    "This call_id belongs to a call with another agent, number or contact: give each call its own";
                Self::new(StatusCode::CONFLICT, "CALL_ID_REUSED", message)
            }
            ServiceError::ContextsFull(full) => Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", full.to_string()),
            ServiceError::CallsNotKept => Self::no_calls(),
            // No request records calls under another number.
            ServiceError::NotMovable => Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_MOVABLE", error.to_string()),
            ServiceError::Stalled => {
                let message = "The store does not respond and too many changes wait for it, so the request changed nothing: \
                               retry later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STORE_HANGS", message)
            }
            ServiceError::Superseded => {
                let message = "Another node changed the configuration first: read it again and repeat the request";
                Self::new(StatusCode::CONFLICT, "CONFIGURATION_SUPERSEDED", message)
            }
            // The reason names machines, so only the log contains it.
            ServiceError::StreamAway(_) => {
                let message = "The fleet's stream accepts no configuration change now, so the request changed nothing: \
                               retry later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STREAM_AWAY", message)
            }
            ServiceError::OutcomeUnknown(_) => {
                let message = "The fleet's stream did not confirm the change, which may still take effect: read the \
                               configuration again before you repeat the request";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", message)
            }
            ServiceError::NotReplicated => {
                let message = "Durable on this node, but the fleet's stream did not acknowledge it in time; \
                               the node sends it to the other nodes later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_REPLICATED", message)
            }
            ServiceError::ShareUsed(used) => Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", used.to_string()),
            ServiceError::Full(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "HISTORY_FULL",
                "The history is full and accepts no new contact",
            ),
        }
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        let conflict = |code, error: &ConfigError| Self::new(StatusCode::CONFLICT, code, error.to_string());
        let invalid = |code, error: &ConfigError| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string());
        match &error {
            ConfigError::UnknownAgent(_) => Self::agent_not_found(),
            ConfigError::UnknownNumbers(_) => Self::number_not_found(),
            ConfigError::UnknownToken(_) => Self::token_not_found(),
            // The environment of the request's token was deleted while the request was under way.
            ConfigError::UnknownEnvironment(_) => Self::invalid_token(),
            ConfigError::EnvironmentNotEmpty { .. } => conflict("ENVIRONMENT_NOT_EMPTY", &error),
            ConfigError::NotACallbackAgent(_) => {
                let message = "Agent is not configured as a callback agent";
                Self::new(StatusCode::NOT_FOUND, "NOT_A_CALLBACK_AGENT", message)
            }

            ConfigError::AgentExists(_) => conflict("AGENT_EXISTS", &error),
            ConfigError::NumberExists(_) => conflict("PHONE_NUMBER_EXISTS", &error),
            ConfigError::NumberTaken(_) => conflict("PHONE_NUMBER_TAKEN", &error),
            ConfigError::NumberInUse { .. } => invalid("PHONE_NUMBER_IN_USE", &error),
            ConfigError::AgentIsPublished(_) => conflict("AGENT_IS_PUBLISHED", &error),
            ConfigError::AgentIsCallback { .. } => conflict("AGENT_IS_CALLBACK", &error),
            ConfigError::AgentIsSource { .. } => conflict("AGENT_IS_SOURCE", &error),

            ConfigError::CallbackNotInbound(_) => invalid("INVALID_AGENT_DIRECTION", &error),
            ConfigError::InvalidSources(_) => invalid("INVALID_SOURCE_AGENT", &error),
            ConfigError::DefaultNotInboundOwner { .. } => invalid("INVALID_DEFAULT_AGENT", &error),
            ConfigError::NoSources | ConfigError::DuplicateSource(_) | ConfigError::TooManySources { .. } => {
                Self::invalid_field("source_agent_ids", error.to_string())
            }
            ConfigError::AgentHasNoDirection(_) => Self::not_ready(Lacking::Direction),
            ConfigError::DuplicateNumber(_) => Self::invalid_field("phone_number_ids", error.to_string()),
            ConfigError::InvalidOrder { .. } => Self::invalid_field("numbers", error.to_string()),

            ConfigError::SlotsExhausted { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "LIMIT_REACHED", error.to_string())
            }
            // The API generates token ids itself, and the service keeps the order of configurations.
            ConfigError::TokenExists(_) | ConfigError::EnvironmentDeleted(_) | ConfigError::OutOfOrder { .. } => {
                Self::internal()
            }
        }
    }
}
