//! What is asked, in numbers: by method and route template, never by path, in which a phone number may stand.

use crate::metrics::Histogram;
use crate::sync::{AtomicU64, Ordering};
use axum::http::{Method, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;

/// From an answer out of memory to one that has waited for a broken disk, in nanoseconds.
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

/// Decisions, in nanoseconds: some cache misses, unless the machine has something else to do.
const DECISION: &[u64] =
    &[125, 250, 500, MICRO, 2 * MICRO, 4 * MICRO, 8 * MICRO, 16 * MICRO, 64 * MICRO, 256 * MICRO, MILLI, 10 * MILLI];

/// Methods that there are routes for. What somebody makes up is counted as another one: it must not become a label.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "HEAD"];

const STATUSES: usize = 600;

/// All requests so far.
#[derive(Debug)]
pub(super) struct Requests {
    routes: RwLock<HashMap<Route, Arc<Counts>, ahash::RandomState>>,
    /// How long decisions took, without what is around them.
    pub(super) decisions: Histogram,
}

/// Method and route template.
pub(super) type Route = (&'static str, Box<str>);

/// The requests of one route.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) latency: Histogram,
    statuses: Box<[AtomicU64]>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { routes: RwLock::default(), decisions: Histogram::new(DECISION) }
    }
}

impl Requests {
    pub(super) fn count(&self, method: &Method, template: &str, status: StatusCode, nanos: u64) {
        let method = METHODS.into_iter().find(|known| method == known).unwrap_or("other");
        let counts = self.of(method, template);
        counts.latency.record(nanos);
        if let Some(count) = counts.statuses.get(usize::from(status.as_u16())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, method: &'static str, template: &str) -> Arc<Counts> {
        let route: Route = (method, template.into());
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(&route).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(routes.entry(route).or_default())
        })
    }

    /// By route, sorted.
    pub(super) fn all(&self) -> Vec<(Route, Arc<Counts>)> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = routes.iter().map(|(route, counts)| (route.clone(), Arc::clone(counts))).collect();
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
    /// The statuses that were answered, and how often.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.statuses.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        counts.filter(|(_, count)| *count > 0)
    }
}
