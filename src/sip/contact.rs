//! Where an agent is reached: templates of addresses.

use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use ezk_sip_types::uri::SipUri;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// A `sip:` or `sips:` address with places for `{agent_id}`, `{environment_id}` and `{dialed}`, such as
/// `sip:{agent_id}@agents.example.com;transport=tls`. What is put in is an identity or a number in its `+` form, so that no call
/// can change the address in any other way.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact(String);

/// Whom a contact is made for.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) agent: AgentId,
    pub(super) environment: EnvironmentId,
    pub(super) dialed: E164,
}

impl Contact {
    pub(super) fn fill(&self, target: &Target) -> String {
        let text = self.0.replace("{agent_id}", &target.agent.to_string());
        let text = text.replace("{environment_id}", &target.environment.to_string());
        if text.contains("{dialed}") { text.replace("{dialed}", &target.dialed.to_plus_form()) } else { text }
    }
}

impl FromStr for Contact {
    type Err = String;

    /// An error, in words, for what would not be an address once it is filled in.
    fn from_str(text: &str) -> Result<Self, String> {
        let nobody = "00000000-0000-0000-0000-000000000000";
        let filled =
            text.replace("{agent_id}", nobody).replace("{environment_id}", nobody).replace("{dialed}", "+12125550100");
        if filled.contains(['{', '}']) {
            return Err("the places are {agent_id}, {environment_id} and {dialed}".into());
        }
        let is_plain =
            filled.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'\\'));
        if !is_plain || filled.parse::<SipUri>().is_err() {
            return Err("not an address such as sip:{agent_id}@agents.example.com".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Contact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The contacts of all agents: an agent's own, else its environment's, else everybody's.
#[derive(Clone, Default, Debug)]
pub struct Contacts {
    agents: HashMap<AgentId, Contact>,
    environments: HashMap<EnvironmentId, Contact>,
    everybody: Option<Contact>,
}

/// As they are written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    agents: HashMap<String, String>,
    #[serde(default)]
    environments: HashMap<String, String>,
    default: Option<String>,
}

impl Contacts {
    /// The same contact for everybody.
    pub fn everybody(contact: Contact) -> Self {
        Self { everybody: Some(contact), ..Self::default() }
    }

    /// Reads JSON: `{"default": "sip:…", "environments": {"<id>": "sip:…"}, "agents": {"<id>": "sip:…"}}`, each of the three
    /// optional.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let default = written.default.map(|contact| contact.parse().map_err(|error| format!("default: {error}")));
        Ok(Self {
            agents: keyed(written.agents, AgentId::parse)?,
            environments: keyed(written.environments, EnvironmentId::parse)?,
            everybody: default.transpose()?,
        })
    }

    /// The same with this contact for whoever has no other.
    #[must_use]
    pub fn with_default(self, contact: Contact) -> Self {
        Self { everybody: Some(contact), ..self }
    }

    /// Whether nobody could be reached.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.environments.is_empty() && self.everybody.is_none()
    }

    pub(super) fn of(&self, target: &Target) -> Option<&Contact> {
        let own = self.agents.get(&target.agent);
        own.or_else(|| self.environments.get(&target.environment)).or(self.everybody.as_ref())
    }
}

fn keyed<I: Eq + std::hash::Hash>(
    written: HashMap<String, String>,
    parse: fn(&str) -> Option<I>,
) -> Result<HashMap<I, Contact>, String> {
    let entry = |(key, text): (String, String)| {
        let id = parse(&key).ok_or_else(|| format!("{key}: not an id"))?;
        Ok((id, text.parse().map_err(|error| format!("{key}: {error}"))?))
    };
    written.into_iter().map(entry).collect()
}
