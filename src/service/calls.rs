//! Reading calls that are known by an id or a context.

use super::{Service, ServiceError};
use crate::decision::SourceCall;
use crate::engine::Engine;
#[cfg(feature = "fleet")]
use crate::event::{Call, Counted, Joined};
use crate::event::{CallId, Context};
use crate::history::{History, LastCall, Register};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::plan::Plan;
#[cfg(feature = "fleet")]
use crate::slot::EnvironmentSlot;
#[cfg(feature = "fleet")]
use crate::store::KeyValue;
use crate::store::calls::{CallKey, CallValue, Place, Records, contact_prefix, id_key, pair_prefix};
use crate::store::{StoreError, StoredCalls};
use crate::time::Timestamp;
use std::sync::Arc;

/// A call that was reported with an id or a context.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KnownCall {
    /// The platform's id of the call.
    pub id: Option<CallId>,
    /// The agent that placed it.
    pub agent: AgentId,
    /// The number that it was placed from.
    pub from: E164,
    /// The contact.
    pub to: E164,
    /// When it was placed. If its reports differ in that, the latest of their times.
    pub at: Timestamp,
    /// The status of the call so far.
    pub outcome: Outcome,
    /// The context of the call.
    pub context: Option<Context>,
    /// When that context was reported.
    pub context_at: Option<Timestamp>,
}

impl Service {
    /// Returns whether any call of this environment may be known by an id or a context. Reads memory only.
    pub fn may_know_calls(&self, environment: EnvironmentId) -> bool {
        let slot = self.plan().environment_slot(environment);
        slot.zip(self.calls.0.as_ref()).is_some_and(|(slot, stored)| stored.bytes(slot) > 0)
    }

    /// Returns whether the store keeps calls with ids and contexts.
    #[cfg_attr(
        not(any(feature = "http", feature = "sip")),
        allow(dead_code, reason = "only these doors wait for loading")
    )]
    pub(crate) fn keeps_calls(&self) -> bool {
        self.calls.0.is_some()
    }

    /// Returns the call with this id, or `None` if no call of the environment has it.
    ///
    /// # Errors
    /// The store cannot be read, or keeps no calls.
    ///
    /// # Cost
    /// Reads the store, so it may wait for the disk.
    pub fn known_call(&self, environment: EnvironmentId, id: &CallId) -> Result<Option<KnownCall>, ServiceError> {
        let (plan, stored) = (self.plan(), self.stored_calls()?);
        let Some(slot) = plan.environment_slot(environment) else { return Ok(None) };
        let places = stored.id(&id_key(slot, id))?.and_then(|value| Place::read_all(&value));
        for Place { contact, number, .. } in places.unwrap_or_default() {
            let records = records(stored, &pair_prefix(slot, contact, number))?;
            if let Some(call) = records.of_id(id) {
                return Ok(shown(self.history(), &plan, call));
            }
        }
        Ok(None)
    }

    /// Returns the id and the context of the call behind a decision about `dialed` and `caller`, or `None` if the call was
    /// reported without either.
    ///
    /// # Errors
    /// The store cannot be read, or keeps no calls.
    ///
    /// # Cost
    /// Reads the store, so it may wait for the disk.
    pub fn call_behind(
        &self,
        plan: &Plan,
        dialed: E164,
        caller: E164,
        call: &SourceCall,
    ) -> Result<Option<KnownCall>, ServiceError> {
        let reader = self.call_reader().ok_or(ServiceError::CallsNotKept)?;
        Ok(reader.call_behind(plan, dialed, caller, call)?)
    }

    /// Returns what reads the calls behind decisions, also while the service ends. `None` if the store keeps no calls.
    pub(crate) fn call_reader(&self) -> Option<CallReader> {
        Some(CallReader { stored: Arc::clone(self.calls.0.as_ref()?), engine: Arc::clone(&self.engine) })
    }

    /// Returns the calls of a contact that are known by an id or a context, from at most `most` records, and whether these
    /// are all.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn known_calls(
        &self,
        environment: EnvironmentId,
        contact: E164,
        most: usize,
    ) -> Result<(Vec<KnownCall>, bool), ServiceError> {
        let plan = self.plan();
        let Some(stored) = &self.calls.0 else { return Ok((Vec::new(), true)) };
        let Some(slot) = plan.environment_slot(environment) else { return Ok((Vec::new(), true)) };
        let mut entries = stored.calls(&contact_prefix(slot, contact), most.saturating_add(1))?;
        let is_all = entries.len() <= most;
        entries.truncate(most);
        let calls = Records::read(&entries).all().into_iter().filter_map(|call| shown(self.history(), &plan, call));
        Ok((calls.collect(), is_all))
    }

    /// Calls `see` with each contact of a call that is known by an id or a context. Such a call may be older than all that
    /// the history holds.
    ///
    /// # Errors
    /// The calls cannot be read.
    #[cfg(feature = "fleet")]
    pub(crate) fn contacts_of_known_calls(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError> {
        self.calls.0.as_ref().map_or(Ok(()), |stored| stored.contacts(see))
    }

    /// Returns the records of calls that are known by an id or a context, in the order of their keys: those after the key
    /// `after`, about `bytes` bytes. At the end, there are none.
    ///
    /// # Errors
    /// A record cannot be read.
    #[cfg(feature = "fleet")]
    pub(crate) fn known_records(&self, after: &[u8], bytes: usize) -> Result<Vec<KeyValue>, StoreError> {
        self.calls.0.as_ref().map_or(Ok(Vec::new()), |stored| stored.page(after, bytes))
    }

    /// Returns the records among these of calls that the history holds and that no record marks as counted, each as a counted
    /// one. A single service does not mark records, and an export has no marks.
    #[cfg(feature = "fleet")]
    pub(crate) fn unmarked(&self, stored: &[KeyValue]) -> Vec<Joined> {
        let (plan, records) = (self.plan(), Records::read(stored));
        let is_counted = |other: &CallKey| {
            let is_same = |(key, _): &(CallKey, CallValue)| {
                (key.environment, key.contact, key.number) == (other.environment, other.contact, other.number)
                    && (key.at, key.agent) == (other.at, other.agent)
            };
            records.0.iter().any(|record| record.0.is_counted && is_same(record))
        };
        let is_held = |key: &CallKey| match self.history().get(key.number, key.contact).map(Register::read) {
            Some(LastCall::Placed { at, source, .. }) => (at, source) == (key.at, key.agent),
            Some(LastCall::Erased { .. }) | None => false,
        };
        let unmarked = records.0.iter().filter(|(key, _)| !key.is_counted && is_held(key) && !is_counted(key));
        unmarked
            .filter_map(|(key, value)| joined(&plan, CallKey { is_counted: true, ..key.clone() }, value.clone()))
            .collect()
    }

    fn stored_calls(&self) -> Result<&dyn StoredCalls, ServiceError> {
        self.calls.0.as_deref().ok_or(ServiceError::CallsNotKept)
    }
}

