//! The keyspaces of the storage engine, and how they are opened.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `configurations` | sequence, 8 bytes, big-endian | [`Configuration`] as JSON |
//! | `registers` | scope of a number, 3 bytes, then contact, 7 bytes, big-endian | [`Register`], 8 bytes, big-endian |
//! | `commits` | `commit` | the [`CommitMark`] of the last batch; each batch has one |
//! | | `installation` | the [`Installation`] of the batch, 16 bytes; each batch has one |
//! | `erasures` | scope of an environment, 3 bytes, then [`Pseudonym`](crate::store::records::pseudonym::Pseudonym) | [`Register`], 8 bytes, big-endian |
//! | `settings` | a name | see [`Setting`] |
//! | `statistics` | see [`tally_key`](crate::store::records::tally_key) | counts, and answered decisions |
//! | `outbox` | number of the entry, 8 bytes, big-endian | calls and erasures that are not certainly published yet, in the format of messages |
//! | `contexts` | see [`calls`](crate::store::calls) | calls that are known by an id or a context |
//! | `call_ids` | see [`calls`](crate::store::calls) | the pairs of their ids |
//! | `records` | see [`record_key`](crate::store::records::record_key) | decision records |
//! | `feed` | see [`feed_key`](crate::store::records::feed_key) | the feeds of events |
//! | `webhooks` | see [`webhook_key`](crate::store::records::webhook_key) | values of the service, as JSON |
//! | `padding` | `0` | padding; see `rotation.rs` |

