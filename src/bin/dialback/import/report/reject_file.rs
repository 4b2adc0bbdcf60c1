//! The file for rejected lines.

use crate::import::error::ImportError;
use crate::new_file::NewFile;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file for rejected lines. It replaces a former file when it is [finished](Self::finish), so a failed import leaves
/// the former one.
pub(in crate::import) struct RejectFile {
    path: PathBuf,
    file: BufWriter<NewFile>,
    /// Whether the last line is written, but not its end.
    is_open: bool,
    /// The last line of the input, if it may be cut. It comes last and gets no line end, so that it may still be cut when
    /// this file is imported.
    cut: Vec<u8>,
}

impl RejectFile {
    pub(in crate::import) fn create(path: &Path) -> Result<Self, ImportError> {
        let file = NewFile::create(path).map_err(|error| unwritable(path, error))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), is_open: false, cut: Vec::new() })
    }

    /// Begins a line.
    pub(in crate::import) fn keep(&mut self, line: &[u8]) -> Result<(), ImportError> {
        self.end_line()?;
        self.is_open = true;
        self.keep_rest(line)
    }

    /// Keeps a line that may be cut for the end of the file.
    pub(in crate::import) fn keep_cut(&mut self, line: &[u8]) {
        self.cut = line.to_vec();
    }

    /// Writes the next piece of the line.
    pub(in crate::import) fn keep_rest(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.file.write_all(piece).map_err(|error| unwritable(&self.path, error))
    }

    fn end_line(&mut self) -> Result<(), ImportError> {
        if std::mem::take(&mut self.is_open) { self.keep_rest(b"\n") } else { Ok(()) }
    }

    /// Puts the file in its place.
    pub(in crate::import) fn finish(mut self) -> Result<(), ImportError> {
        self.end_line()?;
        let cut = std::mem::take(&mut self.cut);
        self.keep_rest(&cut)?;
        let finished = self.file.into_inner().map_err(io::IntoInnerError::into_error).and_then(NewFile::finish);
        finished.map_err(|error| unwritable(&self.path, error))
    }
}

fn unwritable(path: &Path, error: io::Error) -> ImportError {
    ImportError::Write { path: Some(path.to_owned()), error }
}
