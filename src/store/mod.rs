//! The durable side of a service: what has been acknowledged is in here.

mod aside;
#[cfg(feature = "store")]
mod aside_of_fjall;
#[cfg(feature = "store")]
mod commit_mark;
#[cfg(feature = "store")]
mod data_end;
#[cfg(feature = "store")]
pub mod descriptors;
#[cfg(feature = "store")]
mod directory;
#[cfg(feature = "store")]
mod disk_use;
mod durability;
#[cfg(feature = "store")]
mod earlier_tallies;
mod error;
#[cfg(feature = "store")]
mod expected;
#[cfg(feature = "store")]
mod expiry;
#[cfg(feature = "store")]
mod export;
#[cfg(feature = "store")]
mod fjall;
#[cfg(feature = "store")]
mod installation;
#[cfg(feature = "store")]
mod journal;
#[cfg(feature = "store")]
mod keys;
#[cfg(feature = "store")]
mod keyspaces;
#[cfg(feature = "store")]
mod manifest;
#[cfg(feature = "store")]
mod migrate;
#[cfg(feature = "store")]
mod modes;
#[cfg(feature = "store")]
mod pseudonym;
#[cfg(feature = "store")]
mod purge;
#[cfg(feature = "store")]
mod removals;
#[cfg(feature = "store")]
mod restore;
#[cfg(feature = "store")]
mod rotation;
#[cfg(feature = "store")]
mod salvage;
#[cfg(feature = "store")]
mod scan;
#[cfg(feature = "store")]
mod table_files;
#[cfg(feature = "store")]
mod tally_key;
#[cfg(feature = "store")]
mod verify;
#[cfg(feature = "store")]
mod watermark;

#[cfg(feature = "store")]
pub use self::fjall::FjallStore;
pub use aside::{Aside, Entry, Pseudonyms};
pub use durability::Durability;
pub use error::StoreError;
#[cfg(feature = "store")]
pub use export::{Exported, Exporter};
#[cfg(feature = "store")]
pub use modes::Modes;
#[cfg(feature = "store")]
pub use pseudonym::pseudonym_of;
#[cfg(feature = "store")]
pub use purge::{Purged, Upkeep};
#[cfg(feature = "store")]
pub use restore::restore;
#[cfg(feature = "store")]
pub use verify::{Verified, verify};

use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::tally::{Answered, Tally};
use std::io;
use std::sync::Arc;

/// Where a service logs before it applies.
///
/// The store keeps configurations whole, in their order, and of each (scope, contact) pair the one register that matters:
/// since merging is maximum, the last call is the fold of all. Slots are given in the order of configurations, so a register
/// means the same after every restart.
pub trait EventStore: Send + 'static {
    /// Makes the batch durable: whole, or not at all. When this returns `Ok` it survives what
    /// [`durability`](Self::durability) says, or, if it [can wait](Batch::can_wait), does so with the next one that cannot, or
    /// after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// After an error it is unknown whether the batch will be there after a restart. The caller must commit nothing more: an
    /// operating system may forget what it failed to write, so that a retry which succeeds proves nothing.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Shows all that is stored: every configuration in the order of its sequence, then the rest in no order, perhaps
    /// from several threads at once.
    ///
    /// # Errors
    /// What cannot be read is an error; nothing is passed over.
    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError>;

    /// Random bits that are kept with the data and shown to nobody: with them the identities of decisions are sealed, and can be
    /// opened after a restart. `None` where nothing outlasts the process.
    fn secret(&self) -> Option<[u8; 16]> {
        None
    }

    /// What a committed batch survives. [`Durability::Synced`] unless the store says otherwise.
    fn durability(&self) -> Durability {
        Durability::Synced
    }

    /// Makes all that was committed survive a power failure. For what is not [`Durability::Synced`] or can wait: a store is asked
    /// about once a second while there is something to sync, and before it is dropped.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What exports the store from another thread, where it can be.
    fn export(&self) -> Option<Arc<Export>> {
        None
    }

    /// What a node of a fleet keeps besides, where the store can keep that.
    fn aside(&self) -> Option<Arc<dyn Aside>> {
        None
    }

    /// Until when this contact was erased in the environment of this scope, where the store knows that and does not show it: one
    /// that does not keep erased numbers can only be asked about a number that somebody else brings. Asked before every call is
    /// recorded, so it should cost little where the answer is no.
    ///
    /// # Errors
    /// What cannot be read.
    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        let _ = (environment, contact);
        Ok(None)
    }

    /// Whether [`erasure`](Self::erasure) answers for every erasure that was committed: then memory need not keep them.
    fn remembers_erasures(&self) -> bool {
        false
    }
}

/// Writes all that is stored as of one commit, as lines of JSON, while others go on committing.
pub type Export = dyn Fn(&mut dyn io::Write) -> Result<(), StoreError> + Send + Sync;

/// What becomes durable together.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// Each with the sequence after the one before.
    pub configurations: Vec<Configuration>,
    /// At most one register a pair: the highest so far. One that is an [erasure](Register::is_erasure) says, under the scope
    /// of a number, that the pair is to be forgotten, and under that of an environment, until when.
    pub registers: Vec<(Scope, E164, Register)>,
    /// At most one a tally and day: all that was counted so far.
    pub tallies: Vec<Tally>,
    /// Decisions that were reported answered.
    pub answered: Vec<Answered>,
    /// Those of them that nobody can report any more.
    pub forgotten: Vec<Answered>,
    /// What a fleet has to be told, with numbers that rise from batch to batch. Empty where there is no fleet, as the rest is.
    pub outbox: Vec<Entry>,
    /// Entries of the outbox up to this one are needed no more.
    pub published: Option<u64>,
    /// Where the node stands in the fleet's stream.
    pub place: Option<Vec<u8>>,
    /// Erasures that are known by their pseudonyms only. Of one that is there already the later stays.
    pub pseudonyms: Pseudonyms,
    /// Whether nobody is told that it is durable, because somebody else has it: what a stream brought, together with the place
    /// behind it, comes again if a power failure takes both.
    pub can_wait: bool,
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let Self { configurations, registers, tallies, answered, forgotten, .. } = self;
        let is_fleet_empty = self.outbox.is_empty() && self.published.is_none() && self.place.is_none();
        is_fleet_empty
            && self.pseudonyms.is_empty()
            && configurations.is_empty()
            && registers.is_empty()
            && tallies.is_empty()
            && answered.is_empty()
            && forgotten.is_empty()
    }
}

/// Something that a store brings back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// A configuration.
    Configuration(Configuration),
    /// Pairs and their registers: as many as are at hand.
    Registers(Vec<(Scope, E164, Register)>),
    /// What was counted on a day.
    Tally(Tally),
    /// A decision that was reported answered.
    Answered(Answered),
}

/// The store that keeps nothing: for embedders and tests that need no durability.
#[derive(Clone, Copy, Default, Debug)]
pub struct MemoryStore;

impl EventStore for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}
