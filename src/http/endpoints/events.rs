//! `GET /events` and `GET /events/stream`: the feed of an environment.
//!
//! A request that waits holds no lock and no thread. It is woken by the next commit that adds an event, and looks each second
//! whether its token is still valid. It also ends when the daemon stops, whatever it waits for.

use super::events_page::{Place, page, piece, quiet_piece};
use crate::http::Api;
use crate::http::middleware::answer_budget::{LARGE, Reservation, USUAL};
use crate::http::openapi::example;
use crate::http::request::auth::{Tenant, holder};
use crate::http::request::form::{Form, QueryForm, Wrong};
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::event::ShownEvent;
use crate::http::response::reply::Listed;
use crate::id::EnvironmentId;
use crate::service::Service;
use crate::store::{EventKind, EventKinds, FeedPage, FeedQuery};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Extensions, HeaderMap};
use axum::response::Response;
use http_body::Frame;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
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

/// Called about each second while a request waits for an event, so that its connection is not closed as one without progress.
/// A server may put it into the extensions of the same requests.
#[derive(Clone)]
pub struct OnWait(pub Arc<dyn Fn() + Send + Sync>);

/// The most events of a page, and the number without `limit`.
const MAX_EVENTS: usize = 1000;
const USUAL_EVENTS: usize = 100;
/// The bytes of stored events after which a piece of a stream or a short page ends, and the memory for it in KiB: of the
/// events, and of their text, whose buffer grows by doubling.
const PIECE_BYTES: usize = 64 << 10;
const PIECE_KIB: u32 = 2 * USUAL;
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
    #[param(pattern = "^(route\\.decided|route\\.answered|call\\.recorded|configuration\\.changed)(,(route\\.decided|route\\.answered|call\\.recorded|configuration\\.changed))*$", example = json!("call.recorded"))]
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
    #[param(pattern = "^(route\\.decided|route\\.answered|call\\.recorded|configuration\\.changed)(,(route\\.decided|route\\.answered|call\\.recorded|configuration\\.changed))*$", example = json!("call.recorded"))]
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
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time, or too many answers of the environment are not read yet; `TOO_MANY_READERS`: too many requests wait"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    extensions: Extensions,
    headers: HeaderMap,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let limit = form.optional("limit", |value| read::digits(value, 1..=MAX_EVENTS)).unwrap_or(USUAL_EVENTS);
    let wait = form.optional("wait", |value| read::digits(value, 0..=MAX_WAIT)).unwrap_or(0);
    let (place, kinds) = read_place(&api, environment, &mut form, None)?;
    form.finish(|| Some(()))?;
    place.check()?;
    let mut reading =
        Reading { api: api.clone(), environment, headers, extensions, place, kinds, size: Size::of_page(limit) };
    let mut found = Some(reading.first().await?);
    if wait > 0 && found.as_ref().is_some_and(|(page, _)| page.events.is_empty()) {
        let _reader = api.readers.admit(environment)?;
        // Its memory is free while it waits.
        found = None;
        let stopped = reading.stopped();
        tokio::select! {
            more = reading.more() => found = Some(more?),
            () = tokio::time::sleep(Duration::from_secs(wait as u64)) => {}
            () = stopped => {}
        }
    }
    let place = reading.place;
    let is_of_node = api.service().fleet().is_some();
    let Some((events, reservation)) = found else { return Ok(page(FeedPage::default(), place, is_of_node).await) };
    Ok(reservation.hold(api.work.drive(environment, page(events, place, is_of_node)).await))
}

