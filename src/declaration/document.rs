//! The document.

use crate::event::Direction;
use crate::id::{AgentId, NumberId};
use serde::{Deserialize, Serialize};

/// The declared state of an environment.
///
/// ```
/// # use dialback::declaration::Declaration;
/// let declared: Declaration = serde_json::from_str(r#"{
///     "environment": {"name": "Clinic", "region": "US", "lookback_days": 14},
///     "numbers": [{"number": "+12125550100", "default_agent": "Front Desk"}],
///     "agents": [
///         {"name": "Sales", "direction": "outbound", "numbers": ["+12125550100"]},
///         {"name": "Front Desk", "direction": "inbound", "numbers": ["+12125550100"]},
///         {"name": "Callbacks", "direction": "inbound", "numbers": ["+12125550100"],
///          "callback": {"sources": ["Sales"]}}
///     ]
/// }"#)?;
/// assert_eq!(declared.agents.len(), 3);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Declaration {
    /// The settings. Without them, the settings stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<DeclaredSettings>,
    /// The numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<DeclaredNumber>,
    /// The agents. Their order is the order in which new ones are created, in which agents get their numbers, and in which
    /// roles are configured.
    pub agents: Vec<DeclaredAgent>,
}

/// The settings of an environment. A field that is left out has its usual value.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeclaredSettings {
    /// The name.
    pub name: String,
    /// The region whose dial plan is used (ISO 3166-1 alpha-2). It replaces the four fields after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The country code of national numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country_code: String,
    /// The prefix dialed before a national number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub national_prefix: String,
    /// The prefix dialed before an international number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub international_prefix: String,
    /// How many digits national numbers have.
    #[serde(deserialize_with = "super::whole::list", skip_serializing_if = "Vec::is_empty")]
    pub national_number_lengths: Vec<usize>,
    /// The look-back in days; 30 if it is left out.
    #[serde(deserialize_with = "super::whole::optional", skip_serializing_if = "Option::is_none")]
    pub lookback_days: Option<u32>,
    /// The look-back in seconds, instead of `lookback_days`.
    #[serde(deserialize_with = "super::whole::optional", skip_serializing_if = "Option::is_none")]
    pub lookback_seconds: Option<u32>,
    /// The attestation that a caller's number needs, `A` or `B`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_attestation: Option<String>,
    /// The status from which calls count: `initiated`, which is the usual value, `ringing` or `answered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<String>,
}

/// A number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredNumber {
    /// The phone number, in a form that the dial plan reads.
    pub number: String,
    /// The id of a new number. It must be that of the number, if the number exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NumberId>,
    /// The default agent, by name or id; `nobody`; or `auto`, which is the usual value: the published inbound agent that
    /// got the number first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_agent: Option<String>,
    /// All inbound agents with the number, by name or id, in the order of their assignment. Without it, this is the order of
    /// the agents in the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
}

/// An agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredAgent {
    /// The name.
    pub name: String,
    /// The id. Without it, the agent is the one with the name, or a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// A label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The direction. Without it, the agent keeps the one that it has; a new one is a draft without a direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The numbers that the agent owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<String>,
    /// Whether it is published, as it usually is.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub published: bool,
    /// The callback role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<DeclaredCallback>,
}

/// The callback role of an agent.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeclaredCallback {
    /// The source agents, by name or id.
    pub sources: Vec<String>,
    /// The statuses of a call that make the contact eligible. Without them, all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<String>>,
    /// The role's own look-back in days. Without it, the environment's applies.
    #[serde(deserialize_with = "super::whole::optional", skip_serializing_if = "Option::is_none")]
    pub lookback_days: Option<u32>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_yes(yes: &bool) -> bool {
    *yes
}
