//! Erasures of contacts that nobody names any more.
//!
//! Who erased a contact keeps a pseudonym of it. Another node that takes the pseudonym in finds out whether it holds the contact by
//! making the pseudonym of each contact that it holds.

use super::StepError;
use super::consumer::commit;
use crate::event::{Erasure, Event};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use crate::service::{Consumed, Service};
use crate::slot::Scope;
use crate::store::{Aside, Pseudonyms, pseudonym_of};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// Erasures to be remembered, and applied to what is there.
pub(super) struct Sweep(pub(super) Pseudonyms);

impl Sweep {
    /// Of environments that there are.
    pub(super) fn of_message(
        plan: &Plan,
        keys: Vec<[u8; 32]>,
        erasures: &[(EnvironmentId, [u8; 16], Timestamp)],
    ) -> Self {
        let slot = |(environment, pseudonym, until): &(EnvironmentId, [u8; 16], Timestamp)| {
            let environment = Scope::from(plan.environment_slot(*environment)?);
            Some((environment, *pseudonym, Register::erasure(*until)))
        };
        Self(Pseudonyms { keys, erasures: erasures.iter().filter_map(slot).collect() })
    }

    /// Remembers them first, so that no call comes in between, then forgets the contacts that are there.
    pub(super) fn apply(self, service: &Service, aside: &Arc<dyn Aside>) -> Result<(), StepError> {
        let held = aside.erasures()?;
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

/// Forgets the contacts of these erasures. Costs a hash for each key and pair.
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
                && let LastCall::Erased { until } = erasure.read()
                && let Some(environment) = plan.environment_of_scope(environment)
            {
                found.push(Event::Erasure(Erasure { environment, contact, until }));
            }
        }
    });
    if found.is_empty() {
        return Ok(());
    }
    commit(service, Consumed { events: found, ..Consumed::default() }).map(|_| ())
}
