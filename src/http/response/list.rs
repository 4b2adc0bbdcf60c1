//! Lists, written piece by piece while the client reads.
//!
//! Each item has a *place* that never changes. A list continues at a place and keeps no plan between pieces: each piece shows
//! the newest configuration. A client that does not read holds one piece in memory, and no old configuration. The tag of a
//! list is the version at its beginning. If the configuration changes meanwhile, that tag is no longer current.

use super::reply;
use crate::http::Api;
use crate::http::middleware::answer_budget::PIECE;
use crate::http::middleware::work::pause;
use crate::http::request::page::{self, Page};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use http_body::Frame;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The maximum number of nested items in a listed item. A list of its own returns all of them.
pub(in crate::http) const MAX_WITHIN: usize = 1000;

/// The maximum number of nested items on one page. Together with [`MAX_WITHIN`] it limits a page of a hundred agents or numbers
/// to 1.5 MiB.
pub(in crate::http) const MAX_WITHIN_PAGE: usize = 10_000;

/// The cost of examined places that ends a slice: about a tenth of a millisecond.
const SLICE: usize = 4096;

/// The source of a list's items.
pub(in crate::http) trait Items: Send + 'static {
    /// The cost of examining one place.
    const COST: usize = 1;

    /// Returns the number of places.
    fn places(&self, plan: &Plan) -> usize;

    /// Returns whether the place has an item that belongs to the list. Appends the item to `out`, if given.
    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool;
}

/// The part of the list that is shown.
#[derive(Clone, Copy)]
pub(in crate::http) enum Shows {
    /// The items of one page, with the page's position in `meta`.
    Page(Page),
    /// All items, with a `meta` that describes one page.
    Whole,
    /// All items, without `meta`.
    Plain,
}

/// A list in progress.
pub(in crate::http) struct Listing<I> {
    items: I,
    shows: Shows,
    place: usize,
    total: usize,
    shown: usize,
}

impl<I: Items> Listing<I> {
    pub(in crate::http) fn new(items: I, shows: Shows) -> Self {
        Self { items, shows, place: 0, total: 0, shown: 0 }
    }

    /// Returns the response. It is complete if it fits in one piece, else streamed.
    pub(in crate::http) async fn answer(mut self, api: &Api, tenant: EnvironmentId) -> Response {
        let mut out = Vec::new();
        while !self.write(&api.service().plan(), &mut out) {
            if out.len() >= PIECE {
                let body = Streamed { written: out.into(), rest: Some(rest(api.clone(), tenant, self)) };
                return reply::json_text(StatusCode::OK, Body::new(body));
            }
            pause().await;
        }
        reply::json_text(StatusCode::OK, out)
    }

    /// Writes more of the list. Returns `true` at its end, and `false` when a piece or a slice is full.
    fn write(&mut self, plan: &Plan, out: &mut Vec<u8>) -> bool {
        if self.place == 0 {
            out.extend_from_slice(br#"{"success":true,"data":["#);
        }
        let (places, first) = (self.items.places(plan), self.place);
        while self.place < places {
            let is_enough = out.len() >= PIECE || (self.place - first) * I::COST >= SLICE;
            if is_enough && self.place > first {
                return false;
            }
            self.look(plan, out);
            self.place += 1;
        }
        out.push(b']');
        let meta = match self.shows {
            Shows::Page(page) => Some(page.meta(self.total)),
            Shows::Whole => Some(page::whole(self.total)),
            Shows::Plain => None,
        };
        if let Some(meta) = meta {
            out.extend_from_slice(br#","meta":"#);
            write(out, &meta);
        }
        out.push(b'}');
        true
    }

    fn look(&mut self, plan: &Plan, out: &mut Vec<u8>) {
        let before = out.len();
        let is_shown = match self.shows {
            Shows::Page(page) => page.shows(self.total),
            Shows::Whole | Shows::Plain => true,
        };
        if is_shown && self.shown > 0 {
            out.push(b',');
        }
        if self.items.item(plan, self.place, is_shown.then_some(&mut *out)) {
            self.total += 1;
            self.shown += usize::from(is_shown);
        } else {
            out.truncate(before);
        }
    }
}

/// Appends a value as JSON.
pub(in crate::http) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("every answer can be written as JSON");
}

/// A future that writes the next piece of a list, and returns the future for the pieces after it.
struct Rest(Pin<Box<dyn Future<Output = (Bytes, Option<Rest>)> + Send>>);

fn rest<I: Items>(api: Api, tenant: EnvironmentId, mut listing: Listing<I>) -> Rest {
    Rest(Box::pin(async move {
        let mut out = Vec::new();
        loop {
            let service = Arc::clone(api.service());
            let slice = move || {
                let is_finished = listing.write(&service.plan(), &mut out);
                (listing, out, is_finished)
            };
            let is_finished;
            (listing, out, is_finished) = api.work.run(tenant, slice).await;
            if is_finished {
                return (out.into(), None);
            }
            if out.len() >= PIECE {
                return (out.into(), Some(rest(api, tenant, listing)));
            }
        }
    }))
}

/// The body of a list that is longer than one piece.
struct Streamed {
    written: Bytes,
    rest: Option<Rest>,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.written.is_empty()
            && let Some(Rest(rest)) = &mut self.rest
        {
            (self.written, self.rest) = ready!(rest.as_mut().poll(context));
        }
        let written = std::mem::take(&mut self.written);
        Poll::Ready((!written.is_empty()).then_some(Ok(Frame::data(written))))
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_empty() && self.rest.is_none()
    }
}
