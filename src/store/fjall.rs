//! The embedded store: a log-structured merge tree, one sync a batch unless less is asked for.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `configurations` | sequence, 8 bytes, big-endian | [`Configuration`] as JSON |
//! | `registers` | scope, 3 bytes, then contact, 7 bytes, big-endian | [`Register`], 8 bytes, big-endian |
//! | `commits` | `commit` | the [`CommitMark`] of the last batch: a part of each batch |

use super::commit_mark::{self, CommitMark};
use super::directory::{DataDirectory, io_error};
use super::journal::Journals;
use super::manifest;
use super::watermark::Watermark;
use super::{Batch, Durability, EventStore, StoreError, Stored};
use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const KEYSPACES: [&str; 3] = ["configurations", "registers", "commits"];
/// What format 1 had of them.
const FIRST_KEYSPACES: usize = 2;

/// Why the storage engine does not open.
enum Failed {
    Engine(fjall::Error),
    /// A keyspace that was there is not.
    Missing(&'static str),
    /// It came upon something that it takes for impossible.
    Panicked,
}

impl From<fjall::Error> for Failed {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

/// A store in a data directory of its own.
pub struct FjallStore {
    // Dropped in this order: the engine writes its last before the directory is let go.
    configurations: Keyspace,
    registers: Keyspace,
    commits: Keyspace,
    database: Database,
    /// The last batch.
    mark: CommitMark,
    /// The number of the last batch that is durable for certain.
    synced: u64,
    watermark: Watermark,
    directory: DataDirectory,
    durability: Durability,
}

impl FjallStore {
    /// Opens the data directory, or makes one where there is nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Foreign`] and [`StoreError::Newer`] leave the directory as it is. What the storage
    /// engine or the look at its files before finds damaged is [`StoreError::Damaged`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = DataDirectory::open(path.as_ref(), check_files)?;
        let engine_path = directory.engine_path();
        let expected = if directory.is_marked() { Expected::read(&directory)? } else { Expected::default() };
        let must_be_there = match (directory.is_current()?, directory.is_marked()) {
            (true, _) => KEYSPACES.len(),
            (false, true) => FIRST_KEYSPACES,
            (false, false) => 0,
        };
        let open = || {
            let database = Database::builder(&engine_path).open()?;
            let missing = KEYSPACES[..must_be_there].iter().find(|name| !database.keyspace_exists(name));
            missing.map_or(Ok(()), |name| Err(Failed::Missing(name)))?;
            let [configurations, registers, commits] =
                KEYSPACES.map(|name| database.keyspace(name, KeyspaceCreateOptions::default));
            let commits = commits?;
            let mark = commits.get(commit_mark::KEY)?;
            Ok((configurations?, registers?, commits, mark, database))
        };
        // The engine asserts some of what it reads. Nothing of it is left where it panics while it opens.
        let opened = catch_unwind(AssertUnwindSafe(open)).unwrap_or(Err(Failed::Panicked));
        let damaged = |what| StoreError::Damaged { path: engine_path.clone(), what };
        let (configurations, registers, commits, mark, database) = opened.map_err(|error| match error {
            Failed::Engine(error) => failed(&engine_path, error),
            Failed::Missing(name) => damaged(format!("keyspace {name} is missing")),
            Failed::Panicked => damaged("the storage engine cannot make sense of it".into()),
        })?;
        let mark = match mark {
            None => CommitMark::default(),
            Some(mark) => CommitMark::from_bytes(&mark).ok_or_else(|| damaged("a commit that nobody made".into()))?,
        };
        expected.check(mark, &engine_path)?;
        directory.mark()?;
        let watermark = Watermark::open(directory.path()).map_err(io_error(&Watermark::path(directory.path())))?;
        let durability = Durability::Synced;
        // The engine has synced what it read.
        let synced = mark.number;
        Ok(Self { configurations, registers, commits, database, mark, synced, watermark, directory, durability })
    }

    /// The same store, which from now on promises this of what it commits.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Commits a batch, with its mark.
    fn write(&mut self, mut batch: OwnedWriteBatch) -> Result<(), StoreError> {
        let mark = CommitMark { number: self.mark.number + 1, synced: self.synced };
        batch.insert(&self.commits, commit_mark::KEY, mark.to_bytes());
        batch.commit().map_err(|error| failed(&self.directory.engine_path(), error))?;
        self.mark = mark;
        if self.durability == Durability::Synced {
            self.raise_watermark();
        }
        Ok(())
    }

    /// All that was committed is durable.
    fn raise_watermark(&mut self) {
        self.synced = self.mark.number;
        // A mark that cannot be raised claims less.
        let _ = self.watermark.write(self.synced);
    }

    fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.directory.engine_path(), what: what.into() }
    }

    fn read_configuration(&self, item: fjall::Guard, expected: u64) -> Result<Configuration, StoreError> {
        let (key, value) = item.into_inner().map_err(|error| failed(&self.directory.engine_path(), error))?;
        if *key != expected.to_be_bytes() {
            return Err(self.damaged(format!("configuration {expected} is missing")));
        }
        // The error of the JSON parser could quote what it read, a phone number for instance.
        let configuration: Configuration = serde_json::from_slice(&value)
            .map_err(|error| self.damaged(format!("configuration {expected} at column {}", error.column())))?;
        if configuration.sequence != expected {
            return Err(self.damaged(format!("configuration {expected} says it is another")));
        }
        Ok(configuration)
    }

    fn read_register(&self, item: fjall::Guard) -> Result<Stored, StoreError> {
        let (key, value) = item.into_inner().map_err(|error| failed(&self.directory.engine_path(), error))?;
        let stored = || {
            let (scope, contact) = unpack_pair(key.as_ref().try_into().ok()?)?;
            let register = Register::from_bits(u64::from_be_bytes(value.as_ref().try_into().ok()?))?;
            Some(Stored::Register(scope, contact, register))
        };
        stored().ok_or_else(|| self.damaged("a register that nobody wrote"))
    }
}

