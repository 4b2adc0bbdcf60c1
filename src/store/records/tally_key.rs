//! The keys and values of stored statistics.
//!
//! | key | value |
//! | --- | --- |
//! | `a`, day, 4 bytes, number, 8 bytes | empty: that decision was reported answered |
//! | `p`, environment, 4 bytes, day, 4 bytes, callback agent, 4 bytes, source agent, 4 bytes | received and answered, 8 bytes each |
//! | `u`, environment, 4 bytes, day, 4 bytes | unmatched calls: received and answered, 8 bytes each |
//!
//! All numbers are big-endian. Up to format 5, `t` was the prefix of all counts: environment, day, tally, 4 bytes each.

use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};
use crate::store::Stored;
use crate::tally::{Answered, Count, Counted, Tally};
use crate::time::Day;

/// The prefix of counts up to format 5.
pub(in crate::store) const EARLIER: [u8; 1] = [b't'];

pub(in crate::store) fn of_tally(tally: &Tally) -> Vec<u8> {
    let (kind, pair) = match tally.counted {
        Counted::Unmatched => (b'u', None),
        Counted::Callbacks { agent, source } => (b'p', Some([agent.index(), source.index()])),
    };
    let mut key = vec![kind];
    key.extend(slot_bytes(tally.environment.index()));
    key.extend(tally.day.index().to_be_bytes());
    pair.into_iter().flatten().for_each(|index| key.extend(slot_bytes(index)));
    key
}

pub(in crate::store) fn value(count: Count) -> [u8; 16] {
    (u128::from(count.received) << 64 | u128::from(count.answered)).to_be_bytes()
}

pub(in crate::store) fn of_answered(answered: Answered) -> [u8; 13] {
    let mut key = [b'a'; 13];
    key[1..5].copy_from_slice(&answered.day.index().to_be_bytes());
    key[5..].copy_from_slice(&answered.number.to_be_bytes());
    key
}

/// Decodes a key and its value, or returns `None` if they are invalid.
pub(in crate::store) fn read(key: &[u8], value: &[u8]) -> Option<Stored> {
    let (kind, rest) = key.split_first()?;
    match kind {
        b'p' => {
            let (environment, day, rest) = take_day(rest)?;
            let (agent, rest) = take(rest)?;
            let (source, rest) = take(rest)?;
            let (agent, source) = (AgentSlot::new(agent as usize)?, AgentSlot::new(source as usize)?);
            let counted = Counted::Callbacks { agent, source };
            let count = read_count(value)?;
            rest.is_empty().then_some(Stored::Tally(Tally { environment, day, counted, count }))
        }
        b'u' => {
            let (environment, day, rest) = take_day(rest)?;
            let (counted, count) = (Counted::Unmatched, read_count(value)?);
            rest.is_empty().then_some(Stored::Tally(Tally { environment, day, counted, count }))
        }
        b'a' => {
            let (day, rest) = take(rest)?;
            let number = u64::from_be_bytes(rest.try_into().ok()?);
            value.is_empty().then_some(Stored::Answered(Answered { day: Day::from_index(day), number }))
        }
        _ => None,
    }
}

/// Returns the environment of a count's key. `None` for the key of an answered decision, and for an invalid one.
pub(in crate::store) fn environment(key: &[u8]) -> Option<EnvironmentSlot> {
    let (kind, rest) = key.split_first()?;
    let (environment, _) = take(rest)?;
    matches!(kind, b'p' | b'u').then(|| EnvironmentSlot::new(environment as usize)).flatten()
}

/// Decodes a key and its value of formats up to 5. `counted` returns what a slot counted.
pub(in crate::store) fn read_earlier(
    key: &[u8],
    value: &[u8],
    counted: impl FnOnce(TallySlot) -> Option<Counted>,
) -> Option<Tally> {
    let (environment, day, rest) = take_day(key.strip_prefix(&EARLIER)?)?;
    let (slot, rest) = take(rest)?;
    let counted = counted(TallySlot::new(slot as usize)?)?;
    let count = read_count(value)?;
    rest.is_empty().then_some(Tally { environment, day, counted, count })
}

fn take_day(bytes: &[u8]) -> Option<(EnvironmentSlot, Day, &[u8])> {
    let (environment, rest) = take(bytes)?;
    let (day, rest) = take(rest)?;
    Some((EnvironmentSlot::new(environment as usize)?, Day::from_index(day), rest))
}

fn read_count(value: &[u8]) -> Option<Count> {
    let count = u128::from_be_bytes(value.try_into().ok()?);
    Some(Count { received: u64::try_from(count >> 64).ok()?, answered: low_half(count) })
}

fn slot_bytes(index: usize) -> [u8; 4] {
    u32::try_from(index).expect("slots have at most 24 bits").to_be_bytes()
}

fn take(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}

fn low_half(value: u128) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&value.to_be_bytes()[8..]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_statistics_decode_and_other_bytes_are_rejected() {
        let environment = EnvironmentSlot::new(65_535).expect("a slot");
        let day = Day::from_index(20_605);
        let count = Count { received: u64::MAX, answered: 7 };
        let agent = |index| AgentSlot::new(index).expect("a slot");
        let pair = Counted::Callbacks { agent: AgentSlot::LAST, source: agent(1) };
        for counted in [Counted::Unmatched, pair] {
            let tally = Tally { environment, day, counted, count };
            let key = of_tally(&tally);
            assert_eq!(read(&key, &value(count)), Some(Stored::Tally(tally)));
            assert_eq!(super::environment(&key), Some(environment));
            assert_eq!(read(&key, &[]), None);
            assert_eq!(read(&key[..key.len() - 1], &value(count)), None);
            assert_eq!(read(&[&key[..], &[0]].concat(), &value(count)), None);
        }
        let answered = Answered { day, number: 1 << 63 | 5 };
        assert_eq!(read(&of_answered(answered), &[]), Some(Stored::Answered(answered)));
        assert_eq!(super::environment(&of_answered(answered)), None);

        let mut beyond = of_tally(&Tally { environment, day, counted: pair, count });
        beyond[13..].copy_from_slice(&[0xFF; 4]);
        assert_eq!(read(&beyond, &value(count)), None);
        assert_eq!(read(&of_answered(answered), &[1]), None);
        assert_eq!(read(&of_answered(answered)[..12], &[]), None);
        for key in [&b""[..], b"t", b"a", b"p", b"u", b"x"] {
            assert_eq!(read(key, &[]), None);
        }
    }

    #[test]
    fn a_count_of_format_5_decodes_by_its_slot() {
        let environment = EnvironmentSlot::new(3).expect("a slot");
        let (day, count) = (Day::from_index(20_605), Count { received: 5, answered: 2 });
        let key = [&b"t"[..], &3_u32.to_be_bytes(), &20_605_u32.to_be_bytes(), &9_u32.to_be_bytes()].concat();
        let named = |slot: TallySlot| (slot.index() == 9).then_some(Counted::Unmatched);
        let tally = Tally { environment, day, counted: Counted::Unmatched, count };
        assert_eq!(read_earlier(&key, &value(count), named), Some(tally));
        assert_eq!(read_earlier(&key, &value(count), |_| None), None);
        assert_eq!(read_earlier(&key[..12], &value(count), named), None);
        assert_eq!(read(&key, &value(count)), None);
    }
}
