//! A data directory: ours, in a format that we know, and held by one process.
//!
//! ```text
//! DIR/dialback.json   {"format":6}: says that the directory is ours, and written how. Named `dialback.json.new` while the
//!                     directory is being made.
//! DIR/lock            held (flock) for as long as a process uses the directory
//! DIR/watermark       the highest commit that was durable for certain when this was written; see `watermark.rs`
//! DIR/store/          the storage engine's own files
//! ```
//!
//! A directory of an older format is made one of this when it is opened.

use super::StoreError;
use super::modes::Modes;
use super::watermark::{self, Watermark};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format that this version writes, and the newest that it reads.
///
/// 1. Configurations and registers, erasures among them.
/// 2. A watermark, and each batch with a mark.
/// 3. Erasures apart from the registers, under pseudonyms; the pairs that they reached are there no longer.
/// 4. Statistics.
/// 5. An outbox, for fleets.
/// 6. Statistics by agents instead of by slot.
pub(super) const FORMAT: u64 = 6;
/// The one that moved the erasures.
pub(super) const FORMAT_OF_ERASURES: u64 = 3;
/// The one that brought the key of the decisions.
pub(super) const FORMAT_OF_STATISTICS: u64 = 4;
/// The one that keeps them by agents.
pub(super) const FORMAT_OF_COUNTED: u64 = 6;

/// The marker while the directory is being made.
const UNFINISHED: &str = "dialback.json.new";

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    /// Unlocked by the operating system when the process ends, however it does.
    lock: File,
    modes: Modes,
}

impl Drop for DataDirectory {
    /// Unlocks, which closing alone need not do: a child that another thread is starting has a copy of the descriptor until it
    /// executes its program, and would hold the directory for that long.
    fn drop(&mut self) {
        // Where it fails, closing is what is left.
        let _ = self.lock.unlock();
    }
}

