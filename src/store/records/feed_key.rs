//! The keys and values of stored events.
//!
//! | key | value |
//! | --- | --- |
//! | `r`, environment, 3 bytes, sequence, 8 bytes | the [`Header`], then the content as JSON; the first 25 bytes of it, with a mark, after an erasure. They end with the time since which the event is kept |
//! | `c`, environment, 3 bytes, pseudonym of the contact, 16 bytes, time from which erasures cover the event, 8 bytes, sequence, 16 bytes | the first 25 bytes of the event's value |
//! | `i`, kind, 1 byte, id, 16 bytes | environment, 3 bytes; sequence, 8 bytes |
//! | `n`, environment, 3 bytes | the [`Kept`] of the environment |
//! | `b` | the number of the last beginning, 8 bytes; a number below which there may be gaps, 8 bytes, all ones if a later beginning sets it |
//! | `e`, `s` | as of [decision records](super::record_key) |
//!
//! All numbers are big-endian. Times are milliseconds since 1970.
//!
//! A sequence is the number of a beginning, 32 bits, and the number of the event, 32 bits. Each start of a service that writes
//! events is a beginning. Its number is greater than all earlier ones, and at least the seconds since 1970. So no event gets
//! a number that a reader has seen, also after a power failure that lost the last events, and after a backup was restored.

use super::keys::{pack_scope, unpack_scope};
use super::record_key;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::{EventKind, NewEvent};
use crate::time::Timestamp;

/// The key of the last beginning.
pub(in crate::store) const BEGINNING: [u8; 1] = [b'b'];
/// The first byte of the keys of events.
const EVENT: u8 = b'r';
/// The kind and the id.
const NAME: usize = 17;
/// The kind, the id and the time since which the event is kept. An erasure leaves them, because expiry needs the time.
const SHELL: usize = NAME + 8;
const HEADER: usize = SHELL + 24;
/// The contact of an event without one.
const NONE: u64 = u64::MAX;
const BEGINNING_BITS: u32 = 32;

/// Returns the key of an event.
pub(in crate::store) fn event(environment: Scope, sequence: u64) -> [u8; 12] {
    let mut key = [EVENT; 12];
    key[1..4].copy_from_slice(&pack_scope(environment));
    key[4..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// Returns the environment and the sequence of an event's key.
pub(in crate::store) fn read_event(key: &[u8]) -> Option<(Scope, u64)> {
    let (scope, sequence) = key.strip_prefix(&[EVENT])?.split_first_chunk()?;
    Some((unpack_scope(*scope)?, u64::from_be_bytes(sequence.try_into().ok()?)))
}

/// Returns the first number of a beginning, and the last.
pub(in crate::store) fn numbers_of(beginning: u32) -> (u64, u64) {
    let first = u64::from(beginning) << BEGINNING_BITS;
    (first, first | u64::from(u32::MAX))
}

/// Returns the beginning of a number.
pub(in crate::store) fn beginning_of(sequence: u64) -> u32 {
    u32::try_from(sequence >> BEGINNING_BITS).unwrap_or(u32::MAX)
}

/// Returns the key by which an event is found by its kind and id.
pub(in crate::store) fn of_id(kind: EventKind, id: u128) -> [u8; 18] {
    id_key(kind.code(), &id.to_be_bytes())
}

fn id_key(kind: u8, id: &[u8]) -> [u8; 18] {
    let mut key = [b'i'; 18];
    key[1] = kind;
    key[2..].copy_from_slice(id);
    key
}

/// Returns the value of that key.
pub(in crate::store) fn id_value(environment: Scope, sequence: u64) -> [u8; 11] {
    let mut value = [0; 11];
    value[..3].copy_from_slice(&pack_scope(environment));
    value[3..].copy_from_slice(&sequence.to_be_bytes());
    value
}

/// The number of an environment's events, and where they begin and end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Kept {
    pub(in crate::store) count: u64,
    /// The number up to which events were removed.
    pub(in crate::store) removed: u64,
    /// The number of the last event.
    pub(in crate::store) last: u64,
    /// No event is kept since a time before this one.
    pub(in crate::store) oldest: Timestamp,
    /// The time since which the last event is kept. Later ones are kept since this time or a later one.
    pub(in crate::store) newest: Timestamp,
    /// A number, and a time at which the events up to this number were there already: the clock had been ahead of it.
    pub(in crate::store) corrected: (u64, Timestamp),
}

impl Kept {
    /// There never was an event.
    pub(in crate::store) const NONE: Self = Self {
        count: 0,
        removed: 0,
        last: 0,
        oldest: Timestamp::from_millis(u64::MAX),
        newest: ZERO,
        corrected: (0, ZERO),
    };
    /// Nothing is known: a scan begins with the first event that there can be.
    pub(in crate::store) const UNKNOWN: Self = Self { oldest: ZERO, ..Self::NONE };

    /// Returns since when an event is kept that says this time of itself.
    pub(in crate::store) fn since(&self, sequence: u64, said: Timestamp) -> Timestamp {
        let (number, at) = self.corrected;
        if sequence <= number { said.min(at) } else { said }
    }

    /// Takes the times of the events so far for wrong that are much later than `now`. Returns whether there may be some.
    ///
    /// A clock that is slightly behind corrects nothing: each correction makes the one before it less exact.
    pub(in crate::store) fn correct(&mut self, now: Timestamp) -> bool {
        let is_ahead = self.newest > now.plus_millis(TOLERANCE_MILLIS);
        if is_ahead {
            self.corrected = (self.last, now);
            (self.oldest, self.newest) = (self.oldest.min(now), now);
        }
        is_ahead
    }
}

const ZERO: Timestamp = Timestamp::from_millis(0);
/// How far a clock may be ahead of another one that is right.
pub(in crate::store) const TOLERANCE_MILLIS: u64 = 3_600_000;

pub(in crate::store) fn count_value(kept: Kept) -> Vec<u8> {
    let Kept { count, removed, last, oldest, newest, corrected: (number, at) } = kept;
    [count, removed, last, oldest.millis(), newest.millis(), number, at.millis()].map(u64::to_be_bytes).concat()
}

pub(in crate::store) fn read_count(value: &[u8]) -> Option<Kept> {
    let (words, rest) = value.as_chunks::<8>();
    let [count, removed, last, oldest, newest, number, at] = words else { return None };
    let of = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
    let [oldest, newest, at] = [oldest, newest, at].map(|bytes| Timestamp::from_millis(of(bytes)));
    let corrected = (of(number), at);
    let kept = Kept { count: of(count), removed: of(removed), last: of(last), oldest, newest, corrected };
    rest.is_empty().then_some(kept)
}

/// The part of an event that is read without parsing the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Header {
    /// `None` for a kind of a newer version.
    pub(in crate::store) kind: Option<EventKind>,
    pub(in crate::store) id: Option<u128>,
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) known_at: Timestamp,
    pub(in crate::store) contact: Option<E164>,
}

