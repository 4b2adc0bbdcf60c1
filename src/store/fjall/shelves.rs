//! The counts of decision records in memory, so that no commit has to look for them.

use super::keyspaces::Keyspaces;
use crate::metrics::Stopwatch;
use crate::slot::Scope;
use crate::store::records::record_key::{self as keys, Kept};
use crate::time::Timestamp;
use fjall::{UserKey, UserValue};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long nothing is removed where the engine could not read.
const REST_NANOS: u64 = 3_600_000_000_000;

/// Since when records that could not be read are left alone.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Pause(Option<Stopwatch>);

impl Pause {
    pub(super) fn begin(&mut self) {
        self.0 = Some(Stopwatch::start());
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some_and(|since| since.nanos() < REST_NANOS)
    }
}

/// The counts of the records, and the places that could not be read.
#[derive(Default, Debug)]
pub(super) struct State {
    pub(super) kept: BTreeMap<Scope, Kept>,
    pub(super) faults: Faults,
    /// The environment with which the next step begins.
    pub(super) next: Option<Scope>,
}

/// The places of a keyspace that could not be read.
#[derive(Default, Debug)]
pub(super) struct Faults {
    /// The environments whose entries could not be read.
    paused: BTreeMap<Scope, Pause>,
    pub(super) notes: Pause,
    pub(super) sweep: Pause,
    pub(super) counts: Pause,
    /// How often something could not be read since the last step.
    pub(super) damaged: u64,
}

impl Faults {
    pub(super) fn is_paused(&self, environment: Scope) -> bool {
        self.paused.get(&environment).is_some_and(|pause| pause.is_on())
    }

    /// Notes that an environment's entries could not be read.
    pub(super) fn pause(&mut self, environment: Scope) {
        self.damaged += 1;
        self.paused.entry(environment).or_default().begin();
    }
}

/// The state of the records that is kept in memory. Only the committing thread changes it.
#[derive(Default, Debug)]
pub(in crate::store) struct Shelves(Mutex<State>);

impl Shelves {
    /// Reads the counts. A count that is not valid begins anew, because records must not keep a store from opening.
    pub(in crate::store) fn read(keyspaces: &Keyspaces) -> Self {
        let items = keyspaces.records.prefix(keys::COUNTS).map_while(|item| item.into_inner().ok());
        let kept = |(key, value): (UserKey, UserValue)| {
            let environment = keys::read_count_key(&key)?;
            Some((environment, keys::read_count(&key, &value).map_or(Kept::UNKNOWN, |(_, kept)| kept)))
        };
        let kept = items.filter_map(kept).collect();
        Self(Mutex::new(State { kept, ..State::default() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no environment ever had a record.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().kept.is_empty()
    }

    /// Returns a time before which the environment has no records.
    pub(super) fn oldest(&self, environment: Scope) -> Timestamp {
        self.lock().kept.get(&environment).map_or(Kept::UNKNOWN.oldest, |kept| kept.oldest)
    }
}
