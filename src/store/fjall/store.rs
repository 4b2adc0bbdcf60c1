//! The embedded store: a log-structured merge tree that syncs each batch, unless a lower durability is set.
//! [`keyspaces`](super::keyspaces) describes its content.

use super::calls::{self, Sizes};
use super::commits::Commits;
use super::excerpts;
use super::feed::{self, FjallFeed};
use super::feeds::Feeds;
use super::fleet;
use super::keyspaces::{Keyspaces, Setting, Tables};
use super::migrate;
use super::purge::Upkeep;
use super::records;
use super::removals::Removals;
use super::scan::scan;
use super::shared::{FjallReader, Shared};
use super::shelves::Shelves;
use super::webhooks;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::backup::export::Exporter;
use crate::store::disk::directory::{
    DataDirectory, FORMAT, FORMAT_OF_COUNTED, FORMAT_OF_ERASURES, FORMAT_OF_STATISTICS,
};
use crate::store::disk::expected::Expected;
use crate::store::disk::installation::{Belonging, Installation};
use crate::store::disk::modes::Modes;
use crate::store::disk::watermark::Watermark;
use crate::store::error::io_error;
use crate::store::records::keys::pack_pair;
use crate::store::records::pseudonym::PseudonymKey;
use crate::store::records::register::{erasure_key, register_value};
use crate::store::records::tally_key;
use crate::store::{
    Batch, Durability, EventStore, Excerpts, Export, RecordLimits, RecordsTidied, StoreError, Stored, StoredCalls,
    StoredFeed, StoredFleetState, StoredRecords, StoredWebhooks,
};
use crate::time::Timestamp;
use fjall::{OwnedWriteBatch, PersistMode};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// A store in its own data directory.
pub struct FjallStore {
    commits: Commits,
    durability: Durability,
    /// Scopes whose retirement is committed and not synced yet.
    retiring: Vec<Scope>,
    pub(super) shared: Arc<Shared>,
}

