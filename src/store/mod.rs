//! The durable side of a service: it holds all acknowledged changes.

#[cfg(feature = "store")]
mod backup;
pub(crate) mod calls;
mod decision_records;
#[cfg(feature = "store")]
mod disk;
mod durability;
mod error;
mod excerpt;
mod feed;
#[cfg(feature = "store")]
mod fjall;
mod fleet_state;
#[cfg(feature = "store")]
mod records;
#[cfg(feature = "store")]
mod verify;
mod webhooks;

#[cfg(feature = "store")]
pub use self::fjall::purge::{Purged, Upkeep};
#[cfg(feature = "store")]
pub use self::fjall::store::FjallStore;
#[cfg(feature = "store")]
pub use backup::export::Exporter;
#[cfg(feature = "store")]
pub use backup::line::Exported;
#[cfg(feature = "store")]
pub use backup::restore::restore;
pub use calls::{CallChanges, KeyValue, StoredCalls};
pub use decision_records::{
    NewRecord, RecordLimits, RecordPage, RecordPlace, RecordQuery, RecordsTidied, StoredRecord, StoredRecords,
};
#[cfg(feature = "store")]
pub use disk::descriptors;
#[cfg(feature = "store")]
pub use disk::modes::Modes;
pub use durability::Durability;
pub use error::StoreError;
pub use excerpt::{Excerpt, Excerpts};
#[cfg(any(feature = "store", feature = "__testing"))]
pub(crate) use feed::event_content;
pub use feed::{
    EventContent, EventKind, EventKinds, FeedCall, FeedChange, FeedEnds, FeedPage, FeedQuery, NewEvent, StoredEvent,
    StoredFeed,
};
pub use fleet_state::{Entry, Pseudonyms, StoredFleetState};
#[cfg(feature = "store")]
pub use records::pseudonym::pseudonym_of;
#[cfg(feature = "store")]
pub use verify::{Verified, verify};
pub use webhooks::{StoredWebhooks, WebhookPart, WebhookValue};

use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::tally::{Answered, Tally};
use crate::time::Timestamp;
use std::io;
use std::sync::Arc;

/// A store, to which a service writes each change before it applies it.
///
/// The store keeps all configurations in their order, and one register for each pair of scope and contact. One register
/// is enough: registers are merged by maximum, so the last one contains all earlier ones. The order of configurations
/// determines the slots, so that a register means the same after a restart.
pub trait EventStore: Send + 'static {
    /// Makes the batch durable, completely or not at all.
    ///
    /// After `Ok`, the batch survives the failures that [`durability`](Self::durability) names. A batch that [can
    /// wait](Batch::can_wait) survives them after the next batch that cannot wait, or after the next
    /// [`sync`](Self::sync).
    ///
    /// # Errors
    /// After an error, the batch may or may not be there after a restart. The caller must not commit again: an
    /// operating system may discard data that it failed to write, so that a successful retry proves nothing.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Passes all stored data to `see`: first all configurations in the order of their sequence, then the rest in any
    /// order, possibly from several threads.
    ///
    /// # Errors
    /// Some data cannot be read. No data is skipped.
    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError>;

    /// Returns the store's secret, random bits that are stored with the data. They seal the ids of decisions, which can
    /// be opened again after a restart. Returns `None` if the store keeps no data.
    fn secret(&self) -> Option<[u8; 16]> {
        None
    }

    /// Returns which failures a committed batch survives. [`Durability::Synced`] unless the store overrides this.
    fn durability(&self) -> Durability {
        Durability::Synced
    }

    /// Makes all commits survive a power failure. The service calls it about once a second while there are commits that
    /// are not [`Durability::Synced`] or can wait, and before it drops the store.
    ///
    /// # Errors
    /// See [`commit`](Self::commit).
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Receives the scopes of environments that were deleted for good. Their deletion is committed, and the records under
    /// these scopes are never read again. A store that can remove them cheaply should do so in its own time.
    fn retire(&mut self, scopes: &[Scope]) {
        let _ = scopes;
    }

    /// Returns the function that exports the store from another thread, or `None` if the store cannot be exported.
    fn export(&self) -> Option<Arc<Export>> {
        None
    }

    /// Returns the function that reads parts of the configurations from another thread, or `None` if the store cannot show
    /// them.
    fn excerpts(&self) -> Option<Arc<Excerpts>> {
        None
    }

    /// Returns the calls that are stored with an id or a context, or `None` if the store cannot keep them.
    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        None
    }

    /// Returns the stored state of a fleet's node, or `None` if the store cannot keep one.
    fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        None
    }

    /// Returns the erasure of this contact in the environment of this scope, if the store remembers it. A store that
    /// does not keep erased numbers can only look up a given number, and does not pass erasures to
    /// [`recover`](Self::recover). The service calls this before it records a call, so it should be cheap if there is
    /// no erasure.
    ///
    /// # Errors
    /// The erasure cannot be read.
    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        let _ = (environment, contact);
        Ok(None)
    }

    /// Returns the reader of decision records, or `None` if the store keeps none.
    fn records(&self) -> Option<Arc<dyn StoredRecords>> {
        None
    }

    /// Does one short step of removing decision records: those of erased contacts, expired ones, and those beyond the limit.
    /// The removal survives a power failure after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// The store cannot be written; see [`commit`](Self::commit). Damaged records are no error.
    fn tidy_records(&mut self, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        let _ = limits;
        Ok(RecordsTidied::default())
    }

    /// Returns the reader of the feeds of events, or `None` if the store keeps none.
    fn feed(&self) -> Option<Arc<dyn StoredFeed>> {
        None
    }

    /// Prepares the feeds for events, before the first batch with some. No event gets a number that an earlier one had, also
    /// if a power failure lost that one. An environment keeps at most about `most` events.
    ///
    /// # Errors
    /// The store cannot be written; see [`commit`](Self::commit).
    fn begin_feed(&mut self, now: Timestamp, most: u64) -> Result<(), StoreError> {
        let _ = (now, most);
        Ok(())
    }

    /// Shows readers the events of the batches so far, whose effect is in force now.
    fn show_events(&self) {}

    /// Does one short step of removing events, as [`tidy_records`](Self::tidy_records) does of removing decision records. `now`
    /// is the time by which they expire, if it is known. Later events are kept since then.
    ///
    /// # Errors
    /// The store cannot be written; see [`commit`](Self::commit). Damaged events are no error.
    fn tidy_feed(&mut self, now: Option<Timestamp>, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        let _ = (now, limits);
        Ok(RecordsTidied::default())
    }

    /// Returns the reader of webhooks, or `None` if the store keeps none.
    fn webhooks(&self) -> Option<Arc<dyn StoredWebhooks>> {
        None
    }

    /// Returns whether [`erasure`](Self::erasure) finds each committed erasure. Memory then need not keep them.
    fn remembers_erasures(&self) -> bool {
        false
    }
}

