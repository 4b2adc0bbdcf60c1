//! The number of pairs that each environment holds.
//!
//! The history does not need these counts itself; the service uses them to share the history out. An erased pair under
//! a number's scope is not counted, because it may be removed. An erasure under its environment's scope is counted.
//!
//! Writers report each change of a register ([`changed`](Holders::changed)). A growth reports each pair that it does
//! not copy ([`left`](Holders::left)). Both are exact. A writer gets the previous register from the same atomic
//! exchange that stores the new one, and a growth leaves each slot behind once.

use super::index::dropped::DropObserver;
use super::index::memory::Region;
use super::register::Register;
use crate::slot::{EnvironmentSlot, Scope};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::io;

const SCOPES: usize = Scope::LIMIT;
const ENVIRONMENTS: usize = EnvironmentSlot::LIMIT;

/// The counts. All accesses are relaxed: a count orders nothing else.
pub(crate) struct Holders {
    /// The environment of each number's scope, plus one; zero if it was not assigned.
    of_scope: Region<AtomicU32>,
    /// The pairs of each environment. A pair may be removed before its writer has counted it, so these counts may wrap
    /// for a moment.
    held: Region<AtomicU64>,
    all: AtomicU64,
    /// Whether counting has started.
    is_counting: AtomicBool,
}

impl Holders {
    /// The reserved bytes.
    pub(crate) const BYTES: usize = SCOPES * size_of::<AtomicU32>() + ENVIRONMENTS * size_of::<AtomicU64>();

    pub(crate) fn new() -> io::Result<Holders> {
        Ok(Holders {
            of_scope: Region::new(SCOPES, false)?,
            held: Region::new(ENVIRONMENTS, false)?,
            all: AtomicU64::new(0),
            is_counting: AtomicBool::new(false),
        })
    }

    /// Starts counting. Call it before the first pair is written.
    pub(crate) fn start(&self) {
        self.is_counting.store(true, Ordering::Relaxed);
    }

    /// Assigns a number's scope to an environment. Call it before the scope's first pair is written.
    pub(crate) fn assign(&self, scope: Scope, environment: EnvironmentSlot) {
        let holder = u32::try_from(environment.index() + 1).expect("slots have at most 24 bits");
        self.of_scope[scope.bits() as usize].store(holder, Ordering::Relaxed);
    }

    /// Counts a change: a register of the scope was raised from `before` to at least `register`.
    pub(crate) fn changed(&self, scope: Scope, before: Option<Register>, register: Register) {
        self.add(scope, change(scope, before, register));
    }

    /// Adds a number of pairs to the scope's environment. The number may be negative.
    pub(crate) fn add(&self, scope: Scope, pairs: i64) {
        if pairs == 0 || !self.is_counting.load(Ordering::Relaxed) {
            return;
        }
        if let Some(held) = self.held_by(scope) {
            held.fetch_add(pairs.cast_unsigned(), Ordering::Relaxed);
            self.all.fetch_add(pairs.cast_unsigned(), Ordering::Relaxed);
        }
    }

    fn by_bits(&self, scope: u32, register: u64, pairs: i64) {
        if let (Some(scope), Some(register)) = (Scope::from_bits(scope), Register::from_bits(register))
            && is_counted(scope, register)
        {
            self.add(scope, pairs);
        }
    }

    /// Returns the number of pairs that the environment holds.
    pub(crate) fn of(&self, environment: EnvironmentSlot) -> usize {
        number(&self.held[environment.index()])
    }

    /// Returns the number of pairs that all environments hold.
    pub(crate) fn all(&self) -> usize {
        number(&self.all)
    }

    fn held_by(&self, scope: Scope) -> Option<&AtomicU64> {
        let environment = match scope.environment() {
            Some(environment) => environment.index(),
            None => (self.of_scope[scope.bits() as usize].load(Ordering::Relaxed) as usize).checked_sub(1)?,
        };
        Some(&self.held[environment])
    }
}

impl DropObserver for Holders {
    fn dropped(&self, scope: u32, register: u64) {
        self.by_bits(scope, register, -1);
    }

    fn kept(&self, scope: u32, register: u64) {
        self.by_bits(scope, register, 1);
    }

    fn is_droppable(&self, register: u64) -> bool {
        Register::from_bits(register).is_some_and(Register::is_erasure)
    }
}

/// Returns how many pairs more there are after a register of the scope was raised: -1, 0 or 1.
pub(crate) fn change(scope: Scope, before: Option<Register>, register: Register) -> i64 {
    let was = before.is_some_and(|before| is_counted(scope, before));
    let is = is_counted(scope, before.map_or(register, |before| before.max(register)));
    i64::from(is) - i64::from(was)
}

/// Returns whether a pair with this register is counted.
fn is_counted(scope: Scope, register: Register) -> bool {
    !register.is_erasure() || scope.environment().is_some()
}

/// Returns a count, or zero if it is negative for a moment.
fn number(count: &AtomicU64) -> usize {
    usize::try_from(count.load(Ordering::Relaxed).cast_signed()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::slot::{AgentSlot, NumberSlot};
    use crate::time::Timestamp;

    #[test]
    fn raising_erasing_and_leaving_count_each_pair_once() {
        let holders = Holders::new().expect("address space");
        let environment = EnvironmentSlot::new(3).expect("a slot");
        let scope = Scope::from(NumberSlot::new(7).expect("a slot"));
        let at = |secs: u64| Timestamp::from_secs(1_800_000_000 + secs);
        let call = |secs| Register::call(at(secs), Outcome::Busy, AgentSlot::new(0).expect("a slot"));
        let erasure = Register::erasure(at(5));
        holders.changed(scope, None, call(0));
        assert_eq!(holders.all(), 0, "nothing is counted before `start`");
        holders.start();
        holders.changed(scope, None, call(0));
        assert_eq!(holders.all(), 0, "no environment holds the scope");
        holders.assign(scope, environment);
        holders.changed(scope, None, call(0));
        holders.changed(scope, Some(call(0)), call(1));
        assert_eq!((holders.of(environment), holders.all()), (1, 1));
        holders.changed(scope, Some(call(1)), erasure);
        holders.changed(scope, Some(erasure), call(2));
        assert_eq!(
            holders.of(environment),
            0,
            "an erased pair is not counted, and an earlier call does not restore it"
        );
        holders.changed(scope, Some(erasure), call(6));
        holders.changed(environment.into(), None, erasure);
        assert_eq!((holders.of(environment), holders.all()), (2, 2), "the erasure keeps its place");
        holders.dropped(scope.bits(), call(6).bits());
        holders.dropped(scope.bits(), erasure.bits());
        holders.dropped(scope.bits(), 0);
        assert_eq!(holders.all(), 1);
        holders.dropped(Scope::from(environment).bits(), erasure.bits());
        holders.dropped(scope.bits(), call(6).bits());
        assert_eq!((holders.of(environment), holders.all()), (0, 0), "below zero for a moment");
        holders.changed(scope, None, call(6));
        assert_eq!(holders.all(), 0);
    }
}
