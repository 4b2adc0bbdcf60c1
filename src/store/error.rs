//! Errors of a store.

use crate::history::Full;
use crate::plan::ConfigError;
use std::fmt;
use std::io;
#[cfg(feature = "store")]
use std::path::Path;
use std::path::PathBuf;

/// Why a store cannot be opened, read or written. The text names files, never phone numbers.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has locked the data directory.
    Locked(PathBuf),
    /// The directory is not empty, and is not a data directory of dialback.
    Foreign(PathBuf),
    /// A new data directory was to be created, but one exists already.
    Exists(PathBuf),
    /// The data was written by a newer version.
    Newer {
        /// The directory or file.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format that this version knows.
        known: u64,
    },
    /// A file's content differs from what dialback or the storage engine wrote.
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// The damage.
        what: String,
    },
    /// The operating system reported an error.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The storage engine failed.
    Engine(String),
    /// A stored configuration contradicts the ones before it.
    Configuration(ConfigError),
    /// The store returned a configuration after a register.
    Disorder,
    /// The service was dropped while it loaded the store.
    GivenUp,
    /// The store holds more pairs than the history may hold.
    Full(Full),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(f, "{}: another process holds this data directory", path.display()),
            Self::Foreign(path) => {
                write!(
                    f,
                    "{}: not empty, and not a data directory of dialback; it is unchanged: name another directory",
                    path.display()
                )
            }
            Self::Exists(path) => {
                write!(f, "{}: a data directory exists already: import into a new one", path.display())
            }
            Self::Newer { path, found, known } => write!(
                f,
                "{}: format {found}, written by a newer version; this version reads formats up to {known}: start the newer one",
                path.display()
            ),
            Self::Damaged { path, what } => write!(f, "{}: damaged: {what}", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Engine(what) => write!(f, "the storage engine failed: {what}"),
            Self::Configuration(error) => {
                write!(f, "a stored configuration contradicts an earlier one; restore a backup: {error}")
            }
            Self::GivenUp => f.write_str("loading was stopped because the service is closing"),
            Self::Disorder => f.write_str("a configuration is stored after a register; restore a backup"),
            Self::Full(full) => write!(f, "the store holds more pairs than the history may hold: {full}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Configuration(error) => Some(error),
            Self::Full(full) => Some(full),
            _ => None,
        }
    }
}

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

/// Returns the conversion of an operating system error at this path.
#[cfg(feature = "store")]
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path, error }
}
