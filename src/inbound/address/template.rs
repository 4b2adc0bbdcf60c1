//! An address with placeholders.

use super::Destination;
use std::fmt;
use std::str::FromStr;

/// An address with the placeholders `{agent_id}`, `{environment_id}` and `{dialed}`, such as
/// `sip:{agent_id}@agents.example.com`.
///
/// Only UUIDs and phone numbers in `+` form are filled in, so a call cannot change the address in any other way. The
/// gateway decides what kind of address it is: a SIP URI or a dial string.
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
    /// Returns the address of this destination.
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

    /// Parses a template.
    ///
    /// # Errors
    /// An empty template, an unknown placeholder, an unmatched brace, or a character that could break out of a header
    /// or dial string: white space, control characters, quotes, backslashes, angle brackets and non-ASCII characters.
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

/// The reason why a text is not a valid template.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TemplateError {
    /// The text is empty.
    Empty,
    /// A character that is not allowed in an address.
    Character(char),
    /// A brace that is not closed or was not opened.
    Unclosed,
    /// An unknown placeholder.
    Name(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the address is empty"),
            Self::Character(bad) => write!(f, "the address contains {bad:?}, which is not allowed"),
            Self::Unclosed => f.write_str("the address has an unmatched brace"),
            Self::Name(name) => {
                f.write_str("unknown placeholder")?;
                // One with digits may be a phone number.
                if name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
                    write!(f, " {{{name}}}")?;
                }
                f.write_str(": use {agent_id}, {environment_id} or {dialed}")
            }
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
    fn placeholders_are_filled_and_other_text_is_unchanged() {
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
    fn text_that_could_break_out_is_rejected() {
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
