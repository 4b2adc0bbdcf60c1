//! An address with places for who it is about.

use super::Destination;
use std::fmt;
use std::str::FromStr;

/// An address with places for `{agent_id}`, `{environment_id}` and `{dialed}`, such as `sip:{agent_id}@agents.example.com`. What is put in is an
/// identity or a number in its `+` form, so that no call can change the address in any other way. What kind of address it
/// is, is for who dials it: a SIP URI, a dial string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressTemplate(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Box<str>),
    Agent,
    Environment,
    Dialed,
}

impl AddressTemplate {
    /// The address of this destination.
    pub fn fill(&self, destination: &Destination) -> String {
        let mut address = String::with_capacity(64);
        for part in &self.0 {
            match part {
                Part::Text(text) => address.push_str(text),
                Part::Agent => address.push_str(&destination.agent.to_string()),
                Part::Environment => address.push_str(&destination.environment.to_string()),
                Part::Dialed => address.push_str(&destination.dialed.to_plus_form()),
            }
        }
        address
    }
}

impl FromStr for AddressTemplate {
    type Err = TemplateError;

    /// Refuses what is empty, names a place that there is not, or has what would break out of a header or a dial string: white space, control
    /// characters, quotes, angle brackets, anything beyond ASCII.
    fn from_str(text: &str) -> Result<Self, TemplateError> {
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
                "dialed" => Part::Dialed,
                _ => return Err(TemplateError::Name(name.into())),
            });
            rest = behind;
        }
        if rest.contains('}') {
            return Err(TemplateError::Unclosed);
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
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
    /// A brace without the other.
    Unclosed,
    /// A place for something that is not known.
    Name(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an address cannot be empty"),
            Self::Character(bad) => write!(f, "an address cannot have {bad:?}"),
            Self::Unclosed => f.write_str("a brace without the other"),
            Self::Name(name) => write!(f, "{{{name}}} is not {{agent_id}}, {{environment_id}} or {{dialed}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, EnvironmentId};
    use crate::number::E164;

    #[test]
    fn places_are_filled_and_the_rest_is_left_as_it_is() {
        let (environment, agent) = (EnvironmentId::from_u128(1), AgentId::from_u128(2));
        let dialed = E164::parse_international("+12125550100").unwrap();
        for (template, address) in [
            ("sip:desk@10.0.0.1:5070;transport=tls", "sip:desk@10.0.0.1:5070;transport=tls".into()),
            ("sip:{agent_id}@a", format!("sip:{agent}@a")),
            ("sips:{agent_id}@{environment_id}.a", format!("sips:{agent}@{environment}.a")),
            ("{agent_id}{dialed}", format!("{agent}+12125550100")),
        ] {
            let template: AddressTemplate = template.parse().unwrap();
            assert_eq!(template.fill(&Destination { environment, agent, dialed }), address);
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
            ("sip:a}@b", TemplateError::Unclosed),
            ("sip:{caller}@b", TemplateError::Name("caller".into())),
        ] {
            assert_eq!(template.parse::<AddressTemplate>(), Err(error), "{template}");
        }
    }
}
