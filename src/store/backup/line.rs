//! The lines of an export: all stored data as JSON. `dialback export` writes them and `dialback import` reads them.
//!
//! ```text
//! {"dialback_export":2,"pseudonym_key":"…"}
//! {"configuration":{"sequence":1,"environment":"…","at":…,"changes":[…]}}
//! {"call":{"environment":"…","number":"+…","contact":"+…","at":…,"outcome":"busy","agent":"…"}}
//! {"known":{"environment":"…","number":"+…","contact":"+…","at":…,"agent":"…","id":"…","outcome":"busy","context_at":…,"context":"{…}"}}
//! {"erasure":{"environment":"…","pseudonym":"…","until":…}}
//! {"end":{"configurations":1,"calls":1,"known":1,"erasures":1,"passed_over":0,"sha256":"…"}}
//! ```
//!
//! The lines are in this order:
//!
//! 1. The header. A node of a fleet also lists the keys of other nodes' pseudonyms (`"foreign_keys":["…"]`).
//! 2. All configurations, in the order of their sequence. Later lines name environments, numbers and agents, never
//!    slots. The configurations assign each of them its old slot.
//! 3. The last call of each pair, in the order of their slots and contacts.
//! 4. The calls that are known by an id or a context, in the order of their environments and contacts. A context is the text
//!    in which it was received, as a string.
//! 5. The erasures. Their pseudonyms use the keys of the header.
//! 6. The end, with the SHA-256 of all lines before it. An export without this line, or with another digest, is
//!    incomplete.
//!
//! Version 1 had no fourth part. It is read like an export without such calls.
//!
//! Times are milliseconds since 1970. An export contains no statistics, no decision records, no outbox and no place in
//! a stream.
//!
//! Equal states have equal exports, byte for byte, and importing an export restores the state that was exported.

use crate::event::{Call, CallId, Configuration, Context};
use crate::history::Register;
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::slot::Scope;
use crate::store::calls::{CallKey, CallValue};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The export version that is written, and the newest that is read.
pub(in crate::store) const VERSION: u64 = 2;

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(in crate::store) enum Line {
    Header {
        dialback_export: u64,
        pseudonym_key: String,
        /// The keys of other fleet nodes, under which some of the pseudonyms were made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        foreign_keys: Vec<String>,
    },
    Configuration {
        configuration: Configuration,
    },
    Call {
        call: ExportedCall,
    },
    Known {
        known: ExportedKnown,
    },
    Erasure {
        erasure: ExportedErasure,
    },
    End {
        end: End,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct ExportedCall {
    pub(in crate::store) environment: EnvironmentId,
    #[serde(with = "crate::number::serde_text")]
    pub(in crate::store) number: E164,
    #[serde(with = "crate::number::serde_text")]
    pub(in crate::store) contact: E164,
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) outcome: Outcome,
    pub(in crate::store) agent: AgentId,
}

/// A record of a call that is known by an id or a context.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct ExportedKnown {
    environment: EnvironmentId,
    #[serde(with = "crate::number::serde_text")]
    number: E164,
    #[serde(with = "crate::number::serde_text")]
    contact: E164,
    at: Timestamp,
    agent: AgentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

impl ExportedKnown {
    /// Returns the line of a record, or `None` if its number or its agent is not in the plan.
    pub(super) fn of(plan: &Plan, key: &CallKey, value: &CallValue) -> Option<Self> {
        let number = plan.number_entry(key.number.number()?)?;
        let id = key.id.as_ref().map(|id| id.as_str().to_owned());
        let (context_at, context) = value.context.as_ref().map(|(at, text)| (*at, text.as_str().to_owned())).unzip();
        let known = Self {
            environment: plan.environment_id_of(key.environment)?,
            number: number.number?,
            contact: key.contact,
            at: key.at,
            agent: plan.agent_entry(key.agent)?.id,
            id,
            outcome: value.outcome,
            context_at,
            context,
        };
        // An import must give the same record again.
        let leads_back =
            known.read(plan).is_some_and(|(read, _)| CallKey { is_counted: key.is_counted, ..read } == *key);
        leads_back.then_some(known)
    }

    /// Returns the record of a line, or `None` if it is invalid or names an environment, a number or an agent that no
    /// configuration creates.
    pub(super) fn read(&self, plan: &Plan) -> Option<(CallKey, CallValue)> {
        let &Self { environment, number, contact, at, agent, outcome, .. } = self;
        let call = Call { environment, agent, from: number, to: contact, at, outcome };
        let (environment, number, agent) = plan.call_slots(&call)?;
        let id = match &self.id {
            Some(id) => Some(CallId::new(id)?),
            None => None,
        };
        let context = match (self.context_at, &self.context) {
            (Some(at), Some(text)) => Some((at.clamped(), Context::from_stored(text)?)),
            (None, None) => None,
            _ => return None,
        };
        let key =
            CallKey { environment, contact, number: number.into(), at: at.clamped(), agent, id, is_counted: false };
        Some((key, CallValue { outcome, context }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct ExportedErasure {
    pub(in crate::store) environment: EnvironmentId,
    pub(in crate::store) pseudonym: String,
    pub(in crate::store) until: Timestamp,
    /// Whether that time was in the future when the contact was erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::store) is_ahead: bool,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct End {
    #[serde(flatten)]
    pub(in crate::store) exported: Exported,
    pub(in crate::store) sha256: String,
}

/// The numbers of exported or imported records.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exported {
    /// Configurations.
    pub configurations: u64,
    /// Pairs, each with its last call.
    pub calls: u64,
    /// Calls that are known by an id or a context. Exports of version 1 have none.
    #[serde(default)]
    pub known: u64,
    /// Erasures that have not expired.
    pub erasures: u64,
    /// Damaged records, or ranges of them, that could not be exported and were skipped.
    pub passed_over: u64,
}

/// Returns the scope and the register of a call that was recorded.
pub(super) fn read_call(plan: &Plan, call: &Call) -> Option<(Scope, Register)> {
    let (_, number, agent) = plan.call_slots(call)?;
    Some((number.into(), Register::call(call.at, call.outcome, agent)))
}
