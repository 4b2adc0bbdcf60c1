//! The keys and values of stored decision records.
//!
//! | key | value |
//! | --- | --- |
//! | `r`, environment, 3 bytes, time, 8 bytes, id, 16 bytes | the [`Header`], then the record as JSON; empty after an erasure |
//! | `c`, environment, 3 bytes, pseudonym of the caller, 16 bytes, time, 8 bytes, id, 16 bytes | empty |
//! | `i`, id, 16 bytes | environment, 3 bytes, time, 8 bytes |
//! | `n`, environment, 3 bytes | the number of `r` keys, 8 bytes; a time before which there are none, 8 bytes |
//! | `e`, environment, 3 bytes, pseudonym, 16 bytes | an erasure whose records are not all removed yet: the time up to which the rest is, 8 bytes |
//! | `s` | a sweep over all records is due, for erasures under pseudonyms: the `r` key where it goes on, or empty |
//!
//! All numbers are big-endian. Times are milliseconds since 1970.

use super::keys::{pack_scope, unpack_scope};
use super::pseudonym::Pseudonym;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::{NewRecord, RecordPlace};
use crate::time::Timestamp;

/// The key of the sweep.
pub(in crate::store) const SWEEP: [u8; 1] = [b's'];
/// The prefix of counts.
pub(in crate::store) const COUNTS: [u8; 1] = [b'n'];
/// The prefix of erasures that are not completed.
pub(in crate::store) const ERASURES: [u8; 1] = [b'e'];
/// The first byte of the keys of records.
const RECORD: u8 = b'r';

/// The time and the id of any record, and the last that there can be.
const PLACE: usize = 24;
const LAST: [u8; PLACE] = [0xFF; PLACE];

fn place_bytes(RecordPlace { at, id }: RecordPlace) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    bytes[..8].copy_from_slice(&at.millis().to_be_bytes());
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    bytes
}

fn read_place(bytes: &[u8]) -> Option<RecordPlace> {
    let (at, id) = bytes.split_first_chunk()?;
    Some(RecordPlace { at: read_time(*at), id: u128::from_be_bytes(id.try_into().ok()?) })
}

fn read_time(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis(u64::from_be_bytes(bytes))
}

/// Returns the key of a record.
pub(in crate::store) fn record(environment: Scope, place: RecordPlace) -> Vec<u8> {
    [&[RECORD][..], &pack_scope(environment), &place_bytes(place)].concat()
}

/// Returns the first and the last key of an environment's records from a time on.
pub(in crate::store) fn records_since(environment: Scope, since: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let first = record(environment, RecordPlace { at: since, id: 0 });
    (first, [&[RECORD][..], &pack_scope(environment), &LAST].concat())
}

/// Returns the range of all records after this key.
pub(in crate::store) fn all_records_after(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (if key.is_empty() { vec![RECORD] } else { key.to_vec() }, vec![RECORD + 1])
}

/// Returns the scope after this one.
pub(in crate::store) fn next_scope(scope: Scope) -> Option<Scope> {
    Scope::from_bits(scope.bits().checked_add(1)?)
}

/// Returns the environment and the place of a record's key.
pub(in crate::store) fn read_record(key: &[u8]) -> Option<(Scope, RecordPlace)> {
    let (scope, place) = key.strip_prefix(&[RECORD])?.split_first_chunk()?;
    Some((unpack_scope(*scope)?, read_place(place)?))
}

/// Returns the key by which a record of a caller is found.
pub(in crate::store) fn of_contact(environment: Scope, name: &Pseudonym, place: RecordPlace) -> Vec<u8> {
    [&b"c"[..], &pack_scope(environment), name, &place_bytes(place)].concat()
}

/// Returns the place of a caller's record.
pub(in crate::store) fn read_of_contact(key: &[u8]) -> Option<RecordPlace> {
    read_place(key.get(key.len().checked_sub(PLACE)?..)?)
}

/// Returns the key by which a record is found by its id.
pub(in crate::store) fn of_id(id: u128) -> Vec<u8> {
    [&b"i"[..], &id.to_be_bytes()].concat()
}

/// Returns the value of that key.
pub(in crate::store) fn id_value(environment: Scope, at: Timestamp) -> Vec<u8> {
    [&pack_scope(environment)[..], &at.millis().to_be_bytes()].concat()
}

