//! Recovery: loads the store into an engine.

use super::retention::floor;
use crate::engine::Engine;
use crate::event::Configuration;
use crate::plan::Plan;
use crate::store::{EventStore, StoreError, Stored};
use crate::tally::Totals;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    let recovery = Mutex::new(Recovery { plan: Some(Plan::new()), so_far: Recovered::default(), totals, progress });
    store.recover(&|stored| match stored {
        Stored::Configuration(configuration) => lock(&recovery).follow(&configuration),
        Stored::Registers(registers) => {
            lock(&recovery).publish(engine);
            if !go_on() {
                return Err(StoreError::GivenUp);
            }
            // The store may still hold pairs that have expired and left memory long ago.
            if engine.restore_all(&registers).is_err() {
                if let Some(now) = engine.now() {
                    engine.history().expire_before(floor(&engine.plan(), now));
                }
                engine.restore_all(&registers)?;
            }
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
    (recovery.progress)(Recovered { complete: true, ..recovery.so_far });
    Ok(())
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
