//! What can go wrong with a store.

use crate::history::Full;
use crate::plan::ConfigError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a store cannot be opened, read or written. Names files, never phone numbers.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the data directory.
    Locked(PathBuf),
    /// The directory has something in it, and it is not ours.
    Foreign(PathBuf),
    /// There is a data directory already where one was to be made.
    Exists(PathBuf),
    /// Written by a newer version.
    Newer {
        /// Which directory.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format that this version knows.
        known: u64,
    },
    /// What was read is not what was written.
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Its answer.
        error: io::Error,
    },
    /// The storage engine failed.
    Engine(String),
    /// A stored configuration does not fit those before it.
    Configuration(ConfigError),
    /// The store showed a configuration behind a register.
    Disorder,
    /// Nobody wants it any more.
    GivenUp,
    /// More pairs are stored than the history may hold.
    Full(Full),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(f, "{}: another process holds this data directory", path.display()),
            Self::Foreign(path) => {
                write!(f, "{}: not empty, and not a data directory of dialback; left as it is", path.display())
            }
            Self::Exists(path) => {
                write!(f, "{}: a data directory already; an export is imported into a new one", path.display())
            }
            Self::Newer { path, found, known } => write!(
                f,
                "{}: format {found}, written by a newer version; this one knows formats up to {known}",
                path.display()
            ),
            Self::Damaged { path, what } => write!(f, "{}: damaged: {what}", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Engine(what) => write!(f, "the storage engine failed: {what}"),
            Self::Configuration(error) => write!(f, "a stored configuration does not fit those before it: {error}"),
            Self::GivenUp => f.write_str("given up before its end"),
            Self::Disorder => f.write_str("the store showed a configuration behind a register"),
            Self::Full(full) => write!(f, "more pairs are stored than may be held: {full}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<ConfigError> for StoreError {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<Full> for StoreError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}
