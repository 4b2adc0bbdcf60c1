//! Reading a data directory whole, for what is not as it was written.

use super::directory::{DataDirectory, io_error};
use super::disk_use::allocated;
use super::expected::Expected;
use super::journal;
use super::manifest;
use super::watermark::Watermark;
use super::{EventStore, FjallStore, StoreError, Stored};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Journals of a directory in which nothing is amiss.
const MOST_JOURNALS: u64 = 2;
/// What two journals take that the engine ends at 64 MB each, and one group of commits in each.
const MOST_JOURNAL_BYTES: u64 = 192 << 20;

/// What a look at a whole data directory saw.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Tables that were read whole.
    pub tables: u64,
    /// How long they are together.
    pub bytes: u64,
    /// Batches read in the journals.
    pub batches: u64,
    /// Journals that there are.
    pub journals: u64,
    /// What they take on the disk, in bytes.
    pub journal_bytes: u64,
    /// Configurations held. 0 where damage was found: the engine is asked for its records only where all its files are good.
    pub configurations: u64,
    /// Pairs held; 0 as well.
    pub pairs: u64,
    /// What is damaged: which file, and what is wrong with it.
    pub damages: Vec<(PathBuf, String)>,
}

impl Verified {
    /// Whether nothing is damaged.
    pub fn is_good(&self) -> bool {
        self.damages.is_empty()
    }

    /// Whether there are journals that should be gone. One is written; another may be there since the engine began it or a
    /// purge was stopped. More, or longer ones, are left where the engine does not delete them: erased numbers may be in them.
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

/// Reads each file of a data directory whole against its checksums, and then, where all are good, each record. Goes on behind
/// what is damaged, and changes nothing but what a start changes, too: what a crash left unfinished is cut off.
///
/// # Errors
/// [`StoreError::Foreign`], [`StoreError::Locked`], [`StoreError::Newer`] and [`StoreError::Io`]: what keeps it from looking. Damage is in the answer.
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

/// Whether all of them are good.
fn look_at_files(path: &Path, verified: &mut Verified) -> Result<bool, StoreError> {
    let Some(directory) = verified.note(DataDirectory::open_complete(path))? else { return Ok(false) };
    let engine_path = directory.engine_path();
    let watermark = Watermark::read(path).map_err(io_error(&Watermark::path(path)))?;
    if watermark.is_none() {
        verified.damages.push((Watermark::path(path), "not what was written".into()));
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
    FjallStore::open(path)?.recover(&|stored| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Stored::Configuration(_) => counts.0 += 1,
            Stored::Registers(registers) => counts.1 += registers.len() as u64,
            Stored::Tally(_) | Stored::Answered(_) => {}
        }
        Ok(())
    })?;
    Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
}
