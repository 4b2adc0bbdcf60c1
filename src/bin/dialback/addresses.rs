//! Where agents are reached, as the operator says it.

use crate::failure::Failure;
use dialback::{AddressTemplate, AgentAddresses};
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "as the help is written")]
pub(crate) struct AddressOptions {
    /// Where agents are reached, for `GET /route` and for SIP: an address with places for {agent_id}, {environment_id} and {dialed}, such as
    /// sip:{agent_id}@agents.example.com;transport=tls
    #[arg(long, value_name = "TEMPLATE", env = "DIALBACK_AGENT_ADDRESS")]
    agent_address: Option<AddressTemplate>,
    /// The same for single agents and environments: a JSON file {"agents": {"ID": "TEMPLATE"}, "environments": {"ID":
    /// "TEMPLATE"}, "default": "TEMPLATE"}, each part optional
    #[arg(long, value_name = "FILE", env = "DIALBACK_AGENT_ADDRESSES")]
    agent_addresses: Option<PathBuf>,
}

impl AddressOptions {
    /// The file is read once, here.
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
