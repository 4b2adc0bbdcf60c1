//! Spans of time by this node's clock, which an operator may set back.

use crate::time::Timestamp;
use std::time::Duration;

/// Returns the milliseconds since a moment that this node's clock has shown. A moment that is in the future becomes the
/// present one: the clock was set back, and the span begins again.
pub(super) fn elapsed(now: Timestamp, since: &mut Timestamp) -> u64 {
    *since = (*since).min(now);
    now.millis_since(*since)
}

/// Returns a span in milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_begins_again_when_the_clock_is_set_back() {
        let at = Timestamp::from_secs;
        let mut since = at(100);
        assert_eq!(elapsed(at(103), &mut since), 3000);
        assert_eq!(elapsed(at(50), &mut since), 0);
        assert_eq!(elapsed(at(60), &mut since), 10_000);
    }
}
