//! Counts requests by method and route template, never by path, because a path may contain a phone number.

use crate::http::new_id;
use crate::metrics::Histogram;
use crate::sync::{AtomicU64, Ordering};
use axum::http::{HeaderValue, Method, StatusCode};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;

/// The latency buckets in nanoseconds: from a response from memory to one that waited for a broken disk.
const LATENCY: &[u64] = &[
    25 * MICRO,
    50 * MICRO,
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    1_000 * MILLI,
    5_000 * MILLI,
    30_000 * MILLI,
];

/// The buckets of decision durations in nanoseconds: some cache misses, if the machine is not busy.
const DECISION: &[u64] =
    &[125, 250, 500, MICRO, 2 * MICRO, 4 * MICRO, 8 * MICRO, 16 * MICRO, 64 * MICRO, 256 * MICRO, MILLI, 10 * MILLI];

/// The known methods, and `other` for all others. A method that a client invents must not become a label.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "other"];

const STATUSES: usize = 600;

/// The counts of all requests.
#[derive(Debug)]
pub(in crate::http) struct Requests {
    /// By the index of the method, then by route template.
    routes: RwLock<[Templates; METHODS.len()]>,
    /// The durations of decisions, without the requests around them.
    pub(in crate::http) decisions: Histogram,
    /// The number of request ids given out.
    named: AtomicU64,
    /// A random number that distinguishes the ids of this process.
    process: u64,
    /// The number of requests rejected because the store has failed.
    refused: AtomicU64,
}

/// The id of a request in the log and in its response: sixteen hexadecimal digits, unique in the process.
pub(in crate::http) struct Name([u8; 16]);

/// Method and route template.
pub(in crate::http) type Route = (&'static str, Box<str>);

type Templates = HashMap<Box<str>, Arc<Counts>, ahash::RandomState>;

/// The counts of one route.
#[derive(Debug)]
pub(in crate::http) struct Counts {
    pub(in crate::http) latency: Histogram,
    statuses: Box<[AtomicU64]>,
}

impl Default for Requests {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        let (process, _) = new_id::uuid().as_u64_pair();
        Self { routes: RwLock::default(), decisions: Histogram::new(DECISION), named: zero(), process, refused: zero() }
    }
}

impl Name {
    fn new(number: u64) -> Self {
        let bytes = number.to_be_bytes();
        let digit = |place: usize| bytes[place / 2] >> (4 * (1 - place % 2)) & 15;
        Self(std::array::from_fn(|place| b"0123456789abcdef"[usize::from(digit(place))]))
    }

    pub(in crate::http) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_ref()).expect("hexadecimal digits")
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl Requests {
    /// Returns an id for one more request.
    pub(in crate::http) fn name(&self) -> Name {
        // An odd multiplier keeps the numbers distinct and makes consecutive ids look different.
        let number = self.named.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Name::new(self.process ^ number)
    }

    /// Counts a request that was rejected because the store has failed. Returns the new count.
    pub(in crate::http) fn refused(&self) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(in crate::http) fn count(&self, method: &Method, template: &str, status: StatusCode, nanos: u64) {
        let other = METHODS.len() - 1;
        let method = METHODS[..other].iter().position(|known| method == known).unwrap_or(other);
        if let Some(counts) = self.routes.read().unwrap_or_else(PoisonError::into_inner)[method].get(template) {
            return counts.add(status, nanos);
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes[method].entry(template.into()).or_default().add(status, nanos);
    }

    /// Returns the counts by route, sorted.
    pub(in crate::http) fn all(&self) -> Vec<(Route, Arc<Counts>)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let by_method = METHODS.into_iter().zip(&*routes);
        let mut all: Vec<_> = by_method
            .flat_map(|(method, templates)| {
                templates.iter().map(move |(template, counts)| ((method, template.clone()), Arc::clone(counts)))
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

impl Default for Counts {
    fn default() -> Self {
        let statuses = std::iter::repeat_with(|| AtomicU64::new(0)).take(STATUSES).collect();
        Self { latency: Histogram::new(LATENCY), statuses }
    }
}

impl Counts {
    fn add(&self, status: StatusCode, nanos: u64) {
        self.latency.record(nanos);
        if let Some(count) = self.statuses.get(usize::from(status.as_u16())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each status that occurred, with its count.
    pub(in crate::http) fn statuses(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.statuses.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_id_is_its_number_in_hexadecimal() {
        for number in [0, 1, 0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, u64::MAX] {
            assert_eq!(Name::new(number).as_ref(), format!("{number:016x}"));
        }
    }
}
