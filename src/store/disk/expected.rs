//! The last commit that must be present after the engine has opened its files.

use super::directory::DataDirectory;
use super::installation::Belonging;
use super::journal::Journals;
use super::manifest;
use super::watermark::Watermark;
use crate::store::StoreError;
use crate::store::error::io_error;
use crate::store::records::commit_mark::CommitMark;
use std::path::Path;

/// The state of the files before the engine opens them, by which missing commits are found.
#[derive(Default)]
pub(in crate::store) struct Expected {
    journals: Journals,
    watermark: u64,
    belonging: Belonging,
}

impl Expected {
    /// Reads the files before the engine does, and removes a batch that a crash left incomplete. Damaged files stay
    /// unchanged.
    pub(in crate::store) fn read(directory: &DataDirectory) -> Result<Self, StoreError> {
        manifest::check(&directory.engine_path())?;
        let expected = Self::look(directory)?;
        expected.journals.cut()?;
        Ok(expected)
    }

    /// Reads the journals and the watermark, and changes nothing.
    pub(in crate::store) fn look(directory: &DataDirectory) -> Result<Self, StoreError> {
        let journals = Journals::read(&directory.engine_path())?;
        let watermark = Watermark::read(directory.path()).map_err(io_error(&Watermark::path(directory.path())))?;
        let mut belonging = journals.belonging;
        belonging.add_folder(&directory.engine_path())?;
        for keyspace in manifest::keyspaces(&directory.engine_path())? {
            belonging.add_folder(&keyspace)?;
        }
        let expected = Self { journals, watermark: watermark.unwrap_or_default(), belonging };
        if let Some(last) = expected.journals.last {
            expected.check(last, &directory.engine_path())?;
        }
        Ok(expected)
    }

    /// Returns the installation that the files belong to.
    pub(in crate::store) fn belonging(&self) -> Belonging {
        self.belonging
    }

    /// Returns the number of batches in the journals.
    pub(in crate::store) fn batches(&self) -> u64 {
        self.journals.batches
    }

    /// Checks that no durable commit is missing after `last`, the last commit that the engine found.
    pub(in crate::store) fn check(&self, last: CommitMark, engine_path: &Path) -> Result<(), StoreError> {
        let expected = self.journals.last.map_or(0, |last| last.number).max(self.watermark);
        if last.number >= expected {
            return Ok(());
        }
        let torn = self.journals.torn.last().map(|(path, _)| path);
        let path = torn.or(self.journals.active.as_ref()).map_or_else(|| engine_path.to_owned(), Clone::clone);
        let what = format!(
            "ends with commit {}, but commit {expected} was durable: restore the directory from a backup",
            last.number
        );
        Err(StoreError::Damaged { path, what })
    }
}
