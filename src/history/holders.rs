//! How many pairs each environment holds.
//!
//! The history itself needs no such count: whoever shares it out does. The count is of pairs that are worth their place: an erased
//! pair of a number is not counted, since it may be left behind, and an erasure under its environment's scope is.
//!
//! Writers report each change of a register ([`changed`](Holders::changed)); a growth reports each pair that it leaves behind
//! ([`left`](Holders::left)). Both are exact: the first sees the register before, from the same exchange that wrote the new one, and a
//! slot is left behind once.

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
    /// The environment of each number's scope, plus one; zero where it was not reported.
    of_scope: Region<AtomicU32>,
    /// Pairs by environment. A pair may be left behind before its writer has counted it: so these wrap.
    held: Region<AtomicU64>,
    all: AtomicU64,
    /// Whether anything is counted.
    is_counting: AtomicBool,
}

impl Holders {
    pub(crate) fn new() -> io::Result<Holders> {
        Ok(Holders {
            of_scope: Region::new(SCOPES, false)?,
            held: Region::new(ENVIRONMENTS, false)?,
            all: AtomicU64::new(0),
            is_counting: AtomicBool::new(false),
        })
    }

    /// Counts from now on. To be called before the first pair is written.
    pub(crate) fn start(&self) {
        self.is_counting.store(true, Ordering::Relaxed);
    }

    /// The scope's pairs are held by this environment. To be called before its first pair is written.
    pub(crate) fn assign(&self, scope: Scope, environment: EnvironmentSlot) {
        let holder = u32::try_from(environment.index() + 1).expect("slots have at most 24 bits");
        self.of_scope[scope.bits() as usize].store(holder, Ordering::Relaxed);
    }

    /// A register of the scope was raised to at least `register`; `before` is what it was.
    pub(crate) fn changed(&self, scope: Scope, before: Option<Register>, register: Register) {
        self.add(scope, change(scope, before, register));
    }

    /// As many pairs of the scope more, or fewer where it is negative.
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

    /// The pairs that the environment holds.
    pub(crate) fn of(&self, environment: EnvironmentSlot) -> usize {
        number(&self.held[environment.index()])
    }

    /// The pairs that all of them hold.
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

/// How many pairs more there are where a register of the scope is raised: -1, 0 or 1.
pub(crate) fn change(scope: Scope, before: Option<Register>, register: Register) -> i64 {
    let was = before.is_some_and(|before| is_counted(scope, before));
    let is = is_counted(scope, before.map_or(register, |before| before.max(register)));
    i64::from(is) - i64::from(was)
}

/// Whether a pair with this register is worth its place.
fn is_counted(scope: Scope, register: Register) -> bool {
    !register.is_erasure() || scope.environment().is_some()
}

/// A count that may be below zero for a moment.
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
        assert_eq!(holders.all(), 0, "nothing is counted before it is asked for");
        holders.start();
        holders.changed(scope, None, call(0));
        assert_eq!(holders.all(), 0, "nobody holds the scope");
        holders.assign(scope, environment);
        holders.changed(scope, None, call(0));
        holders.changed(scope, Some(call(0)), call(1));
        assert_eq!((holders.of(environment), holders.all()), (1, 1));
        holders.changed(scope, Some(call(1)), erasure);
        holders.changed(scope, Some(erasure), call(2));
        assert_eq!(holders.of(environment), 0, "an erased pair, which an earlier call does not bring back");
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
