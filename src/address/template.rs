//! An address with places for who it is about.

use crate::id::{AgentId, EnvironmentId};
use std::fmt;

/// An address in which `{agent_id}` and `{environment_id}` stand for the agent's: `sip:{agent_id}@agents.example.com`. What kind of address
/// it is, is for who dials it: a SIP URI, a dial string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressTemplate(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Box<str>),
    Agent,
    Environment,
}

impl AddressTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] where it is empty, names what it may not, or has what would break out of a header or a dial string: white space,
    /// control characters, quotes, angle brackets, anything beyond ASCII.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        if let Some(bad) = text.chars().find(|&c| !c.is_ascii_graphic() || "\"'<>\\`".contains(c)) {
            return Err(TemplateError::Character(bad));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
            parts.push(Part::Text(before.into()));
            parts.push(match name {
                "agent_id" => Part::Agent,
                "environment_id" => Part::Environment,
                _ => return Err(TemplateError::Name(name.into())),
            });
            rest = behind;
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
    }

    /// The address of this agent.
    pub fn fill(&self, environment: EnvironmentId, agent: AgentId) -> String {
        let mut address = String::with_capacity(64);
        for part in &self.0 {
            match part {
                Part::Text(text) => address.push_str(text),
                Part::Agent => address.push_str(&agent.to_string()),
                Part::Environment => address.push_str(&environment.to_string()),
            }
        }
        address
    }
}

/// A template that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is nothing.
    Empty,
    /// A character that no address may have.
    Character(char),
    /// A `{` without its `}`.
    Unclosed,
    /// A place for something that is not known.
    Name(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an address cannot be empty"),
            Self::Character(bad) => write!(f, "an address cannot have {bad:?}"),
            Self::Unclosed => f.write_str("a { without its }"),
            Self::Name(name) => write!(f, "{{{name}}} is not {{agent_id}} or {{environment_id}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_the_rest_is_left_as_it_is() {
        let (environment, agent) = (EnvironmentId::from_u128(1), AgentId::from_u128(2));
        for (template, address) in [
            ("sip:desk@10.0.0.1:5070;transport=tls", "sip:desk@10.0.0.1:5070;transport=tls".into()),
            ("sip:{agent_id}@a", format!("sip:{agent}@a")),
            ("sips:{agent_id}@{environment_id}.a", format!("sips:{agent}@{environment}.a")),
            ("{agent_id}{agent_id}", format!("{agent}{agent}")),
            ("a}b", "a}b".into()),
        ] {
            assert_eq!(AddressTemplate::parse(template).unwrap().fill(environment, agent), address, "{template}");
        }
    }

    #[test]
    fn what_would_break_out_is_refused() {
        for (template, error) in [
            ("", TemplateError::Empty),
            ("sip:a@b\r\nContact: <sip:c@d>", TemplateError::Character('\r')),
            ("sip:a b@c", TemplateError::Character(' ')),
            ("<sip:a@b>", TemplateError::Character('<')),
            ("sip:ä@b", TemplateError::Character('ä')),
            ("sip:{agent_id@b", TemplateError::Unclosed),
            ("sip:{caller}@b", TemplateError::Name("caller".into())),
        ] {
            assert_eq!(AddressTemplate::parse(template), Err(error), "{template}");
        }
    }
}