/// What must be there when the engine has opened its files.
#[derive(Default)]
struct Expected {
    journals: Journals,
    watermark: u64,
}

impl Expected {
    /// Looks at the files before the engine does, and cuts off what a crash left unfinished. What is damaged stays as it is.
    fn read(directory: &DataDirectory) -> Result<Self, StoreError> {
        manifest::tables(&directory.engine_path())?;
        let journals = Journals::read(&directory.engine_path())?;
        let watermark = Watermark::read(directory.path()).map_err(io_error(&Watermark::path(directory.path())))?;
        let expected = Self { journals, watermark: watermark.unwrap_or_default() };
        if let Some(last) = expected.journals.last {
            expected.check(last, &directory.engine_path())?;
        }
        expected.journals.cut()?;
        Ok(expected)
    }

    /// Whether this last commit is the last one.
    fn check(&self, last: CommitMark, engine_path: &Path) -> Result<(), StoreError> {
        let expected = self.journals.last.map_or(0, |last| last.number).max(self.watermark);
        if last.number >= expected {
            return Ok(());
        }
        let path = self.journals.active.clone().unwrap_or_else(|| engine_path.to_owned());
        let what = format!("ends with commit {}, and commit {expected} was durable", last.number);
        Err(StoreError::Damaged { path, what })
    }
}

impl EventStore for FjallStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mode = match self.durability {
            Durability::Synced => PersistMode::SyncAll,
            Durability::Buffered => PersistMode::Buffer,
            Durability::Memory => return Ok(()),
        };
        let mut write = self.database.batch().durability(Some(mode));
        for configuration in &batch.configurations {
            let value = serde_json::to_vec(configuration).expect("a configuration has only text and integers");
            write.insert(&self.configurations, configuration.sequence.to_be_bytes(), value);
        }
        for (scope, contact, register) in &batch.registers {
            write.insert(&self.registers, pack_pair(*scope, *contact), register.bits().to_be_bytes());
        }
        self.write(write)
    }

    fn recover(&mut self, see: &mut dyn FnMut(Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for (item, expected) in self.configurations.iter().zip(1..) {
            see(Stored::Configuration(self.read_configuration(item, expected)?))?;
        }
        for item in self.registers.iter() {
            see(self.read_register(item)?)?;
        }
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.database.persist(PersistMode::SyncAll);
        synced.map_err(|error| failed(&self.directory.engine_path(), error))?;
        self.raise_watermark();
        Ok(())
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// 24 bits of scope and 50 of contact in ten bytes whose order is the pair's.
fn pack_pair(scope: Scope, contact: E164) -> [u8; 10] {
    let pair = u128::from(scope.bits()) << 56 | u128::from(contact.code());
    let mut key = [0; 10];
    key.copy_from_slice(&pair.to_be_bytes()[6..]);
    key
}

fn unpack_pair(key: [u8; 10]) -> Option<(Scope, E164)> {
    let mut bytes = [0; 16];
    bytes[6..].copy_from_slice(&key);
    let pair = u128::from_be_bytes(bytes);
    let scope = u32::try_from(pair >> 56).ok().and_then(Scope::from_bits)?;
    let contact = u64::try_from(pair & ((1 << 56) - 1)).ok().and_then(E164::from_code)?;
    Some((scope, contact))
}

/// The engine's own mark and its journal, without either of which it would begin anew.
fn check_files(engine_path: &Path) -> Result<(), StoreError> {
    let missing = |what: &str| Err(StoreError::Damaged { path: engine_path.join(what), what: "not there".into() });
    if !engine_path.join("version").is_file() {
        return missing("version");
    }
    let entries = fs::read_dir(engine_path).map_err(io_error(engine_path))?;
    let is_journal = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "jnl"))
    };
    if entries.into_iter().any(is_journal) { Ok(()) } else { missing("*.jnl") }
}

fn failed(path: &Path, error: fjall::Error) -> StoreError {
    let path = PathBuf::from(path);
    match error {
        fjall::Error::Io(error) => StoreError::Io { path, error },
        fjall::Error::Locked => StoreError::Locked(path),
        fjall::Error::Poisoned => StoreError::Engine("an earlier write failed".into()),
        // Their texts name positions, versions and checksums, never keys or values.
        other => StoreError::Damaged { path, what: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_packs_in_order_and_reads_back() {
        let scopes = [0, 1, 0xFF_FFFF].map(|bits| Scope::from_bits(bits).expect("24 bits"));
        let contacts = ["1", "15551234567", "999999999999999", "0", "000000000000000"];
        let contacts = contacts.map(|digits| E164::from_digits(digits).expect("digits"));
        for scope in scopes {
            for contact in contacts {
                assert_eq!(unpack_pair(pack_pair(scope, contact)), Some((scope, contact)));
            }
        }
        assert!(pack_pair(scopes[0], contacts[2]) < pack_pair(scopes[1], contacts[0]));
        assert_eq!(unpack_pair([0xFF; 10]), None);
    }
}