/// Returns the beginning and the number of a value of [`BEGINNING`].
pub(in crate::store) fn read_beginning(value: &[u8]) -> Option<(u64, Option<u64>)> {
    let (words, rest) = value.as_chunks::<8>();
    let [beginning, floor] = words else { return None };
    let floor = Some(u64::from_be_bytes(*floor)).filter(|floor| *floor != NONE);
    rest.is_empty().then_some((u64::from_be_bytes(*beginning), floor))
}

/// Returns the value of [`BEGINNING`]. With `None`, the next beginning sets the number below which there may be gaps.
pub(in crate::store) fn beginning_value(beginning: u32, floor: Option<u64>) -> Vec<u8> {
    [u64::from(beginning), floor.unwrap_or(NONE)].map(u64::to_be_bytes).concat()
}

/// Returns the value of a new event that is kept since a time.
pub(in crate::store) fn event_value(new: &NewEvent, since: Timestamp) -> Vec<u8> {
    let words = [since.millis(), new.at.millis(), new.known_at.millis(), new.contact.map_or(NONE, E164::code)];
    let id = new.id.unwrap_or_default().to_be_bytes();
    [&[new.kind.code()], &id[..], &words.map(u64::to_be_bytes).concat(), &new.text].concat()
}

/// Returns the value that an erasure leaves. `shell` are the first bytes of the value before.
pub(in crate::store) fn erased_value(shell: &[u8]) -> Vec<u8> {
    let mut value = shell.get(..SHELL).unwrap_or(&[0; SHELL]).to_vec();
    // The kind is needed to remove the key by the id with the event. So it is marked, and not removed.
    value[0] |= ERASED;
    value
}

/// Marks the kind of an erased event.
const ERASED: u8 = 0x80;

/// Returns whether the value is what an erasure leaves.
pub(in crate::store) fn is_erased(value: &[u8]) -> bool {
    value.len() == SHELL
}

/// Returns the bytes of a value that remain after an erasure.
pub(in crate::store) fn shell_of(value: &[u8]) -> Option<&[u8]> {
    value.get(..SHELL)
}

/// Returns the key by which the event with this value is found by its id, if it has one.
pub(in crate::store) fn id_key_of(value: &[u8]) -> Option<[u8; 18]> {
    let (kind, id) = value.get(..NAME)?.split_first()?;
    id.iter().any(|byte| *byte != 0).then(|| id_key(kind & !ERASED, id))
}

/// Returns since when the event with this value is kept, also of an erased one.
pub(in crate::store) fn since_of(value: &[u8]) -> Option<Timestamp> {
    let millis = value.get(NAME..SHELL)?.try_into().ok()?;
    Some(Timestamp::from_millis(u64::from_be_bytes(millis)))
}

