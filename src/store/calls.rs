//! Calls that are known by an id or a context, as a store keeps them: two maps of bytes.
//!
//! | map | key | value |
//! | --- | --- | --- |
//! | calls | environment, 3 bytes; contact, 7; number called from, 3; time, 6; agent, 3; the call's id, 0 to 128; [`COUNTED`] if the record is a counted one | outcome's code, 1 byte; if there is a context: when it was reported, 6, and its text |
//! | ids | environment, 3 bytes; id | one or more places: contact, 7 bytes; number called from, 3; time of the call, 6 |
//!
//! All numbers are big-endian, and times are milliseconds since 1970. Environments and numbers are the 24 bits of their
//! scopes, and agents are slots.
//!
//! A merge of two records with one key keeps the greater outcome, and the context that was reported last. The merge is
//! independent of the order in which records arrive.
//!
//! # The records of a pair
//! **A single service** joins all that it knows of a call into one record. A pair of a number and a contact keeps at most
//! [`MOST_OF_PAIR`] of them: those with the greatest keys, and those of the call that the history holds.
//!
//! **The nodes of a fleet** receive the records in different orders, and must end with the same ones. So the records that
//! a node keeps depend only on the set of all records that it has received:
//!
//! * A record is never changed into one with another key. Reports that date one call differently, reports without the id
//!   of their call, and reports from before and after a call counts have a record each. They become one call when they
//!   are read: see [`Records`].
//! * A pair keeps the records from the [`MOST_OF_PAIR`]th newest call on. A call is as new as its newest record. More
//!   records only move this cut to later times, so a record that a node has dropped is not needed later.
//! * Of one call, a pair keeps at most [`MOST_OF_CALL`] records that count, and as many that do not: those with the
//!   greatest keys.
//! * It keeps the greatest counted record besides, because that is the call that the history holds, unless a call without
//!   an id or a context came later. A call that counts has a counted record, which stands beside the one from before: if
//!   one record could become a counted one, some nodes would have dropped it before that.
//!
//! Each rule keeps the greatest keys of some kind. An erasure removes the lowest keys, and so does the expiry, so the
//! order of records and erasures makes no difference either.
//!
//! # Ids
//! An id belongs to one call. The nodes of a fleet cannot refuse an id that two of them gave to different calls at once.
//! Then it has several places, the latest call first, and the first place whose pair has a record with the id counts.

use super::StoreError;
use crate::event::{CallId, Context};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::slot::{AgentSlot, EnvironmentSlot, Scope};
use crate::time::Timestamp;
use std::fmt;

/// The most records of one pair. In a fleet, the most calls.
pub(crate) const MOST_OF_PAIR: usize = 4;
/// The most records of one call that do not count, and of those that do, in a fleet.
const MOST_OF_CALL: usize = 2;
/// The most places of one id. More than one is the mistake of a client.
const MOST_OF_ID: usize = 8;

/// The last byte of a counted record's key. No id contains it.
const COUNTED: u8 = 1;

/// The number of a key's bytes before the time.
const PAIR: usize = 13;
/// The number of a key's bytes before the id.
const UNNAMED: usize = PAIR + 9;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// Reads the stored calls from other threads than the committer's.
pub trait StoredCalls: Send + Sync {
    /// Passes the keys and values of the map of calls whose keys begin with `prefix` to `see`, in the order of their keys,
    /// until it returns `false`.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError>;

    /// Returns the value of this key in the map of ids.
    ///
    /// # Errors
    /// The value cannot be read.
    fn id(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the size of the environment's calls: the bytes of their keys and values. Expired ones may still count.
    fn bytes(&self, environment: EnvironmentSlot) -> u64;

    /// Calls `see` with each contact of a stored call, in any order and possibly several times.
    ///
    /// # Errors
    /// The calls cannot be read.
    fn contacts(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError>;

    /// Returns the entries of the map of calls whose keys are greater than `after`, in the order of their keys: about
    /// `bytes` bytes, and at least one entry if there is one.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn page(&self, after: &[u8], bytes: usize) -> Result<Vec<KeyValue>, StoreError> {
        let (mut entries, mut len) = (Vec::new(), 0);
        self.each(&[], &mut |key, value| {
            if key > after {
                len += key.len() + value.len();
                entries.push((key.to_vec(), value.to_vec()));
            }
            len < bytes.max(1)
        })?;
        Ok(entries)
    }

    /// Returns up to `most` of the entries that [`each`](Self::each) passes.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn calls(&self, prefix: &[u8], most: usize) -> Result<Vec<KeyValue>, StoreError> {
        let mut entries = Vec::new();
        if most > 0 {
            self.each(prefix, &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                entries.len() < most
            })?;
        }
        Ok(entries)
    }
}

