//! The options of the keys that authenticate a fleet's messages.

use crate::failure::Failure;
use dialback::fleet::Keys;
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fleet")]
#[allow(clippy::struct_field_names, reason = "they are the options' names")]
pub(super) struct KeyOptions {
    /// A file with the fleet's keys, one of 64 hexadecimal digits on each line (`openssl rand -hex 32`). The first one
    /// signs the messages of this node, and all of them verify. Messages without a valid signature are skipped. Without
    /// this file, every client that may publish to the stream counts as a node
    #[arg(long, value_name = "FILE", env = "DIALBACK_FLEET_KEY_FILE", requires = "fleet_nats")]
    fleet_key_file: Option<PathBuf>,
    /// Encrypt the contents of messages and snapshots. Nodes with the key read them with and without this option
    #[arg(long, env = "DIALBACK_FLEET_ENCRYPT", requires = "fleet_key_file")]
    fleet_encrypt: bool,
    /// Also accept messages and snapshots without a signature, while a fleet introduces its first key
    #[arg(long, env = "DIALBACK_FLEET_ACCEPT_UNSIGNED", requires = "fleet_key_file")]
    fleet_accept_unsigned: bool,
}

impl KeyOptions {
    /// Reads the keys of the fleet with this name.
    pub(super) fn read(&self, fleet: &str) -> Result<Keys, Failure> {
        let Some(file) = &self.fleet_key_file else { return Ok(Keys::NONE) };
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(format!("cannot use the key file {} (`--fleet-key-file`): {why}", file.display()))
        };
        let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
        let keys = Keys::read(&text, fleet).map_err(|error| failed(&error))?;
        Ok(keys.encrypting(self.fleet_encrypt).accepting_unsigned(self.fleet_accept_unsigned))
    }
}
