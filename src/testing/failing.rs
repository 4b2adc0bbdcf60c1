//! A store that fails at a chosen commit.

use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::{Aside, Batch, Durability, EventStore, Export, StoreError, Stored};
use std::io;
use std::sync::Arc;

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

    fn aside(&self) -> Option<Arc<dyn Aside>> {
        self.store.aside()
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.store.erasure(environment, contact)
    }
}
