//! The file to import, and whether it is an export.

use super::error::ImportError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The file to import.
pub(crate) struct Source {
    pub(crate) reader: BufReader<Box<dyn Read>>,
    /// The size in bytes, if it is known. A pipe has no size.
    pub(crate) size: Option<u64>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let of = |reader, size| Self { reader: BufReader::new(reader), size };
        if path == Path::new("-") {
            return Ok(of(Box::new(io::stdin()), None));
        }
        let open = || {
            let file = File::open(path)?;
            let about = file.metadata()?;
            if about.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok((file, about.is_file().then_some(about.len())))
        };
        let (file, size) = open().map_err(unreadable(path))?;
        Ok(of(Box::new(file), size))
    }

    /// Returns whether the file is an export of a data directory. Only exports begin with this first line.
    pub(crate) fn is_export(&mut self, path: &Path) -> Result<bool, ImportError> {
        Ok(self.reader.fill_buf().map_err(unreadable(path))?.starts_with(EXPORT))
    }

    pub(crate) fn into_reader(self) -> BufReader<Box<dyn Read>> {
        self.reader
    }
}

/// The beginning of an export.
const EXPORT: &[u8] = b"{\"dialback_export\":";

pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> ImportError {
    move |error| ImportError::Read { path: path.to_owned(), error }
}
