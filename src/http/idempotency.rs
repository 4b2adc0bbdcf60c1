//! `Idempotency-Key`: a request that is sent again because its answer got lost is answered, and not carried out, again.
//!
//! The answer becomes durable with the change that it is about, in one event, so that there is never the one without the other. A
//! second request that comes while the first is under way waits for the first one's answer: both stand in the one order of changes.
//! What was refused changed nothing and is not remembered.
//!
//! A short answer is stored as it is. Of a long one, such as an agent with a thousand numbers, it is stored what it shows, and it is
//! written again from the configuration: byte for byte the same while that has not changed.

use super::Api;
use super::error::Refusal;
use super::etag::tagged;
use super::form::Form;
use super::{agents, callback, numbers, reply};
use crate::event::{Answer, AnswerAbout, AnswerBody, Change, Configuration};
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
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Says that a long answer shows what is there now, which has changed since the request was first answered.
const REBUILT: HeaderName = HeaderName::from_static("idempotency-rebuilt");

/// Bytes of an answer that are stored with its key, as they are stored. With the digests around them that is less than 4 KiB.
const MAX_KEPT: usize = 3 << 10;

/// The most characters of a key.
const MAX_KEY: usize = 255;

/// How a client gives one.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described: the header is read by `Key`")]
pub(super) struct Repeatable {
    /// Whoever sends the same request with the same key again within a day gets the same answer, with `Idempotency-Replayed`.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: Option<String>,
}

/// The key of a request, if it has one, and what the request is but for its body.
pub(super) struct Key(Option<Digests>);

struct Digests {
    key: [u8; 16],
    request: Sha256,
}

/// The key of a request that has been read whole.
pub(super) struct Keyed {
    scope: EnvironmentId,
    /// Of the key, and of the request.
    digests: Option<([u8; 16], [u8; 16])>,
    is_repeatable: bool,
    about: Option<AnswerAbout>,
}

impl Key {
    /// The key in this scope, of a request with this body.
    pub(super) fn of(self, scope: EnvironmentId, form: &Form) -> Keyed {
        self.within(scope, form.digest())
    }

    /// The same of a request that takes no body.
    pub(super) fn alone(self, scope: EnvironmentId) -> Keyed {
        self.within(scope, &[])
    }

    fn within(self, scope: EnvironmentId, body: &[u8]) -> Keyed {
        let digests = self.0.map(|Digests { key, request }| (key, half(request.chain_update(body))));
        Keyed { scope, digests, is_repeatable: true, about: None }
    }
}

impl Keyed {
    /// The answer is shown once: who asks again is told so.
    pub(super) fn shown_once(self) -> Self {
        Self { is_repeatable: false, ..self }
    }

    /// What the answer shows: a long one is remembered by this.
    pub(super) fn about(self, about: AnswerAbout) -> Self {
        Self { about: Some(about), ..self }
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

/// The digest of a body, where the request has a key that it will be wanted for.
pub(super) fn digest(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    if headers.contains_key(KEY) { Sha256::digest(body).to_vec() } else { Vec::new() }
}

fn half(digest: Sha256) -> [u8; 16] {
    let whole: [u8; 32] = digest.finalize().into();
    *whole.first_chunk().expect("it has twice as many")
}

impl Api {
    /// Changes the environment by what `decide` makes of the newest plan, and answers with what `render` makes of the plan right
    /// after it; or with what was answered before to the same request with the same key.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        keyed: Keyed,
        decide: impl FnOnce(&Plan) -> Result<(Vec<Change>, T), Refusal> + Send + 'static,
        render: impl FnOnce(&Plan, T) -> Result<Response, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let Keyed { scope, digests, is_repeatable, about } = keyed;
        let Some((key, request)) = digests else {
            let (plan, besides) = self.configure(environment, decide).await?;
            return render(&plan, besides);
        };
        let at = self.now();
        let decide = move |plan: &Plan| {
            if let Some(known) = plan.answer(scope, key, at) {
                return Ok((Vec::new(), replay(plan, environment, known, request)?));
            }
            let (mut changes, besides) = decide(plan)?;
            // The answer goes into the event that it is about, so it has to be known before there is one.
            let sequence = plan.generation() + 1;
            let next = plan.with(&Configuration { sequence, environment, at, changes: changes.clone() })?;
            let (response, mut answer) = take_down(render(&next, besides)?, key, request, is_repeatable);
            if about.is_some() && answer.body.as_ref().is_some_and(is_long) {
                answer = Answer { body: None, about, ..answer };
            }
            changes.push(Change::AnswerGiven { scope, answer });
            Ok((changes, response))
        };
        let (_, response) = self.configure_at(environment, at, decide).await?;
        Ok(response)
    }
}

/// The answer as it was, if it was to the same request.
fn replay(plan: &Plan, environment: EnvironmentId, known: &Answer, request: [u8; 16]) -> Result<Response, Refusal> {
    if known.request != request {
        return Err(Refusal::key_reused());
    }
    let status = StatusCode::from_u16(known.status).map_err(|_| Refusal::internal())?;
    let mut response = match (&known.body, known.about) {
        (Some(AnswerBody(body)), _) => {
            let response = reply::json_text(status, body.clone());
            match known.revision {
                Some(revision) => tagged(revision, response),
                None => response,
            }
        }
        (None, Some(about)) => rebuild(plan, environment, known, about)?,
        (None, None) => return Err(Refusal::shown_once()),
    };
    *response.status_mut() = status;
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// A long answer, written again: as it was while what it shows has not changed, else as that is now, which it says.
fn rebuild(plan: &Plan, environment: EnvironmentId, known: &Answer, about: AnswerAbout) -> Result<Response, Refusal> {
    let shown = match about {
        AnswerAbout::Agent(id) => agents::show_agent(plan, environment, id),
        AnswerAbout::Callback(id) => callback::show_created(plan, environment, id),
        AnswerAbout::Number(id) => numbers::show_number(plan, environment, id),
    };
    let mut response = shown.map_err(|_| Refusal::answer_gone())?;
    if revision(&response) != known.revision {
        response.headers_mut().insert(REBUILT, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Whether the text of an answer is too long to be remembered with each request.
fn is_long(AnswerBody(body): &AnswerBody) -> bool {
    // It is stored as a string within JSON.
    body.len() > MAX_KEPT || serde_json::to_string(body).is_ok_and(|stored| stored.len() > MAX_KEPT)
}

/// The version in an answer's tag.
fn revision(response: &Response) -> Option<u64> {
    response.headers().get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}

/// The response, and what is remembered of it.
fn take_down(response: Response, key: [u8; 16], request: [u8; 16], is_repeatable: bool) -> (Response, Answer) {
    let revision = revision(&response);
    let (head, body) = response.into_parts();
    let bytes = at_hand(body);
    let body = is_repeatable.then(|| AnswerBody(String::from_utf8_lossy(&bytes).into_owned()));
    let answer = Answer { key, request, status: head.status.as_u16(), revision, body, about: None };
    (Response::from_parts(head, Body::from(bytes)), answer)
}

/// The bytes of a body that we made ourselves, in one piece.
fn at_hand(mut body: Body) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}
