//! Stores that fail or hang at a chosen commit.

use crate::history::Register;
use crate::number::E164;
use crate::slot::{EnvironmentSlot, Scope};
use crate::store::{
    Batch, Durability, EventStore, Excerpts, Export, RecordLimits, RecordsTidied, StoreError, Stored, StoredCalls,
    StoredFeed, StoredFleetState, StoredRecords,
};
use crate::time::Timestamp;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Passes all calls to another store until a chosen commit. That commit and all later ones fail, as with a full or
/// broken disk.
#[derive(Debug)]
pub struct FailingStore<S> {
    store: S,
    commits_left: usize,
    /// Whether the batch of the first failing commit reaches the store all the same. After a failed sync, this cannot
    /// be known.
    reaches_store: bool,
}

impl<S> FailingStore<S> {
    /// Creates a store that fails at the commit with this number, counted from zero, without storing its batch.
    pub fn at_commit(commit: usize, store: S) -> Self {
        Self { store, commits_left: commit, reaches_store: false }
    }

    /// Creates a store that fails at the commit with this number, counted from zero, although its batch is stored.
    pub fn after_writing(commit: usize, store: S) -> Self {
        Self { reaches_store: true, ..Self::at_commit(commit, store) }
    }
}

impl<S: EventStore> EventStore for FailingStore<S> {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(left) = self.commits_left.checked_sub(1) {
            self.commits_left = left;
            return self.store.commit(batch);
        }
        if std::mem::take(&mut self.reaches_store) {
            self.store.commit(batch)?;
        }
        Err(StoreError::Io { path: "store".into(), error: io::Error::other("the disk is gone") })
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        self.store.recover(see)
    }

    fn secret(&self) -> Option<[u8; 16]> {
        self.store.secret()
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.store.sync()
    }

    fn export(&self) -> Option<Arc<Export>> {
        self.store.export()
    }

    fn excerpts(&self) -> Option<Arc<Excerpts>> {
        self.store.excerpts()
    }

    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        self.store.calls()
    }

    fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        self.store.fleet_state()
    }

    fn records(&self) -> Option<Arc<dyn StoredRecords>> {
        self.store.records()
    }

    fn tidy_records(&mut self, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        self.store.tidy_records(limits)
    }

    fn feed(&self) -> Option<Arc<dyn StoredFeed>> {
        self.store.feed()
    }

    fn begin_feed(&mut self, now: Timestamp, most: u64) -> Result<(), StoreError> {
        self.store.begin_feed(now, most)
    }

    fn show_events(&self) {
        self.store.show_events();
    }

    fn tidy_feed(&mut self, now: Option<Timestamp>, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        self.store.tidy_feed(now, limits)
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.store.erasure(environment, contact)
    }
}

/// Passes everything on to another store. While its [`Hang`] is held, commits and syncs wait, as on a disk that hangs.
#[derive(Debug)]
pub struct HangingStore<S> {
    store: S,
    hang: Hang,
}

/// The disk of a [`HangingStore`]: it hangs while its lock is held, and takes as long for each access as the lock says.
#[derive(Clone, Default, Debug)]
pub struct Hang(Arc<Mutex<Duration>>);

impl Hang {
    /// Lets the disk hang until what is returned is dropped.
    pub fn begin(&self) -> impl Drop + '_ {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets each access take this long from now on.
    pub fn slow_down(&self, access: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }

    fn wait(&self) {
        let access = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(access);
    }
}

impl<S> HangingStore<S> {
    /// A store on this disk.
    pub fn new(hang: &Hang, store: S) -> Self {
        Self { store, hang: hang.clone() }
    }
}

/// The calls of a store on a disk that hangs.
struct HangingCalls {
    calls: Arc<dyn StoredCalls>,
    hang: Hang,
}

impl StoredCalls for HangingCalls {
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        self.hang.wait();
        self.calls.each(prefix, see)
    }

    fn id(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.hang.wait();
        self.calls.id(key)
    }

    fn bytes(&self, environment: EnvironmentSlot) -> u64 {
        self.calls.bytes(environment)
    }

    fn contacts(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError> {
        self.hang.wait();
        self.calls.contacts(see)
    }
}

impl<S: EventStore> EventStore for HangingStore<S> {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.hang.wait();
        self.store.commit(batch)
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        self.store.recover(see)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.hang.wait();
        self.store.sync()
    }

    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        let hang = self.hang.clone();
        self.store.calls().map(|calls| Arc::new(HangingCalls { calls, hang }) as Arc<dyn StoredCalls>)
    }

    fn records(&self) -> Option<Arc<dyn StoredRecords>> {
        self.store.records()
    }

    fn tidy_records(&mut self, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        self.store.tidy_records(limits)
    }

    fn feed(&self) -> Option<Arc<dyn StoredFeed>> {
        self.store.feed()
    }

    fn begin_feed(&mut self, now: Timestamp, most: u64) -> Result<(), StoreError> {
        self.store.begin_feed(now, most)
    }

    fn show_events(&self) {
        self.store.show_events();
    }

    fn tidy_feed(&mut self, now: Option<Timestamp>, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        self.store.tidy_feed(now, limits)
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.store.erasure(environment, contact)
    }
}
