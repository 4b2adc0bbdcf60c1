//! Where agents are reached: what a gateway dials once it has been decided who takes the call.

mod template;

pub use template::{AddressTemplate, TemplateError};

use crate::id::{AgentId, EnvironmentId};
use std::collections::HashMap;
use std::fmt;

/// The addresses of agents: one template for all of them, others for those of an environment, and for single agents. The most
/// particular one counts. An agent that none of them covers has no address.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AgentAddresses {
    everyone: Option<AddressTemplate>,
    environments: HashMap<EnvironmentId, AddressTemplate>,
    agents: HashMap<AgentId, AddressTemplate>,
}

impl AgentAddresses {
    /// All agents by this template.
    pub fn by_template(template: AddressTemplate) -> Self {
        Self { everyone: Some(template), ..Self::default() }
    }

    /// Adds what a list says, one address a line:
    ///
    /// ```text
    /// # who                                            where
    /// agent       0190b5a4-8c2e-7c70-9d41-0123456789ab  sip:1001@10.0.0.5
    /// environment 0190b5a4-8c2e-7c70-9d41-ba9876543210  sip:{agent_id}@acme.example.com;transport=tls
    /// ```
    ///
    /// # Errors
    /// [`AddressError`] names the first line that is not of this form, or says again who was said before.
    pub fn with_list(mut self, list: &str) -> Result<Self, AddressError> {
        for (number, line) in (1..).zip(list.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            self.add(line).map_err(|what| AddressError { line: number, what })?;
        }
        Ok(self)
    }

    fn add(&mut self, line: &str) -> Result<(), What> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [kind, id, address] = words[..] else { return Err(What::Form) };
        let template = AddressTemplate::parse(address).map_err(What::Template)?;
        let before = match kind {
            "agent" => self.agents.insert(AgentId::parse(id).ok_or(What::Form)?, template),
            "environment" => self.environments.insert(EnvironmentId::parse(id).ok_or(What::Form)?, template),
            _ => return Err(What::Form),
        };
        before.map_or(Ok(()), |_| Err(What::Twice))
    }

    /// Whether no agent has an address.
    pub fn is_empty(&self) -> bool {
        self.templates().next().is_none()
    }

    /// Every template there is, in no order: for who wants more of an address than this does, such as that it is a SIP URI.
    pub fn templates(&self) -> impl Iterator<Item = &AddressTemplate> {
        self.everyone.iter().chain(self.environments.values()).chain(self.agents.values())
    }

    /// Where an agent of this environment is reached.
    pub fn of(&self, environment: EnvironmentId, agent: AgentId) -> Option<String> {
        let template = self.agents.get(&agent).or_else(|| self.environments.get(&environment));
        Some(template.or(self.everyone.as_ref())?.fill(environment, agent))
    }
}

/// A line of a list of addresses that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AddressError {
    /// From 1.
    pub line: usize,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Form,
    Template(TemplateError),
    Twice,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.what {
            What::Form => f.write_str("not `agent UUID ADDRESS` or `environment UUID ADDRESS`"),
            What::Template(error) => error.fmt(f),
            What::Twice => f.write_str("has an address already"),
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: EnvironmentId = EnvironmentId::from_u128(1);
    const OTHER: EnvironmentId = EnvironmentId::from_u128(2);
    const ANN: AgentId = AgentId::from_u128(3);
    const BEN: AgentId = AgentId::from_u128(4);

    fn list(text: &str) -> Result<AgentAddresses, String> {
        AgentAddresses::default().with_list(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_particular_address_counts() {
        let everyone = AddressTemplate::parse("sip:{agent_id}@agents.example.com").unwrap();
        let addresses = AgentAddresses::by_template(everyone);
        assert_eq!(addresses.of(ACME, ANN).unwrap(), format!("sip:{ANN}@agents.example.com"));
        let text = format!("# ours\n\n agent {ANN}\t sip:1001@10.0.0.5 \nenvironment {ACME} sip:{{agent_id}}@acme\r\n");
        let addresses = addresses.with_list(&text).unwrap();
        assert_eq!(addresses.of(ACME, ANN).unwrap(), "sip:1001@10.0.0.5");
        assert_eq!(addresses.of(ACME, BEN).unwrap(), format!("sip:{BEN}@acme"));
        assert_eq!(addresses.of(OTHER, BEN).unwrap(), format!("sip:{BEN}@agents.example.com"));
        assert_eq!(addresses.templates().count(), 3);
    }

    #[test]
    fn without_a_template_only_the_listed_have_an_address() {
        assert!(AgentAddresses::default().is_empty());
        let addresses = list(&format!("agent {ANN} PJSIP/1001")).unwrap();
        assert!(!addresses.is_empty());
        assert_eq!((addresses.of(ACME, ANN).as_deref(), addresses.of(ACME, BEN)), (Some("PJSIP/1001"), None));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let form = "not `agent UUID ADDRESS` or `environment UUID ADDRESS`";
        for (text, error) in [
            (format!("agent {ANN}"), format!("line 1: {form}")),
            (format!("\nagent {ANN} sip:a@b c"), format!("line 2: {form}")),
            ("agent ann sip:a@b".into(), format!("line 1: {form}")),
            (format!("number {ANN} sip:a@b"), format!("line 1: {form}")),
            (format!("agent {ANN} sip:a@b\nagent {ANN} sip:c@d"), "line 2: has an address already".into()),
            (format!("agent {ANN} sip:{{name}}@b"), "line 1: {name} is not {agent_id} or {environment_id}".into()),
        ] {
            assert_eq!(list(&text), Err(error), "{text}");
        }
    }
}