pub(in crate::store) fn read_id_value(value: &[u8]) -> Option<(Scope, Timestamp)> {
    let (scope, at) = value.split_first_chunk()?;
    Some((unpack_scope(*scope)?, read_time(at.try_into().ok()?)))
}

/// The number of an environment's records, and a time before which there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Kept {
    pub(in crate::store) count: u64,
    pub(in crate::store) oldest: Timestamp,
}

impl Kept {
    /// Nothing is known: a scan begins with the first record that there can be.
    pub(in crate::store) const UNKNOWN: Self = Self { count: 0, oldest: Timestamp::from_millis(0) };
    /// There are no records.
    pub(in crate::store) const NONE: Self = Self { count: 0, oldest: Timestamp::from_millis(u64::MAX) };
}

/// Returns the key of an environment's count.
pub(in crate::store) fn of_count(environment: Scope) -> Vec<u8> {
    [&COUNTS[..], &pack_scope(environment)].concat()
}

pub(in crate::store) fn count_value(kept: Kept) -> Vec<u8> {
    [kept.count.to_be_bytes(), kept.oldest.millis().to_be_bytes()].concat()
}

pub(in crate::store) fn read_count_key(key: &[u8]) -> Option<Scope> {
    unpack_scope(key.strip_prefix(&COUNTS)?.try_into().ok()?)
}

pub(in crate::store) fn read_count(key: &[u8], value: &[u8]) -> Option<(Scope, Kept)> {
    let scope = read_count_key(key)?;
    let (count, oldest) = value.split_first_chunk()?;
    Some((scope, Kept { count: u64::from_be_bytes(*count), oldest: read_time(oldest.try_into().ok()?) }))
}

/// Returns the key of an erasure that is not completed.
pub(in crate::store) fn of_rest(environment: Scope, name: &Pseudonym) -> Vec<u8> {
    [&ERASURES[..], &pack_scope(environment), name].concat()
}

pub(in crate::store) fn read_rest_key(key: &[u8]) -> Option<(Scope, Pseudonym)> {
    let (scope, name) = key.strip_prefix(&ERASURES)?.split_first_chunk()?;
    Some((unpack_scope(*scope)?, name.try_into().ok()?))
}

/// Returns the range of the erasures that are not completed, from this key on.
pub(in crate::store) fn rests_from(key: &[u8]) -> std::ops::Range<Vec<u8>> {
    key.to_vec()..vec![ERASURES[0] + 1]
}

/// Returns the value of such an erasure: the time up to which records are left.
pub(in crate::store) fn rest_value(to: Timestamp) -> [u8; 8] {
    to.millis().to_be_bytes()
}

pub(in crate::store) fn read_rest(value: &[u8]) -> Option<Timestamp> {
    Some(read_time(value.try_into().ok()?))
}

/// Returns whether a key and its value can be read. `is_content` says it of the content of a record.
pub(in crate::store) fn is_valid(key: &[u8], value: &[u8], is_content: impl FnOnce(&[u8]) -> bool) -> bool {
    match key.first() {
        Some(&RECORD) => {
            let is_whole = || read_value(value).is_some_and(|(_, content)| is_content(content));
            read_record(key).is_some() && (value.is_empty() || is_whole())
        }
        Some(b'i') => read_id_value(value).is_some(),
        Some(b'c') => read_of_contact(key).is_some(),
        Some(b'n') => read_count(key, value).is_some(),
        Some(b'e') => read_rest_key(key).is_some() && read_rest(value).is_some(),
        _ => *key == SWEEP,
    }
}

/// Returns the environment of any key. `id_value` is the value of a key by id.
pub(in crate::store) fn environment(key: &[u8], value: impl FnOnce() -> Option<[u8; 3]>) -> Option<Scope> {
    match key.split_first()? {
        (b'r' | b'c' | b'n' | b'e', rest) => unpack_scope(*rest.first_chunk()?),
        (b'i', _) => unpack_scope(value()?),
        _ => None,
    }
}

/// The part of a record that is read without parsing the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Header {
    pub(in crate::store) contact: Option<E164>,
    pub(in crate::store) called_at: Option<Timestamp>,
    pub(in crate::store) answered: Option<Timestamp>,
}

