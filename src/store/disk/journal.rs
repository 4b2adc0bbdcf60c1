//! The storage engine's journals, which dialback reads before the engine does.
//!
//! The engine stops at the first batch that it cannot read, truncates the file there and continues. After a crash this
//! is correct, because only the end of the last batch is incomplete. After damage in the middle it is wrong: it removes
//! acknowledged batches. The engine also rejects some files that a crash may leave, for example a batch whose first and
//! last sectors reached the disk but not its middle.
//!
//! Each batch of dialback therefore has a [`CommitMark`], by which a gap is found. This module checks the marks first,
//! and removes only what a crash left incomplete.
//!
//! A journal is a sequence of batches. A batch is `1`, the number of items (u32), the sequence (u64), the items, `3`,
//! the XXH3 of the items' bytes, `FJL` and `3`. All numbers are little-endian. Zeros follow the last batch.

use super::data_end::read_to_data_end;
use super::installation::{self, Belonging, Installation};
use crate::store::StoreError;
use crate::store::error::io_error;
use crate::store::records::commit_mark::{self, CommitMark};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8] = b"FJL\x03";

/// The content of a directory's journals.
#[derive(Default, Debug)]
pub(in crate::store) struct Journals {
    /// The mark of the last batch that has one.
    pub(in crate::store) last: Option<CommitMark>,
    /// The newest journal file.
    pub(in crate::store) active: Option<PathBuf>,
    /// Files that end with an incomplete batch, and the position where their last complete batch ends.
    pub(in crate::store) torn: Vec<(PathBuf, u64)>,
    pub(in crate::store) batches: u64,
    /// The data directory that they belong to.
    pub(in crate::store) belonging: Belonging,
    sequence: Option<u64>,
}

impl Journals {
    /// Reads all journals and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a durable batch is missing or unreadable.
    pub(in crate::store) fn read(engine_path: &Path) -> Result<Self, StoreError> {
        let mut journals = Self::default();
        for path in paths(engine_path)? {
            journals.read_file(path)?;
        }
        Ok(journals)
    }

    /// Removes batches that a crash left incomplete. They were never acknowledged.
    pub(in crate::store) fn cut(&self) -> Result<(), StoreError> {
        for (path, end) in &self.torn {
            let cut = || {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(*end)?;
                file.sync_all()
            };
            cut().map_err(io_error(path))?;
        }
        Ok(())
    }

    fn read_file(&mut self, path: PathBuf) -> Result<(), StoreError> {
        let bytes = read_to_data_end(&path).map_err(io_error(&path))?;
        let mut rest = bytes.as_slice();
        while let Some((batch, behind)) = JournalBatch::parse(rest) {
            if let Some(installation) = batch.installation {
                self.belonging.add(installation, &path)?;
            }
            self.follow(&batch).map_err(|what| self.damage(&path, &what))?;
            rest = behind;
        }
        if rest.iter().any(|byte| *byte != 0) {
            let at = bytes.len() - rest.len();
            if let Some(mark) = self.durable_behind(rest) {
                let what = format!(
                    "unreadable at byte {at}, but commit {} follows: restore the directory from a backup",
                    mark.number
                );
                return Err(StoreError::Damaged { path, what });
            }
            self.torn.push((path.clone(), at as u64));
        }
        self.active = Some(path);
        Ok(())
    }

    /// Returns the error for a batch out of order. It names the batch's file, or the one before if that ended with an
    /// incomplete batch.
    fn damage(&self, path: &Path, what: &str) -> StoreError {
        if let Some((torn, at)) = self.torn.last() {
            let what = format!("unreadable at byte {at}, and then {what}: restore the directory from a backup");
            return StoreError::Damaged { path: torn.clone(), what };
        }
        let name = self.active.as_ref().filter(|active| *active != path).and_then(|active| active.file_name());
        let or = name.map_or_else(String::new, |name| format!(", or the end of `{}` is missing", name.display()));
        StoreError::Damaged { path: path.to_owned(), what: format!("{what}{or}") }
    }

