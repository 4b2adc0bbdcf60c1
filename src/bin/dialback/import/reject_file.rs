//! The file for rejected lines.

use super::error::ImportError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file for rejected lines. It replaces a former file when it is [finished](Self::finish), so a failed import leaves
/// the former one.
pub(super) struct RejectFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// Whether the last line is written, but not its end.
    is_open: bool,
    /// The file that is written meanwhile. `None` for a pipe or a device, which is written directly.
    beside: Option<Unfinished>,
}

/// A file that is removed when this is dropped.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A file that cannot be removed is overwritten by the next import.
        let _ = fs::remove_file(&self.0);
    }
}

impl RejectFile {
    /// Creates the file. Only the user can read it, because it contains whole phone numbers.
    pub(super) fn create(path: &Path) -> Result<Self, ImportError> {
        // A link stays a link: the file that it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_special = fs::metadata(&path).is_ok_and(|about| !about.is_file());
        let at = if is_special { path.clone() } else { beside(&path) };
        let mut new = OpenOptions::new();
        new.write(true).create(true).truncate(true).mode(0o600);
        let file = new.open(&at).map_err(|error| unwritable(&path, error))?;
        let beside = (!is_special).then(|| Unfinished(at));
        Ok(Self { path, file: BufWriter::new(file), is_open: false, beside })
    }

    /// Begins a line.
    pub(super) fn keep(&mut self, line: &[u8]) -> Result<(), ImportError> {
        self.end_line()?;
        self.is_open = true;
        self.keep_rest(line)
    }

    /// Writes the next piece of the line.
    pub(super) fn keep_rest(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.file.write_all(piece).map_err(|error| unwritable(&self.path, error))
    }

    fn end_line(&mut self) -> Result<(), ImportError> {
        if std::mem::take(&mut self.is_open) { self.keep_rest(b"\n") } else { Ok(()) }
    }

    /// Puts the file in its place.
    pub(super) fn finish(mut self) -> Result<(), ImportError> {
        self.end_line()?;
        let mut finish = || {
            self.file.flush()?;
            self.beside.as_ref().map_or(Ok(()), |unfinished| fs::rename(&unfinished.0, &self.path))
        };
        finish().map_err(|error| unwritable(&self.path, error))?;
        if let Some(in_place) = self.beside.take() {
            std::mem::forget(in_place);
        }
        Ok(())
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".new");
    path.with_file_name(name)
}

fn unwritable(path: &Path, error: io::Error) -> ImportError {
    ImportError::Write { path: Some(path.to_owned()), error }
}
