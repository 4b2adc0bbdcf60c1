//! The FastAGI door. Asterisk runs `AGI(agi://host:4573/route)`, and Dialback sets variables of the channel.
//!
//! | variable | value |
//! | --- | --- |
//! | `DIALBACK_AGENT` | the address of the agent to route the call to, or its id if it has no address; empty if there is no agent |
//! | `DIALBACK_DECISION` | `callback`, `default` or `unrouted`; not set if Dialback did not answer |
//! | `DIALBACK_REASON` | `MATCHED`, `NO_HISTORY` … |
//! | `DIALBACK_DECISION_ID` | the id with which to report later that the call connected |
//! | `DIALBACK_CALL_ID` | the id of the call behind the decision; empty if there is no call, or it has no id |
//! | `DIALBACK_CALL_STATUS` | the status of that call; empty if there is none |
//! | `DIALBACK_CONTEXT_NAME` | a field of the context of that call, for each `NAME` of [`Settings`]; empty if it has none |
//!
//! The dialed number is `agi_extension`. The caller is `agi_callerid`, and counts as withheld if the presentation is
//! restricted. Arguments of the dial plan (`AGI(agi://host/route,${DID},${CALLER})`) take precedence over both. Each
//! connection carries one request, as Asterisk's protocol prescribes.
//!
//! Connections are accepted from trusted [`Peers`] only, because Asterisk sends no token. A trusted peer's caller
//! information is believed, and it may ask about the numbers of every environment, as a gateway token may.
//!
//! # Cost
//! A request is at most 16 KiB, and a connection lasts no longer than [`AgiLimits`] allow. An answer takes several
//! round trips, because Asterisk accepts one command after the other: one for each variable. Empty ones are set too,
//! because a dial plan may ask twice on one channel, and nothing in the request says what the channel has.

mod listen;
mod request;

pub use listen::{AgiLimits, AgiListener};

use crate::decision::{Reason, Route};
use crate::inbound::{AddressBook, Arrival, CallReads, CallToRead, ContextFields, ContextFieldsError, Inbound, Peers};
use crate::number::Caller;
use crate::record::RecordedDoor;
use crate::service::{KnownCall, Service};
use crate::time::Clock;
use request::Request;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The settings of the AGI door.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The addresses that connections are accepted from.
    pub trust: Vec<Peers>,
    /// The addresses at which agents are reached.
    pub addresses: AddressBook,
    /// Whether calls are answered from the state loaded so far, while the service is still loading.
    pub serves_while_loading: bool,
    /// The fields of a call's context that are set as variables.
    pub context_fields: ContextFields,
}

impl Settings {
    /// Returns the fields of contexts with these names, which must be parts of variables' names.
    ///
    /// # Errors
    /// See [`ContextFields::new`].
    pub fn context_fields<S: AsRef<str>>(names: &[S]) -> Result<ContextFields, ContextFieldsError> {
        ContextFields::new(names, &[])
    }
}

/// The most bytes of a variable's value, as it is written in a command. Asterisk reads lines of up to 2,048 bytes.
const MAX_VALUE: usize = 1024;

/// A variable of the channel.
type Variable = (String, String);

/// Answers AGI requests with a service's decisions. Share it in an [`Arc`].
pub struct Door {
    inbound: Inbound,
    settings: Settings,
}

