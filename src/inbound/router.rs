//! Routes calls for a door: decides, counts and gives each decision its identity.

use super::{AddressBook, Arrival, CallReads, DecisionIds, Sealed};
use crate::decision::{Decision, SourceCall};
use crate::engine::{Noted, Routed};
use crate::id::EnvironmentId;
use crate::number::{Caller, E164};
use crate::plan::Plan;
use crate::record::RecordedDoor;
use crate::service::{KnownCall, Service};
use crate::slot::TallySlot;
use crate::time::{Clock, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The routing that all doors of one daemon share. Cheap to clone.
#[derive(Clone)]
pub struct Inbound {
    service: Arc<Service>,
    clock: Clock,
    ids: Arc<DecisionIds>,
    addresses: AddressBook,
    call_reads: Arc<CallReads>,
    serves_while_loading: bool,
}

/// The call behind a decision, whose id and context have not been read yet.
pub(crate) struct CallToRead {
    plan: Arc<Plan>,
    dialed: E164,
    caller: E164,
    call: SourceCall,
}

/// A decision about a call, and the facts for its record.
pub struct Decided {
    pub routed: Routed,
    caller: Caller,
    now: Timestamp,
    noted: Option<Noted>,
}

impl Inbound {
    /// Creates the routing of a service. The caller brings the clock.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn new(service: Arc<Service>, clock: Clock) -> Self {
        let ids = Arc::new(DecisionIds::new(service.secret()));
        let (addresses, call_reads) = (AddressBook::default(), Arc::default());
        Self { service, clock, ids, addresses, call_reads, serves_while_loading: false }
    }

    /// Sets where agents are reached.
    #[must_use]
    pub fn with_addresses(self, addresses: impl Into<AddressBook>) -> Self {
        Self { addresses: addresses.into(), ..self }
    }

    /// Reads the ids and contexts of calls together with other doors of the same service.
    #[must_use]
    pub fn with_call_reads(self, call_reads: Arc<CallReads>) -> Self {
        Self { call_reads, ..self }
    }

    /// Sets whether calls are routed while the stored history is still being loaded, from what is already loaded.
    #[must_use]
    pub fn serving_while_loading(self, yes: bool) -> Self {
        Self { serves_while_loading: yes, ..self }
    }

    /// Returns the service that decides.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Returns where agents are reached.
    pub fn addresses(&self) -> &AddressBook {
        &self.addresses
    }

    /// Returns the reads of ids and contexts.
    pub fn call_reads(&self) -> &Arc<CallReads> {
        &self.call_reads
    }

    /// Returns the identities of this daemon's decisions.
    pub fn ids(&self) -> &DecisionIds {
        &self.ids
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Returns whether calls are routed: the stored state is loaded, or the configuration is, and the operator allows routing
    /// while the history loads.
    pub fn is_ready(&self) -> bool {
        self.service.loading().is_none() || (self.serves_while_loading && self.service.plan().generation() > 0)
    }

    /// Decides a call and counts it.
    pub fn decide(&self, arrival: &Arrival<'_>, caller: Caller, now: Timestamp) -> Decided {
        let (routed, noted) = self.service.route_noting(arrival.plan(), arrival.dialed(), caller, now);
        Decided { routed, caller, now, noted }
    }

    /// Gives a decision an identity, under which a gateway reports that the call connected, and queues the decision's record
    /// under it. `number` makes the identity repeatable; see [`DecisionIds::seal_as`].
    pub fn record(&self, arrival: &Arrival<'_>, decided: &Decided, door: RecordedDoor, number: Option<u64>) -> Uuid {
        let Decided { routed, caller, now, noted } = decided;
        let plan = arrival.plan();
        let sealed = Self::sealed(plan, arrival.environment(), routed.tally, *now);
        let id = match number {
            Some(number) => self.ids.seal_as(&sealed, number),
            None => self.ids.seal(&sealed),
        };
        let call = (door, arrival.dialed(), *caller);
        self.service.queue_record(plan, call, *now, routed, noted.as_ref(), id.as_u128());
        id
    }

    /// Returns the call behind a decision about a dialed number of this environment and its caller, if the call may be known
    /// by an id or a context. Reads memory only.
    pub(crate) fn call_to_read(
        &self,
        plan: &Arc<Plan>,
        environment: EnvironmentId,
        (dialed, caller): (E164, Caller),
        decision: &Decision,
    ) -> Option<CallToRead> {
        let (call, caller) = (decision.call?, caller.number()?);
        if self.service.loading().is_some() && self.service.keeps_calls() {
            // Whether the call has a context is known only when everything is loaded.
            self.call_reads.miss();
            return None;
        }
        let may_be_known = self.service.may_know_calls(environment);
        may_be_known.then(|| CallToRead { plan: Arc::clone(plan), dialed, caller, call })
    }

    /// Returns the read of a call, for [`CallReads`]. Its result is `None` if the store cannot be read, and `Some(None)` if
    /// the call was reported without an id and a context.
    pub(crate) fn reading(&self, call: CallToRead) -> impl FnOnce() -> Option<Option<KnownCall>> + Send + 'static {
        let (service, reads) = (Arc::clone(&self.service), Arc::clone(&self.call_reads));
        let CallToRead { plan, dialed, caller, call } = call;
        move || service.call_behind(&plan, dialed, caller, &call).inspect_err(|_| reads.fail()).ok()
    }

    /// Returns what is known of a call, or `None` if it was not read within `patience`.
    pub(crate) async fn known_call(&self, call: CallToRead, patience: Duration) -> Option<KnownCall> {
        self.call_reads.within(patience, self.reading(call)).await.flatten()
    }

    /// Returns what the identity of a decision made at `now` holds. `tally` is the counter that the decision was added to;
    /// without one, the identity names the counter of unmatched calls of `environment`.
    pub fn sealed(plan: &Plan, environment: Option<EnvironmentId>, tally: Option<TallySlot>, now: Timestamp) -> Sealed {
        let unmatched = || plan.unmatched_tally(environment?);
        Sealed { day: now.day(), tally: tally.or_else(unmatched), is_counted: tally.is_some() }
    }

    /// Gives a decision about a query an identity.
    pub fn identity(
        &self,
        plan: &Plan,
        environment: Option<EnvironmentId>,
        tally: Option<TallySlot>,
        now: Timestamp,
    ) -> Uuid {
        self.ids.seal(&Self::sealed(plan, environment, tally, now))
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}