/// Returns the header and the JSON of an event's value, or `None` if it is damaged or erased.
pub(in crate::store) fn read_value(value: &[u8]) -> Option<(Header, &[u8])> {
    let (header, text) = value.split_at_checked(HEADER)?;
    let (name, words) = header.split_at(NAME);
    let (words, _) = words.as_chunks::<8>();
    let word = |place: usize| u64::from_be_bytes(words[place]);
    let contact = match word(3) {
        NONE => None,
        code => Some(E164::from_code(code)?),
    };
    let id = u128::from_be_bytes(name[1..].try_into().ok()?);
    let time = |place| Timestamp::from_millis(word(place));
    let kind = EventKind::ALL.into_iter().find(|kind| kind.code() == name[0]);
    Some((Header { kind, id: Some(id).filter(|id| *id != 0), at: time(1), known_at: time(2), contact }, text))
}

/// Returns whether a key and its value can be read. `is_content` says it of the content of an event.
pub(in crate::store) fn is_valid(key: &[u8], value: &[u8], is_content: impl FnOnce(EventKind, &[u8]) -> bool) -> bool {
    match key.first() {
        Some(&EVENT) => {
            let is_whole = || {
                read_value(value).is_some_and(|(header, text)| header.kind.is_none_or(|kind| is_content(kind, text)))
            };
            read_event(key).is_some() && (is_erased(value) || is_whole())
        }
        Some(b'i') => key.len() == 18 && value.len() == 11,
        Some(b'c') => record_key::read_of_contact(key).is_some() && value.len() == SHELL,
        Some(b'n') => record_key::read_count_key(key).is_some() && read_count(value).is_some(),
        Some(b'b') => key == BEGINNING && read_beginning(value).is_some(),
        _ => record_key::is_valid(key, value, |_| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RecordPlace;

    fn scope() -> Scope {
        Scope::from_bits(0xFF_FFF7).expect("24 bits")
    }

    fn new(id: Option<u128>, contact: Option<E164>) -> NewEvent {
        let [at, known_at] = [9, 7].map(Timestamp::from_millis);
        NewEvent {
            environment: scope(),
            kind: EventKind::RouteAnswered,
            at,
            id,
            contact,
            known_at,
            text: b"{}".to_vec(),
        }
    }

    #[test]
    fn keys_read_back_sort_by_number_and_belong_to_their_environment() {
        let numbers = [0, 1, numbers_of(7).0, numbers_of(7).1, u64::MAX];
        assert!(numbers.map(|number| event(scope(), number)).is_sorted());
        for number in numbers {
            let key = event(scope(), number);
            assert_eq!(read_event(&key), Some((scope(), number)));
            assert_eq!(record_key::environment(&key, || None), Some(scope()));
        }
        let value = id_value(scope(), 5);
        let first = || value.first_chunk().copied();
        assert_eq!(record_key::environment(&of_id(EventKind::RouteDecided, 1), first), Some(scope()));
        assert_eq!(record_key::environment(&BEGINNING, || None), None);
        assert_eq!((beginning_of(numbers_of(7).0), beginning_of(numbers_of(7).1 + 1)), (7, 8));
        let [oldest, newest, at] = [4, 5, 7].map(Timestamp::from_millis);
        let kept = Kept { count: 1, removed: 2, last: 3, oldest, newest, corrected: (6, at) };
        assert_eq!(read_count(&count_value(kept)), Some(kept));
        assert_eq!(read_count(&count_value(kept)[1..]), None);
        for floor in [None, Some(0), Some(5)] {
            assert_eq!(read_beginning(&beginning_value(7, floor)), Some((7, floor)));
        }
        assert_eq!(read_beginning(&[0; 8]), None);
    }

    #[test]
    fn value_reads_back_and_truncated_ones_are_damaged() {
        for (id, contact) in [(None, None), (Some(3), E164::from_digits("15557654321"))] {
            let value = event_value(&new(id, contact), Timestamp::from_millis(11));
            let (header, text) = read_value(&value).expect("whole");
            let [at, known_at] = [9, 7].map(Timestamp::from_millis);
            assert_eq!(header, Header { kind: Some(EventKind::RouteAnswered), id, at, known_at, contact });
            assert_eq!(text, b"{}");
            assert_eq!(id_key_of(&value), id.map(|id| of_id(EventKind::RouteAnswered, id)));
            assert!((0..HEADER).all(|len| read_value(&value[..len]).is_none()));
        }
    }

    #[test]
    fn erasure_leaves_the_kind_the_id_and_the_time_only() {
        let value = event_value(&new(Some(3), E164::from_digits("15557654321")), Timestamp::from_millis(11));
        let erased = erased_value(shell_of(&value).expect("long enough"));
        assert!(is_erased(&erased) && !is_erased(&value) && read_value(&erased).is_none());
        assert_eq!(id_key_of(&erased), Some(of_id(EventKind::RouteAnswered, 3)));
        assert_eq!([&value, &erased].map(|value| since_of(value)), [Some(Timestamp::from_millis(11)); 2]);
        let key = event(scope(), 1);
        assert!(is_valid(&key, &erased, |_, _| false) && !is_valid(&key, &erased[1..], |_, _| true));
        let place = RecordPlace { at: Timestamp::from_millis(7), id: 1 };
        let by_contact = record_key::of_contact(scope(), &[1; 16], place);
        assert!(is_valid(&by_contact, shell_of(&value).expect("long enough"), |_, _| false));
    }
}
