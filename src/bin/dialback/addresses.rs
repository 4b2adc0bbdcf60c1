//! Where agents are reached, as the operator says it.

use crate::failure::Failure;
use dialback::{AddressTemplate, AgentAddresses};
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddressOptions {
    /// Where agents are reached, with `{agent_id}` and `{environment_id}` for theirs, such as
    /// `sip:{agent_id}@agents.example.com`: what `GET /route` answers
    #[arg(long, value_name = "TEMPLATE", env = "DIALBACK_AGENT_ADDRESS", value_parser = AddressTemplate::parse)]
    agent_address: Option<AddressTemplate>,
    /// Agents and environments whose agents are reached elsewhere: a file of lines `agent UUID ADDRESS` and `environment UUID
    /// TEMPLATE`, read once
    #[arg(long, value_name = "FILE", env = "DIALBACK_AGENT_ADDRESSES")]
    agent_addresses: Option<PathBuf>,
}

impl AddressOptions {
    pub(crate) fn read(&self) -> Result<AgentAddresses, Failure> {
        let addresses = self.agent_address.clone().map(AgentAddresses::by_template).unwrap_or_default();
        let Some(path) = &self.agent_addresses else { return Ok(addresses) };
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
        let list = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        addresses.with_list(&list).map_err(|error| wrong(&error))
    }
}
