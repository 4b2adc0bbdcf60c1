//! Calls that are known by an id or a context, as a store keeps them: two maps of bytes.
//!
//! | map | key | value |
//! | --- | --- | --- |
//! | calls | environment, 3 bytes; contact, 7; number called from, 3; time, 6; agent, 3; the call's id, 0 to 128 | outcome's code, 1 byte; if there is a context: when it was reported, 6, and its text |
//! | ids | environment, 3 bytes; id | contact, 7 bytes; number called from, 3; time of the call, 6 |
//!
//! All numbers are big-endian, and times are milliseconds since 1970. Environments and numbers are the 24 bits of their
//! scopes, and agents are slots.
//!
//! A pair of a number and a contact keeps at most [`MOST_OF_PAIR`] records: those with the greatest keys, and those of
//! the call that the history holds. A merge of two records with one key keeps the greater outcome, and the context that
//! was reported last. The merge is independent of the order in which records arrive. So is the choice of records, as
//! long as all calls count.
//!
//! Two nodes may date one call differently, and a call may be reported before its id is known. Each such report has a
//! record of its own. They become one call when they are read: see [`Records`].

use super::StoreError;
use crate::event::{CallId, Context};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::slot::{AgentSlot, EnvironmentSlot, Scope};
use crate::time::Timestamp;
use std::fmt;

/// The most records of one pair.
pub(crate) const MOST_OF_PAIR: usize = 4;

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
}

impl CallKey {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = pair_prefix(self.environment, self.contact, self.number);
        bytes.extend(time_bytes(self.at));
        bytes.extend(&(u32::try_from(self.agent.index()).unwrap_or(u32::MAX)).to_be_bytes()[1..]);
        bytes.extend(self.id.as_ref().map_or(&[][..], |id| id.as_str().as_bytes()));
        bytes
    }

    /// Decodes a key, or returns `None` if it is invalid.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (named, id) = bytes.split_at_checked(UNNAMED)?;
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
        Some(Self { environment, contact, number, at, agent, id })
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

    /// Returns the call with this id: all records with the id as one. The latest time and the greatest outcome count, and
    /// the context that was reported last.
    pub(crate) fn of_id(&self, id: &CallId) -> Option<(CallKey, CallValue)> {
        let named = || self.0.iter().filter(|(key, _)| key.id.as_ref() == Some(id));
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
        let found = self.0.iter().rfind(|(key, _)| (key.at, key.agent) == (at, agent))?;
        match &found.0.id {
            Some(id) => self.of_id(id),
            None => Some(found.clone()),
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
        let of_id = self.0.iter().filter(|(key, _)| key.id.is_some() && key.id == id);
        let times: Vec<_> = of_id.map(|(key, _)| key.at).chain([at]).collect();
        let is_of_call = |key: &CallKey| match &key.id {
            Some(held) => Some(held) == id.as_ref(),
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
                Some(id) => self.of_id(id),
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

/// Returns the value of the id of this call.
pub(crate) fn id_value(key: &CallKey) -> Vec<u8> {
    [&key.contact.code().to_be_bytes()[1..], &scope_bytes(key.number), &time_bytes(key.at)].concat()
}

/// Returns the contact and the number of an id's value.
pub(crate) fn read_id(value: &[u8]) -> Option<(E164, Scope)> {
    let value: &[u8; 16] = value.try_into().ok()?;
    let number = scope_of(&value[7..10])?;
    number.number()?;
    Some((number_of(&value[..7])?, number))
}

/// Returns the time of an entry of the map of calls, or `None` if the key is too short.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store on disk removes by time"))]
pub(crate) fn time_of_call(key: &[u8]) -> Option<Timestamp> {
    time_of(key.get(PAIR..PAIR + 6)?)
}

/// Returns the time of an entry of the map of ids, or `None` if the value is too short.
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
