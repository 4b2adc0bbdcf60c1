//! Lists, written piece by piece while the client reads.
//!
//! An item has a *place* that stays its own, so a list goes on at a place and keeps no plan between pieces: each piece shows the
//! newest configuration. A client that does not read holds one piece in memory, and no old configuration. The tag of a list that
//! changed meanwhile is that of its beginning, which is current no more.

use super::page::{self, Page};
use super::room::PIECE;
use super::work::pause;
use super::{Api, reply};
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

/// How many items of each kind an answer lists within another item. The rest has a list of its own.
pub(super) const MAX_WITHIN: usize = 1000;

/// How many items the items of one page list within them, together. With this and [`MAX_WITHIN`] a page of a hundred agents or
/// numbers has 1.5 MiB at most.
pub(super) const MAX_WITHIN_PAGE: usize = 10_000;

/// Looks that end a slice: a tenth of a millisecond.
const SLICE: usize = 4096;

/// What is listed.
pub(super) trait Items: Send + 'static {
    /// What it costs to look at a place.
    const COST: usize = 1;

    /// How many places there are.
    fn places(&self, plan: &Plan) -> usize;

    /// Whether there is an item at this place that is wanted. Writes it where it is to be shown.
    fn item(&mut self, plan: &Plan, place: usize, out: Option<&mut Vec<u8>>) -> bool;
}

/// Which of the items are shown.
#[derive(Clone, Copy)]
pub(super) enum Shows {
    /// Those of the page, with its place in the whole.
    Page(Page),
    /// All, as one page.
    Whole,
    /// All, without a word about how many there are.
    Plain,
}

/// A list that is being written.
pub(super) struct Listing<I> {
    items: I,
    shows: Shows,
    place: usize,
    total: usize,
    shown: usize,
}

impl<I: Items> Listing<I> {
    pub(super) fn new(items: I, shows: Shows) -> Self {
        Self { items, shows, place: 0, total: 0, shown: 0 }
    }

    /// The answer, as much of it as is needed to begin.
    pub(super) async fn answer(mut self, api: &Api, tenant: EnvironmentId) -> Response {
        let mut out = Vec::new();
        while !self.write(&api.service.plan(), &mut out) {
            if out.len() >= PIECE {
                let body = Streamed { written: out.into(), rest: Some(rest(api.clone(), tenant, self)) };
                return reply::json_text(StatusCode::OK, Body::new(body));
            }
            pause().await;
        }
        reply::json_text(StatusCode::OK, out)
    }

    /// Writes on: until the end, which it says, or until there is enough for now.
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

/// Appends JSON.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("every answer can be written as JSON");
}

/// What writes the next piece of a list, and what writes those after it.
struct Rest(Pin<Box<dyn Future<Output = (Bytes, Option<Rest>)> + Send>>);

fn rest<I: Items>(api: Api, tenant: EnvironmentId, mut listing: Listing<I>) -> Rest {
    Rest(Box::pin(async move {
        let mut out = Vec::new();
        loop {
            let service = Arc::clone(&api.service);
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

/// The body of a list that is longer than a piece.
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
