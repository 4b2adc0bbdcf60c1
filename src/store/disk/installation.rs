//! Installation ids: random bits by which each file names its data directory.
//!
//! Each directory has its own id. It is in the name of an empty file, `installation-…`, in the engine's folder and in
//! each keyspace's folder. It is also in each batch of the journal and in the settings. Files of two directories that
//! were mixed are found by it. A missing id, as in a directory of an earlier version, is written when the directory is
//! next opened.
//!
//! The file name needs no sync of its own: it exists or not, and a missing one is created again.

use crate::store::StoreError;
use crate::store::error::io_error;
use crate::store::records::hex::{hex, unhex};
use std::fs::{self, File};
use std::path::Path;

/// The key of the id in each batch.
pub(in crate::store) const KEY: &[u8] = b"installation";
/// The prefix of the file name.
const PREFIX: &str = "installation-";

/// The installation id of a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Installation([u8; 16]);

impl Installation {
    pub(in crate::store) fn random() -> Result<Self, StoreError> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)
            .map_err(|error| StoreError::Engine(format!("the operating system provides no random bytes: {error}")))?;
        Ok(Self(bits))
    }

    pub(in crate::store) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", hex(&self.0))
    }

    /// Creates the folder's file with the id if it is missing.
    pub(in crate::store) fn mark(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(self.name());
        if path.exists() { Ok(()) } else { File::create(&path).map(drop).map_err(io_error(&path)) }
    }
}

/// The installation id that all files checked so far agree on.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::store) struct Belonging(Option<Installation>);

impl Belonging {
    /// Returns the id, or `None` if no file had one.
    pub(in crate::store) fn installation(self) -> Option<Installation> {
        self.0
    }

    /// Adds the id of a file or folder.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if earlier files have another id.
    pub(in crate::store) fn add(&mut self, found: Installation, path: &Path) -> Result<(), StoreError> {
        if *self.0.get_or_insert(found) == found {
            return Ok(());
        }
        let what = "belongs to another data directory than the other files: restore all files from one backup".into();
        Err(StoreError::Damaged { path: path.to_owned(), what })
    }

    /// Adds the ids of the files in this folder.
    pub(in crate::store) fn add_folder(&mut self, folder: &Path) -> Result<(), StoreError> {
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