impl Door {
    /// Creates a door that answers from `service`.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn new(service: Arc<Service>, clock: Clock, settings: Settings) -> Self {
        let inbound = Inbound::new(service, clock)
            .with_addresses(settings.addresses.clone())
            .serving_while_loading(settings.serves_while_loading);
        Self { inbound, settings }
    }

    /// Reads the ids and contexts of calls together with other doors of the same service.
    #[must_use]
    pub fn with_call_reads(self, reads: Arc<CallReads>) -> Self {
        Self { inbound: self.inbound.with_call_reads(reads), ..self }
    }

    /// Returns whether connections from this address are accepted.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trust.iter().any(|peers| peers.include(address))
    }

    /// Returns the variables to set, or `None` while the service is loading and cannot answer yet. Waits for the id and the
    /// context of the call behind the decision, though not for longer than [`CallReads::patience`].
    async fn answer(&self, request: &Request) -> Option<Vec<Variable>> {
        if !self.inbound.is_ready() {
            return None;
        }
        let (decided, call) = self.decide(request);
        let known = match call {
            Some(call) => self.inbound.known_call(call, self.inbound.call_reads().patience()).await,
            None => None,
        };
        let Decided { agent, reason, id, status, route } = decided;
        let call_id = known.as_ref().and_then(|known| known.id.as_ref());
        let mut variables = vec![
            ("DIALBACK_AGENT".to_owned(), agent),
            ("DIALBACK_REASON".into(), reason.name().into()),
            ("DIALBACK_DECISION_ID".into(), id),
            ("DIALBACK_CALL_ID".into(), call_id.map(|id| id.as_str().to_owned()).unwrap_or_default()),
            ("DIALBACK_CALL_STATUS".into(), status.into()),
        ];
        variables.extend(self.context(known.as_ref()));
        // The last variable: if it is set, all the others are set too.
        variables.push(("DIALBACK_DECISION".into(), route.name().into()));
        Some(variables)
    }

    /// Decides a call. Returns the decision, and the call behind it if that may have an id or a context.
    fn decide(&self, request: &Request) -> (Decided, Option<CallToRead>) {
        let plan = self.inbound.service().plan();
        let Ok(arrival) = Arrival::read(&plan, request.dialed()) else { return (Decided::UNKNOWN_NUMBER, None) };
        let caller = request.caller().map_or(Caller::Withheld, |caller| arrival.caller(caller));
        let now = self.inbound.now();
        let decided = self.inbound.decide(&arrival, caller, now);
        let id = self.inbound.record(&arrival, &decided, RecordedDoor::FastAgi, None);
        let decision = decided.routed.decision;
        let destination = arrival.destination(&decision);
        let call = arrival.environment().and_then(|environment| {
            self.inbound.call_to_read(&plan, environment, (arrival.dialed(), caller), &decision)
        });
        let decided = Decided {
            agent: destination.map(|to| self.inbound.addresses().of_or_id(&to)).unwrap_or_default(),
            reason: decision.reason,
            id: id.to_string(),
            status: decision.call.map(|call| call.outcome.public_name()).unwrap_or_default(),
            route: decision.route,
        };
        (decided, call)
    }

    /// Returns the variables of the context. Each of them is set, also to nothing: the channel may have those of an earlier
    /// decision.
    fn context(&self, known: Option<&KnownCall>) -> Vec<Variable> {
        let fields = &self.settings.context_fields;
        let values = known.and_then(|known| known.context.as_ref()).map(|context| fields.values(context));
        let values = values.unwrap_or_default();
        let variable = |name: &str| {
            let value = values.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value);
            let is_too_large = escaped(value).len() > MAX_VALUE;
            if is_too_large {
                self.inbound.call_reads().leave_out(1);
            }
            (format!("DIALBACK_CONTEXT_{name}"), if is_too_large { String::new() } else { value.to_owned() })
        };
        fields.names().map(variable).collect()
    }
}

/// A decision, as the variables name it.
struct Decided {
    agent: String,
    reason: Reason,
    id: String,
    status: &'static str,
    route: Route,
}

impl Decided {
    /// The answer to a call whose dialed number is not a phone number.
    const UNKNOWN_NUMBER: Self = Self {
        agent: String::new(),
        reason: Reason::UnknownNumber,
        id: String::new(),
        status: "",
        route: Route::Unrouted,
    };
}

/// Returns the value as it is written between the quotes of a command. A command is one line, and has no way to write a control
/// character, so each of them becomes a space.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '"' | '\\' => escaped.extend(['\\', char]),
            char if char.is_control() => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_value_ends_neither_its_quotes_nor_its_line() {
        assert_eq!(escaped("a\"b\\c\r\nSET\0x\u{85}ä"), "a\\\"b\\\\c  SET x ä");
    }
}