/// Reads the calls behind decisions.
pub(crate) struct CallReader {
    stored: Arc<dyn StoredCalls>,
    engine: Arc<Engine>,
}

impl CallReader {
    /// Does what [`Service::call_behind`] does.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn call_behind(
        &self,
        plan: &Plan,
        dialed: E164,
        caller: E164,
        call: &SourceCall,
    ) -> Result<Option<KnownCall>, StoreError> {
        let Some(number) = plan.dialed_entry(dialed) else { return Ok(None) };
        let prefix = pair_prefix(number.environment, caller, number.slot.into());
        let is_behind = |key: &CallKey| plan.agent_entry(key.agent).is_some_and(|agent| agent.id == call.agent);
        let records = records(&*self.stored, &prefix)?;
        let found = records.0.iter().rfind(|(key, _)| key.at == call.at && is_behind(key));
        let found = found.and_then(|(key, _)| records.at(key.at, key.agent));
        Ok(found.and_then(|call| shown(self.engine.history(), plan, call)))
    }
}

/// Returns a stored record for the other nodes of a fleet. `None` if it is invalid, or its number or its agent is not in the
/// plan.
#[cfg(feature = "fleet")]
pub(crate) fn joined_of_stored(plan: &Plan, (key, value): &KeyValue) -> Option<Joined> {
    joined(plan, CallKey::from_bytes(key)?, CallValue::from_bytes(value)?)
}

/// Returns a record for the other nodes of a fleet. `None` if its number or its agent is not in the plan.
#[cfg(feature = "fleet")]
pub(crate) fn joined(plan: &Plan, key: CallKey, value: CallValue) -> Option<Joined> {
    let (environment, from) = plan.number_of_scope(key.number)?;
    let agent = plan.agent_id(key.agent)?;
    let call = Call { environment, agent, from, to: key.contact, at: key.at, outcome: value.outcome };
    let counted = if key.is_counted { Counted::Apart } else { Counted::No };
    Some(Joined { call, id: key.id, context: value.context, counted })
}

/// Returns the call with its ids in place of slots, and with the status that the history knows.
fn shown(history: &History, plan: &Plan, (key, value): (CallKey, CallValue)) -> Option<KnownCall> {
    let register = history.get(key.number, key.contact).map(Register::read);
    let outcome = match register {
        Some(LastCall::Placed { at, outcome, source }) if (at, source) == (key.at, key.agent) => {
            outcome.max(value.outcome)
        }
        _ => value.outcome,
    };
    let (context_at, context) = value.context.unzip();
    Some(KnownCall {
        id: key.id,
        agent: plan.agent_entry(key.agent)?.id,
        from: plan.number_entry(key.number.number()?)?.number?,
        to: key.contact,
        at: key.at,
        outcome,
        context,
        context_at,
    })
}

fn records(stored: &dyn StoredCalls, prefix: &[u8]) -> Result<Records, StoreError> {
    Ok(Records::read(&stored.calls(prefix, usize::MAX)?))
}
