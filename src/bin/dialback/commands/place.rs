//! Which environment of which daemon or directory a command is about.

use super::client::Client;
use super::daemon_options::DaemonOptions;
use crate::data::DataOptions;
use crate::failure::Failure;
use serde_json::Value;

/// The options of a command that is about a daemon or a data directory as a whole.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InstallationOptions {
    #[command(flatten)]
    pub(crate) daemon: DaemonOptions,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

impl InstallationOptions {
    /// Opens a client for the daemon, or for the data directory, which exists.
    pub(crate) fn open(&self) -> Result<Client, Failure> {
        match self.daemon.remote()? {
            Some(remote) => Ok(Client::Daemon(remote)),
            None => Client::open_existing(&self.data),
        }
    }
}

/// The options of a command that is about one environment.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceOptions {
    /// The environment, by name or id. By default the only one. With --url it is that of the token
    #[arg(long, value_name = "NAME|ID", conflicts_with = "url")]
    pub(crate) environment: Option<String>,
    #[command(flatten)]
    pub(crate) installation: InstallationOptions,
}

impl PlaceOptions {
    /// Returns the daemon that `--url` names, with the token of an environment.
    pub(crate) fn remote(&self) -> Result<Option<Client>, Failure> {
        Ok(self.installation.daemon.of_tenant()?.map(Client::Daemon))
    }

    /// Opens a client for the environment, which exists.
    pub(crate) fn open(&self) -> Result<Client, Failure> {
        if let Some(client) = self.remote()? {
            return Ok(client);
        }
        let client = Client::open_existing(&self.installation.data)?;
        let id = existing(&client, self.environment.as_deref())?;
        acting_for(client, &id)
    }
}

/// Returns a client whose requests act for the environment with this id.
pub(crate) fn acting_for(client: Client, id: &Value) -> Result<Client, Failure> {
    let id = id.as_str().and_then(|id| id.parse().ok());
    id.map(|id| client.acting_for(id)).ok_or_else(|| Failure::new("the daemon named an environment without an id"))
}

/// Returns the id of the environment with the name or id, or of the only one.
pub(crate) fn find(client: &Client, wanted: Option<&str>) -> Result<Option<Value>, Failure> {
    let all = client.environments()?;
    // A tenant may give its environment any name, also another one's id.
    if let Some(named) = all.iter().find(|environment| wanted.is_some_and(|wanted| environment["id"] == wanted)) {
        return Ok(Some(named["id"].clone()));
    }
    let mut found = all.iter().filter(|environment| wanted.is_none_or(|wanted| environment["name"] == wanted));
    match (found.next(), found.next(), wanted) {
        (first, None, _) => Ok(first.map(|environment| environment["id"].clone())),
        (_, _, None) => Err(Failure::new("there are several environments: choose one with --environment")),
        (_, _, Some(wanted)) => Err(Failure::new(format!("several environments are named {wanted}: use an id"))),
    }
}

/// Returns the id of the environment with the name or id, or of the only one.
///
/// # Errors
/// There is none, or there are several.
pub(crate) fn existing(client: &Client, wanted: Option<&str>) -> Result<Value, Failure> {
    find(client, wanted)?.ok_or_else(|| missing(wanted))
}

pub(crate) fn missing(wanted: Option<&str>) -> Failure {
    match wanted {
        None => Failure::new("there is no environment"),
        Some(wanted) => Failure::new(format!(
            "there is no environment with the name or id {wanted}: see `dialback environment list`"
        )),
    }
}
