//! Why a request was refused: the one place that gives errors their status, code and text.

use super::openapi::schema;
use super::reply;
use crate::plan::{ConfigError, REST_DAYS};
use crate::service::ServiceError;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// What is wrong with which field.
pub(super) type FieldErrors = BTreeMap<String, Vec<String>>;

/// A request that was not granted. Nothing has changed, unless its text says that this is not known.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    errors: FieldErrors,
    /// When it may be worth while to ask again.
    retry_after: Option<Duration>,
}

/// A request that was not granted.
#[derive(Serialize, ToSchema)]
#[schema(as = Refused)]
pub(super) struct Envelope<'a> {
    #[schema(schema_with = schema::no)]
    success: bool,
    /// For people.
    message: &'a str,
    /// For programs.
    #[schema(schema_with = schema::code)]
    code: &'a str,
    /// What is wrong with which field; only with the code `VALIDATION_ERROR`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, Vec<String>>)]
    errors: &'a FieldErrors,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), errors: FieldErrors::new(), retry_after: None }
    }

    pub(super) fn invalid(errors: FieldErrors) -> Self {
        let message = "The given data was invalid.";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", message) }
    }

    pub(super) fn invalid_field(field: &str, what: impl Into<String>) -> Self {
        Self::invalid(FieldErrors::from([(field.to_owned(), vec![what.into()])]))
    }

    /// The same with another text.
    pub(super) fn saying(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// One line that says what is wrong, for a list of such lines.
    pub(super) fn line(&self) -> String {
        let first = self.errors.values().flatten().next();
        first.map_or_else(|| self.message.clone().into_owned(), Clone::clone)
    }

    pub(super) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", "The token is missing or not valid")
    }

    pub(super) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    pub(super) fn agent_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "AGENT_NOT_FOUND", "Agent not found")
    }

    pub(super) fn number_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NUMBER_NOT_FOUND", "Phone number not found")
    }

    pub(super) fn decision_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "DECISION_NOT_FOUND", "Decision not found")
    }

    pub(super) fn token_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "TOKEN_NOT_FOUND", "Token not found")
    }

    pub(super) fn not_outbound() -> Self {
        let message = "Agent must have direction=outbound to place calls";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_AGENT_DIRECTION", message)
    }

    pub(super) fn rate_limited(wait: Duration) -> Self {
        let message = "Too many requests with this token";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message);
        Self { retry_after: Some(wait), ..refusal }
    }

    /// The environment has used up its share of something that is given once.
    pub(super) fn quota(kind: &str, limit: usize) -> Self {
        let message =
            format!("This environment has had {limit} {kind}, and may have no more: those that are gone count");
        Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", message)
    }

    /// The same of pairs of callback agents and sources, whose places are given again.
    pub(super) fn pair_quota(limit: usize) -> Self {
        let message = format!(
            "This environment may have {limit} pairs of a callback agent and a source agent; those that it removed within the last \
             {REST_DAYS} days count"
        );
        Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", message)
    }

    /// The key was used for something else.
    pub(super) fn key_reused() -> Self {
        let message = "This Idempotency-Key was used for another request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", message)
    }

    /// It was done, and its answer is nothing that we keep.
    pub(super) fn shown_once() -> Self {
        let message = "This was done, and its answer is shown once; whoever lost it revokes what was made and asks with another key";
        Self::new(StatusCode::CONFLICT, "SHOWN_ONCE", message)
    }

    /// It was done, and what its answer showed is deleted since.
    pub(super) fn answer_gone() -> Self {
        let message = "This was done before, and what its answer showed has been deleted since";
        Self::new(StatusCode::CONFLICT, "ANSWER_GONE", message)
    }

    /// What the client would replace is not what it has seen.
    pub(super) fn stale() -> Self {
        let message = "This is not the version that the request is about; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", message)
    }

    pub(super) fn not_stored() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NOT_STORED", "This service keeps nothing that could be exported")
    }

    pub(super) fn loading() -> Self {
        let message = "What is stored is still being loaded; try again soon";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "LOADING", message)
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is nothing at this path")
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This path does not take this method")
    }

    pub(super) fn malformed_json(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", message)
    }

    pub(super) fn media_type(message: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("The body has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message)
    }

    pub(super) fn cut_short() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BODY_CUT_SHORT", "The body ended before its end")
    }

    pub(super) fn too_slow() -> Self {
        let message = "The request took too long; nothing of it is in force";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", message)
    }

    /// A change was handed in, and the store has not confirmed it in time.
    pub(super) fn outcome_unknown() -> Self {
        let message = "The store has not confirmed the change in time; it may come into force later. Repeat the request, \
                       with the same Idempotency-Key where it has one";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", message)
    }

    /// As it is told of a panic too, whose own text goes nowhere near an answer.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Something went wrong")
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
            // Whole seconds, not less than there are.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Config(error) => error.into(),
            // Why names files of this machine: the log says it, to its operator.
            ServiceError::NotDurable(_) => {
                let message = "The store cannot be written; nothing of this request is in force";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_DURABLE", message)
            }
            ServiceError::Loading => Self::loading(),
            ServiceError::ContactErased => {
                let message = "This contact was erased together with a call dated in the future; \
                               a call dated before that one is not recorded";
                Self::new(StatusCode::CONFLICT, "CONTACT_ERASED", message)
            }
            ServiceError::Stalled => {
                let message =
                    "The store does not answer, and too many changes wait for it; nothing of this request is in force";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STORE_HANGS", message)
            }
            ServiceError::Superseded => {
                let message = "Another node's change came first; read again and repeat";
                Self::new(StatusCode::CONFLICT, "CONFIGURATION_SUPERSEDED", message)
            }
            // Why names machines: the log says it, and the health by a word.
            ServiceError::StreamAway(_) => {
                let message =
                    "The fleet's stream cannot order a change of the configuration now; nothing of this is in force";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STREAM_AWAY", message)
            }
            ServiceError::OutcomeUnknown(_) => {
                let message =
                    "The fleet's stream did not answer; the change is not in force, and may be soon. Read again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "OUTCOME_UNKNOWN", message)
            }
            ServiceError::NotReplicated => {
                let message = "Durable here, and not acknowledged by the fleet's stream in time; it will be told the others later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_REPLICATED", message)
            }
            ServiceError::ShareUsed(used) => Self::new(StatusCode::CONFLICT, "QUOTA_EXCEEDED", used.to_string()),
            ServiceError::Full(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "HISTORY_FULL",
                "The history holds as many contacts as it may and takes no new one",
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
            ConfigError::UnknownEnvironment(_) => {
                Self::invalid_field("environment_id", "The environment_id field must name an environment.")
            }
            ConfigError::NotACallbackAgent(_) => {
                let message = "Agent is not configured as a callback agent";
                Self::new(StatusCode::NOT_FOUND, "NOT_A_CALLBACK_AGENT", message)
            }

            ConfigError::AgentExists(_) => conflict("AGENT_EXISTS", &error),
            ConfigError::NumberExists(_) => conflict("PHONE_NUMBER_EXISTS", &error),
            ConfigError::NumberTaken(_) => conflict("PHONE_NUMBER_TAKEN", &error),
            ConfigError::NumberInUse { .. } => conflict("PHONE_NUMBER_IN_USE", &error),
            ConfigError::AgentIsPublished(_) => conflict("AGENT_IS_PUBLISHED", &error),
            ConfigError::AgentIsCallback { .. } => conflict("AGENT_IS_CALLBACK", &error),
            ConfigError::AgentIsSource { .. } => conflict("AGENT_IS_SOURCE", &error),

            ConfigError::CallbackNotInbound(_) => invalid("INVALID_AGENT_DIRECTION", &error),
            ConfigError::InvalidSources(_) => invalid("INVALID_SOURCE_AGENT", &error),
            ConfigError::DefaultNotInboundOwner { .. } => invalid("INVALID_DEFAULT_AGENT", &error),
            ConfigError::NoSources | ConfigError::DuplicateSource(_) | ConfigError::TooManySources { .. } => {
                Self::invalid_field("source_agent_ids", error.to_string())
            }
            ConfigError::DuplicateNumber(_) => Self::invalid_field("phone_number_ids", error.to_string()),

            ConfigError::SlotsExhausted { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "LIMIT_REACHED", error.to_string())
            }
            // Identities that we made ourselves, and an order that the service keeps.
            ConfigError::TokenExists(_) | ConfigError::OutOfOrder { .. } => Self::internal(),
        }
    }
}
