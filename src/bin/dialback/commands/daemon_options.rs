//! The options that name a daemon by its URL.

use super::remote::Remote;
use crate::failure::Failure;
use std::path::PathBuf;

/// The options of a command that can send its requests to a daemon on another machine.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DaemonOptions {
    /// Send the requests to the daemon at this URL, such as `https://dialback.example.com:8080`. Without it, the command
    /// uses the data directory, or the daemon that holds it
    ///
    /// The token comes from --token-file, or from the environment variable `DIALBACK_TOKEN`. With `http://`, it travels
    /// in clear text.
    #[arg(long, value_name = "URL", env = "DIALBACK_URL")]
    url: Option<String>,
    /// The file with the token for --url
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Trust only the certificates in this PEM file, for a --url that begins with `https://`. Without it, the command
    /// trusts those of the file in the environment variable `DIALBACK_CA`, or those of this system
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

impl DaemonOptions {
    /// Returns whether a daemon is named.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// Returns the daemon, if one is named, with a token of any role.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, Failure> {
        let at = |url| Remote::at(url, self.token_file.as_deref(), self.ca.as_deref());
        self.url.as_deref().map(at).transpose()
    }

    /// Returns the daemon, if one is named, with the token of an environment.
    ///
    /// # Errors
    /// The token is an operator's, which belongs to no environment.
    pub(crate) fn of_tenant(&self) -> Result<Option<Remote>, Failure> {
        match self.remote()? {
            Some(remote) if remote.is_operator() => {
                Err(Failure::new("--url needs the token of an environment: see `dialback token create`"))
            }
            remote => Ok(remote),
        }
    }
}
