//! From a store back to an engine.

use super::retention::floor;
use crate::engine::Engine;
use crate::event::Configuration;
use crate::plan::Plan;
use crate::store::{EventStore, StoreError, Stored};
use crate::tally::Book;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often progress is reported, in things that came back.
const EVERY: u64 = 100_000;

/// How far a recovery has come.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Configurations so far.
    pub configurations: u64,
    /// Pairs so far.
    pub pairs: u64,
    /// Whether that is all.
    pub complete: bool,
}

/// Folds all that is stored into the engine. Configurations come first, and the history is told of their numbers before any
/// pair is put back. `go_on` is asked now and then.
pub(super) fn recover(
    store: &mut impl EventStore,
    engine: &Engine,
    book: &mut Book,
    progress: impl FnMut(Recovered) + Send,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<(), StoreError> {
    let recovery = Mutex::new(Recovery { plan: Some(Plan::new()), so_far: Recovered::default(), book, progress });
    store.recover(&|stored| match stored {
        Stored::Configuration(configuration) => lock(&recovery).follow(&configuration),
        Stored::Registers(registers) => {
            lock(&recovery).publish(engine);
            if !go_on() {
                return Err(StoreError::GivenUp);
            }
            // The store may hold what has expired and left memory long ago.
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
            lock(&recovery).book.set(tally);
            Ok(())
        }
        Stored::Answered(answered) => {
            lock(&recovery).book.add_answered(answered);
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

/// What those who put back have in common.
struct Recovery<'a, P> {
    /// The plan so far; gone when the engine has it.
    plan: Option<Plan>,
    so_far: Recovered,
    book: &'a mut Book,
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
