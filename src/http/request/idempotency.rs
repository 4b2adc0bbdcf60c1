//! `Idempotency-Key`: a repeated request gets the stored response and is not carried out again.
//!
//! The response becomes durable in the same event as the change that it reports, so the store never holds one without the
//! other. If a repetition arrives while the first request is in progress, it waits for that response, because both take their
//! place in the one order of changes. A rejected request changes nothing, and its response is not stored.
//!
//! A short response is stored as text. For a long one, such as an agent with a thousand numbers, only the shown entity is
//! stored, and the response is rebuilt from the configuration. It has the same bytes until the entity changes.

use super::etag::tagged;
use super::form::Form;
use crate::event::{Change, Configuration, StoredAnswer, StoredAnswerBody, StoredAnswerSubject};
use crate::http::Api;
use crate::http::response::error::Refusal;
use crate::http::response::header::{REBUILT, REPLAYED};
use crate::http::response::{reply, shown};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use utoipa::IntoParams;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The maximum size in bytes of a response text that is stored with its key, in its stored form. With the digests the record
/// stays below 4 KiB.
const MAX_KEPT: usize = 3 << 10;

/// The maximum number of characters of a key.
const MAX_KEY: usize = 255;

/// The header by which a client sends a key.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described: the header is read by `Key`")]
pub(in crate::http) struct Repeatable {
    /// A repetition of this request with the same key within a day gets the same response, with `Idempotency-Replayed`.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

/// The key of a request, if it has one, and the digest of the request without its body.
pub(in crate::http) struct Key(Option<Digests>);

struct Digests {
    key: [u8; 16],
    request: Sha256,
}

/// The key of a request whose body has been read.
pub(in crate::http) struct Keyed {
    scope: EnvironmentId,
    /// The digests of the key and of the request.
    digests: Option<([u8; 16], [u8; 16])>,
    is_repeatable: bool,
    about: Option<StoredAnswerSubject>,
    /// The message of the response, if it has one beside data.
    message: Option<&'static str>,
}

impl Key {
    /// Returns the key in this scope, for a request with this body.
    pub(in crate::http) fn of(self, scope: EnvironmentId, form: &Form) -> Keyed {
        self.within(scope, form.digest())
    }

    /// Returns the key in this scope, for a request without a body.
    pub(in crate::http) fn alone(self, scope: EnvironmentId) -> Keyed {
        self.within(scope, &[])
    }

    fn within(self, scope: EnvironmentId, body: &[u8]) -> Keyed {
        let digests = self.0.map(|Digests { key, request }| (key, half(request.chain_update(body))));
        Keyed { scope, digests, is_repeatable: true, about: None, message: None }
    }
}

impl Keyed {
    /// Marks a response that is shown only once. A repetition gets `SHOWN_ONCE`.
    pub(in crate::http) fn shown_once(self) -> Self {
        Self { is_repeatable: false, ..self }
    }

    /// Sets the entity that the response shows. A long response is stored by its entity.
    pub(in crate::http) fn about(self, about: StoredAnswerSubject) -> Self {
        Self { about: Some(about), ..self }
    }

