//! The embedded store: a log-structured merge tree, one sync a batch unless less is asked for. [`keyspaces`](super::keyspaces) says what is in it.

use super::aside_of_fjall as aside;
use super::commit_mark::{self, CommitMark};
use super::directory::{DataDirectory, FORMAT, FORMAT_OF_COUNTED, FORMAT_OF_ERASURES, FORMAT_OF_STATISTICS, io_error};
use super::expected::Expected;
use super::export::Exporter;
use super::installation::{self, Belonging, Installation};
use super::keys::{pack_pair, pack_scope, unpack_pair, unpack_scope};
use super::keyspaces::{Keyspaces, Setting, Tables, read_register};
use super::migrate;
use super::modes::Modes;
use super::pseudonym::{Pseudonym, PseudonymKey};
use super::purge::Upkeep;
use super::removals::Removals;
use super::scan::scan;
use super::watermark::Watermark;
use super::{Aside, Batch, Durability, EventStore, Export, StoreError, Stored, tally_key};
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use fjall::{OwnedWriteBatch, PersistMode};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A store in a data directory of its own.
pub struct FjallStore {
    /// What is in each batch.
    installation: Installation,
    /// The last batch.
    mark: CommitMark,
    /// The number of the last batch that is durable for certain.
    synced: u64,
    watermark: Watermark,
    durability: Durability,
    shared: Arc<Shared>,
}

/// What the store and those who look at it from other threads have in common.
pub(super) struct Shared {
    // Dropped in this order: the engine writes its last before the directory is let go.
    pub(super) keyspaces: Keyspaces,
    pub(super) key: PseudonymKey,
    /// Under which other nodes made pseudonyms that are kept here.
    pub(super) foreign_keys: RwLock<Vec<PseudonymKey>>,
    /// The key of the identities of decisions.
    secret: [u8; 16],
    /// Held alone by a purge, together by those who look at an earlier state, which a purge would have to leave there.
    pub(super) purging: RwLock<()>,
    /// Of pairs, and writes of pairs that have expired already.
    pub(super) removals: Removals,
    pub(super) outbox_removals: Removals,
    pub(super) directory: DataDirectory,
}

