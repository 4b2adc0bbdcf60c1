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
    /// Whether some ends could not be read. Then there may be events although none are known.
    pub(super) is_unreadable: bool,
}

/// What readers need of the state.
#[derive(Default, Debug)]
struct Shown {
    kept: BTreeMap<Scope, Kept>,
    beginning: u32,
}

/// The state of the feeds that is kept in memory. Only the committing thread changes it, and may hold it while it waits for
/// the disk. What readers need is apart, and locked only to copy it.
#[derive(Debug)]
pub(in crate::store) struct Feeds {
    state: Mutex<State>,
    shown: Mutex<Shown>,
}

impl Feeds {
    /// Reads the ends. One that is not valid begins anew, because events must not keep a store from opening.
    pub(in crate::store) fn read(keyspaces: &Keyspaces) -> Self {
        let mut is_unreadable = false;
        let items = keyspaces.feed.prefix(record_key::COUNTS).map_while(|item| {
            let item = item.into_inner();
            is_unreadable |= item.is_err();
            item.ok()
        });
        let kept = |(key, value): (UserKey, UserValue)| {
            Some((record_key::read_count_key(&key)?, keys::read_count(&value).unwrap_or(Kept::UNKNOWN)))
        };
        let kept: BTreeMap<_, _> = items.filter_map(kept).collect();
        let stored = keyspaces.feed.get(keys::BEGINNING);
        is_unreadable |= stored.is_err();
        let stored = stored.ok().flatten();
        let stored = stored.and_then(|value| Some(u64::from_be_bytes((*value).try_into().ok()?)));
        let of_numbers = kept.values().map(|kept| keys::beginning_of(kept.last.max(kept.removed))).max();
        let beginning = u32::try_from(stored.unwrap_or_default()).unwrap_or_default().max(of_numbers.unwrap_or(0));
        let shown = Mutex::new(Shown { kept: kept.clone(), beginning });
        let (faults, next, most) = (Faults::default(), None, u64::MAX);
        Self { state: Mutex::new(State { kept, faults, next, beginning, most, is_unreadable }), shown }
    }

    /// Locks the state, for as long as a step takes.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows readers the ends of a feed. Before a removal is committed: a reader that finds an event gone must see why.
    pub(super) fn show(&self, environment: Scope, kept: Kept) {
        self.shown().kept.insert(environment, kept);
    }

    /// Shows readers the number of the last beginning.
    pub(super) fn show_beginning(&self, beginning: u32) {
        self.shown().beginning = beginning;
    }

    /// Returns whether no environment ever had an event, as far as can be read.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns a number below those of all events since the last beginning.
    pub(super) fn first(&self) -> u64 {
        keys::numbers_of(self.shown().beginning).0
    }

    /// Returns the ends of an environment's feed, without its origin.
    pub(super) fn ends(&self, environment: Scope) -> FeedEnds {
        let shown = self.shown();
        let Kept { removed, last, .. } = shown.kept.get(&environment).copied().unwrap_or(Kept::NONE);
        let (first, highest) = keys::numbers_of(shown.beginning);
        // 0 stands for the oldest event, so it is not the end of a feed without one.
        let last = Some(last.max(removed)).filter(|last| *last > 0).unwrap_or(first);
        FeedEnds { origin: [0; 4], removed, last, highest: highest.max(last) }
    }
}

impl State {
    /// Returns whether no environment ever had an event, as far as can be read.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.is_unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    #[test]
    fn reader_does_not_wait_while_a_step_reads_the_disk() {
        let state = State {
            kept: BTreeMap::new(),
            faults: Faults::default(),
            next: None,
            beginning: 7,
            most: 1,
            is_unreadable: false,
        };
        let feeds = Arc::new(Feeds { state: Mutex::new(state), shown: Mutex::default() });
        feeds.show_beginning(7);
        let step = feeds.lock();
        let (told, read) = mpsc::channel();
        let there = Arc::clone(&feeds);
        let reader = std::thread::spawn(move || {
            // The receiver is gone if the test has failed.
            let _ = told.send(there.ends(Scope::from_bits(0).expect("24 bits")));
        });
        let ends = read.recv_timeout(Duration::from_secs(30));
        drop(step);
        reader.join().expect("no panic");
        assert_eq!(ends.map(|ends| (ends.removed, ends.last)), Ok((0, keys::numbers_of(7).0)));
    }
}
