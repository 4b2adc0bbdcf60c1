//! What the storage engine keeps for us, and how it is opened.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `configurations` | sequence, 8 bytes, big-endian | [`Configuration`] as JSON |
//! | `registers` | scope of a number, 3 bytes, then contact, 7 bytes, big-endian | [`Register`], 8 bytes, big-endian |
//! | `commits` | `commit` | the [`CommitMark`] of the last batch: a part of each batch |
//! | | `installation` | the [`Installation`] that the batch belongs to, 16 bytes: a part of each batch |
//! | `erasures` | scope of an environment, 3 bytes, then [`Pseudonym`](super::pseudonym::Pseudonym) | [`Register`], 8 bytes, big-endian |
//! | `settings` | a name | see [`Setting`] |
//! | `statistics` | see [`tally_key`](super::tally_key) | what was counted, and what was reported answered |
//! | `outbox` | number of the entry, 8 bytes, big-endian | calls and erasures that a fleet has not been told for certain, as messages have them |
//! | `padding` | `0` | nothing, see [`rotation`](super::rotation) |

use super::StoreError;
use super::commit_mark::{self, CommitMark};
use super::descriptors;
use super::expiry::{Expiry, Floor};
#[cfg(doc)]
use super::installation::Installation;
use crate::event::Configuration;
use crate::history::Register;
use fjall::{CompressionType, Database, DatabaseBuilder, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Each with the format that it came with.
const KEYSPACES: [(&str, u64); 8] = [
    ("configurations", 1),
    ("registers", 1),
    ("commits", 2),
    ("erasures", 3),
    ("settings", 3),
    ("padding", 3),
    ("statistics", 4),
    ("outbox", 5),
];

/// How large the engine's tables are.
#[derive(Clone, Copy)]
pub(super) enum Tables {
    Usual,
    /// Of so many bytes, for tests.
    #[cfg(feature = "__testing")]
    Small(u64),
}

impl Tables {
    fn of_database(self, builder: DatabaseBuilder<Database>) -> DatabaseBuilder<Database> {
        match self {
            Self::Usual => builder,
            // With more than one thread the engine turns round and round while it compacts.
            #[cfg(feature = "__testing")]
            Self::Small(_) => builder.worker_threads(1),
        }
    }

    fn of_keyspace(self) -> KeyspaceCreateOptions {
        match self {
            Self::Usual => KeyspaceCreateOptions::default(),
            #[cfg(feature = "__testing")]
            Self::Small(bytes) => KeyspaceCreateOptions::default().max_memtable_size(bytes),
        }
    }
}

/// Something kept once a directory. No name is as long as the key of a commit's mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Setting {
    /// The key of the pseudonyms, 32 bytes.
    PseudonymKey,
    /// When what was erased or expired last left the disk: milliseconds since 1970, 8 bytes, big-endian.
    PurgedAt,
    /// The key of the identities of decisions, 16 bytes.
    DecisionKey,
    /// Keys of pseudonyms that other nodes made, 32 bytes each. Not there where there are none.
    ForeignKeys,
    /// Where the node stands in its fleet's stream. Not there where there is no fleet.
    Place,
    /// The random bits of the data directory, 16 bytes.
    Installation,
}

impl Setting {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PseudonymKey => "pseudonym_key",
            Self::PurgedAt => "purged_at",
            Self::DecisionKey => "decision_key",
            Self::ForeignKeys => "foreign_keys",
            Self::Place => "place",
            Self::Installation => "installation",
        }
    }
}

/// The storage engine, opened.
pub(super) struct Keyspaces {
    pub(super) configurations: Keyspace,
    pub(super) registers: Keyspace,
    pub(super) commits: Keyspace,
    pub(super) erasures: Keyspace,
    pub(super) settings: Keyspace,
    pub(super) padding: Keyspace,
    pub(super) statistics: Keyspace,
    pub(super) outbox: Keyspace,
    pub(super) database: Database,
    pub(super) floor: Floor,
    path: PathBuf,
}

impl Keyspaces {
    /// Every one that has records in it: all but the padding.
    pub(super) fn all(&self) -> [&Keyspace; 7] {
        let Self { configurations, registers, commits, erasures, settings, statistics, outbox, .. } = self;
        [configurations, registers, commits, erasures, settings, statistics, outbox]
    }
}

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

impl Keyspaces {
    /// Opens the engine's files at `path`. `format` is what its keyspaces are said to be complete for; `None` where they are to be
    /// made.
    pub(super) fn open(path: &Path, format: Option<u64>, tables: Tables) -> Result<Self, StoreError> {
        // The engine asserts some of what it reads. Nothing of it is left where it panics while it opens.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::try_open(path, format, tables)));
        opened.unwrap_or(Err(Failed::Panicked)).map_err(|failed| match failed {
            Failed::Engine(error) => super::fjall::failed(path, error),
            Failed::Missing(name) => damaged(path, format!("keyspace {name} is missing")),
            Failed::Panicked => damaged(path, "the storage engine cannot make sense of it"),
        })
    }

    fn try_open(path: &Path, format: Option<u64>, tables: Tables) -> Result<Self, Failed> {
        let floor = Floor::default();
        let expiry = Expiry::new(floor.clone());
        let builder = Database::builder(path)
            // What is compressed could not be padded to a length.
            .journal_compression(CompressionType::None)
            .max_cached_files(Some(descriptors::cached_files()))
            .with_compaction_filter_factories(Arc::new(move |name| expiry.filter(name)));
        let database = tables.of_database(builder).open()?;
        let mut expected = KEYSPACES.iter().filter(|(_, since)| format >= Some(*since));
        if let Some((missing, _)) = expected.find(|(name, _)| !database.keyspace_exists(name)) {
            return Err(Failed::Missing(missing));
        }
        let [configurations, registers, commits, erasures, settings, padding, statistics, outbox] =
            KEYSPACES.map(|(name, _)| database.keyspace(name, || tables.of_keyspace()));
        Ok(Self {
            configurations: configurations?,
            registers: registers?,
            commits: commits?,
            erasures: erasures?,
            settings: settings?,
            padding: padding?,
            statistics: statistics?,
            outbox: outbox?,
            database,
            floor,
            path: path.to_owned(),
        })
    }

    /// The folders of all keyspaces.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.all().into_iter().chain([&self.padding]).map(Keyspace::path)
    }

    /// Where the engine's files are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The mark of the last batch; that of none where there has been none.
    pub(super) fn last_commit(&self) -> Result<CommitMark, StoreError> {
        match self.commits.get(commit_mark::KEY).map_err(|error| self.failed(error))? {
            None => Ok(CommitMark::default()),
            Some(mark) => CommitMark::from_bytes(&mark).ok_or_else(|| self.damaged("a commit that nobody made")),
        }
    }

    pub(super) fn read_configuration(&self, item: fjall::Guard, expected: u64) -> Result<Configuration, StoreError> {
        let (key, value) = item.into_inner().map_err(|error| self.failed(error))?;
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

    pub(super) fn setting(&self, setting: Setting) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.settings.get(setting.name()).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Durable when it returns.
    pub(super) fn set(&self, setting: Setting, value: &[u8]) -> Result<(), StoreError> {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncAll));
        write.insert(&self.settings, setting.name(), value);
        write.commit().map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: fjall::Error) -> StoreError {
        super::fjall::failed(&self.path, error)
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> StoreError {
        damaged(&self.path, what)
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into() }
}

/// A register as it is stored.
pub(super) fn read_register(value: &[u8]) -> Option<Register> {
    Register::from_bits(u64::from_be_bytes(value.try_into().ok()?))
}
