//! When the calls of a file were placed.

use dialback::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// The first and the last moment of calls, and the number of calls that lie in the future.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    span: Option<(Timestamp, Timestamp)>,
    pub(crate) in_the_future: u64,
}

impl Span {
    /// Adds a call.
    pub(in crate::import) fn add(&mut self, at: Timestamp, now: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        self.in_the_future += u64::from(at > now);
    }

    /// Adds the calls of another span.
    pub(in crate::import) fn add_all(&mut self, other: Self) {
        let both = [self.span, other.span].into_iter().flatten();
        self.span = both.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        self.in_the_future += other.in_the_future;
    }

    pub(crate) fn first(self) -> Option<String> {
        self.span.map(|(first, _)| text(first))
    }

    pub(crate) fn last(self) -> Option<String> {
        self.span.map(|(_, last)| text(last))
    }
}

/// Returns the moment in RFC 3339 form, in UTC.
pub(in crate::import) fn text(at: Timestamp) -> String {
    let mut text = Vec::new();
    write(&mut text, at);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends the moment in RFC 3339 form, in UTC.
pub(in crate::import) fn write(text: &mut Vec<u8>, at: Timestamp) {
    let at = i64::try_from(at.millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let written = at.map(|at| DateTimePrinter::new().print_timestamp(&at, &mut *text));
    if !matches!(written, Some(Ok(()))) {
        text.extend_from_slice(b"beyond the calendar");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_last_and_future_moments_are_kept() {
        let mut span = Span::default();
        assert_eq!((span.first(), span.last()), (None, None));
        for at in [1_751_371_200, 1_751_371_100, 1_751_371_300] {
            span.add(Timestamp::from_secs(at), Timestamp::from_secs(1_751_371_200));
        }
        assert_eq!(span.first().as_deref(), Some("2025-07-01T11:58:20Z"));
        assert_eq!(span.last().as_deref(), Some("2025-07-01T12:01:40Z"));
        assert_eq!(span.in_the_future, 1);
        let mut all = Span::default();
        all.add_all(span);
        assert_eq!(all, span);
        all.add(Timestamp::from_secs(1_751_371_000), Timestamp::from_secs(1_751_370_000));
        span.add_all(all);
        assert_eq!((span.first(), span.in_the_future), (Some("2025-07-01T11:56:40Z".into()), 3));
    }
}
