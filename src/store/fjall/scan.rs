//! Reading all registers with all processors.
//!
//! The keys form one range. An idle thread gets half of what another thread has left of its range. The threads are
//! therefore busy for any distribution of the keys: many numbers with few contacts each, or one number with all
//! contacts.

use super::keyspaces::Keyspaces;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::StoreError;
use crate::store::records::keys::between;
use crate::store::records::register::read_pair;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The number of registers passed at once, after which a thread also checks for idle threads.
const AT_ONCE: usize = 2048;

type Key = [u8; 10];
type Registers = Vec<(Scope, E164, Register)>;

/// A range of keys to read: above the first key (or from the beginning), up to and including the last.
#[derive(Clone, Copy)]
struct Range {
    above: Option<Key>,
    last: Key,
}

/// Passes all registers to `see`, in no order, from several threads at once.
pub(in crate::store) fn scan(
    keyspaces: &Keyspaces,
    see: &(dyn Fn(Registers) -> Result<(), StoreError> + Sync),
) -> Result<(), StoreError> {
    let Some(last) = keyspaces.registers.last_key_value() else { return Ok(()) };
    let last = last.key().map_err(|error| keyspaces.failed(error))?;
    let last = Key::try_from(&*last).map_err(|_| strange(keyspaces))?;
    let work = Work::new(Range { above: None, last });
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        for _ in 1..threads {
            // If the system starts no more threads, the existing ones do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, || work.take_part(keyspaces, see));
        }
        work.take_part(keyspaces, see);
    });
    work.done()
}

/// Returns whether a register is a call under a number's scope. Erasures are stored elsewhere.
fn is_call((scope, _, register): &(Scope, E164, Register)) -> bool {
    scope.environment().is_none() && !register.is_erasure()
}

fn strange(keyspaces: &Keyspaces) -> StoreError {
    keyspaces.damaged("an invalid register")
}

/// The work that is left, and the threads that share it.
struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ranges: Vec<Range>,
    /// Threads that are reading.
    busy: usize,
    /// Threads that wait for a range.
    idle: usize,
    failed: Option<StoreError>,
}

impl Work {
    fn new(all: Range) -> Self {
        let state = State { ranges: vec![all], busy: 0, idle: 0, failed: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn take_part(&self, keyspaces: &Keyspaces, see: &(dyn Fn(Registers) -> Result<(), StoreError> + Sync)) {
        while let Some(range) = self.next() {
            let read = self.read(keyspaces, range, see);
            let mut state = self.state();
            state.busy -= 1;
            if let Err(error) = read {
                state.failed.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }

    /// Returns the next range to read, or `None` when all were read or reading has failed.
    fn next(&self) -> Option<Range> {
        let mut state = self.state();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(range) = state.ranges.pop() {
                state.busy += 1;
                return Some(range);
            }
            if state.busy == 0 {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn read(
        &self,
        keyspaces: &Keyspaces,
        range: Range,
        see: &(dyn Fn(Registers) -> Result<(), StoreError> + Sync),
    ) -> Result<(), StoreError> {
        let Range { above, mut last } = range;
        let from = above.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
        let mut registers = Registers::with_capacity(AT_ONCE);
        for item in keyspaces.registers.range::<&[u8], _>((from, Bound::Included(&range.last[..]))) {
            let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
            // Another thread reads the keys after `last` by now.
            if *key > last[..] {
                break;
            }
            let pair = read_pair(&key, &value).filter(is_call);
            registers.push(pair.ok_or_else(|| strange(keyspaces))?);
            if registers.len() == AT_ONCE {
                see(std::mem::replace(&mut registers, Registers::with_capacity(AT_ONCE)))?;
                let here = Key::try_from(&*key).map_err(|_| strange(keyspaces))?;
                match self.share(here, last) {
                    Some(kept) => last = kept,
                    None => return Ok(()),
                }
            }
        }
        if registers.is_empty() { Ok(()) } else { see(registers) }
    }

    /// Gives half of the remaining range to another thread, if one is idle. Returns the last key to keep, or `None` if
    /// reading has failed.
    fn share(&self, here: Key, last: Key) -> Option<Key> {
        let mut state = self.state();
        if state.failed.is_some() {
            return None;
        }
        let middle = between(here, last);
        if state.idle <= state.ranges.len() || middle == last {
            return Some(last);
        }
        state.ranges.push(Range { above: Some(middle), last });
        self.changed.notify_one();
        Some(middle)
    }

    fn done(self) -> Result<(), StoreError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