/// Changes of the stored calls.
#[derive(Clone, Default)]
pub struct CallChanges {
    /// Entries of the map of calls. `None` removes the entry.
    pub calls: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Entries of the map of ids. `None` removes the entry.
    pub ids: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// By how many bytes the calls of each environment grow or shrink.
    pub bytes: Vec<(EnvironmentSlot, i64)>,
}

impl CallChanges {
    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.ids.is_empty()
    }

    /// Returns whether an entry is removed.
    pub fn has_removals(&self) -> bool {
        self.calls.iter().chain(&self.ids).any(|(_, value)| value.is_none())
    }
}

/// Prints numbers of entries only, because keys contain phone numbers.
impl fmt::Debug for CallChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallChanges({} calls, {} ids)", self.calls.len(), self.ids.len())
    }
}

/// The key of a record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct CallKey {
    pub(crate) environment: EnvironmentSlot,
    pub(crate) contact: E164,
    pub(crate) number: Scope,
    pub(crate) at: Timestamp,
    pub(crate) agent: AgentSlot,
    pub(crate) id: Option<CallId>,
    /// Whether the record is of a call that counts. Only nodes of a fleet write such records.
    pub(crate) is_counted: bool,
}

impl CallKey {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = pair_prefix(self.environment, self.contact, self.number);
        bytes.extend(time_bytes(self.at));
        bytes.extend(&(u32::try_from(self.agent.index()).unwrap_or(u32::MAX)).to_be_bytes()[1..]);
        bytes.extend(self.id.as_ref().map_or(&[][..], |id| id.as_str().as_bytes()));
        bytes.extend(self.is_counted.then_some(COUNTED));
        bytes
    }

    /// Decodes a key, or returns `None` if it is invalid.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (named, id) = bytes.split_at_checked(UNNAMED)?;
        let (id, is_counted) = match id {
            [id @ .., COUNTED] => (id, true),
            id => (id, false),
        };
        let environment = scope_of(&named[..3])?.environment()?;
        let contact = number_of(&named[3..10])?;
        let number = scope_of(&named[10..PAIR])?;
        number.number()?;
        let at = time_of(&named[PAIR..PAIR + 6])?;
        let agent = AgentSlot::new(usize::try_from(integer(&named[PAIR + 6..])).ok()?)?;
        let id = match id {
            [] => None,
            id => Some(CallId::new(str::from_utf8(id).ok()?)?),
        };
        Some(Self { environment, contact, number, at, agent, id, is_counted })
    }

    /// Returns what distinguishes calls of a pair. Without an id, each time is another call.
    fn call(&self) -> (AgentSlot, Option<&CallId>, Option<Timestamp>) {
        (self.agent, self.id.as_ref(), self.id.is_none().then_some(self.at))
    }

    /// Returns the part of the key after the pair, without what says that the call counts.
    pub(crate) fn named(&self) -> (Timestamp, AgentSlot, Option<&CallId>) {
        (self.at, self.agent, self.id.as_ref())
    }

    /// Returns whether this is a record of the call with this id and this agent.
    fn is_of(&self, id: &CallId, agent: AgentSlot) -> bool {
        (self.id.as_ref(), self.agent) == (Some(id), agent)
    }
}

/// The value of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CallValue {
    pub(crate) outcome: Outcome,
    /// The context, and when it was reported.
    pub(crate) context: Option<(Timestamp, Context)>,
}

