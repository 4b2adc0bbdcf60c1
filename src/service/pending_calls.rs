//! Calls with an id or a context, as a group of commands changes them.
//!
//! Everything that a report needs is read, and every limit is checked, before the first change is noted. A report that is
//! refused therefore changes nothing.
//!
//! The records of a fleet's nodes follow other rules than those of a single service: see [`calls`](crate::store::calls).

use super::{ContextsFull, ServiceError};
use crate::event::{Call, CallId, Context, Counted, Details, Joined, Update};
use crate::history::LastCall;
use crate::number::E164;
use crate::outcome::{CountsFrom, Outcome};
use crate::plan::Plan;
use crate::slot::{AgentSlot, EnvironmentSlot, Scope};
use crate::store::calls::{CallKey, CallValue, Place, Records, contact_prefix, id_key, pair_prefix, time_of_call};
use crate::store::{CallChanges, KeyValue, StoreError, StoredCalls};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The changes of a group so far, over what is stored.
pub(super) struct PendingCalls {
    stored: Option<Arc<dyn StoredCalls>>,
    most_bytes: u64,
    /// Whether the service belongs to a fleet.
    is_shared: bool,
    calls: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ids: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: HashMap<EnvironmentSlot, i64>,
}

/// The changes of one report or erasure, before they are noted.
#[derive(Default)]
pub(super) struct Changed {
    calls: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ids: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: Option<(EnvironmentSlot, i64)>,
}

impl Changed {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.ids.is_empty()
    }
}

/// A report of a call, with the slots of the call.
pub(super) struct Reported<'a> {
    pub(super) environment: EnvironmentSlot,
    pub(super) number: Scope,
    pub(super) agent: AgentSlot,
    pub(super) call: &'a Call,
    pub(super) details: &'a Details,
    pub(super) now: Timestamp,
    /// The status from which calls count. `None` if no report of a call with an id or a context counts.
    pub(super) counts_from: Option<CountsFrom>,
    /// What the history holds of the pair.
    pub(super) held: Option<LastCall>,
}

impl Reported<'_> {
    /// Returns the time and the agent of the call that the history holds of the pair.
    fn held_call(&self) -> Option<(Timestamp, AgentSlot)> {
        match self.held {
            Some(LastCall::Placed { at, source, .. }) => Some((at, source)),
            Some(LastCall::Erased { .. }) | None => None,
        }
    }

    /// Returns the outcome with which the call counts after this report: the highest one that counts. `joined` is the
    /// outcome of all its reports together, and `known_at` its time before this report.
    ///
    /// The result is independent of the order of the reports. With [`CountsFrom::Ringing`], a call that is reported as
    /// ringing and as failed counts as ringing, although `failed` has the higher rank.
    fn counted(&self, joined: Outcome, known_at: Option<Timestamp>) -> Option<Outcome> {
        let counts = |outcome: &Outcome| self.counts_from.is_some_and(|from| from.counts(*outcome));
        let counted = [joined, self.call.outcome].into_iter().find(counts);
        let times = [known_at, Some(self.call.at.clamped())];
        counted.or_else(|| match self.held {
            // It counts already. This report may give it another time, by which its context is found.
            Some(LastCall::Placed { at, outcome, source }) if source == self.agent && times.contains(&Some(at)) => {
                Some(outcome)
            }
            _ => None,
        })
    }
}

/// The effect of a report: the call as all its reports together say, and the changes of the records.
pub(super) struct Prepared {
    pub(super) call: Call,
    /// The outcome with which the call counts, if it does.
    pub(super) counted: Option<Outcome>,
    /// The same for the other nodes of a fleet, if the service belongs to one.
    pub(super) joined: Option<Joined>,
    pub(super) changed: Changed,
}

impl PendingCalls {
    pub(super) fn new(stored: Option<Arc<dyn StoredCalls>>, most_bytes: u64, is_shared: bool) -> Self {
        let (calls, ids, bytes) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { stored, most_bytes, is_shared, calls, ids, bytes }
    }

    /// Returns whether the store keeps calls with ids and contexts.
    pub(super) fn is_kept(&self) -> bool {
        self.stored.is_some()
    }

