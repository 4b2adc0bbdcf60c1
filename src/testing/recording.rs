//! A store in memory that keeps all commits, so that a test can restart without a disk.

use crate::history::Register;
use crate::slot::EnvironmentSlot;
use crate::slot::Scope;
use crate::store::{Batch, EventStore, StoreError, Stored};
use crate::tally::{Answered, Counted, Tally};
use crate::{Configuration, Day, E164};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps commits like a real store: configurations in order, and the last register of each pair. Clones share their
/// contents, so one clone can go into a service and another can start the next service.
#[derive(Clone, Default, Debug)]
pub struct RecordingStore(Arc<Mutex<Kept>>);

#[derive(Default, Debug)]
struct Kept {
    configurations: Vec<Configuration>,
    registers: BTreeMap<(Scope, E164), Register>,
    tallies: BTreeMap<(EnvironmentSlot, Day, Counted), Tally>,
    answered: BTreeSet<Answered>,
    commits: usize,
}

impl RecordingStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of committed batches.
    pub fn commits(&self) -> usize {
        self.kept(|kept| kept.commits)
    }

    /// Returns the number of stored pairs.
    pub fn pairs(&self) -> usize {
        self.kept(|kept| kept.registers.len())
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventStore for RecordingStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.kept(|kept| {
            kept.commits += 1;
            for configuration in &batch.configurations {
                assert_eq!(configuration.sequence, kept.configurations.len() as u64 + 1, "configurations have no gaps");
                kept.configurations.push(configuration.clone());
            }
            for (scope, contact, register) in &batch.registers {
                let before = kept.registers.insert((*scope, *contact), *register);
                assert!(before < Some(*register), "a committed register is higher than the stored one");
            }
            for tally in &batch.tallies {
                let before = kept.tallies.insert((tally.environment, tally.day, tally.counted), *tally);
                let falls = |before: Tally| {
                    before.count.received > tally.count.received || before.count.answered > tally.count.answered
                };
                assert!(!before.is_some_and(falls), "a committed total never decreases");
            }
            kept.answered.extend(&batch.answered);
            kept.answered.retain(|answered| !batch.forgotten.contains(answered));
        });
        Ok(())
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        let (configurations, registers) = self.kept(|kept| (kept.configurations.clone(), kept.registers.clone()));
        configurations.into_iter().try_for_each(|configuration| see(Stored::Configuration(configuration)))?;
        see(Stored::Registers(
            registers.into_iter().map(|((scope, contact), register)| (scope, contact, register)).collect(),
        ))?;
        let (tallies, answered) = self.kept(|kept| (kept.tallies.clone(), kept.answered.clone()));
        tallies.into_values().try_for_each(|tally| see(Stored::Tally(tally)))?;
        answered.into_iter().try_for_each(|answered| see(Stored::Answered(answered)))
    }

    fn secret(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}
