//! Verifying a whole data directory.

use super::{EventStore, FjallStore, StoreError, Stored};
use crate::store::disk::directory::DataDirectory;
use crate::store::disk::disk_use::allocated;
use crate::store::disk::expected::Expected;
use crate::store::disk::journal;
use crate::store::disk::manifest;
use crate::store::disk::modes::Modes;
use crate::store::disk::watermark::Watermark;
use crate::store::error::io_error;
use crate::store::fjall::{calls, feed, records, webhooks};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most journals of a directory that is in order.
const MOST_JOURNALS: u64 = 2;
/// The most disk space of two journals. The engine ends each at 64 MB, and one group of commits may exceed that.
const MOST_JOURNAL_BYTES: u64 = 192 << 20;

/// The result of verifying a data directory.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The number of tables that were read.
    pub tables: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// The number of batches in the journals.
    pub batches: u64,
    /// The number of journals.
    pub journals: u64,
    /// The disk space of the journals, in bytes.
    pub journal_bytes: u64,
    /// The number of configurations. 0 if there is damage, because records are only read if all files are good.
    pub configurations: u64,
    /// The number of pairs. 0 if there is damage.
    pub pairs: u64,
    /// How the permissions of the directory were changed.
    pub modes: Modes,
    /// The damaged files, and what is wrong with each.
    pub damages: Vec<(PathBuf, String)>,
}

impl Verified {
    /// Returns whether no file is damaged.
    pub fn is_good(&self) -> bool {
        self.damages.is_empty()
    }

    /// Returns whether there are journals that should have been deleted. One journal is being written. A second one may
    /// exist after the engine began a new one, or after an interrupted purge. More or longer journals mean that the
    /// engine did not delete old ones, which may contain erased numbers.
    pub fn has_old_journals(&self) -> bool {
        self.journals > MOST_JOURNALS || self.journal_bytes > MOST_JOURNAL_BYTES
    }

    fn note<T>(&mut self, looked: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match looked {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Damaged { path, what }) => {
                self.damages.push((path, what));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads each file of a data directory and compares it with its checksum. If all files are good, it reads each record,
/// too. It continues after damage. Like a start, it removes what a crash left incomplete and tightens the permissions. It
/// changes nothing else.
///
/// # Errors
/// [`StoreError::Foreign`], [`StoreError::Locked`], [`StoreError::Newer`] and [`StoreError::Io`], if the directory
/// cannot be verified. Damage is part of the result.
pub fn verify(path: impl AsRef<Path>) -> Result<Verified, StoreError> {
    let path = path.as_ref();
    let mut verified = Verified::default();
    if !look_at_files(path, &mut verified)? {
        return Ok(verified);
    }
    let records = count_records(path);
    if let Some((configurations, pairs)) = verified.note(records)? {
        (verified.configurations, verified.pairs) = (configurations, pairs);
    }
    Ok(verified)
}

/// Checks all files. Returns whether all of them are good.
fn look_at_files(path: &Path, verified: &mut Verified) -> Result<bool, StoreError> {
    let Some(directory) = verified.note(DataDirectory::open_complete(path))? else { return Ok(false) };
    verified.modes = directory.modes();
    let engine_path = directory.engine_path();
    let watermark = Watermark::read(path).map_err(io_error(&Watermark::path(path)))?;
    if watermark.is_none() {
        verified.damages.push((Watermark::path(path), "invalid content: restore the directory from a backup".into()));
    }
    for path in verified.note(journal::paths(&engine_path))?.unwrap_or_default() {
        verified.journals += 1;
        verified.journal_bytes += allocated(&fs::metadata(&path).map_err(io_error(&path))?);
    }
    for keyspace in verified.note(manifest::keyspaces(&engine_path))?.unwrap_or_default() {
        for table in verified.note(manifest::tables_of(&keyspace))?.unwrap_or_default() {
            verified.bytes += verified.note(table.check())?.unwrap_or_default();
            verified.tables += 1;
        }
    }
    if let Some(expected) = verified.note(Expected::look(&directory))? {
        verified.batches = expected.batches();
    }
    Ok(verified.is_good())
}

fn count_records(path: &Path) -> Result<(u64, u64), StoreError> {
    let counts = Mutex::new((0, 0));
    let mut store = FjallStore::open(path)?;
    store.recover(&|stored| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Stored::Configuration(_) => counts.0 += 1,
            Stored::Registers(registers) => counts.1 += registers.len() as u64,
            Stored::Tally(_) | Stored::Answered(_) => {}
        }
        Ok(())
    })?;
    calls::check(&store.shared().keyspaces)?;
    records::check(&store.shared().keyspaces)?;
    feed::check(&store.shared().keyspaces)?;
    webhooks::check(&store.shared().keyspaces)?;
    Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
}
