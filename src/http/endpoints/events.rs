//! `GET /events` and `GET /events/stream`: the feed of an environment.
//!
//! A request that waits holds no lock and no thread. It is woken by the next commit that adds an event, and looks each second
//! whether its token is still valid. It also ends when the daemon stops.

use super::events_page::{Place, page, piece};
use crate::http::Api;
use crate::http::middleware::answer_budget::{LARGE, Reservation};
use crate::http::middleware::readers::Reader;
use crate::http::openapi::example;
use crate::http::request::auth::{Tenant, holder};
use crate::http::request::form::{Form, QueryForm};
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::event::ShownEvent;
use crate::http::response::reply::Listed;
use crate::id::EnvironmentId;
use crate::service::Service;
use crate::store::{EventKind, EventKinds, FeedPage, FeedQuery};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use http_body::Frame;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::{IntoParams, ToSchema};

/// The first bytes of the paths whose requests may wait.
pub const EVENTS: &str = "/api/v1/events";

/// Ends the requests that wait when its sender is dropped or sends: the server stops. A server puts it into the extensions of
/// requests whose path begins with [`EVENTS`].
#[derive(Clone, Debug)]
pub struct Stopping(pub watch::Receiver<()>);

/// The most events of a page, and the number without `limit`.
const MAX_EVENTS: usize = 1000;
const USUAL_EVENTS: usize = 100;
/// The longest wait in seconds. It is shorter than the time after which common proxies give up.
const MAX_WAIT: usize = 60;
/// How often a waiting request looks whether its token is still valid.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks without an event, a stream sends a comment, so that proxies keep the connection.
const QUIET_LOOKS: u32 = 15;
/// The header with which a browser continues a stream.
const LAST_EVENT_ID: &str = "last-event-id";

/// Where the feed continues.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EventsMeta {
    /// The cursor after the last event that was examined: `after` of the next request.
    pub(in crate::http) next_cursor: String,
    /// Whether there are more events now.
    pub(in crate::http) has_more: bool,
    /// Whether the feed is that of one node of a fleet. Its cursors are valid at this node only.
    pub(in crate::http) is_of_node: bool,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// Only events after this cursor, or `end`: only new ones. Without it, the feed begins with the oldest event.
    #[param(pattern = "^(end|[0-9a-f]{24})$")]
    after: Option<String>,
    /// Only events of these types, separated by commas.
    #[param(example = json!("call.recorded"))]
    types: Option<String>,
    /// The most events of the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// How many seconds to wait for an event if there is none.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Followed {
    /// Only events after this cursor, or `end`: only new ones. Without it, the feed begins with the oldest event. The header
    /// `Last-Event-ID` comes before it.
    #[param(pattern = "^(end|[0-9a-f]{24})$")]
    after: Option<String>,
    /// Only events of these types, separated by commas.
    #[param(example = json!("call.recorded"))]
    types: Option<String>,
}