use super::expiry::{Expiry, Floor, RetiredScopes};
use crate::event::Configuration;
#[cfg(doc)]
use crate::history::Register;
use crate::store::StoreError;
use crate::store::disk::descriptors;
#[cfg(doc)]
use crate::store::disk::installation::Installation;
use crate::store::records::commit_mark::{self, CommitMark};
use crate::time::Timestamp;
use fjall::{CompressionType, Database, DatabaseBuilder, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::de::DeserializeOwned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keyspaces, each with the first format that has it.
const KEYSPACES: [(&str, u64); 13] = [
    ("configurations", 1),
    ("registers", 1),
    ("commits", 2),
    ("erasures", 3),
    ("settings", 3),
    ("padding", 3),
    ("statistics", 4),
    ("outbox", 5),
    ("contexts", 7),
    ("call_ids", 7),
    ("records", 8),
    ("feed", 9),
    ("webhooks", 10),
];

/// The size of the engine's tables.
#[derive(Clone, Copy)]
pub(in crate::store) enum Tables {
    Usual,
    /// Of this many bytes, for tests.
    #[cfg(feature = "__testing")]
    Small(u64),
}

impl Tables {
    fn of_database(self, builder: DatabaseBuilder<Database>) -> DatabaseBuilder<Database> {
        match self {
            Self::Usual => builder,
            // With several threads, the engine would spin while it compacts.
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

/// A value that is stored once in a directory. No name is as long as the key of a commit's mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Setting {
    /// The pseudonym key, 32 bytes.
    PseudonymKey,
    /// The time of the last purge, which removed erased and expired data from the disk: milliseconds since 1970, 8
    /// bytes, big-endian.
    PurgedAt,
    /// The key that seals the ids of decisions, 16 bytes.
    DecisionKey,
    /// The pseudonym keys of other nodes, 32 bytes each. Absent if there are none.
    ForeignKeys,
    /// The node's place in its fleet's stream. Absent without a fleet.
    Place,
    /// The installation id of the data directory, 16 bytes.
    Installation,
}

impl Setting {
    pub(in crate::store) const fn name(self) -> &'static str {
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

/// The opened storage engine and its keyspaces.
pub(in crate::store) struct Keyspaces {
    pub(in crate::store) configurations: Keyspace,
    pub(in crate::store) registers: Keyspace,
    pub(in crate::store) commits: Keyspace,
    pub(in crate::store) erasures: Keyspace,
    pub(in crate::store) settings: Keyspace,
    pub(in crate::store) padding: Keyspace,
    pub(in crate::store) statistics: Keyspace,
    pub(in crate::store) outbox: Keyspace,
    pub(in crate::store) contexts: Keyspace,
    pub(in crate::store) call_ids: Keyspace,
    pub(in crate::store) records: Keyspace,
    pub(in crate::store) feed: Keyspace,
    pub(in crate::store) webhooks: Keyspace,
    pub(in crate::store) database: Database,
    pub(in crate::store) floor: Floor,
    /// The scopes of deleted environments.
    pub(in crate::store) retired: RetiredScopes,
    path: PathBuf,
}

impl Keyspaces {
    /// Returns all keyspaces that hold records: all but the padding.
    pub(in crate::store) fn all(&self) -> [&Keyspace; 12] {
        [
            &self.configurations,
            &self.registers,
            &self.commits,
            &self.erasures,
            &self.settings,
            &self.statistics,
            &self.outbox,
            &self.contexts,
            &self.call_ids,
            &self.records,
            &self.feed,
            &self.webhooks,
        ]
    }
}

/// Why the storage engine cannot be opened.
enum Failed {
    Engine(fjall::Error),
    /// A keyspace of this format does not exist.
    Missing(&'static str),
    /// The engine panicked.
    Panicked,
}

impl From<fjall::Error> for Failed {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

impl Keyspaces {
    /// Opens the engine's files at `path`. `format` is the format of a complete directory, whose keyspaces must all
    /// exist. With `None`, the keyspaces are created.
    pub(in crate::store) fn open(path: &Path, format: Option<u64>, tables: Tables) -> Result<Self, StoreError> {
        // The engine panics on some invalid files. It keeps no state when it panics while opening.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::try_open(path, format, tables)));
        opened.unwrap_or(Err(Failed::Panicked)).map_err(|why| match why {
            Failed::Engine(error) => failed(path, error),
            Failed::Missing(name) => damaged(path, format!("keyspace {name} is missing")),
            Failed::Panicked => damaged(
                path,
                "the storage engine panicked while it opened these files: restore the directory from a backup",
            ),
        })
    }

    fn try_open(path: &Path, format: Option<u64>, tables: Tables) -> Result<Self, Failed> {
        let (floor, retired) = (Floor::default(), RetiredScopes::default());
        let expiry = Expiry::new(&floor, &retired);
        let builder = Database::builder(path)
            // Compressed entries could not be padded to a given length.
            .journal_compression(CompressionType::None)
            .max_cached_files(Some(descriptors::cached_files()))
            .with_compaction_filter_factories(Arc::new(move |name| expiry.filter(name)));
        let database = tables.of_database(builder).open()?;
        let mut expected = KEYSPACES.iter().filter(|(_, since)| format >= Some(*since));
        if let Some((missing, _)) = expected.find(|(name, _)| !database.keyspace_exists(name)) {
            return Err(Failed::Missing(missing));
        }
        let [
            configurations,
            registers,
            commits,
            erasures,
            settings,
            padding,
            statistics,
            outbox,
            contexts,
            call_ids,
            records,
            feed,
            webhooks,
        ] = KEYSPACES.map(|(name, _)| database.keyspace(name, || tables.of_keyspace()));
        Ok(Self {
            configurations: configurations?,
            registers: registers?,
            commits: commits?,
            erasures: erasures?,
            settings: settings?,
            padding: padding?,
            statistics: statistics?,
            outbox: outbox?,
            contexts: contexts?,
            call_ids: call_ids?,
            records: records?,
            feed: feed?,
            webhooks: webhooks?,
            database,
            floor,
            retired,
            path: path.to_owned(),
        })
    }

    /// Returns the folders of all keyspaces.
    pub(in crate::store) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.all().into_iter().chain([&self.padding]).map(Keyspace::path)
    }

    /// Returns the directory of the engine's files.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the mark of the last batch, or the default mark if there is no batch.
    pub(in crate::store) fn last_commit(&self) -> Result<CommitMark, StoreError> {
        match self.commits.get(commit_mark::KEY).map_err(|error| self.failed(error))? {
            None => Ok(CommitMark::default()),
            Some(mark) => CommitMark::from_bytes(&mark).ok_or_else(|| self.damaged("an invalid commit mark")),
        }
    }

    pub(in crate::store) fn read_configuration(
        &self,
        item: fjall::Guard,
        expected: u64,
    ) -> Result<Configuration, StoreError> {
        let (key, value) = item.into_inner().map_err(|error| self.failed(error))?;
        if *key != expected.to_be_bytes() {
            return Err(self.damaged(format!("configuration {expected} is missing")));
        }
        self.parse_configuration(&value, expected)
    }

    /// Reads the stored text of a configuration.
    pub(in crate::store) fn parse_configuration(
        &self,
        value: &[u8],
        expected: u64,
    ) -> Result<Configuration, StoreError> {
        let configuration: Configuration = self.parse_part(value, expected)?;
        if configuration.sequence != expected {
            return Err(self.damaged(format!("configuration {expected} has another sequence")));
        }
        Ok(configuration)
    }

    /// Reads some fields of the stored text of a configuration.
    pub(in crate::store) fn parse_part<T: DeserializeOwned>(
        &self,
        value: &[u8],
        sequence: u64,
    ) -> Result<T, StoreError> {
        // The JSON parser's error could quote its input, for example a phone number.
        serde_json::from_slice(value)
            .map_err(|error| self.damaged(format!("configuration {sequence} is invalid at column {}", error.column())))
    }

    pub(in crate::store) fn setting(&self, setting: Setting) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.settings.get(setting.name()).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Stores a setting. It is durable when this returns.
    pub(in crate::store) fn set(&self, setting: Setting, value: &[u8]) -> Result<(), StoreError> {
        let mut write = self.database.batch().durability(Some(PersistMode::SyncAll));
        write.insert(&self.settings, setting.name(), value);
        write.commit().map_err(|error| self.failed(error))
    }

    /// Stores the time of the last purge. It is durable when this returns.
    pub(in crate::store) fn set_purged_at(&self, at: Timestamp) -> Result<(), StoreError> {
        self.set(Setting::PurgedAt, &at.millis().to_be_bytes())
    }

    pub(in crate::store) fn failed(&self, error: fjall::Error) -> StoreError {
        failed(&self.path, error)
    }

    pub(in crate::store) fn damaged(&self, what: impl Into<String>) -> StoreError {
        damaged(&self.path, what)
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into() }
}

fn failed(path: &Path, error: fjall::Error) -> StoreError {
    let path = PathBuf::from(path);
    match error {
        fjall::Error::Io(error) => StoreError::Io { path, error },
        fjall::Error::Locked => StoreError::Locked(path),
        fjall::Error::InvalidVersion(_) => StoreError::Damaged {
            path: path.join("version"),
            what: "does not name version 3 of the storage engine".into(),
        },
        fjall::Error::Poisoned => {
            StoreError::Engine("an earlier write failed; restart after the cause is removed".into())
        }
        // The engine's texts name positions, versions and checksums, never keys or values.
        other => StoreError::Damaged { path, what: other.to_string() },
    }
}