/// The place of the time of the answer in a record's value.
const ANSWERED: std::ops::Range<usize> = 16..24;
/// A number or a time that is missing.
const NONE: u64 = u64::MAX;

/// Returns the value of a new record.
pub(in crate::store) fn record_value(new: &NewRecord) -> Vec<u8> {
    let time = |at: Option<Timestamp>| at.map_or(NONE, Timestamp::millis).to_be_bytes();
    let contact = new.contact.map_or(NONE, E164::code).to_be_bytes();
    [&contact[..], &time(new.called_at), &time(new.answered), &new.text].concat()
}

/// Returns the header and the JSON of a record's value, or `None` if it is damaged.
pub(in crate::store) fn read_value(value: &[u8]) -> Option<(Header, &[u8])> {
    let (header, text) = value.split_at_checked(ANSWERED.end)?;
    let (words, _) = header.as_chunks::<8>();
    let word = |place: usize| Some(u64::from_be_bytes(words[place])).filter(|word| *word != NONE);
    let contact = match word(0) {
        Some(code) => Some(E164::from_code(code)?),
        None => None,
    };
    let time = |place| word(place).map(Timestamp::from_millis);
    Some((Header { contact, called_at: time(1), answered: time(2) }, text))
}

/// Returns the value with the time of an answer, or `None` if it has one or is damaged.
pub(in crate::store) fn answered_value(value: &[u8], at: Timestamp) -> Option<Vec<u8>> {
    let (header, _) = read_value(value)?;
    let mut value = value.to_vec();
    value[ANSWERED].copy_from_slice(&at.millis().to_be_bytes());
    header.answered.is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment_scope() -> Scope {
        Scope::from_bits(0xFF_FFF7).expect("24 bits")
    }

    #[test]
    fn keys_read_back_and_sort_by_time() {
        let (scope, name) = (environment_scope(), [9; 16]);
        let places = [(1, u128::MAX), (2, 0), (2, 1), (u64::from(u32::MAX), 7)]
            .map(|(at, id)| RecordPlace { at: Timestamp::from_millis(at), id });
        for place in places {
            assert_eq!(read_record(&record(scope, place)), Some((scope, place)));
            assert_eq!(read_of_contact(&of_contact(scope, &name, place)), Some(place));
            let (first, last) = records_since(scope, place.at);
            assert!((first..=last).contains(&record(scope, place)));
        }
        assert!(places.map(|place| record(scope, place)).is_sorted());
        let kept = Kept { count: 5, oldest: Timestamp::from_millis(6) };
        assert_eq!(read_count(&of_count(scope), &count_value(kept)), Some((scope, kept)));
        assert_eq!(read_rest_key(&of_rest(scope, &name)), Some((scope, name)));
        assert_eq!(read_rest(&rest_value(kept.oldest)), Some(kept.oldest));
        let at = Timestamp::from_millis(77);
        assert_eq!(read_id_value(&id_value(scope, at)), Some((scope, at)));
        for key in
            [record(scope, places[0]), of_contact(scope, &name, places[0]), of_count(scope), of_rest(scope, &name)]
        {
            assert_eq!(environment(&key, || None), Some(scope));
        }
        assert_eq!(environment(&of_id(1), || Some(pack_scope(scope))), Some(scope));
        assert_eq!(environment(&SWEEP, || None), None);
    }

    #[test]
    fn value_keeps_the_first_answer_and_truncated_values_are_damaged() {
        let contact = E164::from_digits("15557654321");
        let new = NewRecord {
            environment: environment_scope(),
            id: 1,
            at: Timestamp::from_millis(9),
            contact,
            called_at: None,
            answered: None,
            text: b"{}".to_vec(),
        };
        let value = record_value(&new);
        assert_eq!(read_value(&value), Some((Header { contact, called_at: None, answered: None }, &b"{}"[..])));
        let at = Timestamp::from_millis(10);
        let answered = answered_value(&value, at).expect("it had none");
        assert_eq!(read_value(&answered).expect("whole").0.answered, Some(at));
        assert_eq!(answered_value(&answered, at), None);
        assert!((0..24).all(|len| read_value(&value[..len]).is_none()));
    }
}
