//! Which environment of which daemon or directory a command is about.

use super::client::Client;
use super::remote::Remote;
use crate::data::NewDataOptions;
use crate::failure::Failure;
use serde_json::Value;
use std::path::PathBuf;

/// The options of a command that is about one environment.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "as the help is written")]
pub(crate) struct PlaceOptions {
    /// The environment, by name or id. By default the only one
    #[arg(long, value_name = "NAME|ID", conflicts_with = "url")]
    pub(crate) environment: Option<String>,
    /// Send the requests to the daemon at this URL, such as http://127.0.0.1:8080. The environment is that of the token in
    /// DIALBACK_TOKEN or --token-file
    #[arg(long, value_name = "URL", env = "DIALBACK_URL")]
    url: Option<String>,
    /// A file with the token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: NewDataOptions,
}

impl PlaceOptions {
    /// Returns the daemon that `--url` names, with the token of an environment.
    pub(crate) fn remote(&self) -> Result<Option<Client>, Failure> {
        let remote = self.url.as_ref().map(|url| Remote::at(url, self.token_file.as_deref()));
        Ok(remote.transpose()?.map(Client::Daemon))
    }

    /// Opens a client for the environment, which exists.
    pub(crate) fn open(&self) -> Result<Client, Failure> {
        if let Some(client) = self.remote()? {
            return Ok(client);
        }
        let client = Client::open_existing(&self.data.data)?;
        match find(&client, self.environment.as_deref())? {
            Some(id) => acting_for(client, &id),
            None => Err(missing(self.environment.as_deref())),
        }
    }
}

/// Returns a client whose requests act for the environment with this id.
pub(crate) fn acting_for(client: Client, id: &Value) -> Result<Client, Failure> {
    let id = id.as_str().and_then(|id| id.parse().ok());
    id.map(|id| client.acting_for(id)).ok_or_else(|| Failure::new("the daemon named an environment without an id"))
}

/// Returns the id of the environment with the name or id, or of the only one.
pub(crate) fn find(client: &Client, wanted: Option<&str>) -> Result<Option<Value>, Failure> {
    let answer = client.get("/environments")?;
    let all: Vec<&Value> = answer["data"].as_array().into_iter().flatten().collect();
    let is_it = |environment: &&&Value| {
        wanted.is_none_or(|wanted| environment["id"] == wanted || environment["name"] == wanted)
    };
    let mut found = all.iter().filter(is_it);
    match (found.next(), found.next(), wanted) {
        (first, None, _) => Ok(first.map(|environment| environment["id"].clone())),
        (_, _, None) => Err(Failure::new("there are several environments: choose one with --environment")),
        (_, _, Some(wanted)) => Err(Failure::new(format!("several environments are named {wanted}: use an id"))),
    }
}

pub(crate) fn missing(wanted: Option<&str>) -> Failure {
    match wanted {
        None => Failure::new("there is no environment"),
        Some(wanted) => Failure::new(format!(
            "there is no environment with the name or id {wanted}: see `dialback environment list`"
        )),
    }
}