impl CallValue {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.outcome.code()];
        if let Some((at, context)) = &self.context {
            bytes.extend(time_bytes(*at));
            bytes.extend(context.as_str().as_bytes());
        }
        bytes
    }

    /// Decodes a value, or returns `None` if it is invalid.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first()?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.code() == *code)?;
        let context = match rest {
            [] => None,
            rest => {
                let (at, text) = rest.split_at_checked(6)?;
                Some((time_of(at)?, Context::from_stored(str::from_utf8(text).ok()?)?))
            }
        };
        Some(Self { outcome, context })
    }

    /// Returns this value without a context that was reported up to this time; `None` if it has no such context.
    pub(crate) fn erased(&self, until: Timestamp) -> Option<Self> {
        let is_erased = self.context.as_ref().is_some_and(|(at, _)| *at <= until.clamped());
        is_erased.then_some(Self { outcome: self.outcome, context: None })
    }

    /// Merges another value of the same key into this one.
    pub(crate) fn merge(&mut self, other: Self) {
        self.outcome = self.outcome.max(other.outcome);
        self.context = self.context.take().max(other.context);
    }
}

/// The records of one pair, or of several, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Records(pub(crate) Vec<(CallKey, CallValue)>);

impl Records {
    /// Decodes entries. Leaves out the ones that are invalid.
    pub(crate) fn read(entries: &[KeyValue]) -> Self {
        let read = |(key, value): &KeyValue| CallKey::from_bytes(key).zip(CallValue::from_bytes(value));
        Self(entries.iter().filter_map(read).collect())
    }

    /// Adds a record of a pair, and removes the lowest ones if there are too many. The records of the call `kept` stay:
    /// it is the one that the history holds, and later calls may not count.
    pub(crate) fn add(&mut self, key: CallKey, value: CallValue, kept: Option<(Timestamp, AgentSlot)>) {
        match self.0.binary_search_by(|(held, _)| held.cmp(&key)) {
            Ok(place) => self.0[place].1.merge(value),
            Err(place) => self.0.insert(place, (key, value)),
        }
        while self.0.len() > MOST_OF_PAIR {
            let lowest = self.0.iter().position(|(key, _)| Some((key.at, key.agent)) != kept);
            self.0.remove(lowest.unwrap_or(0));
        }
    }

    /// Adds a record to those of a pair in a fleet, and removes the ones that the pair does not keep. See the
    /// [module](self).
    pub(crate) fn share(&mut self, key: CallKey, value: CallValue) {
        match self.0.binary_search_by(|(held, _)| held.cmp(&key)) {
            Ok(place) => self.0[place].1.merge(value),
            Err(place) => self.0.insert(place, (key, value)),
        }
        // Each call of the newest ones, with the numbers of its records so far.
        let mut calls: Vec<(usize, [usize; 2])> = Vec::new();
        let (mut cut, mut last_counted) = (None, None);
        let mut kept = vec![false; self.0.len()];
        for (at, (key, _)) in self.0.iter().enumerate().rev() {
            let is_last_counted = key.is_counted && last_counted.is_none();
            if is_last_counted {
                last_counted = Some(at);
            }
            let is_within = cut.is_none_or(|cut: usize| key.named() >= self.0[cut].0.named());
            let place = calls.iter().position(|(newest, _)| self.0[*newest].0.call() == key.call());
            let place = place.or_else(|| {
                (calls.len() < MOST_OF_PAIR).then(|| {
                    calls.push((at, [0; 2]));
                    cut = (calls.len() == MOST_OF_PAIR).then_some(at);
                    calls.len() - 1
                })
            });
            if let Some(place) = place.filter(|_| is_within) {
                let count = &mut calls[place].1[usize::from(key.is_counted)];
                *count += 1;
                kept[at] = *count <= MOST_OF_CALL;
            }
            kept[at] |= is_last_counted;
        }
        let mut kept = kept.into_iter();
        self.0.retain(|_| kept.next().unwrap_or(true));
    }

    /// Returns whether the records with this id are all of other agents, and there are some.
    pub(crate) fn is_of_another(&self, id: &CallId, agent: AgentSlot) -> bool {
        let mut named = self.0.iter().filter(|(key, _)| key.id.as_ref() == Some(id)).peekable();
        named.peek().is_some() && named.all(|(key, _)| key.agent != agent)
    }

