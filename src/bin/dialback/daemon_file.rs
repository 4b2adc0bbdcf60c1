//! The file by which commands find the daemon that holds a data directory.

use crate::failure::Failure;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The contents of the file that the daemon keeps in the data directory while it serves.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Reachable {
    pub(crate) url: String,
    /// The address for other clients.
    pub(crate) public_url: String,
    pub(crate) token: String,
}

/// The file with the daemon's address and token. It is removed when this is dropped.
pub(crate) struct DaemonFile(PathBuf);

impl DaemonFile {
    pub(crate) fn write(data: &Path, url: &str, public_url: &str, token: &str) -> Result<Self, Failure> {
        let path = path(data);
        let [url, public_url, token] = [url, public_url, token].map(str::to_owned);
        let text = serde_json::to_vec(&Reachable { url, public_url, token }).expect("three strings");
        let write = || {
            // `create_new` makes sure that this process sets the file's mode.
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&text)
        };
        write().map_err(|error: std::io::Error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for DaemonFile {
    fn drop(&mut self) {
        // If the file cannot be removed, the next process that opens the directory removes it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns the path of the file in which a daemon stores its address.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("daemon.json")
}