    /// Accepts a batch as the next one, or returns why it cannot be.
    fn follow(&mut self, batch: &JournalBatch) -> Result<(), String> {
        self.batches += 1;
        // Batches that the engine writes for its own upkeep have no mark and are never acknowledged. After a restart,
        // the engine may use the sequence of a cleared one again.
        let Some(mark) = batch.mark else { return Ok(()) };
        // The sequence decides which of two values is newer, and no checksum protects it.
        if self.sequence.is_some_and(|last| batch.sequence <= last) {
            return Err("a batch is out of order".into());
        }
        self.sequence = Some(batch.sequence);
        let last = self.last.map(|last| last.number);
        if let Some(last) = last.filter(|last| last + 1 != mark.number) {
            return Err(format!("commit {} follows commit {last}", mark.number));
        }
        self.last = Some(mark);
        Ok(())
    }

    /// Returns the mark of a later batch that proves that the unreadable one was durable. Without such a batch, the
    /// unreadable one may never have reached the disk completely.
    fn durable_behind(&self, bytes: &[u8]) -> Option<CommitMark> {
        let starts = (1..bytes.len()).filter(|at| bytes[*at] == START);
        let mut marks = starts.filter_map(|at| JournalBatch::parse(&bytes[at..])?.0.mark);
        marks.find(|mark| {
            let missing = self.last.map_or(mark.number - 1, |last| last.number + 1);
            mark.synced >= missing && mark.synced > 0
        })
    }
}

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

struct JournalBatch {
    sequence: u64,
    mark: Option<CommitMark>,
    installation: Option<Installation>,
}

impl JournalBatch {
    /// Parses the batch at the start of the bytes. Returns it and the rest, or `None` if it is not complete.
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = Cursor(bytes);
        if rest.u8()? != START {
            return None;
        }
        let count = rest.u32()?;
        let sequence = rest.u64()?;
        let items = rest.0;
        let (mut last, mut installation) = (None, None);
        for _ in 0..count {
            last = match rest.u8()? {
                ITEM => Some(rest.item()?),
                CLEAR => rest.u64().map(|_keyspace| None)?,
                _ => return None,
            };
            if let Some((installation::KEY, value)) = last {
                installation = Installation::from_bytes(value);
            }
        }
        let mark =
            last.filter(|(key, _)| *key == commit_mark::KEY).and_then(|(_, value)| CommitMark::from_bytes(value));
        let items = &items[..items.len() - rest.0.len()];
        let is_whole = rest.u8()? == END && rest.u64()? == xxh3_64(items) && rest.take(MAGIC.len())? == MAGIC;
        is_whole.then_some((Self { sequence, mark, installation }, rest.0))
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads an item: kind (u8), compression (u8), keyspace (u64), length of the key (u16), of the value (u32) and of
    /// the stored value (u32), key, value. Returns the key and the value.
    fn item(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.take(1 + 1 + 8)?;
        let key_len = self.array().map(u16::from_le_bytes)?;
        self.u32()?;
        let value_len = usize::try_from(self.u32()?).ok()?;
        let key = self.take(usize::from(key_len))?;
        let value = self.take(value_len)?;
        Some((key, value))
    }
}

/// Returns the number of the newest journal, which the engine writes; 0 if there is none.
pub(in crate::store) fn last_number(engine_path: &Path) -> Result<u64, StoreError> {
    Ok(numbered(engine_path)?.last().map_or(0, |(number, _)| *number))
}

/// Returns the number of the oldest journal; 0 if there is none.
pub(in crate::store) fn first_number(engine_path: &Path) -> Result<u64, StoreError> {
    Ok(numbered(engine_path)?.first().map_or(0, |(number, _)| *number))
}

/// Returns the journals' paths, oldest first.
pub(in crate::store) fn paths(engine_path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(numbered(engine_path)?.into_iter().map(|(_, path)| path).collect())
}

/// Returns the journals with their numbers, oldest first.
fn numbered(engine_path: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(engine_path).map_err(io_error(engine_path))? {
        let path = entry.map_err(io_error(engine_path))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let what = || "not a journal's name: remove the file if it is not dialback's".into();
            paths.push((id.ok_or_else(|| StoreError::Damaged { path: path.clone(), what: what() })?, path));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