    /// Sets the message of the response, with which a long response is rebuilt.
    pub(in crate::http) fn saying(self, message: &'static str) -> Self {
        Self { message: Some(message), ..self }
    }
}

impl FromRequestParts<Api> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Refusal> {
        let mut given = parts.headers.get_all(KEY).iter();
        let Some(only) = given.next() else { return Ok(Self(None)) };
        let is_key = |text: &HeaderValue| {
            (1..=MAX_KEY).contains(&text.len()) && text.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        if given.next().is_some() || !is_key(only) {
            let what = format!("The header must be given once, with 1 to {MAX_KEY} visible ASCII characters.");
            return Err(Refusal::invalid_field("Idempotency-Key", what));
        }
        let key = half(Sha256::new().chain_update(only));
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let request = Sha256::new().chain_update(parts.method.as_str()).chain_update(" ").chain_update(path);
        Ok(Self(Some(Digests { key, request: request.chain_update("\n") })))
    }
}

/// Returns the digest of the body if the request has a key, else an empty vector.
pub(in crate::http) fn digest(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    if headers.contains_key(KEY) { Sha256::digest(body).to_vec() } else { Vec::new() }
}

fn half(digest: Sha256) -> [u8; 16] {
    let whole: [u8; 32] = digest.finalize().into();
    *whole.first_chunk().expect("a SHA-256 digest has 32 bytes")
}

impl Api {
    /// Changes the environment as `decide` determines from the newest plan, and renders the response from the plan right after
    /// the change. If the same request with the same key was answered before, returns the stored response instead.
    ///
    /// # Errors
    /// If `decide` or `render` fails, the change is rejected, or the key belongs to another request.
    pub(in crate::http) async fn answer<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        keyed: Keyed,
        decide: impl FnOnce(&Plan) -> Result<(Vec<Change>, T), Refusal> + Send + 'static,
        render: impl FnOnce(&Plan, T) -> Result<Response, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let Keyed { scope, digests, is_repeatable, about, message } = keyed;
        let Some((key, request)) = digests else {
            let (plan, besides) = self.configure(environment, decide).await?;
            return render(&plan, besides);
        };
        let at = self.now();
        let decide = move |plan: &Plan| {
            if let Some(known) = plan.answer(scope, key, at) {
                return Ok((None, replay(plan, environment, known, request, message)?));
            }
            let (mut changes, besides) = decide(plan)?;
            // The event contains the response, so the response is rendered from a plan that is not in force yet.
            let sequence = plan.generation() + 1;
            let next = plan.with(&Configuration::new(sequence, environment, at, changes.clone()))?;
            let (response, mut answer) = record(render(&next, besides)?, key, request, is_repeatable);
            if about.is_some() && answer.body.as_ref().is_some_and(is_long) {
                answer = StoredAnswer { body: None, about, ..answer };
            }
            changes.push(Change::AnswerGiven { scope, answer });
            Ok((Some(changes), response))
        };
        let (_, response) = self.configure_at(environment, at, decide).await?;
        Ok(response)
    }
}

/// Returns the stored response, if it belongs to the same request.
fn replay(
    plan: &Plan,
    environment: EnvironmentId,
    known: &StoredAnswer,
    request: [u8; 16],
    message: Option<&str>,
) -> Result<Response, Refusal> {
    if known.request != request {
        return Err(Refusal::key_reused());
    }
    let status = StatusCode::from_u16(known.status).map_err(|_| Refusal::internal())?;
    let mut response = match (&known.body, known.about) {
        (Some(StoredAnswerBody(body)), _) => {
            let response = reply::json_text(status, body.clone());
            match known.revision {
                Some(revision) => tagged(revision, response),
                None => response,
            }
        }
        (None, Some(about)) => rebuild(plan, environment, known, about, message)?,
        (None, None) => return Err(Refusal::shown_once()),
    };
    *response.status_mut() = status;
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Renders a long response again from the current plan. If the entity has changed since, the response says so in a header.
fn rebuild(
    plan: &Plan,
    environment: EnvironmentId,
    known: &StoredAnswer,
    about: StoredAnswerSubject,
    message: Option<&str>,
) -> Result<Response, Refusal> {
    let mut response = shown::subject(plan, environment, about, message).map_err(|_| Refusal::answer_gone())?;
    if revision(&response) != known.revision {
        response.headers_mut().insert(REBUILT, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Returns whether a response text is too long to be stored with its key.
fn is_long(StoredAnswerBody(body): &StoredAnswerBody) -> bool {
    // The text is stored as a JSON string, which escapes quotes.
    body.len() > MAX_KEPT || serde_json::to_string(body).is_ok_and(|stored| stored.len() > MAX_KEPT)
}

/// Returns the revision in a response's `ETag`.
fn revision(response: &Response) -> Option<u64> {
    response.headers().get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}

/// Returns the response, and the record of it that is stored.
fn record(response: Response, key: [u8; 16], request: [u8; 16], is_repeatable: bool) -> (Response, StoredAnswer) {
    let revision = revision(&response);
    let (head, body) = response.into_parts();
    let bytes = first_chunk(body);
    let body = is_repeatable.then(|| StoredAnswerBody(String::from_utf8_lossy(&bytes).into_owned()));
    let answer = StoredAnswer { key, request, status: head.status.as_u16(), revision, body, about: None };
    (Response::from_parts(head, Body::from(bytes)), answer)
}

/// Returns the bytes of a body that this module's callers build in one piece.
fn first_chunk(mut body: Body) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}
