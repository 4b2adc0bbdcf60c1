//! A data directory: created by dialback, in a known format, and locked by one process.
//!
//! ```text
//! DIR/dialback.json   {"format":10}: marks the directory as dialback's, with its format. Named `dialback.json.new` while the
//!                     directory is being created.
//! DIR/lock            locked (flock) for as long as a process uses the directory
//! DIR/watermark       the highest commit that was certainly durable when this was written; see `watermark.rs`
//! DIR/store/          the storage engine's own files
//! ```
//!
//! Opening a directory of an older format converts it to the current one.

use super::modes::Modes;
use super::watermark::{self, Watermark};
use crate::store::error::{StoreError, io_error};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format that this version writes, and the newest that it reads.
///
/// 1. Configurations and registers, including erasures.
/// 2. A watermark, and a mark in each batch.
/// 3. Erasures in a keyspace of their own, under pseudonyms. The erased pairs are no longer stored.
/// 4. Statistics.
/// 5. An outbox, for fleets.
/// 6. Statistics by agents instead of by slot.
/// 7. Calls that are known by an id or a context.
/// 8. Decision records.
/// 9. Feeds of events.
/// 10. Webhooks.
pub(in crate::store) const FORMAT: u64 = 10;
/// The first format with erasures under pseudonyms.
pub(in crate::store) const FORMAT_OF_ERASURES: u64 = 3;
/// The first format with statistics and the decision key.
pub(in crate::store) const FORMAT_OF_STATISTICS: u64 = 4;
/// The first format with statistics by agents.
pub(in crate::store) const FORMAT_OF_COUNTED: u64 = 6;

/// The name of the marker while the directory is being created.
const UNFINISHED: &str = "dialback.json.new";

/// A data directory, locked by this process until the value is dropped.
#[derive(Debug)]
pub(in crate::store) struct DataDirectory {
    path: PathBuf,
    /// The lock. The operating system releases it when the process ends for any reason.
    lock: File,
    modes: Modes,
}

impl Drop for DataDirectory {
    /// Unlocks the directory explicitly, because closing the file may not be enough. A child process that another
    /// thread is starting has a copy of the descriptor until it executes its program, and would keep the lock that
    /// long.
    fn drop(&mut self) {
        // If unlocking fails, closing the file is all that can be done.
        let _ = self.lock.unlock();
    }
}

impl DataDirectory {
    /// Locks the directory. Creates it if it does not exist, is empty, or was not completely created. Does not change a
    /// directory that is not dialback's, has a newer format, or is locked by another process.
    ///
    /// `check` verifies that the storage engine's files of a complete directory exist. The engine would create missing
    /// files, and all data would seem lost.
    pub(in crate::store) fn open(
        path: &Path,
        check: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        // Look before locking, because locking creates the lock file.
        if Self::look(path, check)? {
            return Self::hold(path);
        }
        make(path).map_err(io_error(path))?;
        let directory = Self::hold(path)?;
        directory.begin().map_err(io_error(path))?;
        Ok(directory)
    }

    /// Returns whether the data directory exists, or `false` if it would have to be created. Changes nothing.
    pub(in crate::store) fn look(
        path: &Path,
        check: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        match read_marker(path)? {
            Some(format) if format > FORMAT => {
                Err(StoreError::Newer { path: path.to_owned(), found: format, known: FORMAT })
            }
            Some(_) => check(&engine_path(path)).map(|()| true),
            None if is_unfinished(path)? => Ok(false),
            None => Err(StoreError::Foreign(path.to_owned())),
        }
    }

    /// Locks a directory that is complete, to verify it.
    pub(in crate::store) fn open_complete(path: &Path) -> Result<Self, StoreError> {
        let Some(format) = read_marker(path)? else { return Err(StoreError::Foreign(path.to_owned())) };
        if format > FORMAT {
            return Err(StoreError::Newer { path: path.to_owned(), found: format, known: FORMAT });
        }
        let marker = marker_path(path);
        if fs::read(&marker).map_err(io_error(&marker))? != marker_text(format).as_bytes() {
            return Err(StoreError::Damaged {
                path: marker,
                what: "not the text that dialback writes: restore the directory from a backup".into(),
            });
        }
        Self::hold(path)
    }

