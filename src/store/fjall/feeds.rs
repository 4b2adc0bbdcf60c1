//! The ends of all feeds in memory, so that no commit has to look for them.

use super::keyspaces::Keyspaces;
use super::shelves::Faults;
use crate::slot::Scope;
use crate::store::FeedEnds;
use crate::store::records::feed_key::{self as keys, Kept};
use crate::store::records::record_key;
use crate::time::Timestamp;
use fjall::Keyspace;
use std::collections::{BTreeMap, BTreeSet};
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
    /// A number below which there may be gaps. `None` if the next beginning sets it.
    pub(super) floor: Option<u64>,
    pub(super) clock: Clock,
    /// The most events of one environment.
    pub(super) most: u64,
    /// The environments with events that readers are not shown yet.
    pub(super) unshown: BTreeSet<Scope>,
    /// Whether some ends could not be read. Then there may be events although none are known.
    pub(super) is_unreadable: bool,
}

/// The time since which new events are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// When the service began, by a clock that may be wrong.
    Begun(Timestamp),
    /// The time by which events expire.
    Believed(Timestamp),
}

impl Clock {
    /// Returns a time after which an event is dated by a clock that was wrong. 0 if the clock itself is not trusted.
    pub(super) fn ahead(self) -> Timestamp {
        match self {
            Self::Begun(_) => Timestamp::from_millis(0),
            Self::Believed(now) => now.plus_millis(keys::TOLERANCE_MILLIS),
        }
    }

    /// Returns since when a new event is kept that happened at a time.
    pub(super) fn since(self, kept: &Kept, at: Timestamp) -> Timestamp {
        match self {
            Self::Begun(begun) => begun.max(at).max(kept.newest),
            // An event can come late, and another node's clock can be wrong.
            Self::Believed(now) => now.max(kept.newest),
        }
    }
}

/// The numbers of an environment that readers use.
#[derive(Clone, Copy, Default, Debug)]
struct Visible {
    removed: u64,
    /// The number of the last event that is committed, and whose effect is in force.
    last: u64,
}

impl From<Kept> for Visible {
    fn from(Kept { removed, last, .. }: Kept) -> Self {
        Self { removed, last }
    }
}

/// The part of the state that readers use.
#[derive(Default, Debug)]
struct Shown {
    kept: BTreeMap<Scope, Visible>,
    beginning: u32,
    floor: u64,
    /// Whether there may be events of environments that are not known.
    is_unreadable: bool,
}

/// The state of the feeds that is kept in memory. Only the committing thread changes it, and may hold it while it waits for
/// the disk. What readers need is apart, and locked only to copy it.
#[derive(Debug)]
pub(in crate::store) struct Feeds {
    state: Mutex<State>,
    shown: Mutex<Shown>,
}

impl Feeds {
    /// Reads the ends. Events must not keep a store from opening: ends that are not valid are looked for, and those that cannot
    /// be read are read later.
    pub(in crate::store) fn read(keyspaces: &Keyspaces) -> Self {
        let feed = &keyspaces.feed;
        let kept = read_all(feed);
        let mut is_unreadable = kept.is_err();
        let kept = kept.unwrap_or_default();
        let stored = feed.get(keys::BEGINNING);
        is_unreadable |= stored.is_err();
        let (stored, floor) = stored.ok().flatten().and_then(|value| keys::read_beginning(&value)).unwrap_or_default();
        let of_numbers = kept.values().map(|kept| keys::beginning_of(kept.last.max(kept.removed))).max();
        let beginning = u32::try_from(stored).unwrap_or_default().max(of_numbers.unwrap_or(0));
        let visible = kept.iter().map(|(environment, kept)| (*environment, Visible::from(*kept))).collect();
        let shown = Shown { kept: visible, beginning, floor: floor.unwrap_or(0), is_unreadable };
        let state = State { kept, beginning, floor, is_unreadable, ..State::new() };
        Self { state: Mutex::new(state), shown: Mutex::new(shown) }
    }

    /// Locks the state, for as long as a step takes.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows readers the number up to which events are removed. Before that is committed: a reader that finds an event gone
    /// must see why.
    pub(super) fn show_removed(&self, environment: Scope, removed: u64) {
        self.shown().kept.entry(environment).or_default().removed = removed;
    }

    /// Shows readers the events that are committed. After their effect is in force: a reader that has read the state and then
    /// follows the feed from its end must miss nothing.
    pub(super) fn show_events(&self) {
        let state = &mut *self.lock();
        if state.unshown.is_empty() {
            return;
        }
        let mut shown = self.shown();
        for environment in std::mem::take(&mut state.unshown) {
            let last = state.kept.get(&environment).map_or(0, |kept| kept.last);
            shown.kept.entry(environment).or_default().last = last;
        }
    }

