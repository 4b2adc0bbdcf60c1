//! The durable side of a service: what has been acknowledged is in here.

#[cfg(feature = "store")]
mod commit_mark;
#[cfg(feature = "store")]
mod data_end;
#[cfg(feature = "store")]
mod directory;
mod durability;
mod error;
#[cfg(feature = "store")]
mod fjall;
#[cfg(feature = "store")]
mod journal;
#[cfg(feature = "store")]
mod manifest;
#[cfg(feature = "store")]
mod watermark;

#[cfg(feature = "store")]
pub use self::fjall::FjallStore;
pub use durability::Durability;
pub use error::StoreError;

use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;

/// Where a service logs before it applies.
///
/// The store keeps configurations whole, in their order, and of each (scope, contact) pair the one register that matters:
/// since merging is maximum, the last call is the fold of all. Slots are given in the order of configurations, so a register
/// means the same after every restart.
pub trait EventStore: Send + 'static {
    /// Makes the batch durable: whole, or not at all. When this returns `Ok` it survives what
    /// [`durability`](Self::durability) says.
    ///
    /// # Errors
    /// After an error it is unknown whether the batch will be there after a restart. The caller must commit nothing more: an
    /// operating system may forget what it failed to write, so that a retry which succeeds proves nothing.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Shows all that is stored: every configuration in the order of its sequence, then every register in no order.
    ///
    /// # Errors
    /// What cannot be read is an error; nothing is passed over.
    fn recover(&mut self, see: &mut dyn FnMut(Stored) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// What a committed batch survives. [`Durability::Synced`] unless the store says otherwise.
    fn durability(&self) -> Durability {
        Durability::Synced
    }

    /// Makes all that was committed survive a power failure. For stores that are not [`Durability::Synced`], which are asked
    /// about once a second while there is something to sync, and before they are dropped.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What becomes durable together.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// Each with the sequence after the one before.
    pub configurations: Vec<Configuration>,
    /// At most one register a pair: the highest so far.
    pub registers: Vec<(Scope, E164, Register)>,
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.configurations.is_empty() && self.registers.is_empty()
    }
}

/// Something that a store brings back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// A configuration.
    Configuration(Configuration),
    /// A pair's register.
    Register(Scope, E164, Register),
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

    fn recover(&mut self, _: &mut dyn FnMut(Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
        Ok(())
    }
}