    /// Finds out what a report changes.
    ///
    /// # Errors
    /// The id belongs to a call with other parties, the environment has no room for the context, or the records cannot be
    /// read.
    pub(super) fn prepare(&self, report: &Reported<'_>) -> Result<Prepared, ServiceError> {
        let &Reported { environment, number, agent, call, details: Details { id, context }, now, .. } = report;
        let stored = self.entries(&pair_prefix(environment, call.to, number))?;
        let before = Records::read(&stored);
        if let Some(id) = id {
            let is_here = before.of_id(id).is_some();
            if before.is_of_another(id, agent) || !is_here && self.place(environment, id)?.is_some() {
                return Err(ServiceError::CallIdReused);
            }
        }
        // All that is known of the call becomes one record. Otherwise reports that date one call differently would push other
        // calls out of the pair, and a late date its own context.
        let mut after = before.clone();
        let known = after.take(call.at.clamped(), agent, id.as_ref());
        if self.is_shared {
            // Other nodes may have the records that become one here.
            after = before.clone();
        }
        let held = known.as_ref().and_then(|(_, value)| value.context.clone());
        let dated = dated(context.as_ref(), held.as_ref(), now);
        let mut value = CallValue { outcome: call.outcome, context: dated.or(held) };
        let mut key = key_of(report);
        let known_at = known.as_ref().map(|(known, _)| known.at);
        if let Some((known, stored)) = known {
            value.outcome = value.outcome.max(stored.outcome);
            key.at = key.at.max(known.at);
            key.id = key.id.or(known.id);
        }
        let counted = report.counted(value.outcome, known_at);
        let call = Call { at: key.at.max(call.at), outcome: value.outcome, ..*call };
        let joined = self.is_shared.then(|| {
            let counted = counted.map_or(Counted::No, Counted::As);
            Joined { call, id: key.id.clone(), context: value.context.clone(), counted }
        });
        if self.is_shared {
            key.is_counted = counted.is_some();
            after.share(key, value);
        } else {
            let kept = report.held_call().max(counted.map(|_| (key.at, agent)));
            after.add(key, value, kept);
        }
        let changed = self.difference(environment, &stored, &before, &after)?;
        self.check_room(environment, &changed)?;
        Ok(Prepared { call, counted, joined, changed })
    }