/// Lists events, oldest first. With `wait`, waits for the next event if there is none.
///
/// The feed has each event that was committed, in the order of the commits: a routed call (within about a second), an answer, a
/// recorded call, a change of the configuration. Events of erased contacts are left out.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "listEvents", params(Asked),
    responses(
        (status = 200, description = "A page of events", body = Listed<Vec<ShownEvent>, EventsMeta>, example = json!({
            "success": true, "data": example::events(),
            "meta": {"next_cursor": example::CURSOR, "has_more": false, "is_of_node": false},
        })),
        (status = 410, description = "`CURSOR_EXPIRED`: events after the cursor were removed, or it is the cursor of another feed"),
        (status = 429, description = "`TOO_MANY_READERS`: this environment has too many requests that wait"),
        (status = 500, description = "`EVENTS_DAMAGED`: the events cannot be read"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events"),
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time; `TOO_MANY_READERS`: too many requests wait"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let limit = form.optional("limit", |value| read::digits(value, 1..=MAX_EVENTS)).unwrap_or(USUAL_EVENTS);
    let wait = form.optional("wait", |value| read::digits(value, 0..=MAX_WAIT)).unwrap_or(0);
    let (place, kinds) = read_place(&api, environment, &mut form)?;
    form.finish(|| Some(()))?;
    let mut reading = Reading { api: api.clone(), environment, headers, stopping, place: place?, kinds, limit };
    let mut found = reading.next().await?;
    if found.0.events.is_empty() && wait > 0 {
        let _reader = api.readers.admit(environment)?;
        drop(found.1.take());
        let more = tokio::time::timeout(Duration::from_secs(wait as u64), reading.more());
        if let Ok(more) = more.await {
            found = more?.unwrap_or(found);
        }
    }
    let (events, reservation) = found;
    let place = reading.place;
    let is_of_node = api.service().fleet().is_some();
    let response = api.work.drive(environment, page(events, place, is_of_node)).await;
    Ok(match reservation {
        Some(reservation) => reservation.hold(response),
        None => response,
    })
}

/// Sends events as they are committed, as server-sent events: `id` is the cursor, `event` the type, and `data` the event as in
/// `GET /events`.
///
/// The stream ends with an event `error`, whose data has a `code`, if the cursor has expired or the token is not valid any more.
#[utoipa::path(
    get, path = "/api/v1/events/stream", tag = "events", operation_id = "streamEvents", params(Followed),
    responses(
        (status = 200, description = "The stream", content((String = "text/event-stream"))),
        (status = 410, description = "`CURSOR_EXPIRED`: events after the cursor were removed, or it is the cursor of another feed"),
        (status = 429, description = "`TOO_MANY_READERS`: this environment has too many requests that wait"),
        (status = 500, description = "`EVENTS_DAMAGED`: the events cannot be read"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events"),
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time; `TOO_MANY_READERS`: too many requests wait"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn stream(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    stopping: Option<Extension<Stopping>>,
    headers: HeaderMap,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let (place, kinds) = read_place(&api, environment, &mut form)?;
    form.finish(|| Some(()))?;
    let mut place = place?;
    if let Some(last) = headers.get(LAST_EVENT_ID) {
        let last = last.to_str().ok().and_then(|text| place.read(text));
        place.after = last.ok_or_else(Refusal::cursor_expired)?;
        place.check()?;
    }
    let reader = api.readers.admit(environment)?;
    let mut reading = Reading { api, environment, headers, stopping, place, kinds, limit: USUAL_EVENTS };
    let (first, _) = reading.next().await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(follow(reading, first, sender, reader));
    let mut response = Response::new(Body::new(Pieces(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Reads the place after which the feed is read, and the kinds of events.
fn read_place(
    api: &Api,
    environment: EnvironmentId,
    form: &mut Form,
) -> Result<(Result<Place, Refusal>, EventKinds), Refusal> {
    if !api.service().has_feed() {
        return Err(Refusal::no_events());
    }
    let ends = api.service().feed_ends(environment).unwrap_or_default();
    let begin = Place { after: 0, ends };
    let after = form.optional("after", |value| match read::text(value)? {
        "end" => Ok(ends.last),
        text => begin.read(text).ok_or_else(|| "must be end, or a cursor of an earlier answer".into()),
    });
    let kinds = form.optional("types", |value| {
        read::text(value)?.split(',').try_fold(EventKinds::NONE, |kinds, name| {
            let kind: EventKind = name.trim().parse().map_err(|_| names())?;
            Ok(kinds.with(kind))
        })
    });
    let place = Place { after: after.unwrap_or(0), ends };
    Ok((place.check().map(|()| place), kinds.unwrap_or(EventKinds::ALL)))
}

fn names() -> String {
    format!("must be types of events, separated by commas: {}", EventKind::ALL.map(EventKind::name).join(", "))
}

/// A page, and the memory for its response.
type Found = (FeedPage, Option<Reservation>);

/// A request that reads the feed.
struct Reading {
    api: Api,
    environment: EnvironmentId,
    headers: HeaderMap,
    stopping: Option<Extension<Stopping>>,
    place: Place,
    kinds: EventKinds,
    limit: usize,
}

/// Why a wait ended.
enum Woken {
    /// There may be events.
    ByEvent,
    /// It is time to look at the token.
    ToLook,
    /// The server stops.
    ByStop,
}

impl Reading {
    /// Reads the next page, and moves on.
    async fn next(&mut self) -> Result<Found, Refusal> {
        let reservation = self.api.answer_budget.reserve(self.environment, LARGE).await;
        let (after, kinds, limit) = (self.place.after, self.kinds, self.limit);
        let query = move |environment| FeedQuery { environment, after, kinds, limit };
        let environment = self.environment;
        let read = move |service: &Service| service.events_of(environment, query);
        let found = self.api.read_stored(environment, read).await?.map_err(|error| {
            tracing::error!(%error, "the events cannot be read");
            Refusal::events_damaged()
        })?;
        let found = found.ok_or_else(Refusal::cursor_expired)?;
        self.place.after = found.reached;
        Ok((found, Some(reservation)))
    }

    /// Waits for the next page with an event. Returns `None` if the server stops.
    async fn more(&mut self) -> Result<Option<Found>, Refusal> {
        loop {
            let (wake, woken) = oneshot::channel();
            let watch = self.api.service().watch_feed(self.environment, || {
                let _ = wake.send(());
            });
            let found = self.next().await?;
            if !found.0.events.is_empty() {
                return Ok(Some(found));
            }
            if found.0.is_more {
                continue;
            }
            drop(found);
            let mut woken = woken;
            loop {
                match self.wait(&mut woken).await {
                    Woken::ByEvent => break,
                    Woken::ByStop => return Ok(None),
                    Woken::ToLook => self.check()?,
                }
            }
            drop(watch);
            self.check()?;
        }
    }

    /// Waits for an event, at most until the next look.
    async fn wait(&self, woken: &mut oneshot::Receiver<()>) -> Woken {
        let stopping = self.stopping.clone();
        let stop = async {
            match stopping {
                Some(Extension(Stopping(mut stopping))) => _ = stopping.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = woken => Woken::ByEvent,
            () = stop => Woken::ByStop,
            () = tokio::time::sleep(LOOK) => Woken::ToLook,
        }
    }

    /// Checks that the token is still valid.
    fn check(&self) -> Result<(), Refusal> {
        let is_valid = holder(&self.headers, &self.api) == Some(self.environment);
        if is_valid { Ok(()) } else { Err(Refusal::invalid_token()) }
    }
}

/// Sends the pages of a stream, until its client is gone, its token is revoked or the server stops.
async fn follow(mut reading: Reading, first: FeedPage, sender: mpsc::Sender<Bytes>, _reader: Reader) {
    let mut found = first;
    loop {
        let is_more = found.is_more;
        if !found.events.is_empty() {
            let (api, environment) = (reading.api.clone(), reading.environment);
            let text = api.work.drive(environment, piece(found, reading.place)).await;
            if sender.send(text).await.is_err() {
                return;
            }
        }
        let next = if is_more { reading.next().await.map(Some) } else { quiet(&mut reading, &sender).await };
        match next {
            Ok(Some((page, _))) => found = page,
            Ok(None) => return,
            Err(refusal) => {
                // The client may be gone.
                let _ = sender.send(refusal.server_sent()).await;
                return;
            }
        }
        if let Err(refusal) = reading.check() {
            let _ = sender.send(refusal.server_sent()).await;
            return;
        }
    }
}

/// Waits for the next page with an event, and sends a comment from time to time. Returns `None` at the end.
async fn quiet(reading: &mut Reading, sender: &mpsc::Sender<Bytes>) -> Result<Option<Found>, Refusal> {
    loop {
        let more = tokio::time::timeout(LOOK * QUIET_LOOKS, reading.more());
        tokio::select! {
            more = more => match more {
                Ok(more) => return more,
                Err(_) => {
                    if sender.send(Bytes::from_static(b": quiet\n\n")).await.is_err() {
                        return Ok(None);
                    }
                }
            },
            () = sender.closed() => return Ok(None),
        }
    }
}

/// The body that delivers the pieces of a stream.
struct Pieces(mpsc::Receiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