impl DataDirectory {
    /// Takes hold of the directory, and makes it where there is none (or an empty one, or one whose making was cut short).
    /// Changes nothing in a directory that is not ours, of a newer format, or held by another process.
    ///
    /// `check` looks whether the storage engine's files are there, of a directory that is said to be complete: an engine that
    /// does not find its files makes new ones, and everything would seem forgotten.
    pub(super) fn open(path: &Path, check: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<Self, StoreError> {
        // Before the lock is taken, which makes its file where there is none.
        if Self::look(path, check)? {
            return Self::hold(path);
        }
        make(path).map_err(io_error(path))?;
        let directory = Self::hold(path)?;
        directory.begin().map_err(io_error(path))?;
        Ok(directory)
    }

    /// Whether there is a directory, and not only a place for one; changes nothing.
    pub(super) fn look(path: &Path, check: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<bool, StoreError> {
        match read_marker(path)? {
            Some(format) if format > FORMAT => {
                Err(StoreError::Newer { path: path.to_owned(), found: format, known: FORMAT })
            }
            Some(_) => check(&engine_path(path)).map(|()| true),
            None if is_unfinished(path)? => Ok(false),
            None => Err(StoreError::Foreign(path.to_owned())),
        }
    }

    /// Takes hold of a directory that is complete, to look at it.
    pub(super) fn open_complete(path: &Path) -> Result<Self, StoreError> {
        let Some(format) = read_marker(path)? else { return Err(StoreError::Foreign(path.to_owned())) };
        if format > FORMAT {
            return Err(StoreError::Newer { path: path.to_owned(), found: format, known: FORMAT });
        }
        let marker = marker_path(path);
        if fs::read(&marker).map_err(io_error(&marker))? != marker_text(format).as_bytes() {
            return Err(StoreError::Damaged { path: marker, what: "not what was written".into() });
        }
        Self::hold(path)
    }

    /// What was changed of its permissions.
    pub(super) fn modes(&self) -> Modes {
        self.modes
    }

    /// Makes the engine's lock where it is missing, as after a copy that left empty files out. The engine asks for it, and only
    /// the holder of the directory gets here.
    pub(super) fn make_engine_lock(&self) -> Result<(), StoreError> {
        let path = self.engine_path().join("lock");
        let made = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        made.map(drop).map_err(io_error(&path))
    }

    /// Where the storage engine keeps its files.
    pub(super) fn engine_path(&self) -> PathBuf {
        engine_path(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the engine's directories durable: it does not sync each one in which it makes another. To be called when it has made
    /// them, and before anything is written that must be there.
    pub(super) fn sync_engine(&self) -> Result<(), StoreError> {
        sync_directories(&self.engine_path()).map_err(io_error(&self.engine_path()))
    }

    /// Whether the directory was complete when it was opened: not one that is being made.
    pub(super) fn is_marked(&self) -> bool {
        marker_path(&self.path).exists()
    }

    /// The format in which the directory is; `None` where it is not complete.
    pub(super) fn format(&self) -> Result<Option<u64>, StoreError> {
        read_marker(&self.path)
    }

    /// Whether the directory is complete, and in the format that this version writes.
    pub(super) fn is_current(&self) -> Result<bool, StoreError> {
        Ok(self.format()? == Some(FORMAT))
    }

    /// Says that the directory is ours, complete and in this version's format. To be called when the storage engine has made
    /// its files.
    pub(super) fn mark(&self) -> Result<(), StoreError> {
        if self.is_current()? {
            return Ok(());
        }
        let marker = marker_path(&self.path);
        let write = || {
            self.write_unfinished()?;
            fs::rename(self.path.join(UNFINISHED), &marker)?;
            // The rename is durable when the directory that holds the name is.
            sync_directory(&self.path)
        };
        write().map_err(io_error(&marker))
    }

    /// Begins to make the directory. What an earlier attempt left of a store goes: nothing in it was ever acknowledged.
    fn begin(&self) -> io::Result<()> {
        // Another process may have finished it before this one held the lock.
        if self.is_marked() {
            return Ok(());
        }
        let store = self.engine_path();
        if store.exists() {
            fs::remove_dir_all(store)?;
        }
        match fs::remove_file(Watermark::path(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It must have gone for certain when the marker is not whole for a moment.
        sync_directory(&self.path)?;
        self.write_unfinished()?;
        sync_directory(&self.path)
    }

    fn write_unfinished(&self) -> io::Result<()> {
        let is_whole = |text: Vec<u8>| text == marker_text(FORMAT).as_bytes();
        if fs::read(self.path.join(UNFINISHED)).is_ok_and(is_whole) {
            return Ok(());
        }
        let mut file = File::create(self.path.join(UNFINISHED))?;
        file.write_all(marker_text(FORMAT).as_bytes())?;
        file.sync_all()
    }

    fn hold(path: &Path) -> Result<Self, StoreError> {
        let lock_path = path.join("lock");
        let options = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = options.map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock, modes: Modes::tighten(path)? }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(StoreError::Io { path: lock_path, error }),
        }
    }
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path, error }
}

fn engine_path(path: &Path) -> PathBuf {
    path.join("store")
}

fn marker_path(path: &Path) -> PathBuf {
    path.join("dialback.json")
}

/// Makes the directory where there is none. Phone numbers will be in it, so it is for its own user only.
fn make(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|ancestor| ancestor.exists()).map(Path::to_owned);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&path)?;
    // A directory is there after a power failure when the one above is synced, up to the one that was there before.
    for made in path.ancestors().take_while(|ancestor| Some(*ancestor) != there.as_deref()) {
        made.parent().map_or(Ok(()), sync_directory)?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// As [`sync_directory`], with all directories below.
fn sync_directories(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync_directory(path)
}

/// The format of our directory; `None` where it has no marker.
fn read_marker(path: &Path) -> Result<Option<u64>, StoreError> {
    let marker = marker_path(path);
    let text = match fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(io_error(&marker)(error)),
    };
    let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    match value.and_then(|value| value.get("format")?.as_u64()) {
        // Nobody has ever written 0.
        Some(format) if format > 0 => Ok(Some(format)),
        _ => Err(StoreError::Damaged { path: marker, what: "does not say which format".into() }),
    }
}

/// Whether there is nothing in the directory, or no directory, or no more than an attempt to make one that was cut short: its
/// marker says so, and only without a store may that be half written. A lock alone is nothing.
fn is_unfinished(path: &Path) -> Result<bool, StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(io_error(path)(error)),
    };
    let (mut is_begun, mut has_data) = (false, false);
    let mut has_store = false;
    for entry in entries {
        match entry.map_err(io_error(path))?.file_name().to_str() {
            Some("lock") => {}
            Some("store") => (has_data, has_store) = (true, true),
            Some(watermark::NAME) => has_data = true,
            Some(UNFINISHED) => is_begun = true,
            _ => return Ok(false),
        }
    }
    if !is_begun {
        return Ok(!has_data);
    }
    let text = fs::read(path.join(UNFINISHED)).map_err(io_error(path))?;
    Ok((1..=FORMAT).map(marker_text).any(|whole| {
        let whole = whole.as_bytes();
        // What of it did not reach the disk can be missing or zero.
        let is_part = text.len() <= whole.len() && text.iter().zip(whole).all(|(byte, ours)| [0, *ours].contains(byte));
        if has_store { text == whole } else { is_part }
    }))
}

fn marker_text(format: u64) -> String {
    format!("{{\"format\":{format}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As between a thread that starts a program and that program, for a moment: seen as a directory that nobody held and that
    /// was refused.
    #[test]
    fn a_directory_is_free_when_it_is_dropped_though_a_child_has_a_copy_of_the_descriptor() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(place.path(), |_| Ok(())).expect("it opens");
        let copy = directory.lock.try_clone().expect("a copy");
        drop(directory);
        DataDirectory::open(place.path(), |_| Ok(())).expect("it is free");
        drop(copy);
    }
}
