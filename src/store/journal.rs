//! The storage engine's journals, read before the engine reads them.
//!
//! The engine stops at the first batch that it cannot read, cuts the file there and goes on: right after a crash, which
//! leaves nothing but the end of the last batch unfinished, and wrong after damage in the middle, which takes acknowledged
//! batches along. And it refuses some files that a crash may leave: a batch whose first and last sectors reached the disk and
//! whose middle did not. So we look first. Each batch of ours carries its [`CommitMark`], by which a gap shows; what a crash
//! left unfinished is cut off here.
//!
//! A journal is a sequence of batches: `1`, how many items (u32), sequence (u64); the items; `3`, XXH3 of the items' bytes,
//! `FJL` and `3`. All is little-endian. Behind the last batch there are zeros.

use super::commit_mark::{self, CommitMark};
use super::directory::io_error;
use super::installation::{self, Belonging, Installation};
use super::{StoreError, data_end::read_to_data_end};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8] = b"FJL\x03";

/// What the journals of a directory hold.
#[derive(Default, Debug)]
pub(super) struct Journals {
    /// The mark of the last batch, of those that have one.
    pub(super) last: Option<CommitMark>,
    /// The file whose end is the journals' end.
    pub(super) active: Option<PathBuf>,
    /// Files that end in the middle of a batch, and where their last whole one ends.
    pub(super) torn: Vec<(PathBuf, u64)>,
    pub(super) batches: u64,
    /// The data directory that they belong to.
    pub(super) belonging: Belonging,
    sequence: Option<u64>,
}

impl Journals {
    /// Reads all of them, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a batch that was durable is missing or cannot be read, and something behind it can.
    pub(super) fn read(engine_path: &Path) -> Result<Self, StoreError> {
        let mut journals = Self::default();
        for path in paths(engine_path)? {
            journals.read_file(path)?;
        }
        Ok(journals)
    }

    /// Cuts off what a crash left unfinished: never acknowledged, and not to be read by anybody.
    pub(super) fn cut(&self) -> Result<(), StoreError> {
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
        while let Some((batch, behind)) = Batch::parse(rest) {
            if let Some(installation) = batch.installation {
                self.belonging.add(installation, &path)?;
            }
            self.follow(&batch).map_err(|what| self.damage(&path, &what))?;
            rest = behind;
        }
        if rest.iter().any(|byte| *byte != 0) {
            let at = bytes.len() - rest.len();
            if let Some(mark) = self.durable_behind(rest) {
                let what = format!("not readable at byte {at}, and commit {} is behind it", mark.number);
                return Err(StoreError::Damaged { path, what });
            }
            self.torn.push((path.clone(), at as u64));
        }
        self.active = Some(path);
        Ok(())
    }

    /// Of a batch that does not follow: the file that it is in, or the one before, if that ended in the middle of a batch.
    fn damage(&self, path: &Path, what: &str) -> StoreError {
        if let Some((torn, at)) = self.torn.last() {
            let what = format!("not readable at byte {at}, and {what} behind it");
            return StoreError::Damaged { path: torn.clone(), what };
        }
        let name = self.active.as_ref().filter(|active| *active != path).and_then(|active| active.file_name());
        let or = name.map_or_else(String::new, |name| format!(", or the last one in `{}`", name.display()));
        StoreError::Damaged { path: path.to_owned(), what: format!("{what}{or}") }
    }

    /// Takes a batch for the next one, or says why it cannot be.
    fn follow(&mut self, batch: &Batch) -> Result<(), String> {
        self.batches += 1;
        // What the engine's keepers write carries no mark: nothing of it is acknowledged. What of it is cleared again may also have
        // sequences that the engine gives a second time after a restart.
        let Some(mark) = batch.mark else { return Ok(()) };
        // The engine's sequence decides which of two values is the newer one, and nothing else protects it.
        if self.sequence.is_some_and(|last| batch.sequence <= last) {
            return Err("a batch is not in its order".into());
        }
        self.sequence = Some(batch.sequence);
        let last = self.last.map(|last| last.number);
        if let Some(last) = last.filter(|last| last + 1 != mark.number) {
            return Err(format!("commit {} follows commit {last}", mark.number));
        }
        self.last = Some(mark);
        Ok(())
    }

    /// A later batch that was written when the one which cannot be read was durable. Without one the latter may just never
    /// have reached the disk whole.
    fn durable_behind(&self, bytes: &[u8]) -> Option<CommitMark> {
        let starts = (1..bytes.len()).filter(|at| bytes[*at] == START);
        let mut marks = starts.filter_map(|at| Batch::parse(&bytes[at..])?.0.mark);
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

struct Batch {
    sequence: u64,
    mark: Option<CommitMark>,
    installation: Option<Installation>,
}

impl Batch {
    /// The batch in front of the bytes, if it is whole, and what is behind it.
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

    /// Kind (u8), compression (u8), keyspace (u64), lengths of the key (u16), of the value (u32) and of the value as it is
    /// stored (u32), key, value. The last two.
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

/// The number of the newest journal, which the engine writes; 0 where there is none.
pub(super) fn last_number(engine_path: &Path) -> Result<u64, StoreError> {
    Ok(numbered(engine_path)?.last().map_or(0, |(number, _)| *number))
}

/// The number of the oldest journal; 0 where there is none.
pub(super) fn first_number(engine_path: &Path) -> Result<u64, StoreError> {
    Ok(numbered(engine_path)?.first().map_or(0, |(number, _)| *number))
}

/// The journals' paths, oldest first.
pub(super) fn paths(engine_path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(numbered(engine_path)?.into_iter().map(|(_, path)| path).collect())
}

/// The journals by their numbers, oldest first.
fn numbered(engine_path: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(engine_path).map_err(io_error(engine_path))? {
        let path = entry.map_err(io_error(engine_path))?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let what = || "not the name of a journal".into();
            paths.push((id.ok_or_else(|| StoreError::Damaged { path: path.clone(), what: what() })?, path));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
