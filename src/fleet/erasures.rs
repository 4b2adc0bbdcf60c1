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
/// One hash for each key and pair.
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
    if found.is_empty() {
        return Ok(());
    }
    commit(service, Consumed { events: found, ..Consumed::default() }).map(|_| ())
}