impl FjallStore {
    /// Opens the data directory, or creates it if it does not exist. Converts a directory of an older format.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Foreign`] and [`StoreError::Newer`] leave the directory unchanged.
    /// [`StoreError::Damaged`] means that dialback or the storage engine found damaged files.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), Tables::Usual)
    }

    /// Opens a store with tables of `bytes` bytes, which flushes and compacts all the time. A directory that is created
    /// this way keeps the size.
    ///
    /// # Errors
    /// See [`open`](Self::open).
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
            migrate::erasures(&store.shared, &mut store.commits)?;
        }
        if format.is_some_and(|format| format < FORMAT_OF_COUNTED) {
            migrate::tallies(&store.shared, &mut store.commits)?;
        }
        store.shared.directory.mark()?;
        Ok(store)
    }

    /// Creates a data directory with this pseudonym key. The directory is incomplete until it is
    /// [marked](DataDirectory::mark).
    pub(in crate::store) fn make(path: &Path, key: PseudonymKey) -> Result<Self, StoreError> {
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
                let key = key.try_into().map_err(|_| keyspaces.damaged("the pseudonym key has the wrong length"))?;
                PseudonymKey::from_bytes(key)
            }
            None if format >= Some(FORMAT_OF_ERASURES) => {
                return Err(keyspaces.damaged("the pseudonym key is missing"));
            }
            None => {
                let key = new_key();
                keyspaces.set(Setting::PseudonymKey, key.bytes())?;
                key
            }
        };
        let secret = match keyspaces.setting(Setting::DecisionKey)? {
            Some(key) => key.try_into().map_err(|_| keyspaces.damaged("the decision key has the wrong length"))?,
            None if format >= Some(FORMAT_OF_STATISTICS) => {
                return Err(keyspaces.damaged("the decision key is missing"));
            }
            None => {
                let mut key = [0; 16];
                getrandom::fill(&mut key).map_err(|error| {
                    StoreError::Engine(format!("the operating system provides no random bytes: {error}"))
                })?;
                keyspaces.set(Setting::DecisionKey, &key)?;
                key
            }
        };
        let installation = installation(&keyspaces, expected.belonging())?;
        let watermark = Watermark::open(directory.path()).map_err(io_error(&Watermark::path(directory.path())))?;
        let foreign_keys = RwLock::new(fleet::foreign_keys(&keyspaces)?);
        let (shelves, feeds) = (Shelves::read(&keyspaces), Feeds::read(&keyspaces));
        let shared = Arc::new(Shared {
            keyspaces,
            key,
            foreign_keys,
            secret,
            purging: RwLock::default(),
            removals: Removals::new(),
            outbox_removals: Removals::new(),
            call_sizes: Sizes::default(),
            record_removals: Removals::new(),
            shelves,
            feed_removals: Removals::new(),
            feeds,
            directory,
        });
        // The engine has synced everything that it read.
        let commits = Commits::after(mark, installation, watermark);
        Ok(Self { commits, durability: Durability::Synced, retiring: Vec::new(), shared })
    }

    /// Returns whether [`open`](Self::open) would read an existing data directory (`true`) or create one (`false`).
    /// Changes nothing and does not lock the directory, which another process may be using.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], [`StoreError::Newer`], or [`StoreError::Damaged`] if files are missing. The content of
    /// the files is not checked.
    pub fn look(path: impl AsRef<Path>) -> Result<bool, StoreError> {
        DataDirectory::look(path.as_ref(), check_files)
    }

    /// Returns how opening the data directory changed its permissions, because users other than its owner could read
    /// it.
    pub fn modes(&self) -> Modes {
        self.shared.directory.modes()
    }

    /// Returns the store with another durability for all further commits.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Commits a batch with its mark. With [`Durability::Synced`], the batch must be a synced one unless it `can_wait`.
    pub(in crate::store) fn write(&mut self, batch: OwnedWriteBatch, can_wait: bool) -> Result<(), StoreError> {
        let is_synced = self.durability == Durability::Synced && !can_wait;
        self.commits.write(&self.shared.keyspaces, batch, is_synced)
    }

    /// Lets the engine leave out the records of the retired scopes. The next purge rewrites the files that have them.
    fn remove_retired(&mut self) {
        if !self.retiring.is_empty() {
            self.shared.keyspaces.retired.insert(&std::mem::take(&mut self.retiring));
            self.shared.removals.note();
        }
    }

    pub(in crate::store) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns an exporter, which another thread can use.
    pub fn exporter(&self) -> Exporter {
        Exporter::new(&self.shared)
    }

    /// Returns the upkeep of the store's files, which another thread can run.
    pub fn upkeep(&self) -> Upkeep {
        Upkeep::new(&self.shared)
    }
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
            let value = register_value(*register);
            is_removal |= scope.environment().is_none() && register.is_erasure() || keyspaces.floor.is_above(*register);
            match (scope.environment(), register.is_erasure()) {
                // The erasure is kept under a pseudonym, for calls that are reported later.
                (Some(_), _) => write.insert(&keyspaces.erasures, erasure_key(key, *scope, *contact), value),
                // The pair is removed. The environment's erasure decides whether a later report counts.
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
        fleet::write(&self.shared, batch, &mut write)?;
        let is_record_removal = records::write(&self.shared, batch, &mut write);
        let is_feed_removal = feed::write(&self.shared, batch, &mut write);
        webhooks::write(keyspaces, batch, &mut write);
        calls::write(keyspaces, &batch.calls, &mut write);
        is_removal |= batch.calls.has_removals() || calls::has_before(&batch.calls, |at| keyspaces.floor.is_after(at));
        let shared = Arc::clone(&self.shared);
        let changing = (!batch.calls.is_empty()).then(|| shared.call_sizes.begin());
        let written = self.write(write, batch.can_wait);
        if written.is_ok() {
            shared.call_sizes.add(&batch.calls.bytes);
        }
        drop(changing);
        if is_record_removal {
            self.shared.record_removals.note();
        }
        if is_feed_removal {
            self.shared.feed_removals.note();
        }
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
            see(tally_key::read(&key, &value).ok_or_else(|| keyspaces.damaged("an invalid count"))?)?;
        }
        scan(keyspaces, &|registers| see(Stored::Registers(registers)))?;
        // A purge would leave data on the disk that the count still reads, and not remove it later.
        let _no_purge = self.shared.purging.read().unwrap_or_else(PoisonError::into_inner);
        self.shared.call_sizes.count(keyspaces)
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
        self.commits.raise_watermark();
        self.remove_retired();
        Ok(())
    }

    fn retire(&mut self, scopes: &[Scope]) {
        self.retiring.extend(scopes);
        // A power failure must not take back the deletion of an environment whose records are gone.
        if self.durability == Durability::Synced {
            self.remove_retired();
        }
    }

    fn export(&self) -> Option<Arc<Export>> {
        let exporter = self.exporter();
        Some(Arc::new(move |out| exporter.export(out, false).map(|_| ())))
    }

    fn excerpts(&self) -> Option<Arc<Excerpts>> {
        (self.durability != Durability::Memory).then(|| excerpts::of(&self.shared))
    }

    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        (self.durability != Durability::Memory)
            .then(|| Arc::new(FjallReader::new(&self.shared)) as Arc<dyn StoredCalls>)
    }

    fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        Some(Arc::new(FjallReader::new(&self.shared)))
    }

    fn records(&self) -> Option<Arc<dyn StoredRecords>> {
        (self.durability != Durability::Memory)
            .then(|| Arc::new(FjallReader::new(&self.shared)) as Arc<dyn StoredRecords>)
    }

    fn tidy_records(&mut self, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        if self.durability == Durability::Memory {
            return Ok(RecordsTidied::default());
        }
        let mut write = self.shared.keyspaces.database.batch().durability(Some(PersistMode::Buffer));
        let tidied = records::tidy(&self.shared, limits, &mut write);
        if !write.is_empty() {
            self.write(write, true)?;
        }
        if tidied.removed > 0 {
            self.shared.record_removals.note();
        }
        Ok(tidied)
    }

    fn feed(&self) -> Option<Arc<dyn StoredFeed>> {
        (self.durability != Durability::Memory).then(|| Arc::new(FjallFeed::new(&self.shared)) as Arc<dyn StoredFeed>)
    }

    fn begin_feed(&mut self, now: Timestamp, most: u64) -> Result<(), StoreError> {
        if self.durability == Durability::Memory { Ok(()) } else { feed::begin(&self.shared, now, most) }
    }

    fn show_events(&self) {
        self.shared.feeds.show_events();
    }

    fn tidy_feed(&mut self, now: Option<Timestamp>, limits: &RecordLimits) -> Result<RecordsTidied, StoreError> {
        if self.durability == Durability::Memory {
            return Ok(RecordsTidied::default());
        }
        let mut write = self.shared.keyspaces.database.batch().durability(Some(PersistMode::Buffer));
        let tidied = feed::tidy(&self.shared, now, limits, &mut write);
        if !write.is_empty() {
            self.write(write, true)?;
        }
        if tidied.removed > 0 {
            self.shared.feed_removals.note();
        }
        Ok(tidied)
    }

    fn webhooks(&self) -> Option<Arc<dyn StoredWebhooks>> {
        (self.durability != Durability::Memory)
            .then(|| Arc::new(FjallReader::new(&self.shared)) as Arc<dyn StoredWebhooks>)
    }

    fn remembers_erasures(&self) -> bool {
        self.durability != Durability::Memory
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.shared.erasure_of(environment, contact)
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore").field("directory", &self.shared.directory).finish_non_exhaustive()
    }
}

/// Returns the installation id of this data directory, and writes it into folders and settings that lack it.
fn installation(keyspaces: &Keyspaces, mut belonging: Belonging) -> Result<Installation, StoreError> {
    let path = keyspaces.settings.path();
    let held = keyspaces.setting(Setting::Installation)?;
    if let Some(bits) = &held {
        let held = Installation::from_bytes(bits)
            .ok_or_else(|| keyspaces.damaged("the installation id has the wrong length"))?;
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

/// Checks that the engine's version file and a journal exist. Without one of them the engine would start an empty
/// store.
fn check_files(engine_path: &Path) -> Result<(), StoreError> {
    let missing = |what: &str| {
        Err(StoreError::Damaged {
            path: engine_path.join(what),
            what: "the file is missing: restore the directory from a backup".into(),
        })
    };
    if !engine_path.join("version").is_file() {
        return missing("version");
    }
    let entries = fs::read_dir(engine_path).map_err(io_error(engine_path))?;
    let is_journal = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "jnl"))
    };
    if entries.into_iter().any(is_journal) { Ok(()) } else { missing("*.jnl") }
}