    /// Finds out what a record of another node changes, and whether it tells more of its call than that it counts. Such a
    /// record is never refused, so that all nodes end with the same ones.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn prepare_joined(
        &self,
        (environment, number, agent): (EnvironmentSlot, Scope, AgentSlot),
        joined: &Joined,
        erased_until: Option<Timestamp>,
    ) -> Result<(Changed, bool), StoreError> {
        let Joined { call, id, context, counted } = joined;
        let is_counted = *counted != Counted::No;
        let (contact, at, id) = (call.to, call.at.clamped(), id.clone());
        let key = CallKey { environment, contact, number, at, agent, id, is_counted };
        let stored = self.entries(&pair_prefix(environment, contact, number))?;
        let before = Records::read(&stored);
        let mut after = before.clone();
        let value = CallValue { outcome: call.outcome, context: context.clone() };
        let erased = erased_until.and_then(|until| value.erased(until));
        let value = erased.unwrap_or(value);
        let is_known = before.0.iter().any(|(held, known)| held.named() == key.named() && *known == value);
        after.share(key, value);
        Ok((self.difference(environment, &stored, &before, &after)?, !is_known))
    }

    /// Returns the call that a report names by its id, and the details of the report.
    ///
    /// # Errors
    /// No call has the id, it was placed from another number, or the records cannot be read.
    pub(super) fn resolve(&self, plan: &Plan, update: &Update) -> Result<(Call, Details), ServiceError> {
        let Update { environment, id, from, outcome, context } = update;
        let slot = plan.environment_slot(*environment).ok_or(ServiceError::CallNotFound)?;
        let (contact, number) = self.place(slot, id)?.ok_or(ServiceError::CallNotFound)?;
        let records = Records::read(&self.entries(&pair_prefix(slot, contact, number))?);
        let (key, _) = records.of_id(id).ok_or(ServiceError::CallNotFound)?;
        let held = number.number().and_then(|number| plan.number_entry(number)?.number);
        let agent = plan.agent_entry(key.agent).map(|agent| agent.id);
        let (held, agent) = held.zip(agent).ok_or(ServiceError::CallNotFound)?;
        if from.is_some_and(|from| from != held) {
            return Err(ServiceError::CallIdReused);
        }
        let call = Call { environment: *environment, agent, from: held, to: contact, at: key.at, outcome: *outcome };
        Ok((call, Details { id: Some(id.clone()), context: context.clone() }))
    }

    /// Finds out what an erasure removes: each record of the contact up to this time, each one that cannot be decoded, and
    /// each context that was reported up to this time. A later report of a call can have given it a later time.
    ///
    /// # Errors
    /// The records cannot be read.
    pub(super) fn prepare_erasure(
        &self,
        environment: EnvironmentSlot,
        contact: E164,
        until: Timestamp,
    ) -> Result<Changed, StoreError> {
        let (mut calls, mut freed) = (Vec::new(), 0);
        let (mut gone, mut left) = (BTreeSet::new(), BTreeSet::new());
        // Only keys are kept: the contexts of a contact that many numbers have called may take much memory.
        self.each(&contact_prefix(environment, contact), &mut |key, value| {
            let named = CallKey::from_bytes(key);
            let read = CallValue::from_bytes(value);
            let is_valid = named.is_some() && read.is_some();
            let is_erased = !is_valid || time_of_call(key).is_none_or(|at| at <= until.clamped());
            // A record of which only the value cannot be decoded still names its id.
            let ids = if is_erased { &mut gone } else { &mut left };
            ids.extend(named.and_then(|named| named.id));
            if is_erased {
                freed += signed(key.len() + value.len());
                calls.push((key.to_vec(), None));
            } else if let Some(left) = read.and_then(|read| read.erased(until)).map(|left| left.to_bytes()) {
                freed += signed(value.len()) - signed(left.len());
                calls.push((key.to_vec(), Some(left)));
            }
        })?;
        let mut ids = Vec::new();
        for id in gone.difference(&left) {
            // The id of a damaged record may belong to another contact by now.
            let held = self.places(environment, id)?;
            let left: Vec<_> = held.iter().copied().filter(|place| place.contact != contact).collect();
            if left.is_empty() || left.len() < held.len() {
                ids.push((id_key(environment, id), Place::write_all(left)));
            }
        }
        Ok(Changed { calls, ids, bytes: Some((environment, -freed)) })
    }

    /// Notes changes for the group's batch.
    pub(super) fn note(&mut self, changed: Changed) {
        self.calls.extend(changed.calls);
        self.ids.extend(changed.ids);
        if let Some((environment, more)) = changed.bytes {
            *self.bytes.entry(environment).or_default() += more;
        }
    }

    /// Returns all changes, for the batch.
    pub(super) fn take(&mut self) -> CallChanges {
        CallChanges {
            calls: std::mem::take(&mut self.calls).into_iter().collect(),
            ids: std::mem::take(&mut self.ids).into_iter().collect(),
            bytes: std::mem::take(&mut self.bytes).into_iter().collect(),
        }
    }

    /// Returns the contact and the number of the call with this id, or `None` if there is none. A stored place that cannot be
    /// decoded counts as none.
    fn place(&self, environment: EnvironmentSlot, id: &CallId) -> Result<Option<(E164, Scope)>, StoreError> {
        for place in self.places(environment, id)? {
            if self.is_known(environment, id, place)? {
                return Ok(Some((place.contact, place.number)));
            }
        }
        Ok(None)
    }

    /// Returns all places of an id. Their calls may have gone.
    fn places(&self, environment: EnvironmentSlot, id: &CallId) -> Result<Vec<Place>, StoreError> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        let key = id_key(environment, id);
        let value = match self.ids.get(&key) {
            Some(pending) => pending.clone(),
            None => stored.id(&key)?,
        };
        Ok(value.and_then(|value| Place::read_all(&value)).unwrap_or_default())
    }

    /// Returns whether a pair has a call with this id. An id counts only as long as its call is known.
    fn is_known(&self, environment: EnvironmentSlot, id: &CallId, place: Place) -> Result<bool, StoreError> {
        let entries = self.entries(&pair_prefix(environment, place.contact, place.number))?;
        Ok(Records::read(&entries).of_id(id).is_some())
    }

    /// Returns all entries of a pair: what is stored, with the changes of the group.
    fn entries(&self, pair: &[u8]) -> Result<Vec<KeyValue>, StoreError> {
        let mut entries = Vec::new();
        self.each(pair, &mut |key, value| entries.push((key.to_vec(), value.to_vec())))?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Passes all entries whose keys begin with `prefix` to `see`, in any order: what is stored, with the changes of the
    /// group.
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        stored.each(prefix, &mut |key, value| {
            if !self.calls.contains_key(key) {
                see(key, value);
            }
            true
        })?;
        let pending = self.calls.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        for (key, value) in pending {
            if let Some(value) = value {
                see(key, value);
            }
        }
        Ok(())
    }

    /// Returns the changes from the stored entries of a pair to other records.
    fn difference(
        &self,
        environment: EnvironmentSlot,
        stored: &[KeyValue],
        before: &Records,
        after: &Records,
    ) -> Result<Changed, StoreError> {
        let mut changed = difference(environment, stored, before, after);
        let places = |records: &Records| -> BTreeMap<CallId, Place> {
            // The last record of an id has its latest time.
            records.0.iter().filter_map(|(key, _)| Some((key.id.clone()?, Place::of(key)))).collect()
        };
        let (held, left) = (places(before), places(after));
        for (id, gone) in held.iter().filter(|(id, _)| !left.contains_key(*id)) {
            changed.ids.push((id_key(environment, id), Place::write_all(self.others(environment, id, *gone)?)));
        }
        for (id, place) in left.iter().filter(|(id, place)| held.get(*id) != Some(*place)) {
            let mut places = self.others(environment, id, *place)?;
            places.push(*place);
            changed.ids.push((id_key(environment, id), Place::write_all(places)));
        }
        Ok(changed)
    }

    /// Returns the places of an id in other pairs than that of `place`. A single service refuses an id that a call of
    /// another pair has, so the id has none there.
    fn others(&self, environment: EnvironmentSlot, id: &CallId, place: Place) -> Result<Vec<Place>, StoreError> {
        let mut others = Vec::new();
        if self.is_shared {
            for other in self.places(environment, id)? {
                let is_other = (other.contact, other.number) != (place.contact, place.number);
                if is_other && self.is_known(environment, id, other)? {
                    others.push(other);
                }
            }
        }
        Ok(others)
    }

    fn check_room(&self, environment: EnvironmentSlot, changed: &Changed) -> Result<(), ServiceError> {
        let more = changed.bytes.map_or(0, |(_, more)| more);
        let pending = self.bytes.get(&environment).copied().unwrap_or_default();
        let stored = self.stored.as_ref().map_or(0, |stored| stored.bytes(environment));
        let held = stored.saturating_add_signed(pending);
        if more > 0 && held.saturating_add_signed(more) > self.most_bytes {
            return Err(ServiceError::ContextsFull(ContextsFull { bytes: held, may_hold: self.most_bytes }));
        }
        Ok(())
    }
}

