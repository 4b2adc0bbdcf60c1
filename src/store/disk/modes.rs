//! The permissions of a data directory: it holds phone numbers, so only its own user may read it.

use crate::store::StoreError;
use crate::store::error::io_error;
use std::fs;
use std::io;
use std::path::Path;

/// How the permissions of a data directory and its files were changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Modes {
    /// The number of files and directories that other users could access before.
    pub tightened: usize,
    /// The number of files and directories whose permissions this process may not change.
    pub left: usize,
}

impl Modes {
    /// Removes the permissions of group and others from the directory and all files below it, if the directory has any.
    /// Otherwise other users cannot reach the files.
    #[cfg(unix)]
    pub(in crate::store) fn tighten(directory: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(directory).map_err(io_error(directory))?.permissions().mode();
        if mode & 0o077 != 0 { Self::tighten_all(directory) } else { Ok(Self::default()) }
    }

    #[cfg(unix)]
    fn tighten_all(path: &Path) -> Result<Self, StoreError> {
        use std::os::unix::fs::PermissionsExt;
        let mut modes = Self::default();
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(modes),
            Err(error) => return Err(io_error(path)(error)),
        };
        if metadata.is_symlink() {
            return Ok(modes);
        }
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            match fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)) {
                Ok(()) => modes.tightened += 1,
                // A directory of another user that a group shares is common on container platforms, and works.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => modes.left += 1,
                Err(error) => return Err(io_error(path)(error)),
            }
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(io_error(path))? {
                let below = Self::tighten_all(&entry.map_err(io_error(path))?.path())?;
                modes = Self { tightened: modes.tightened + below.tightened, left: modes.left + below.left };
            }
        }
        Ok(modes)
    }

    #[cfg(not(unix))]
    pub(in crate::store) fn tighten(_: &Path) -> Result<Self, StoreError> {
        Ok(Self::default())
    }
}
