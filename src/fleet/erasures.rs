//! Erasures of contacts whose numbers are no longer stored.
//!
//! The node that erased a contact keeps only a pseudonym of it. A node that receives the pseudonym computes the
//! pseudonym of each contact that it holds, and erases the contacts that match.

use super::StepError;
use super::commit::commit;
use crate::event::{Erasure, Event};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use crate::service::{Consumed, Service};
use crate::slot::Scope;
use crate::store::{Pseudonyms, StoredFleetState, pseudonym_of};
use std::collections::HashMap;
use std::sync::Arc;

/// Erasures under pseudonyms that are to be stored and applied.
pub(super) struct Sweep(pub(super) Pseudonyms);

impl Sweep {
    /// Keeps the erasures whose environments are in the plan.
    pub(super) fn of_message(
        plan: &Plan,
        keys: Vec<[u8; 32]>,
        erasures: &[(EnvironmentId, [u8; 16], Register)],
    ) -> Self {
        let slot = |(environment, pseudonym, erasure): &(EnvironmentId, [u8; 16], Register)| {
            let environment = Scope::from(plan.environment_slot(*environment)?);
            Some((environment, *pseudonym, *erasure))
        };
        Self(Pseudonyms { keys, erasures: erasures.iter().filter_map(slot).collect() })
    }

    /// Stores the erasures, then erases the matching contacts. This order ensures that calls which are recorded in
    /// between are covered as well.
    pub(super) fn apply(self, service: &Service, fleet_state: &Arc<dyn StoredFleetState>) -> Result<(), StepError> {
        let held = fleet_state.erasures()?;
        let held: HashMap<_, _> =
            held.erasures.into_iter().map(|(scope, name, until)| ((scope, name), until)).collect();
        let Pseudonyms { keys, mut erasures } = self.0;
        erasures.retain(|(scope, name, until)| held.get(&(*scope, *name)).is_none_or(|held| held < until));
        if erasures.is_empty() {
            return Ok(());
        }
        let pseudonyms = Pseudonyms { keys, erasures };
        commit(service, Consumed { pseudonyms: pseudonyms.clone(), ..Consumed::default() })?;
        sweep(service, &pseudonyms)
    }
}

/// Erases the contacts that these erasures match.
///
/// # Cost
/// One hash for each key and pair, and for each key and stored call that is known by an id or a context.
pub(super) fn sweep(service: &Service, pseudonyms: &Pseudonyms) -> Result<(), StepError> {
    let plan = service.plan();
    let mut by_name: HashMap<_, Register> = HashMap::new();
    for (scope, name, until) in &pseudonyms.erasures {
        let latest = by_name.entry((*scope, *name)).or_insert(*until);
        *latest = (*latest).max(*until);
    }
    let mut found = Vec::new();
    service.history().for_each(|scope, contact, register| {
        let Some(environment) = plan.environment_of_number(scope).map(Scope::from) else { return };
        for key in &pseudonyms.keys {
            let erasure = by_name.get(&(environment, pseudonym_of(key, environment, contact)));
            if let Some(erasure) = erasure.filter(|erasure| **erasure > register)
                && let LastCall::Erased { until, is_ahead } = erasure.read()
                && let Some(environment) = plan.environment_of_scope(environment)
            {
                found.push(Event::Erasure(Erasure { environment, contact, until, is_ahead }));
            }
        }
    });
    // A call that is known by an id or a context may be older than all that the history holds.
    let mut matches: HashMap<_, Register> = HashMap::new();
    service.contacts_of_known_calls(&mut |slot, contact| {
        let environment = Scope::from(slot);
        for key in &pseudonyms.keys {
            if let Some(erasure) = by_name.get(&(environment, pseudonym_of(key, environment, contact))) {
                let latest = matches.entry((environment, contact)).or_insert(*erasure);
                *latest = (*latest).max(*erasure);
            }
        }
    })?;
    for ((environment, contact), erasure) in matches {
        if let LastCall::Erased { until, is_ahead } = erasure.read()
            && let Some(environment) = plan.environment_of_scope(environment)
        {
            found.push(Event::Erasure(Erasure { environment, contact, until, is_ahead }));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    commit(service, Consumed { events: found, ..Consumed::default() }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Call, CallId, Change, Details, Direction};
    use crate::number::{DialPlan, E164};
    use crate::outcome::Outcome;
    use crate::store::{Batch, EventStore, FjallStore};
    use crate::time::{Lookback, Timestamp};
    use crate::{AgentId, NumberId};

    /// The history forgets a pair that has expired before the store does.
    #[test]
    fn erasure_by_pseudonym_finds_known_calls_of_a_contact_that_the_history_does_not_hold() {
        let number = |digits| E164::from_digits(digits).expect("digits");
        let (from, to, at) = (number("12125550100"), number("12125550143"), Timestamp::from_secs(1_800_000_000));
        let (environment, agent) = (EnvironmentId::from_u128(1), AgentId::from_u128(1));
        let place = tempfile::tempdir().expect("a directory");
        let open = || FjallStore::open(place.path()).expect("it opens");
        let service = Service::builder(open()).start().expect("it is empty");
        let changes = vec![
            Change::EnvironmentSet { name: "a".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
            Change::NumberAdded { id: NumberId::from_u128(1), number: from },
            Change::AgentCreated { id: agent, name: "b".into(), label: None, direction: Direction::Outbound },
        ];
        service.configure(environment, at, |_| Ok(changes)).expect("valid");
        let call = Call { environment, agent, from, to, at, outcome: Outcome::Busy };
        let id = CallId::new("a").expect("an id");
        let details = Details { id: Some(id.clone()), context: None };
        service.record(vec![Event::reported(call, details)]).expect("durable");
        let plan = service.plan();
        let (slot, pair, _) = plan.call_slots(&call).expect("known");
        drop(service);
        let gone = (Scope::from(pair), to, Register::erasure(at));
        open().commit(&Batch { registers: vec![gone], ..Batch::default() }).expect("kept");
        let service = Service::builder(open()).start().expect("it fits");
        assert!(service.history().is_empty());
        assert!(service.known_call(environment, &id).expect("readable").is_some());
        let pseudonyms = |to| {
            let erasure = (Scope::from(slot), pseudonym_of(&[9; 32], Scope::from(slot), to), Register::erasure(at));
            Pseudonyms { keys: vec![[9; 32]], erasures: vec![erasure] }
        };
        assert!(sweep(&service, &pseudonyms(number("12125550144"))).is_ok());
        assert!(service.known_call(environment, &id).expect("readable").is_some());
        assert!(sweep(&service, &pseudonyms(to)).is_ok());
        assert_eq!(service.known_call(environment, &id), Ok(None));
    }
}
