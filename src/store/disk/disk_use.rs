//! The disk space that the files of a directory use.

use crate::store::StoreError;
use crate::store::error::io_error;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// Returns the disk space that all files below this directory use, in bytes. Holes use none, and most of a new journal
/// is a hole.
pub(in crate::store) fn disk_use(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(io_error(path))? {
        let path = entry.map_err(io_error(path))?.path();
        bytes += match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => disk_use(&path)?,
            Ok(metadata) => allocated(&metadata),
            // The engine may remove files at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(&path)(error)),
        };
    }
    Ok(bytes)
}

#[cfg(unix)]
pub(in crate::store) fn allocated(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
pub(in crate::store) fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}