    /// Returns how the permissions of the directory were changed.
    pub(in crate::store) fn modes(&self) -> Modes {
        self.modes
    }

    /// Creates the engine's lock file if it is missing, for example after a copy without empty files. The engine
    /// requires it. Only the process that locked the directory gets here.
    pub(in crate::store) fn make_engine_lock(&self) -> Result<(), StoreError> {
        let path = self.engine_path().join("lock");
        let made = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        made.map(drop).map_err(io_error(&path))
    }

    /// Returns the directory of the storage engine's files.
    pub(in crate::store) fn engine_path(&self) -> PathBuf {
        engine_path(&self.path)
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the engine's directories durable, because the engine does not sync all of them. Call it after the engine
    /// has created them, and before data is written that must not be lost.
    pub(in crate::store) fn sync_engine(&self) -> Result<(), StoreError> {
        sync_directories(&self.engine_path()).map_err(io_error(&self.engine_path()))
    }

    /// Returns whether the directory is complete, and not just being created.
    pub(in crate::store) fn is_marked(&self) -> bool {
        marker_path(&self.path).exists()
    }

    /// Returns the format of the directory, or `None` if it is not complete.
    pub(in crate::store) fn format(&self) -> Result<Option<u64>, StoreError> {
        read_marker(&self.path)
    }

    /// Returns whether the directory is complete and in the current format.
    pub(in crate::store) fn is_current(&self) -> Result<bool, StoreError> {
        Ok(self.format()? == Some(FORMAT))
    }

    /// Marks the directory as complete and in the current format. Call it after the storage engine has created its
    /// files.
    pub(in crate::store) fn mark(&self) -> Result<(), StoreError> {
        if self.is_current()? {
            return Ok(());
        }
        let marker = marker_path(&self.path);
        let write = || {
            self.write_unfinished()?;
            fs::rename(self.path.join(UNFINISHED), &marker)?;
            // The rename is durable after its directory has been synced.
            sync_directory(&self.path)
        };
        write().map_err(io_error(&marker))
    }

    /// Starts to create the directory. Removes what an earlier, unfinished attempt left: nothing of it was ever
    /// acknowledged.
    fn begin(&self) -> io::Result<()> {
        // Another process may have completed it before this process got the lock.
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
        // The old files must be durably removed before the marker is rewritten, because a crash may leave the marker
        // incomplete.
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
            Ok(()) => {
                let modes = Modes::tighten(path)?;
                // There was nothing to read in a directory that is only being created.
                let modes = if marker_path(path).exists() { modes } else { Modes::default() };
                Ok(Self { path: path.to_owned(), lock, modes })
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(StoreError::Io { path: lock_path, error }),
        }
    }
}

fn engine_path(path: &Path) -> PathBuf {
    path.join("store")
}

fn marker_path(path: &Path) -> PathBuf {
    path.join("dialback.json")
}

/// Creates the directory if it does not exist, accessible to its own user only, because it will hold phone numbers.
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
    // A new directory survives a power failure only after its parent has been synced, up to the first one that existed
    // before.
    for made in path.ancestors().take_while(|ancestor| Some(*ancestor) != there.as_deref()) {
        made.parent().map_or(Ok(()), sync_directory)?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names in a directory and in all directories below it durable.
fn sync_directories(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync_directory(path)
}

/// Returns the format of a data directory, or `None` if it has no marker.
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
        // No version has written format 0.
        Some(format) if format > 0 => Ok(Some(format)),
        _ => Err(StoreError::Damaged {
            path: marker,
            what: "does not name a format: restore the directory from a backup".into(),
        }),
    }
}

/// Returns whether the directory does not exist, is empty, or was not completely created. A marker that is itself
/// incomplete only counts as such if there is no store. A lock file alone counts as an empty directory.
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
        // Bytes that did not reach the disk may be missing or zero.
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

    /// While a thread starts a program, the new process has a copy of the descriptor for a moment. A directory once
    /// seemed locked because of that.
    #[test]
    fn a_dropped_directory_is_unlocked_even_if_a_child_has_a_copy_of_the_descriptor() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(place.path(), |_| Ok(())).expect("it opens");
        let copy = directory.lock.try_clone().expect("a copy");
        drop(directory);
        DataDirectory::open(place.path(), |_| Ok(())).expect("it is free");
        drop(copy);
    }
}
