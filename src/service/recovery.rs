//! Recovery: loads the store into an engine.

use super::retention::floor;
use crate::engine::Engine;
use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::plan::Plan;
use crate::slot::Scope;
use crate::store::{EventStore, StoreError, Stored};
use crate::tally::Totals;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// The number of loaded items between two calls of `progress`.
const EVERY: u64 = 100_000;

/// The progress of a recovery.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The configurations loaded so far.
    pub configurations: u64,
    /// The pairs loaded so far.
    pub pairs: u64,
    /// Whether the recovery is complete.
    pub complete: bool,
}

/// Loads all stored data into the engine. Configurations come first: the plan is published before the first pair is
/// loaded. Stops with [`StoreError::GivenUp`] when `go_on` returns `false`.
pub(super) fn recover(
    store: &mut impl EventStore,
    engine: &Engine,
    totals: &mut Totals,
    progress: impl FnMut(Recovered) + Send,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<(), StoreError> {
    let expired = OnceLock::new();
    let recovery = Mutex::new(Recovery { plan: Some(Plan::new()), so_far: Recovered::default(), totals, progress });
    store.recover(&|stored| match stored {
        Stored::Configuration(configuration) => lock(&recovery).follow(&configuration),
        Stored::Registers(mut registers) => {
            lock(&recovery).publish(engine);
            if !go_on() {
                return Err(StoreError::GivenUp);
            }
            let plan = engine.plan();
            if plan.has_retired() {
                registers.retain(|(scope, ..)| !plan.is_retired(*scope));
            }
            restore(engine, &registers, &expired)?;
            lock(&recovery).count(0, registers.len() as u64);
            Ok(())
        }
        Stored::Tally(tally) => {
            lock(&recovery).totals.set(tally);
            Ok(())
        }
        Stored::Answered(answered) => {
            lock(&recovery).totals.add_answered(answered);
            Ok(())
        }
    })?;
    let mut recovery = recovery.into_inner().unwrap_or_else(PoisonError::into_inner);
    recovery.publish(engine);
    let plan = engine.plan();
    if plan.has_retired() {
        recovery.totals.retain_environments(|slot| plan.environment_id_of(slot).is_some());
        // The store may still hold records of deleted environments. From now on it leaves them out.
        store.retire(&plan.retired_since(&Plan::new()).collect::<Vec<_>>());
    }
    (recovery.progress)(Recovered { complete: true, ..recovery.so_far });
    Ok(())
}

/// Loads registers. The store may still hold pairs that have expired and left memory long ago. If the history has no
/// room for them all, the expired ones are removed from it, and from then on left out: `expired` has their floor.
///
/// Threads that began before that may still load expired pairs into parts of the history that were searched already.
/// Each of them does so once, so as many repetitions are enough.
fn restore(
    engine: &Engine,
    registers: &[(Scope, E164, Register)],
    expired: &OnceLock<Register>,
) -> Result<(), StoreError> {
    let mut left = thread::available_parallelism().map_or(1, NonZeroUsize::get) + 1;
    loop {
        let loaded = match expired.get() {
            None => engine.restore_all(registers),
            Some(floor) => {
                let is_in_force = |(_, _, register): &&(Scope, E164, Register)| register.bits() >= floor.bits();
                engine.restore_all(&registers.iter().filter(is_in_force).copied().collect::<Vec<_>>())
            }
        };
        let Err(full) = loaded else { return Ok(()) };
        let Some(now) = engine.now().filter(|_| left > 0) else { return Err(full.into()) };
        engine.history().expire_before(*expired.get_or_init(|| floor(&engine.plan(), now)));
        left -= 1;
    }
}

fn lock<T>(recovery: &Mutex<T>) -> MutexGuard<'_, T> {
    recovery.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state that the loading threads share.
struct Recovery<'a, P> {
    /// The plan built so far; `None` after it was published.
    plan: Option<Plan>,
    so_far: Recovered,
    totals: &'a mut Totals,
    progress: P,
}

impl<P: FnMut(Recovered)> Recovery<'_, P> {
    fn follow(&mut self, configuration: &Configuration) -> Result<(), StoreError> {
        self.plan.as_mut().ok_or(StoreError::Disorder)?.advance(configuration)?;
        self.count(1, 0);
        Ok(())
    }

    fn publish(&mut self, engine: &Engine) {
        if let Some(plan) = self.plan.take() {
            engine.publish(plan);
        }
    }

    fn count(&mut self, configurations: u64, pairs: u64) {
        let before = (self.so_far.configurations + self.so_far.pairs) / EVERY;
        self.so_far.configurations += configurations;
        self.so_far.pairs += pairs;
        if (self.so_far.configurations + self.so_far.pairs) / EVERY > before {
            (self.progress)(self.so_far);
        }
    }
}