    /// Returns the call with this id: all records with the id as one. The latest time and the greatest outcome count, and
    /// the context that was reported last. If nodes of a fleet gave the id to calls of several agents, the latest one is
    /// the call.
    pub(crate) fn of_id(&self, id: &CallId) -> Option<(CallKey, CallValue)> {
        let (key, _) = self.0.iter().rfind(|(key, _)| key.id.as_ref() == Some(id))?;
        self.of_call(id, key.agent)
    }

    /// Returns the call with this id and this agent.
    fn of_call(&self, id: &CallId, agent: AgentSlot) -> Option<(CallKey, CallValue)> {
        let named = || self.0.iter().filter(|(key, _)| key.is_of(id, agent));
        let (key, _) = named().next_back()?;
        // A report without the id is about this call if it has the pair, the agent and the time of one that has the id.
        let is_same = |one: &CallKey, other: &CallKey| {
            (one.contact, one.number, one.at, one.agent) == (other.contact, other.number, other.at, other.agent)
        };
        let unnamed =
            self.0.iter().filter(|(key, _)| key.id.is_none() && named().any(|(named, _)| is_same(named, key)));
        let values = named().chain(unnamed).map(|(_, value)| value.clone());
        let value = values.reduce(|mut all, value| {
            all.merge(value);
            all
        });
        Some((key.clone(), value?))
    }

    /// Returns the call of this agent at this time, or `None` if no record has them.
    pub(crate) fn at(&self, at: Timestamp, agent: AgentSlot) -> Option<(CallKey, CallValue)> {
        // Of the keys with this time and agent, those without an id come first.
        let there = || self.0.iter().filter(|(key, _)| (key.at, key.agent) == (at, agent));
        match &there().next_back()?.0.id {
            Some(id) => self.of_call(id, agent),
            None => there().cloned().reduce(|(_, mut all), (key, value)| {
                all.merge(value);
                (key, all)
            }),
        }
    }

    /// Removes all records of one call of a pair, and returns them as one. The call is the one with this id. Without an id, it
    /// is the one of this agent at this time. A record without an id belongs to the call if it has this agent and this time.
    pub(crate) fn take(
        &mut self,
        at: Timestamp,
        agent: AgentSlot,
        id: Option<&CallId>,
    ) -> Option<(CallKey, CallValue)> {
        let id = id.cloned().or_else(|| self.at(at, agent)?.0.id);
        let is_named = |key: &CallKey| id.as_ref().is_some_and(|id| key.is_of(id, agent));
        let of_id = self.0.iter().filter(|(key, _)| is_named(key));
        let times: Vec<_> = of_id.map(|(key, _)| key.at).chain([at]).collect();
        let is_of_call = |key: &CallKey| match &key.id {
            Some(_) => is_named(key),
            None => key.agent == agent && times.contains(&key.at),
        };
        let (taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(key, _)| is_of_call(key));
        self.0 = left;
        // The last key has the latest time.
        taken.into_iter().reduce(|(earlier, mut all), (later, value)| {
            all.merge(value);
            (CallKey { id: later.id.or(earlier.id), ..later }, all)
        })
    }

    /// Returns each call once, in the order of the pairs.
    pub(crate) fn all(&self) -> Vec<(CallKey, CallValue)> {
        let is_same_pair = |(one, _): &(CallKey, CallValue), (other, _): &(CallKey, CallValue)| {
            (one.environment, one.contact, one.number) == (other.environment, other.contact, other.number)
        };
        self.0.chunk_by(is_same_pair).flat_map(|pair| Self(pair.to_vec()).each()).collect()
    }

    /// Returns each call of one pair once.
    fn each(&self) -> Vec<(CallKey, CallValue)> {
        let mut each: Vec<(CallKey, CallValue)> = Vec::new();
        for (key, _) in &self.0 {
            let joined = match &key.id {
                Some(id) => self.of_call(id, key.agent),
                None => self.at(key.at, key.agent),
            };
            each.extend(joined.filter(|(joined, _)| each.iter().all(|(held, _)| held != joined)));
        }
        each
    }
}

