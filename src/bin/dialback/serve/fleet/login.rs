//! The options by which a node proves its identity to the NATS servers.

use crate::failure::Failure;
use dialback::fleet::StreamError;
use dialback::fleet::nats::{Certificates, Login};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(super) struct LoginOptions {
    /// A file with the login at the NATS servers: the user in the first line and the password in the second, or a token
    /// in the only line. Only the daemon's user should be able to read it
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_LOGIN_FILE", requires = "fleet_nats")]
    #[arg(conflicts_with_all = ["fleet_creds", "fleet_nkey"])]
    fleet_login_file: Option<PathBuf>,
    /// A credentials file for the NATS servers, with a JWT and the seed of its NKEY
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_CREDS", requires = "fleet_nats")]
    #[arg(conflicts_with = "fleet_nkey")]
    fleet_creds: Option<PathBuf>,
    /// A file with the seed of an NKEY that the NATS servers accept
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_NKEY", requires = "fleet_nats")]
    fleet_nkey: Option<PathBuf>,
    /// A PEM file with the authorities that sign the servers' certificates, in place of the system's. All connections
    /// then use TLS
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_CA", requires = "fleet_nats")]
    fleet_ca: Option<PathBuf>,
    /// A PEM file with the certificate that this node shows to the servers. All connections then use TLS
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_CERT", requires = "fleet_key")]
    fleet_cert: Option<PathBuf>,
    /// The private key of that certificate: a PEM file that only the daemon's user should be able to read
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_KEY", requires = "fleet_cert")]
    fleet_key: Option<PathBuf>,
}

impl LoginOptions {
    /// Reads the file with the login, if there is one.
    pub(super) fn read(&self) -> Result<Login, Failure> {
        match (&self.fleet_login_file, &self.fleet_creds, &self.fleet_nkey) {
            (Some(file), _, _) => read(file, Login::from_lines),
            (_, Some(file), _) => read(file, Login::from_credentials),
            (_, _, Some(file)) => read(file, Login::from_seed),
            (None, None, None) => Ok(Login::None),
        }
    }

    pub(super) fn certificates(&self) -> Certificates {
        Certificates { authorities: self.fleet_ca.clone(), client: self.fleet_cert.clone().zip(self.fleet_key.clone()) }
    }
}

fn read(file: &Path, parse: impl FnOnce(&str) -> Result<Login, StreamError>) -> Result<Login, Failure> {
    let text = fs::read_to_string(file).map_err(|error| unusable(file, &error.to_string()))?;
    parse(&text).map_err(|error| match error {
        StreamError::Engine(what) => unusable(file, &what),
        error => unusable(file, &error.to_string()),
    })
}

fn unusable(file: &Path, what: &str) -> Failure {
    Failure::new(format!("{}: {what}", file.display()))
}
