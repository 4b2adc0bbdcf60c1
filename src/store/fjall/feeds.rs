//! The ends of all feeds in memory, so that no commit has to look for them.

use super::keyspaces::Keyspaces;
use super::shelves::Faults;
use crate::slot::Scope;
use crate::store::FeedEnds;
use crate::store::records::feed_key::{self as keys, Kept};
use crate::store::records::record_key;
use fjall::{UserKey, UserValue};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ends of the feeds, and the places that could not be read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) kept: BTreeMap<Scope, Kept>,
    pub(super) faults: Faults,
    /// The environment with which the next step begins.
    pub(super) next: Option<Scope>,
    /// The number of the last beginning.
    pub(super) beginning: u32,
    /// The most events of one environment.
    pub(super) most: u64,
}

/// The state of the feeds that is kept in memory. Only the committing thread changes it.
#[derive(Debug)]
pub(in crate::store) struct Feeds(Mutex<State>);

impl Feeds {
    /// Reads the ends. One that is not valid begins anew, because events must not keep a store from opening.
    pub(in crate::store) fn read(keyspaces: &Keyspaces) -> Self {
        let items = keyspaces.feed.prefix(record_key::COUNTS).map_while(|item| item.into_inner().ok());
        let kept = |(key, value): (UserKey, UserValue)| {
            Some((record_key::read_count_key(&key)?, keys::read_count(&value).unwrap_or(Kept::UNKNOWN)))
        };
        let kept: BTreeMap<_, _> = items.filter_map(kept).collect();
        let stored = keyspaces.feed.get(keys::BEGINNING).ok().flatten();
        let stored = stored.and_then(|value| Some(u64::from_be_bytes((*value).try_into().ok()?)));
        let of_numbers = kept.values().map(|kept| keys::beginning_of(kept.last.max(kept.removed))).max();
        let beginning = u32::try_from(stored.unwrap_or_default()).unwrap_or_default().max(of_numbers.unwrap_or(0));
        Self(Mutex::new(State { kept, faults: Faults::default(), next: None, beginning, most: u64::MAX }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no environment ever had an event.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().kept.is_empty()
    }

    /// Returns the ends of an environment's feed, without its origin.
    pub(super) fn ends(&self, environment: Scope) -> FeedEnds {
        let state = self.lock();
        let Kept { removed, last, .. } = state.kept.get(&environment).copied().unwrap_or(Kept::NONE);
        let highest = keys::numbers_of(state.beginning).1.max(last);
        FeedEnds { origin: [0; 4], removed, last: last.max(removed), highest }
    }
}
