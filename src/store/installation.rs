//! Which data directory a file belongs to.
//!
//! Each directory has random bits of its own. They are in the name of an empty file, `installation-…`, in the engine's folder
//! and in that of each keyspace; in each batch of the journal; and in the settings. Files of two directories that were mixed
//! are found by that. What is missing, as in a directory of an earlier version, is written when the directory is next opened.
//!
//! A name needs no sync of its own: it is there whole or not at all, and one that is not is made again.

use super::StoreError;
use super::directory::io_error;
use super::export::{hex, unhex};
use std::fs::{self, File};
use std::path::Path;

/// The key of the bits in each batch.
pub(super) const KEY: &[u8] = b"installation";
/// What the name of the file begins with.
const PREFIX: &str = "installation-";

/// The random bits of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Installation([u8; 16]);

impl Installation {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| StoreError::Engine(format!("no random bytes: {error}")))?;
        Ok(Self(bits))
    }

    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", hex(&self.0))
    }

    /// Makes the folder's file where there is none.
    pub(super) fn mark(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(self.name());
        if path.exists() { Ok(()) } else { File::create(&path).map(drop).map_err(io_error(&path)) }
    }
}

/// What the files that were looked at so far belong to.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Belonging(Option<Installation>);

impl Belonging {
    /// The directory that all of them belong to; `None` where none said so.
    pub(super) fn installation(self) -> Option<Installation> {
        self.0
    }

    /// Adds what a file or folder says of itself.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where those before belong to another directory.
    pub(super) fn add(&mut self, found: Installation, path: &Path) -> Result<(), StoreError> {
        if *self.0.get_or_insert(found) == found {
            return Ok(());
        }
        let what = "belongs to another data directory than the files beside it".into();
        Err(StoreError::Damaged { path: path.to_owned(), what })
    }

    /// Adds what the files in this folder say.
    pub(super) fn add_folder(&mut self, folder: &Path) -> Result<(), StoreError> {
        for entry in fs::read_dir(folder).map_err(io_error(folder))? {
            let entry = entry.map_err(io_error(folder))?;
            let name = entry.file_name();
            let found = name.to_str().and_then(|name| unhex(name.strip_prefix(PREFIX)?));
            if let Some(bits) = found {
                self.add(Installation(bits), folder)?;
            }
        }
        Ok(())
    }
}
