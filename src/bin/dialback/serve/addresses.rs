//! The options that set the addresses of agents.

use crate::failure::Failure;
use dialback::{AddressTemplate, AgentAddresses};
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "as the help is written")]
pub(crate) struct AddressOptions {
    /// The address at which agents are reached, for `GET /route` and for SIP. It may contain the placeholders
    /// {agent_id}, {environment_id} and {dialed}, such as sip:{agent_id}@agents.example.com;transport=tls
    #[arg(long, value_name = "TEMPLATE", env = "DIALBACK_AGENT_ADDRESS")]
    agent_address: Option<AddressTemplate>,
    /// A JSON file with addresses of single agents and environments: {"agents": {"ID": "TEMPLATE"}, "environments":
    /// {"ID": "TEMPLATE"}, "default": "TEMPLATE"}. Each member is optional
    #[arg(long, value_name = "FILE", env = "DIALBACK_AGENT_ADDRESSES")]
    agent_addresses: Option<PathBuf>,
}

impl AddressOptions {
    /// Reads the file, once.
    pub(crate) fn read(&self) -> Result<AgentAddresses, Failure> {
        let addresses = match &self.agent_addresses {
            None => AgentAddresses::default(),
            Some(path) => {
                let wrong = |what: String| Failure::new(format!("{}: {what}", path.display()));
                let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
                AgentAddresses::from_json(&text).map_err(wrong)?
            }
        };
        Ok(match &self.agent_address {
            None => addresses,
            Some(template) => addresses.with_template(template.clone()),
        })
    }
}