/// Returns the first bytes of the keys of an environment.
pub(crate) fn environment_prefix(environment: EnvironmentSlot) -> [u8; 3] {
    scope_bytes(environment.into())
}

/// Returns the first bytes of the keys of a contact.
pub(crate) fn contact_prefix(environment: EnvironmentSlot, contact: E164) -> Vec<u8> {
    [&environment_prefix(environment)[..], &contact.code().to_be_bytes()[1..]].concat()
}

/// Returns the first bytes of the keys of a pair.
pub(crate) fn pair_prefix(environment: EnvironmentSlot, contact: E164, number: Scope) -> Vec<u8> {
    [&contact_prefix(environment, contact)[..], &scope_bytes(number)].concat()
}

/// Returns the key of an id.
pub(crate) fn id_key(environment: EnvironmentSlot, id: &CallId) -> Vec<u8> {
    [&environment_prefix(environment)[..], id.as_str().as_bytes()].concat()
}

/// Where the call with an id is found: its pair, and its time there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    pub(crate) at: Timestamp,
    pub(crate) contact: E164,
    pub(crate) number: Scope,
}

impl Place {
    pub(crate) fn of(key: &CallKey) -> Self {
        Self { at: key.at, contact: key.contact, number: key.number }
    }

    fn to_bytes(self) -> Vec<u8> {
        [&self.contact.code().to_be_bytes()[1..], &scope_bytes(self.number), &time_bytes(self.at)].concat()
    }

    /// Returns the places of an id's value, the latest call first. `None` if one of them is invalid.
    pub(crate) fn read_all(value: &[u8]) -> Option<Vec<Self>> {
        let (places, rest) = value.as_chunks::<16>();
        let read = |place: &[u8; 16]| {
            let number = scope_of(&place[7..10])?;
            number.number()?;
            Some(Self { at: time_of(&place[10..])?, contact: number_of(&place[..7])?, number })
        };
        (!places.is_empty() && rest.is_empty()).then(|| places.iter().map(read).collect())?
    }

    /// Returns the value of an id with these places, or `None` if there are none.
    pub(crate) fn write_all(mut places: Vec<Self>) -> Option<Vec<u8>> {
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.truncate(MOST_OF_ID);
        (!places.is_empty()).then(|| places.into_iter().flat_map(Self::to_bytes).collect())
    }
}

/// Returns the time of an entry of the map of calls, or `None` if the key is too short.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store on disk removes by time"))]
pub(crate) fn time_of_call(key: &[u8]) -> Option<Timestamp> {
    time_of(key.get(PAIR..PAIR + 6)?)
}

/// Returns the latest time of an entry of the map of ids, or `None` if the value is too short.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store on disk removes by time"))]
pub(crate) fn time_of_id(value: &[u8]) -> Option<Timestamp> {
    time_of(value.get(10..16)?)
}

/// Returns the environment and the contact of a key, which may be otherwise invalid.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store that keeps calls counts them"))]
pub(crate) fn contact_of(key: &[u8]) -> Option<(EnvironmentSlot, E164)> {
    Some((environment_of(key)?, number_of(key.get(3..10)?)?))
}

/// Returns the environment of a key.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store that keeps calls counts them"))]
pub(crate) fn environment_of(key: &[u8]) -> Option<EnvironmentSlot> {
    scope_of(key.get(..3)?)?.environment()
}

fn scope_bytes(scope: Scope) -> [u8; 3] {
    let [_, bytes @ ..] = scope.bits().to_be_bytes();
    bytes
}

fn time_bytes(at: Timestamp) -> [u8; 6] {
    let [_, _, bytes @ ..] = at.clamped().millis().to_be_bytes();
    bytes
}

fn integer(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn scope_of(bytes: &[u8]) -> Option<Scope> {
    Scope::from_bits(u32::try_from(integer(bytes)).ok()?)
}

fn number_of(bytes: &[u8]) -> Option<E164> {
    E164::from_code(integer(bytes))
}

fn time_of(bytes: &[u8]) -> Option<Timestamp> {
    let at = Timestamp::from_millis(integer(bytes));
    (at == at.clamped()).then_some(at)
}

#[cfg(test)]
mod tests;
