//! How much of the disk the files of a directory take.

use super::StoreError;
use super::directory::io_error;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// The bytes that the files below this directory take on the disk. A hole takes none, and most of a new journal is one.
pub(super) fn disk_use(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(io_error(path))? {
        let path = entry.map_err(io_error(path))?.path();
        bytes += match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => disk_use(&path)?,
            Ok(metadata) => allocated(&metadata),
            // The engine removes files meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io_error(&path)(error)),
        };
    }
    Ok(bytes)
}

#[cfg(unix)]
pub(super) fn allocated(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
pub(super) fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}
