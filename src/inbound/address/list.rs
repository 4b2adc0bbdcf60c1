//! Reads the addresses of agents from JSON.

use super::{AddressTemplate, AgentAddresses};
use serde::Deserialize;
use serde_json::error::Category;
use std::collections::HashMap;
use std::hash::Hash;
use std::str::FromStr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    agents: HashMap<String, String>,
    #[serde(default)]
    environments: HashMap<String, String>,
    default: Option<String>,
}

impl AgentAddresses {
    /// Reads JSON of the form `{"default": "sip:…", "environments": {"<id>": "sip:…"}, "agents": {"<id>": "sip:…"}}`.
    /// Each of the three members is optional.
    ///
    /// # Errors
    /// A message with the reason. It names the wrong entry, unless its key could be a phone number.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        Ok(Self {
            agents: keyed("agents", written.agents)?,
            environments: keyed("environments", written.environments)?,
            default: written.default.map(|text| template("default", &text)).transpose()?,
        })
    }
}

/// The parser's own message can repeat a value.
fn wrong(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "a member is unknown, missing or twice there, or its value is not a text",
        Category::Syntax | Category::Eof | Category::Io => "not valid JSON",
    };
    format!("line {}, column {}: {what}", error.line(), error.column())
}

fn keyed<I: FromStr + Eq + Hash>(
    member: &str,
    written: HashMap<String, String>,
) -> Result<HashMap<I, AddressTemplate>, String> {
    let mut found = HashMap::new();
    for (key, text) in written {
        let Ok(id) = key.parse() else {
            let is_word = key.bytes().all(|byte| byte.is_ascii_alphabetic());
            return Err(if is_word { format!("{key}: not a UUID") } else { format!("{member}: a key is not a UUID") });
        };
        if found.insert(id, template(&key, &text)?).is_some() {
            return Err(format!("{key}: this id occurs twice: keep one address for it"));
        }
    }
    Ok(found)
}

fn template(key: &str, text: &str) -> Result<AddressTemplate, String> {
    text.parse().map_err(|error| format!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, EnvironmentId};
    use crate::inbound::Destination;
    use crate::number::E164;

    const ACME: EnvironmentId = EnvironmentId::from_u128(1);
    const OTHER: EnvironmentId = EnvironmentId::from_u128(2);
    const ANN: AgentId = AgentId::from_u128(3);
    const BEN: AgentId = AgentId::from_u128(4);

    fn of(addresses: &AgentAddresses, environment: EnvironmentId, agent: AgentId) -> Option<String> {
        let dialed = E164::parse_international("+12125550100").unwrap();
        addresses.of(&Destination { environment, agent, dialed })
    }

    #[test]
    fn most_specific_address_applies() {
        let text = format!(
            r#"{{"agents": {{"{ANN}": "sip:1001@10.0.0.5"}}, "environments": {{"{ACME}": "sip:{{agent_id}}@acme"}}}}"#
        );
        let addresses = AgentAddresses::from_json(&text).unwrap();
        assert_eq!(of(&addresses, ACME, ANN).unwrap(), "sip:1001@10.0.0.5");
        assert_eq!(of(&addresses, ACME, BEN).unwrap(), format!("sip:{BEN}@acme"));
        assert_eq!(of(&addresses, OTHER, BEN), None);
        let addresses = addresses.with_template("PJSIP/{dialed}".parse().unwrap());
        assert_eq!(of(&addresses, OTHER, ANN).unwrap(), "sip:1001@10.0.0.5");
        assert_eq!(of(&addresses, OTHER, BEN).unwrap(), "PJSIP/+12125550100");
        assert_eq!(addresses.templates().count(), 3);
        assert_eq!(AgentAddresses::from_json("{}"), Ok(AgentAddresses::default()));
        assert!(AgentAddresses::default().is_empty());
    }

    #[test]
    fn error_names_the_wrong_entry() {
        let twice = ANN.to_string().to_uppercase();
        for (text, error) in [
            (r#"{"agents": {"ann": "sip:a@b"}}"#.into(), "ann: not a UUID".to_owned()),
            (r#"{"agents": {"+12125550100": "sip:a@b"}}"#.into(), "agents: a key is not a UUID".into()),
            (
                r#"{"default": "sip:{+12125550100}@b"}"#.into(),
                "default: unknown placeholder: use {agent_id}, {environment_id} or {dialed}".into(),
            ),
            (
                r#"{"default": "sip:{name}@b"}"#.into(),
                "default: unknown placeholder {name}: use {agent_id}, {environment_id} or {dialed}".into(),
            ),
            (format!(r#"{{"agents": {{"{ANN}": ""}}}}"#), format!("{ANN}: the address is empty")),
            (
                format!(r#"{{"environments": {{"{ACME}": "a b"}}}}"#),
                format!("{ACME}: the address contains ' ', which is not allowed"),
            ),
        ] {
            assert_eq!(AgentAddresses::from_json(&text), Err(error), "{text}");
        }
        assert!(
            AgentAddresses::from_json(&format!(
                r#"{{"agents": {{"{ANN}": "sip:a@b", "{}": "sip:c@d"}}}}"#,
                twice.replace('-', "")
            ))
            .is_err()
        );
        for text in [
            r#"{"agent": {}}"#,
            r#"{"agents": "+12125550100"}"#,
            r#"{"+12125550100": 1}"#,
            r#"{"default": 12125550100}"#,
            r#"{"default": +12125550100}"#,
        ] {
            let error = AgentAddresses::from_json(text).unwrap_err();
            assert!(error.starts_with("line 1, column ") && !error.contains("2125550100"), "{text}: {error}");
        }
    }
}
