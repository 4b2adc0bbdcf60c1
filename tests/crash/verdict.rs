//! Judges the store of a workload after a crash: it holds the first so many batches.

use super::judge::{self, Judge};
use super::print::Print;
use super::problem::Problem;
use super::purge;
use super::workload::{self, ERASED, Workload, is_expired};
use dialback::slot::NumberSlot;
use dialback::store::{Entry, EventStore, FjallStore};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;

/// Of how many states one is purged, for each crash at a point: a purge takes a process of its own, and with more crashes at each
/// point there are more states alike.
const PURGE_ONE_IN: u128 = 20;

fn is_of_a_number(scope: dialback::slot::Scope) -> bool {
    NumberSlot::new(scope.bits() as usize).is_some()
}

/// The fleet state that the batches so far should have stored.
#[derive(Default)]
struct FleetState {
    outbox: BTreeMap<u64, Vec<u8>>,
    place: Option<Vec<u8>>,
    keys: Vec<[u8; 32]>,
}

impl FleetState {
    fn add(
        &mut self,
        outbox: Vec<Entry>,
        published: Option<u64>,
        place: Option<Vec<u8>>,
        keys: Vec<[u8; 32]>,
        print: &mut Print,
    ) {
        for Entry { number, events } in outbox {
            print.add_bytes(b'O', number, &events);
            self.outbox.insert(number, events);
        }
        let rest = self.outbox.split_off(&published.map_or(0, |published| published + 1));
        for (number, events) in std::mem::replace(&mut self.outbox, rest) {
            print.remove_bytes(b'O', number, &events);
        }
        if let Some(place) = place {
            if let Some(old) = self.place.replace(place.clone()) {
                print.remove_bytes(b'P', 0, &old);
            }
            print.add_bytes(b'P', 0, &place);
        }
        for key in keys.into_iter().filter(|key| !self.keys.contains(key)).collect::<Vec<_>>() {
            print.add_bytes(b'K', 0, &key);
            self.keys.push(key);
        }
    }
}

pub(super) struct Verdict {
    seed: u64,
    is_purge_planted: bool,
    purge_one_in: u128,
    /// How many batches a store holds that shows this.
    prefixes: HashMap<u128, u64>,
    /// The contacts that were called and then erased, after each number of batches.
    forgotten: Vec<Vec<usize>>,
    /// The number of purges, and how many of them had data to remove.
    pub(super) purges: Mutex<(u64, u64)>,
}

impl Verdict {
    pub(super) fn new(workload: &Workload, choices: u64, is_purge_planted: bool) -> Self {
        let purge_one_in = PURGE_ONE_IN * (u128::from(choices) + 1);
        let mut prefixes = HashMap::from([(0, 0)]);
        let mut forgotten = vec![Vec::new()];
        let (mut registers, mut calls) = (HashMap::new(), HashMap::new());
        let mut print = Print::default();
        let mut fleet_state = FleetState::default();
        for number in 1..=workload.last() {
            let batch = workload::batch(workload.seed, number);
            batch.configurations.iter().for_each(|configuration| print.add_configuration(configuration));
            for (scope, contact, register) in batch.registers.into_iter().filter(|(_, _, one)| !is_expired(*one)) {
                let forgotten = register.is_erasure() && is_of_a_number(scope);
                let pair = (scope.bits(), contact.code());
                let old = if forgotten { registers.remove(&pair) } else { registers.insert(pair, register) };
                if let Some(old) = old {
                    print.remove(scope, contact, old);
                }
                if !forgotten {
                    print.add(scope, contact, register);
                }
            }
            for (what, changes) in [(b'C', batch.calls.calls), (b'I', batch.calls.ids)] {
                for (key, value) in changes {
                    if let Some(value) = &value {
                        print.add_entry(what, &key, value);
                    }
                    let old = match value {
                        Some(value) => calls.insert((what, key.clone()), value),
                        None => calls.remove(&(what, key.clone())),
                    };
                    if let Some(old) = old {
                        print.remove_entry(what, &key, &old);
                    }
                }
            }
            fleet_state.add(batch.outbox, batch.published, batch.place, batch.pseudonyms.keys, &mut print);
            prefixes.insert(print.0, number);
            let is_held = |contact| (0..2).any(|scope| registers.contains_key(&(scope, contact)));
            let is_detailed = |index| calls.contains_key(&(b'C', workload::call_of(index).0));
            let is_free = |index: &usize| !is_held(workload::contact(*index).code()) && !is_detailed(*index);
            forgotten.push((0..ERASED).filter(is_free).collect());
        }
        Self { seed: workload.seed, is_purge_planted, purge_one_in, prefixes, forgotten, purges: Mutex::default() }
    }

    fn purge(&self, path: &Path, held: u64) -> Result<(), Problem> {
        let forgotten = &self.forgotten[usize::try_from(held).expect("small")];
        let had_some = purge::run(path, forgotten, self.is_purge_planted).map_err(Problem::NotPurged)?;
        let mut purges = self.purges.lock().expect("no panic");
        *purges = (purges.0 + 1, purges.1 + u64::from(had_some));
        Ok(())
    }

    /// Opens the store, runs `and` on it, and returns how many batches it held before.
    fn held(&self, path: &Path, and: impl FnOnce(&mut FjallStore) -> Result<(), Problem>) -> Result<u64, Problem> {
        let (mut store, print) = judge::open(|| workload::open(path), ERASED)?;
        let held = self.prefixes.get(&print).copied().ok_or(Problem::NoPrefix)?;
        and(&mut store)?;
        Ok(held)
    }
}

impl Judge for Verdict {
    /// Returns how many batches the store holds after the crash.
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem> {
        let path = &root.join("data");
        let held = self.held(path, |_| Ok(()))?;
        // Some are purged: whatever was under way when the power failed, the next purge succeeds and leaves nothing behind.
        if hash % self.purge_one_in == 1 {
            self.purge(path, held)?;
            let now = self.held(path, |_| Ok(()))?;
            if now != held {
                return Err(Problem::NotPurged(format!("{held} batches were there before, and {now} after")));
            }
        }
        // Commit to some of the states and open them again: the recovery itself must be durable, too.
        if hash.is_multiple_of(16) {
            let number = held + 1;
            if self.prefixes.values().any(|last| *last == number) {
                let commit = |store: &mut FjallStore| {
                    let committed = store.commit(&workload::batch(self.seed, number));
                    committed.map_err(|error| Problem::NotContinued(error.to_string()))
                };
                self.held(path, commit)?;
                let now = self.held(path, |_| Ok(()))?;
                if now != number {
                    return Err(Problem::NotContinued(format!("batch {number} was committed, and {now} is the last")));
                }
            }
        }
        Ok(held)
    }
}
