//! The FastAGI door: Asterisk asks with `AGI(agi://host:4573/route)` and gets variables of its channel set.
//!
//! | variable | value |
//! | --- | --- |
//! | `DIALBACK_AGENT` | the address of the agent that takes the call, or its id where it has none; empty where nobody does |
//! | `DIALBACK_DECISION` | `callback`, `default` or `unrouted`; not set where no answer came |
//! | `DIALBACK_REASON` | `MATCHED`, `NO_HISTORY` … |
//! | `DIALBACK_DECISION_ID` | under which it is told that the call connected |
//!
//! The number that was called is `agi_extension`, and the caller `agi_callerid`, withheld where the caller's presentation is restricted;
//! arguments of the dial plan (`AGI(agi://host/route,${DID},${CALLER})`) come before either. One request a connection, which is how
//! Asterisk does it. Only [`Peers`] that are trusted are listened to, since Asterisk shows no token: what they say of the caller is
//! believed, and they may ask about the numbers of every environment, as a gateway's token may.
//!
//! # Costs
//! A request takes at most 16 KiB, and no longer than the limits say; an answer takes five round trips, since Asterisk takes one command after
//! another.

mod listen;
mod request;

pub use listen::{Ears, Limits};

use crate::address::{AgentAddresses, Destination};
use crate::decision::Route;
use crate::decision_id::{DecisionIds, Sealed};
use crate::engine::Routed;
use crate::number::{Caller, DialPlan, E164};
use crate::peers::Peers;
use crate::plan::NumberView;
use crate::service::Service;
use crate::time::Timestamp;
use request::Request;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is listened to.
    pub trust: Vec<Peers>,
    /// Where agents are reached.
    pub addresses: AgentAddresses,
    /// Calls are answered from what is there while the service is still loading.
    pub serves_while_loading: bool,
}

/// Answers over a service. Share it in an [`Arc`].
pub struct Door {
    service: Arc<Service>,
    clock: Clock,
    settings: Settings,
    decisions: DecisionIds,
}

impl Door {
    /// # Panics
    /// Where the operating system has no randomness to give.
    pub fn new(service: Arc<Service>, clock: Clock, settings: Settings) -> Self {
        let decisions = DecisionIds::new(service.secret());
        Self { service, clock, settings, decisions }
    }

    /// Whether this address is listened to.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.settings.trust.iter().any(|peers| peers.include(address))
    }

    /// The variables that answer the request; none where there is no answer yet.
    fn answer(&self, request: &Request) -> Option<[(&'static str, String); 4]> {
        let plan = self.service.plan();
        let is_good_enough = self.settings.serves_while_loading && plan.generation() > 0;
        if self.service.loading().is_some() && !is_good_enough {
            return None;
        }
        let Ok(dialed) = E164::parse(request.dialed(), &DialPlan::NONE) else { return Some(nobody()) };
        let environment = plan.dialed(dialed).map(NumberView::environment);
        let there = environment.and_then(|environment| plan.environment(environment));
        let home = there.map_or(DialPlan::NONE, |environment| *environment.dial_plan());
        let caller = request.caller().map_or(Caller::Withheld, |caller| Caller::parse(caller, &home));
        let now = (self.clock)();
        let Routed { decision, tally } = self.service.route_on(&plan, dialed, caller, now);
        let id = self.decisions.seal(&Sealed {
            day: now.day(),
            tally: tally.or_else(|| plan.unmatched_tally(environment?)),
            is_counted: tally.is_some(),
        });
        let agent = decision.route.agent();
        let destination = agent.zip(environment).map(|(agent, environment)| Destination { environment, agent, dialed });
        Some([
            ("DIALBACK_AGENT", destination.map(|to| self.settings.addresses.of_or_id(&to)).unwrap_or_default()),
            ("DIALBACK_REASON", decision.reason.name().into()),
            ("DIALBACK_DECISION_ID", id.to_string()),
            // The last one: where it is set, all are.
            ("DIALBACK_DECISION", decision.route.name().into()),
        ])
    }
}

/// What is dialed is no number of anybody.
fn nobody() -> [(&'static str, String); 4] {
    [
        ("DIALBACK_AGENT", String::new()),
        ("DIALBACK_REASON", crate::decision::Reason::UnknownNumber.name().into()),
        ("DIALBACK_DECISION_ID", String::new()),
        ("DIALBACK_DECISION", Route::Unrouted.name().into()),
    ]
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("settings", &self.settings).finish_non_exhaustive()
    }
}