/// A function that writes all stored data as it was after one commit, as lines of JSON. Others can commit meanwhile.
pub type Export = dyn Fn(&mut dyn io::Write) -> Result<(), StoreError> + Send + Sync;

/// Changes that become durable together.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// The configurations. Their sequences are consecutive.
    pub configurations: Vec<Configuration>,
    /// At most one register for each pair: the highest so far. An [erasure](Register::is_erasure) under a number's
    /// scope removes the pair. An erasure under an environment's scope says until when the contact is erased.
    pub registers: Vec<(Scope, E164, Register)>,
    /// Changes of the calls that are known by an id or a context. Empty if the store cannot keep them.
    pub calls: CallChanges,
    /// At most one total for each tally and day: all calls so far.
    pub tallies: Vec<Tally>,
    /// Decisions that were reported answered.
    pub answered: Vec<Answered>,
    /// Answered decisions that are too old to be reported again, to be removed.
    pub forgotten: Vec<Answered>,
    /// Decision records. One whose call an erasure of its contact covers is left out, also if the erasure is in this batch.
    pub records: Vec<NewRecord>,
    /// Decisions that were reported answered, and when. One without a record is ignored.
    pub record_answers: Vec<(u128, Timestamp)>,
    /// Events, in their order. One that an erasure of its contact covers is left out, also if the erasure is in this batch.
    pub events: Vec<NewEvent>,
    /// Values of webhooks, in the order in which they were written.
    pub webhooks: Vec<WebhookValue>,
    /// The events to publish to the fleet. Entry numbers rise from batch to batch. Empty without a fleet, as all
    /// further fields are.
    pub outbox: Vec<Entry>,
    /// Outbox entries up to this one have been published and are removed.
    pub published: Option<u64>,
    /// The node's place in the fleet's stream.
    pub place: Option<Vec<u8>>,
    /// Erasures that are identified only by pseudonyms. The later one of two for the same pseudonym is kept.
    pub pseudonyms: Pseudonyms,
    /// Whether the batch need not be synced, because another node has its data. The stream delivers its messages again
    /// if a power failure loses them together with the place after them.
    pub can_wait: bool,
}

impl Batch {
    /// Returns whether the batch contains no changes.
    pub fn is_empty(&self) -> bool {
        let Self { configurations, registers, calls, tallies, answered, forgotten, .. } = self;
        let is_fleet_empty = self.outbox.is_empty() && self.published.is_none() && self.place.is_none();
        is_fleet_empty
            && self.pseudonyms.is_empty()
            && configurations.is_empty()
            && registers.is_empty()
            && calls.is_empty()
            && tallies.is_empty()
            && answered.is_empty()
            && forgotten.is_empty()
            && self.records.is_empty()
            && self.record_answers.is_empty()
            && self.events.is_empty()
            && self.webhooks.is_empty()
    }
}

/// A piece of data that a store returns during recovery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// A configuration.
    Configuration(Configuration),
    /// Pairs and their registers, any number of them.
    Registers(Vec<(Scope, E164, Register)>),
    /// The total of a tally on a day.
    Tally(Tally),
    /// A decision that was reported answered.
    Answered(Answered),
}

/// A store that keeps nothing, for programs and tests that need no durability.
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