/// Sends events as they are committed, as server-sent events: `id` is the cursor, `event` the type, and `data` the event as in
/// `GET /events`.
///
/// From time to time it sends an `id` without an event, so that a client that connects again misses nothing. The stream ends with
/// an event `error`, whose data has a `code`, if the cursor has expired, the token is not valid any more, or the events cannot
/// be read, and without one if the daemon stops.
#[utoipa::path(
    get, path = "/api/v1/events/stream", tag = "events", operation_id = "streamEvents", params(Followed),
    responses(
        (status = 200, description = "The stream", content((serde_json::Value = "text/event-stream"))),
        (status = 410, description = "`CURSOR_EXPIRED`: events after the cursor were removed, or it is the cursor of another feed"),
        (status = 429, description = "`TOO_MANY_READERS`: this environment has too many requests that wait"),
        (status = 500, description = "`EVENTS_DAMAGED`: the events cannot be read"),
        (status = 501, description = "`NOT_STORED`: the service keeps no events"),
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time, or too many answers of the environment are not read yet; `TOO_MANY_READERS`: too many requests wait"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn stream(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    extensions: Extensions,
    headers: HeaderMap,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let (place, kinds) = read_place(&api, environment, &mut form, headers.get(LAST_EVENT_ID))?;
    form.finish(|| Some(()))?;
    place.check()?;
    let reader = api.readers.admit(environment)?;
    let size = Size { limit: USUAL_EVENTS, max_bytes: PIECE_BYTES, kib: PIECE_KIB };
    let mut reading = Reading { api, environment, headers, extensions, place, kinds, size };
    let first = reading.first().await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _reader = reader;
        tokio::select! {
            () = reading.stopped() => {}
            () = follow(reading, first, sender) => {}
        }
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Reads the place after which the feed is read, and the kinds of events. The place of the last event that a client has got
/// comes before that with which it once began.
fn read_place(
    api: &Api,
    environment: EnvironmentId,
    form: &mut Form,
    last: Option<&HeaderValue>,
) -> Result<(Place, EventKinds), Refusal> {
    if !api.service().has_feed() {
        return Err(Refusal::no_events());
    }
    let ends = api.service().feed_ends(environment).ok_or_else(Refusal::too_slow)?;
    let begin = Place { after: 0, ends };
    let after = form.optional("after", |value| match read::text(value)? {
        "end" => Ok(ends.last),
        text => begin.read(text).ok_or_else(|| "must be end, or a cursor of an earlier answer".into()),
    });
    let last = last.and_then(|last| {
        let last = last.to_str().ok().and_then(|text| begin.read(text));
        if last.is_none() {
            form.error(LAST_EVENT_ID, &Wrong::from("must be a cursor of an earlier answer"));
        }
        last
    });
    let kinds = form.optional("types", |value| {
        read::text(value)?.split(',').try_fold(EventKinds::NONE, |kinds, name| {
            let kind: EventKind = name.trim().parse().map_err(|_| names())?;
            Ok(kinds.with(kind))
        })
    });
    let place = Place { after: last.or(after).unwrap_or(0), ends };
    Ok((place, kinds.unwrap_or(EventKinds::ALL)))
}

fn names() -> String {
    format!("must be types of events, separated by commas: {}", EventKind::ALL.map(EventKind::name).join(", "))
}

/// A page, and the memory for its response.
type Found = (FeedPage, Reservation);

/// The size of a page.
#[derive(Clone, Copy)]
struct Size {
    limit: usize,
    max_bytes: usize,
    /// The memory that it reserves.
    kib: u32,
}

impl Size {
    fn of_page(limit: usize) -> Self {
        if limit <= USUAL_EVENTS {
            return Self { limit, max_bytes: PIECE_BYTES, kib: PIECE_KIB };
        }
        Self { limit, max_bytes: FeedPage::MAX_BYTES, kib: LARGE }
    }
}

/// A request that reads the feed.
struct Reading {
    api: Api,
    environment: EnvironmentId,
    headers: HeaderMap,
    extensions: Extensions,
    place: Place,
    kinds: EventKinds,
    size: Size,
}

/// Why a wait ended.
enum Woken {
    /// There may be events.
    ByEvent,
    /// It is time to look at the token.
    ToLook,
}

impl Reading {
    /// Reads the next page, and moves on.
    async fn next(&mut self) -> Result<Found, Refusal> {
        let Size { limit, max_bytes, kib } = self.size;
        let reservation = self.api.answer_budget.reserve(self.environment, kib);
        let reservation = tokio::time::timeout(self.api.limits.patience, reservation).await;
        let reservation = reservation.map_err(|_| Refusal::too_slow())?;
        let (after, kinds) = (self.place.after, self.kinds);
        let query = move |environment| FeedQuery { environment, after, kinds, limit, max_bytes };
        let environment = self.environment;
        let read = move |service: &Service| service.events_of(environment, query);
        let found = self.api.read_stored(environment, read).await?.map_err(|error| {
            // The environment may have been deleted meanwhile, and its tokens with it.
            if let Err(refusal) = self.check() {
                return refusal;
            }
            tracing::error!(%error, "the events cannot be read");
            Refusal::events_damaged()
        })?;
        let found = found.ok_or_else(Refusal::cursor_expired)?;
        self.place.after = found.reached;
        Ok((found, reservation))
    }

    /// Reads the first page, unless the server stops.
    async fn first(&mut self) -> Result<Found, Refusal> {
        let stopped = self.stopped();
        tokio::select! {
            found = self.next() => found,
            () = stopped => Err(Refusal::too_slow()),
        }
    }

    /// Returns when the server stops.
    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let stopping = self.extensions.get().cloned();
        async move {
            match stopping {
                Some(Stopping(mut stopping)) => _ = stopping.changed().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for the next page with an event.
    async fn more(&mut self) -> Result<Found, Refusal> {
        loop {
            let (wake, woken) = oneshot::channel();
            let watch = self.api.service().watch_feed(self.environment, || {
                let _ = wake.send(());
            });
            let found = self.next().await?;
            if !found.0.events.is_empty() {
                return Ok(found);
            }
            if found.0.is_more {
                // There may be very many events of other kinds.
                self.check()?;
                self.tell();
                continue;
            }
            drop(found);
            let mut woken = woken;
            loop {
                match self.wait(&mut woken).await {
                    Woken::ByEvent => break,
                    Woken::ToLook => self.check()?,
                }
            }
            drop(watch);
            self.check()?;
        }
    }

    /// Waits for an event, at most until the next look.
    async fn wait(&self, woken: &mut oneshot::Receiver<()>) -> Woken {
        self.tell();
        tokio::select! {
            _ = woken => Woken::ByEvent,
            () = tokio::time::sleep(LOOK) => Woken::ToLook,
        }
    }

    /// Tells the connection that the request goes on although nothing is sent.
    fn tell(&self) {
        if let Some(OnWait(on_wait)) = self.extensions.get() {
            on_wait();
        }
    }

    /// Checks that the token is still valid.
    fn check(&self) -> Result<(), Refusal> {
        let is_valid = holder(&self.headers, &self.api) == Some(self.environment);
        if is_valid { Ok(()) } else { Err(Refusal::invalid_token()) }
    }
}

/// Sends the pages of a stream, until its client is gone or its token is revoked.
async fn follow(mut reading: Reading, first: Found, sender: mpsc::Sender<Bytes>) {
    let (mut found, mut is_first) = (first, true);
    loop {
        let (page, reservation) = found;
        // Without an event, the place goes to the client from time to time.
        let is_more = page.is_more && !page.events.is_empty();
        if !page.events.is_empty() || is_first {
            let (api, environment) = (reading.api.clone(), reading.environment);
            let text = api.work.drive(environment, piece(page, reading.place)).await;
            if sender.send(reservation.attach(text)).await.is_err() {
                return;
            }
        }
        is_first = false;
        let next = if is_more { reading.next().await.map(Some) } else { quiet(&mut reading, &sender).await };
        match next.and_then(|next| reading.check().map(|()| next)) {
            Ok(Some(next)) => found = next,
            Ok(None) => return,
            Err(refusal) => {
                // The client may be gone.
                let _ = sender.send(refusal.server_sent()).await;
                return;
            }
        }
    }
}

/// Waits for the next page with an event, and sends its place from time to time. Returns `None` if the client is gone.
async fn quiet(reading: &mut Reading, sender: &mpsc::Sender<Bytes>) -> Result<Option<Found>, Refusal> {
    loop {
        let more = tokio::time::timeout(LOOK * QUIET_LOOKS, reading.more());
        let more = tokio::select! {
            more = more => more,
            () = sender.closed() => return Ok(None),
        };
        match more {
            Ok(found) => return found.map(Some),
            Err(_) => {
                if sender.send(quiet_piece(reading.place)).await.is_err() {
                    return Ok(None);
                }
            }
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
