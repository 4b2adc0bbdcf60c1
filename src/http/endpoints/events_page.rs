//! The places of a feed as cursors, and its pages as text.

use super::events::EventsMeta;
use crate::http::middleware::work::pause;
use crate::http::response::error::Refusal;
use crate::http::response::event::{ShownEvent, cursor, shown};
use crate::http::response::list::write;
use crate::http::response::reply;
use crate::store::{FeedEnds, FeedPage, StoredEvent};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;

/// The number of events that are written in one slice of work.
const AT_ONCE: usize = 64;

/// A place of a feed. As text, it is the origin of the feed and the number of an event.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) after: u64,
    pub(super) ends: FeedEnds,
}

/// The origin that stands for a cursor of another feed.
const FOREIGN: u64 = u64::MAX;

impl Place {
    /// Reads a cursor. One of another feed has the greatest number, which is never valid.
    pub(super) fn read(&self, text: &str) -> Option<u64> {
        let is_hex = text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (origin, number) = text.split_at_checked(8).filter(|_| is_hex)?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let is_own = u32::from_str_radix(origin, 16).ok()?.to_be_bytes() == self.ends.origin;
        Some(if is_own { number } else { FOREIGN })
    }

    /// Returns the cursor of an event.
    pub(super) fn write(&self, number: u64) -> String {
        cursor(&self.ends, number)
    }

    /// Checks that nothing after this place was removed, and that it belongs to this feed.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let FeedEnds { removed, highest, .. } = self.ends;
        let is_kept = self.after == 0 || self.after >= removed && self.after <= highest;
        if is_kept { Ok(()) } else { Err(Refusal::cursor_expired()) }
    }

    /// Returns an event as it is shown. A damaged one is left out, and named in the log.
    fn shown(&self, event: &StoredEvent) -> Option<ShownEvent> {
        let found = shown(event, self.write(event.sequence));
        if found.is_none() {
            tracing::error!(sequence = event.sequence, "an event is damaged, and left out");
        }
        found
    }
}

/// Returns the response with a page.
pub(super) async fn page(found: FeedPage, place: Place, is_of_node: bool) -> Response {
    let mut out = br#"{"success":true,"data":["#.to_vec();
    let mut is_first = true;
    for events in found.events.chunks(AT_ONCE) {
        for event in events.iter().filter_map(|event| place.shown(event)) {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            write(&mut out, &event);
        }
        pause().await;
    }
    out.extend_from_slice(br#"],"meta":"#);
    let meta = EventsMeta { next_cursor: place.write(place.after), has_more: found.is_more, is_of_node };
    write(&mut out, &meta);
    out.push(b'}');
    reply::json_text(StatusCode::OK, out)
}

/// Returns a page as server-sent events. Without events, it has only the place, which a client remembers.
pub(super) async fn piece(found: FeedPage, place: Place) -> Vec<u8> {
    let mut out = Vec::new();
    if found.events.is_empty() {
        out.extend_from_slice(format!("id: {}\n\n", place.write(place.after)).as_bytes());
    }
    for events in found.events.chunks(AT_ONCE) {
        for event in events.iter().filter_map(|event| place.shown(event)) {
            out.extend_from_slice(format!("id: {}\nevent: {}\ndata: ", event.cursor(), event.kind()).as_bytes());
            write(&mut out, &event);
            out.extend_from_slice(b"\n\n");
        }
        pause().await;
    }
    out
}

/// Returns the place of a stream that has been quiet for some time, and a comment.
pub(super) fn quiet_piece(place: Place) -> Bytes {
    format!("id: {}\n: quiet\n\n", place.write(place.after)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_reads_back_and_only_places_of_this_feed_are_valid() {
        let ends = FeedEnds { origin: [0, 7, 8, 255], removed: 5, last: 9, readable: 9, highest: 20 };
        let place = |after| Place { after, ends };
        for number in [0, 5, 9, u64::MAX] {
            assert_eq!(place(0).read(&place(0).write(number)), Some(number));
        }
        assert_eq!(place(0).read("000708fe0000000000000005"), Some(FOREIGN));
        for text in ["", "end", "7", &"g".repeat(24), &"A".repeat(24), &"+".repeat(24), &"é".repeat(12)] {
            assert_eq!(place(0).read(text), None, "{text}");
        }
        let valid: Vec<_> = (0..30).filter(|after| place(*after).check().is_ok()).collect();
        assert_eq!(valid, [0].into_iter().chain(5..=20).collect::<Vec<_>>());
        assert!(place(FOREIGN).check().is_err());
    }
}