fn key_of(report: &Reported<'_>) -> CallKey {
    let &Reported { environment, number, agent, call, details, .. } = report;
    let id = details.id.clone();
    CallKey { environment, contact: call.to, number, at: call.at.clamped(), agent, id, is_counted: false }
}

/// Returns the time and the text of a reported context, or `None` if the call has this context already. A new one is dated
/// after the one that the call had, whatever the clock says, so that the later report counts.
fn dated(
    context: Option<&Context>,
    held: Option<&(Timestamp, Context)>,
    now: Timestamp,
) -> Option<(Timestamp, Context)> {
    let context = context?;
    match held {
        Some((_, held)) if held == context => None,
        Some((at, _)) => Some((now.max(at.plus_millis(1)).clamped(), context.clone())),
        None => Some((now.clamped(), context.clone())),
    }
}

/// Returns the changes from the stored entries of a pair to other records, except those of the ids.
fn difference(environment: EnvironmentSlot, stored: &[KeyValue], before: &Records, after: &Records) -> Changed {
    let old: BTreeMap<&[u8], &[u8]> = stored.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let new: BTreeMap<Vec<u8>, Vec<u8>> =
        after.0.iter().map(|(key, value)| (key.to_bytes(), value.to_bytes())).collect();
    let mut changed = Changed::default();
    let mut more = 0;
    // Records that cannot be decoded stay for the next erasure, which finds their ids by them.
    for key in before.0.iter().map(|(key, _)| key.to_bytes()).filter(|key| !new.contains_key(key)) {
        more -= signed(key.len() + old.get(&key[..]).map_or(0, |value| value.len()));
        changed.calls.push((key, None));
    }
    for (key, value) in new {
        let held = old.get(&key[..]);
        if held.is_none_or(|held| **held != value[..]) {
            more += signed(key.len() + value.len()) - held.map_or(0, |held| signed(key.len() + held.len()));
            changed.calls.push((key, Some(value)));
        }
    }
    changed.bytes = Some((environment, more));
    changed
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
