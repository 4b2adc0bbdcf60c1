//! The FastAGI door. Asterisk runs `AGI(agi://host:4573/route)`, and Dialback sets variables of the channel.
//!
//! | variable | value |
//! | --- | --- |
//! | `DIALBACK_AGENT` | the address of the agent to route the call to, or its id if it has no address; empty if there is no agent |
//! | `DIALBACK_DECISION` | `callback`, `default` or `unrouted`; not set if Dialback did not answer |
//! | `DIALBACK_REASON` | `MATCHED`, `NO_HISTORY` … |
//! | `DIALBACK_DECISION_ID` | the id with which to report later that the call connected |
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
//! round trips, because Asterisk accepts one command after the other.

mod listen;
mod request;

pub use listen::{AgiLimits, AgiListener};

use crate::decision::{Reason, Route};
use crate::inbound::{AddressBook, Arrival, Inbound, Peers};
use crate::number::Caller;
use crate::record::RecordedDoor;
use crate::service::Service;
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
}

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

    /// Returns whether connections from this address are accepted.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trust.iter().any(|peers| peers.include(address))
    }

    /// Returns the variables to set, or `None` while the service is loading and cannot answer yet.
    fn answer(&self, request: &Request) -> Option<[(&'static str, String); 4]> {
        if !self.inbound.is_ready() {
            return None;
        }
        let plan = self.inbound.service().plan();
        let Ok(arrival) = Arrival::read(&plan, request.dialed()) else { return Some(unknown_number()) };
        let caller = request.caller().map_or(Caller::Withheld, |caller| arrival.caller(caller));
        let now = self.inbound.now();
        let decided = self.inbound.decide(&arrival, caller, now);
        let id = self.inbound.record(&arrival, &decided, RecordedDoor::FastAgi, None);
        let decision = decided.routed.decision;
        let destination = arrival.destination(&decision);
        Some([
            ("DIALBACK_AGENT", destination.map(|to| self.inbound.addresses().of_or_id(&to)).unwrap_or_default()),
            ("DIALBACK_REASON", decision.reason.name().into()),
            ("DIALBACK_DECISION_ID", id.to_string()),
            // The last variable: if it is set, all the others are set too.
            ("DIALBACK_DECISION", decision.route.name().into()),
        ])
    }
}

/// The answer to a call whose dialed number is not a phone number.
fn unknown_number() -> [(&'static str, String); 4] {
    [
        ("DIALBACK_AGENT", String::new()),
        ("DIALBACK_REASON", Reason::UnknownNumber.name().into()),
        ("DIALBACK_DECISION_ID", String::new()),
        ("DIALBACK_DECISION", Route::Unrouted.name().into()),
    ]
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.settings).finish_non_exhaustive()
    }
}
