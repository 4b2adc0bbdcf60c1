//! Decision records in a store: how they are written, removed and read.

use super::StoreError;
use crate::number::E164;
use crate::record::DecisionRecord;
use crate::slot::Scope;
use crate::time::Timestamp;
use std::fmt;

/// A decision record to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The scope of its environment.
    pub environment: Scope,
    /// The id of the decision. If a record has this id already, the new one is left out.
    pub id: u128,
    /// When the decision was made.
    pub at: Timestamp,
    /// The caller. Erasing this contact removes the record.
    pub contact: Option<E164>,
    /// When the outbound call behind the decision was placed.
    pub called_at: Option<Timestamp>,
    /// When the call was reported answered.
    pub answered: Option<Timestamp>,
    /// The [`DecisionRecord`] as JSON.
    pub text: Vec<u8>,
}

impl NewRecord {
    /// Returns whether an erasure of its contact up to this time removes the record: the call came before it, or the record
    /// shows a call that the erasure covers.
    pub fn is_erased_until(&self, until: Timestamp) -> bool {
        is_erased_until(self.at, self.called_at, until)
    }
}

/// Returns whether an erasure of its contact up to `until` removes a record of this time, with the time of the call behind it.
pub(super) fn is_erased_until(at: Timestamp, called_at: Option<Timestamp>, until: Timestamp) -> bool {
    at <= until || called_at.is_some_and(|at| at <= until)
}

/// Prints no number.
impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewRecord({} bytes)", self.text.len())
    }
}

/// A place in the list of an environment's records, which is in the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RecordPlace {
    /// When the decision was made.
    pub at: Timestamp,
    /// The id of the decision.
    pub id: u128,
}

impl RecordPlace {
    /// The last place that there can be.
    pub const LAST: Self = Self { at: Timestamp::from_millis(u64::MAX), id: u128::MAX };
}

/// Which records to read, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordQuery {
    /// The scope of the environment.
    pub environment: Scope,
    /// Only records of this caller.
    pub contact: Option<E164>,
    /// Only records from this time on.
    pub since: Timestamp,
    /// Only records before this place.
    pub before: RecordPlace,
}

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// Its place: its time and its id.
    pub place: RecordPlace,
    /// The scope of its environment.
    pub environment: Scope,
    /// When the call was reported answered.
    pub answered: Option<Timestamp>,
    /// Its content; `None` if it is damaged.
    pub content: Option<DecisionRecord>,
}

/// A part of the records, newest first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The number of bytes that were read.
    pub bytes: usize,
    /// Where the next part begins; `None` if there are no older records.
    pub rest: Option<RecordPlace>,
}

impl RecordPage {
    /// The most records that one page examines.
    pub const MAX_EXAMINED: usize = 128;
    /// The number of bytes after which a page ends.
    pub const MAX_BYTES: usize = 1 << 18;
}

/// Reads decision records while others commit.
pub trait StoredRecords: Send + Sync {
    /// Returns whether there never was a record.
    fn is_empty(&self) -> bool;

    /// Returns the record of a decision. Records of erased contacts are never returned.
    ///
    /// # Errors
    /// The store cannot be read.
    fn find(&self, id: u128) -> Result<Option<StoredRecord>, StoreError>;

    /// Returns a part of an environment's records, newest first. Records of erased contacts are left out.
    ///
    /// # Errors
    /// The store cannot be read. A record that can be read and is not valid is no error, but has no content.
    fn page(&self, query: &RecordQuery) -> Result<RecordPage, StoreError>;
}

/// Which records are to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordLimits {
    /// Records before this time are removed.
    pub expired_before: Timestamp,
    /// The most records of one environment. The oldest are removed first.
    pub max_per_environment: u64,
}

impl RecordLimits {
    /// The most records that one step removes because of these limits. No more than half of this may be written between two
    /// steps, or the number of records would grow.
    pub const REMOVED_AT_ONCE: usize = 2048;
}

/// The result of one step of removing records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RecordsTidied {
    /// The number of records that were removed.
    pub removed: u64,
    /// Whether more are to be removed.
    pub is_more: bool,
    /// The number of damaged places that were found.
    pub damaged: u64,
}