    /// Shows readers the number of the last beginning, and a number below which there may be gaps.
    pub(super) fn show_beginning(&self, beginning: u32, floor: u64) {
        let mut shown = self.shown();
        (shown.beginning, shown.floor) = (beginning, floor);
    }

    /// Reads the ends that could not be read before.
    pub(super) fn read_again(&self, state: &mut State, feed: &Keyspace) {
        if !state.is_unreadable || state.faults.counts.is_on() {
            return;
        }
        let Ok(found) = read_all(feed) else {
            state.faults.counts.begin();
            return;
        };
        let mut shown = self.shown();
        for (environment, kept) in found {
            let kept = *state.kept.entry(environment).or_insert(kept);
            shown.kept.entry(environment).or_insert(kept.into());
        }
        (state.is_unreadable, shown.is_unreadable) = (false, false);
    }

    /// Returns whether no environment ever had an event, as far as can be read.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns the ends of an environment's feed, without its origin.
    pub(super) fn ends(&self, environment: Scope) -> FeedEnds {
        let shown = self.shown();
        let (first, highest) = keys::numbers_of(shown.beginning);
        let known = shown.kept.get(&environment).copied();
        let Visible { removed, last } = known.unwrap_or_default();
        let removed = removed.max(shown.floor);
        // 0 stands for the oldest event, so it is not the end of a feed without one.
        let last = Some(last.max(removed)).filter(|last| *last > 0).unwrap_or(first);
        let readable = if shown.is_unreadable && known.is_none() { u64::MAX } else { last };
        FeedEnds { origin: [0; 4], removed, last, readable, highest: highest.max(last) }
    }
}

/// Reads the ends of all environments. Looks for those that are not valid.
fn read_all(feed: &Keyspace) -> Result<BTreeMap<Scope, Kept>, fjall::Error> {
    let mut all = BTreeMap::new();
    for item in feed.prefix(record_key::COUNTS) {
        let (key, value) = item.into_inner()?;
        if let Some(environment) = record_key::read_count_key(&key) {
            all.insert(environment, keys::read_count(&value).map_or_else(|| find(feed, environment), Ok)?);
        }
    }
    Ok(all)
}

/// Reads the ends of one environment.
pub(super) fn read_one(feed: &Keyspace, environment: Scope) -> Result<Kept, fjall::Error> {
    match feed.get(record_key::of_count(environment))? {
        None => Ok(Kept::NONE),
        Some(value) => keys::read_count(&value).map_or_else(|| find(feed, environment), Ok),
    }
}

/// Returns the ends of an environment from its events.
fn find(feed: &Keyspace, environment: Scope) -> Result<Kept, fjall::Error> {
    let mut kept = Kept::NONE;
    for item in feed.range(keys::event(environment, 0)..=keys::event(environment, u64::MAX)) {
        let (key, value) = item.into_inner()?;
        let Some((_, sequence)) = keys::read_event(&key) else { continue };
        if kept.count == 0 {
            // Not later than the time since which it is kept, which may have been corrected.
            (kept.removed, kept.oldest) = (sequence.saturating_sub(1), Kept::UNKNOWN.oldest);
        }
        let since = keys::since_of(&value).unwrap_or(kept.newest);
        (kept.count, kept.last, kept.newest) = (kept.count + 1, sequence, kept.newest.max(since));
    }
    Ok(kept)
}

impl State {
    fn new() -> Self {
        Self {
            kept: BTreeMap::new(),
            faults: Faults::default(),
            next: None,
            beginning: 0,
            floor: None,
            clock: Clock::Begun(Timestamp::from_millis(0)),
            most: u64::MAX,
            unshown: BTreeSet::new(),
            is_unreadable: false,
        }
    }

    /// Takes `now` for the time by which events expire. Returns the environments with events that are dated ahead of it.
    pub(super) fn believe(&mut self, now: Timestamp) -> BTreeSet<Scope> {
        self.clock = Clock::Believed(now);
        let ahead = self.kept.iter_mut().filter_map(|(environment, kept)| kept.correct(now).then_some(*environment));
        ahead.collect()
    }

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
        let state = Mutex::new(State { beginning: 7, ..State::new() });
        let feeds = Arc::new(Feeds { state, shown: Mutex::default() });
        feeds.show_beginning(7, 0);
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
