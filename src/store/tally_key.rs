//! Statistics as bytes.
//!
//! | key | value |
//! | --- | --- |
//! | `a`, day, 4 bytes, number, 8 bytes | nothing: that decision was reported answered |
//! | `t`, environment, 4 bytes, day, 4 bytes, tally, 4 bytes | received and answered, 8 bytes each |
//!
//! All big-endian.

use super::Stored;
use crate::slot::{EnvironmentSlot, TallySlot};
use crate::tally::{Answered, Count, Tally};
use crate::time::Day;

pub(super) fn of_tally(tally: &Tally) -> [u8; 13] {
    let mut key = [b't'; 13];
    key[1..5].copy_from_slice(&slot_bytes(tally.environment.index()));
    key[5..9].copy_from_slice(&tally.day.index().to_be_bytes());
    key[9..].copy_from_slice(&slot_bytes(tally.slot.index()));
    key
}

pub(super) fn value(count: Count) -> [u8; 16] {
    (u128::from(count.received) << 64 | u128::from(count.answered)).to_be_bytes()
}

pub(super) fn of_answered(answered: Answered) -> [u8; 13] {
    let mut key = [b'a'; 13];
    key[1..5].copy_from_slice(&answered.day.index().to_be_bytes());
    key[5..].copy_from_slice(&answered.number.to_be_bytes());
    key
}

/// What stands there; `None` for what nobody wrote.
pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Stored> {
    let (kind, rest) = key.split_first()?;
    match kind {
        b't' => {
            let (environment, rest) = take(rest)?;
            let (day, rest) = take(rest)?;
            let (slot, rest) = take(rest)?;
            let count = u128::from_be_bytes(value.try_into().ok()?);
            let count = Count { received: u64::try_from(count >> 64).ok()?, answered: low_half(count) };
            let environment = EnvironmentSlot::new(environment as usize)?;
            let slot = TallySlot::new(slot as usize)?;
            rest.is_empty().then_some(Stored::Tally(Tally { environment, day: Day::from_index(day), slot, count }))
        }
        b'a' => {
            let (day, rest) = take(rest)?;
            let number = u64::from_be_bytes(rest.try_into().ok()?);
            value.is_empty().then_some(Stored::Answered(Answered { day: Day::from_index(day), number }))
        }
        _ => None,
    }
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
    fn what_was_written_is_read_and_nothing_else_is() {
        let environment = EnvironmentSlot::new(65_535).expect("a slot");
        let (day, slot) = (Day::from_index(20_605), TallySlot::LAST);
        let count = Count { received: u64::MAX, answered: 7 };
        let tally = Tally { environment, day, slot, count };
        assert_eq!(read(&of_tally(&tally), &value(count)), Some(Stored::Tally(tally)));
        let answered = Answered { day, number: 1 << 63 | 5 };
        assert_eq!(read(&of_answered(answered), &[]), Some(Stored::Answered(answered)));

        let mut beyond = of_tally(&tally);
        beyond[9..].copy_from_slice(&[0xFF; 4]);
        assert_eq!(read(&beyond, &value(count)), None);
        assert_eq!(read(&of_tally(&tally), &[]), None);
        assert_eq!(read(&of_answered(answered), &[1]), None);
        assert_eq!(read(&of_answered(answered)[..12], &[]), None);
        for key in [&b""[..], b"t", b"a", b"x"] {
            assert_eq!(read(key, &[]), None);
        }
    }
}