impl FjallStore {
    /// Opens the data directory, or makes one where there is nothing yet. One of an older format becomes one of this.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Foreign`] and [`StoreError::Newer`] leave the directory as it is. What the storage
    /// engine or the look at its files before finds damaged is [`StoreError::Damaged`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), Tables::Usual)
    }

    /// A store that flushes and compacts all the time. The size stays that of a directory that is made with it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub fn open_with_small_tables(path: impl AsRef<Path>, bytes: u64) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), Tables::Small(bytes))
    }

    fn open_with(path: &Path, tables: Tables) -> Result<Self, StoreError> {
        let directory = DataDirectory::open(path, check_files)?;
        let format = directory.format()?;
        let mut store = Self::begin(directory, format, tables, PseudonymKey::random)?;
        if format.is_some_and(|format| format < FORMAT_OF_ERASURES) {
            migrate::erasures(&mut store)?;
        }
        if format.is_some_and(|format| format < FORMAT_OF_COUNTED) {
            migrate::tallies(&mut store)?;
        }
        store.shared.directory.mark()?;
        Ok(store)
    }

    /// Makes a data directory whose pseudonyms have this key, where there is nothing yet. It is none before it is
    /// [marked](DataDirectory::mark).
    pub(super) fn make(path: &Path, key: PseudonymKey) -> Result<Self, StoreError> {
        let directory = DataDirectory::open(path, check_files)?;
        if directory.is_marked() {
            return Err(StoreError::Exists(path.to_owned()));
        }
        Self::begin(directory, None, Tables::Usual, || key)
    }

    fn begin(
        directory: DataDirectory,
        format: Option<u64>,
        tables: Tables,
        new_key: impl FnOnce() -> PseudonymKey,
    ) -> Result<Self, StoreError> {
        let engine_path = directory.engine_path();
        let expected = if format.is_some() { Expected::read(&directory)? } else { Expected::default() };
        if format.is_some() {
            directory.make_engine_lock()?;
        }
        let keyspaces = Keyspaces::open(&engine_path, format, tables)?;
        if format != Some(FORMAT) {
            directory.sync_engine()?;
        }
        let mark = keyspaces.last_commit()?;
        expected.check(mark, &engine_path)?;
        let key = match keyspaces.setting(Setting::PseudonymKey)? {
            Some(key) => {
                let key = key.try_into().map_err(|_| keyspaces.damaged("the key of the pseudonyms"))?;
                PseudonymKey::from_bytes(key)
            }
            None if format >= Some(FORMAT_OF_ERASURES) => {
                return Err(keyspaces.damaged("the key of the pseudonyms is missing"));
            }
            None => {
                let key = new_key();
                keyspaces.set(Setting::PseudonymKey, key.bytes())?;
                key
            }
        };
        let secret = match keyspaces.setting(Setting::DecisionKey)? {
            Some(key) => key.try_into().map_err(|_| keyspaces.damaged("the key of the decisions"))?,
            None if format >= Some(FORMAT_OF_STATISTICS) => {
                return Err(keyspaces.damaged("the key of the decisions is missing"));
            }
            None => {
                let mut key = [0; 16];
                getrandom::fill(&mut key).map_err(|error| StoreError::Engine(format!("no random bytes: {error}")))?;
                keyspaces.set(Setting::DecisionKey, &key)?;
                key
            }
        };
        let installation = installation(&keyspaces, expected.belonging())?;
        let watermark = Watermark::open(directory.path()).map_err(io_error(&Watermark::path(directory.path())))?;
        let foreign_keys = RwLock::new(aside::foreign_keys(&keyspaces)?);
        let shared = Arc::new(Shared {
            keyspaces,
            key,
            foreign_keys,
            secret,
            purging: RwLock::default(),
            removals: Removals::new(),
            outbox_removals: Removals::new(),
            directory,
        });
        // The engine has synced what it read.
        Ok(Self { installation, mark, synced: mark.number, watermark, durability: Durability::Synced, shared })
    }

    /// Whether there is a data directory that [`open`](Self::open) would begin to read, or `false` where it would make one. Takes
    /// no hold of it and changes nothing; another process may be using it.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], [`StoreError::Newer`], and [`StoreError::Damaged`] where files are missing. What is in them is not looked at.
    pub fn look(path: impl AsRef<Path>) -> Result<bool, StoreError> {
        DataDirectory::look(path.as_ref(), check_files)
    }

    /// What was changed of the permissions of the data directory when it was opened: others than its own user could read it.
    pub fn modes(&self) -> Modes {
        self.shared.directory.modes()
    }

    /// The same store, which from now on promises this of what it commits.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Commits a batch, with its mark. Under [`Durability::Synced`] the batch has to be a synced one, unless it `can_wait`.
    pub(super) fn write(&mut self, mut batch: OwnedWriteBatch, can_wait: bool) -> Result<(), StoreError> {
        let mark = CommitMark { number: self.mark.number + 1, synced: self.synced };
        let keyspaces = &self.shared.keyspaces;
        batch.insert(&keyspaces.commits, installation::KEY, *self.installation.bytes());
        // The last of its items.
        batch.insert(&keyspaces.commits, commit_mark::KEY, mark.to_bytes());
        batch.commit().map_err(|error| keyspaces.failed(error))?;
        self.mark = mark;
        if self.durability == Durability::Synced && !can_wait {
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

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What exports the store, from another thread.
    pub fn exporter(&self) -> Exporter {
        Exporter::new(&self.shared)
    }

    /// What keeps the store's files clean, from a thread of its own.
    pub fn upkeep(&self) -> Upkeep {
        Upkeep::new(&self.shared)
    }
}

impl Shared {
    /// What is kept under the key of an erasure.
    pub(super) fn erasure(&self, key: &[u8]) -> Result<Option<Register>, StoreError> {
        let held = self.keyspaces.erasures.get(key);
        let Some(value) = held.map_err(|error| self.keyspaces.failed(error))? else { return Ok(None) };
        let register = read_register(&value).ok_or_else(|| self.keyspaces.damaged("an erasure that nobody wrote"))?;
        Ok(Some(register))
    }
}

/// A register and its key, as they are stored.
pub(super) fn read_pair(key: &[u8], value: &[u8]) -> Option<(Scope, E164, Register)> {
    let (scope, contact) = unpack_pair(key.try_into().ok()?)?;
    Some((scope, contact, read_register(value)?))
}

/// The key of an erasure.
pub(super) fn erasure_key(key: &PseudonymKey, environment: Scope, contact: E164) -> Vec<u8> {
    [&pack_scope(environment)[..], &key.of(environment, contact)].concat()
}

/// The environment and the pseudonym of an erasure's key.
pub(super) fn read_pseudonym(key: &[u8]) -> Option<(Scope, Pseudonym)> {
    let (scope, pseudonym) = key.split_first_chunk()?;
    let scope = unpack_scope(*scope)?;
    scope.environment()?;
    Some((scope, pseudonym.try_into().ok()?))
}

impl EventStore for FjallStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mode = match self.durability {
            Durability::Synced if !batch.can_wait => PersistMode::SyncAll,
            Durability::Synced | Durability::Buffered => PersistMode::Buffer,
            Durability::Memory => return Ok(()),
        };
        let Shared { keyspaces, key, .. } = &*self.shared;
        let mut write = keyspaces.database.batch().durability(Some(mode));
        let mut is_removal = false;
        for configuration in &batch.configurations {
            let value = serde_json::to_vec(configuration).expect("a configuration has only text and integers");
            write.insert(&keyspaces.configurations, configuration.sequence.to_be_bytes(), value);
        }
        for (scope, contact, register) in &batch.registers {
            let value = register.bits().to_be_bytes();
            is_removal |= scope.environment().is_none() && register.is_erasure() || keyspaces.floor.is_above(*register);
            match (scope.environment(), register.is_erasure()) {
                // Remembered for the late reports, under a pseudonym.
                (Some(_), _) => write.insert(&keyspaces.erasures, erasure_key(key, *scope, *contact), value),
                // The pair is gone: whether a late report of it counts, the environment's erasure says.
                (None, true) => write.remove(&keyspaces.registers, pack_pair(*scope, *contact)),
                (None, false) => write.insert(&keyspaces.registers, pack_pair(*scope, *contact), value),
            }
        }
        for tally in &batch.tallies {
            write.insert(&keyspaces.statistics, tally_key::of_tally(tally), tally_key::value(tally.count));
        }
        for answered in &batch.answered {
            write.insert(&keyspaces.statistics, tally_key::of_answered(*answered), []);
        }
        for answered in &batch.forgotten {
            write.remove(&keyspaces.statistics, tally_key::of_answered(*answered));
        }
        aside::write(&self.shared, batch, &mut write)?;
        let written = self.write(write, batch.can_wait);
        if is_removal {
            self.shared.removals.note();
        }
        if batch.published.is_some() {
            self.shared.outbox_removals.note();
        }
        written
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        let keyspaces = &self.shared.keyspaces;
        for (item, expected) in keyspaces.configurations.iter().zip(1..) {
            see(Stored::Configuration(keyspaces.read_configuration(item, expected)?))?;
        }
        for item in keyspaces.statistics.iter() {
            let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
            see(tally_key::read(&key, &value).ok_or_else(|| keyspaces.damaged("a count that nobody wrote"))?)?;
        }
        scan(keyspaces, &|registers| see(Stored::Registers(registers)))
    }

    fn secret(&self) -> Option<[u8; 16]> {
        Some(self.shared.secret)
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let keyspaces = &self.shared.keyspaces;
        keyspaces.database.persist(PersistMode::SyncAll).map_err(|error| keyspaces.failed(error))?;
        self.raise_watermark();
        Ok(())
    }

    fn export(&self) -> Option<Arc<Export>> {
        let exporter = self.exporter();
        Some(Arc::new(move |out| exporter.export(out, false).map(|_| ())))
    }

    fn aside(&self) -> Option<Arc<dyn Aside>> {
        Some(Arc::new(aside::Besides::new(&self.shared)))
    }

    fn remembers_erasures(&self) -> bool {
        self.durability != Durability::Memory
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        let own = self.shared.erasure(&erasure_key(&self.shared.key, environment, contact))?;
        let foreign = self.shared.foreign_keys.read().unwrap_or_else(PoisonError::into_inner);
        foreign.iter().try_fold(own, |latest, key| {
            Ok(latest.max(self.shared.erasure(&erasure_key(key, environment, contact))?))
        })
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}

/// The bits of this data directory, which its files say by now if they did not.
fn installation(keyspaces: &Keyspaces, mut belonging: Belonging) -> Result<Installation, StoreError> {
    let path = keyspaces.settings.path();
    let held = keyspaces.setting(Setting::Installation)?;
    if let Some(bits) = &held {
        let held = Installation::from_bytes(bits).ok_or_else(|| keyspaces.damaged("whose installation it is"))?;
        belonging.add(held, path)?;
    }
    let installation = belonging.installation().map_or_else(Installation::random, Ok)?;
    for folder in keyspaces.folders().chain([keyspaces.path()]) {
        installation.mark(folder)?;
    }
    if held.is_none() {
        keyspaces.set(Setting::Installation, installation.bytes())?;
    }
    Ok(installation)
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

pub(super) fn failed(path: &Path, error: fjall::Error) -> StoreError {
    let path = PathBuf::from(path);
    match error {
        fjall::Error::Io(error) => StoreError::Io { path, error },
        fjall::Error::Locked => StoreError::Locked(path),
        fjall::Error::InvalidVersion(_) => {
            StoreError::Damaged { path: path.join("version"), what: "not the storage engine's version 3".into() }
        }
        fjall::Error::Poisoned => StoreError::Engine("an earlier write failed".into()),
        // Their texts name positions, versions and checksums, never keys or values.
        other => StoreError::Damaged { path, what: other.to_string() },
    }
}
