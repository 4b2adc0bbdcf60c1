//! The binary form of calls and erasures, which a fleet's outbox and messages use.
//!
//! | bytes | a call | an erasure |
//! | --- | --- | --- |
//! | 1 | outcome's rank | `0x80`; `0x81` if `until` was in the future |
//! | 16 | environment | environment |
//! | 16 | agent | |
//! | 7 | from | |
//! | 7 | to | contact |
//! | 6 | at | until |
//!
//! It contains UUIDs and phone numbers, never slots. All integers are big-endian, and times are milliseconds since
//! 1970. Each event has exactly one form; any other bytes are rejected.

use super::{Call, Erasure, Event};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// The first byte of an erasure. A call's first byte is lower.
const ERASURE: u8 = 0x80;
/// The first byte of an erasure up to a moment that was in the future.
const ERASURE_AHEAD: u8 = 0x81;

/// The size of a call, which is longer than an erasure.
pub(crate) const LONGEST: usize = 53;

/// Appends a call or an erasure. Appends nothing for a configuration, which is encoded as text elsewhere.
pub(crate) fn write(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Call(call) => write_call(call, out),
        Event::Erasure(Erasure { environment, contact, until, is_ahead }) => {
            out.push(if *is_ahead { ERASURE_AHEAD } else { ERASURE });
            out.extend(environment.as_u128().to_be_bytes());
            write_tail(*contact, *until, out);
        }
        // No fleet carries the details of a report yet: `service/group.rs` refuses such reports there.
        Event::Report(report) => write_call(&report.call, out),
        Event::Update(_) | Event::Configuration(_) => {}
    }
}

/// Appends a call.
pub(crate) fn write_call(call: &Call, out: &mut Vec<u8>) {
    out.push(call.outcome.code());
    out.extend(call.environment.as_u128().to_be_bytes());
    out.extend(call.agent.as_u128().to_be_bytes());
    out.extend(&call.from.code().to_be_bytes()[1..]);
    write_tail(call.to, call.at, out);
}

fn write_tail(contact: E164, moment: Timestamp, out: &mut Vec<u8>) {
    out.extend(&contact.code().to_be_bytes()[1..]);
    // Six bytes hold every time up to the latest that a register can hold.
    out.extend(&moment.clamped().millis().to_be_bytes()[2..]);
}

/// Reads the first event and advances `bytes` past it. Returns `None` if they do not start with a valid event.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<Event> {
    let [kind] = take(bytes)?;
    let environment = EnvironmentId::from_u128(u128::from_be_bytes(take(bytes)?));
    if let ERASURE | ERASURE_AHEAD = kind {
        let (contact, until) = read_tail(bytes)?;
        return Some(Event::Erasure(Erasure { environment, contact, until, is_ahead: kind == ERASURE_AHEAD }));
    }
    let outcome = Some(Outcome::from_code(kind.into())).filter(|outcome| outcome.code() == kind)?;
    let agent = AgentId::from_u128(u128::from_be_bytes(take(bytes)?));
    let from = read_number(bytes)?;
    let (to, at) = read_tail(bytes)?;
    Some(Event::Call(Call { environment, agent, from, to, at, outcome }))
}

fn read_tail(bytes: &mut &[u8]) -> Option<(E164, Timestamp)> {
    let contact = read_number(bytes)?;
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&take::<6>(bytes)?);
    let moment = Timestamp::from_millis(u64::from_be_bytes(millis));
    (moment == moment.clamped()).then_some((contact, moment))
}

fn read_number(bytes: &mut &[u8]) -> Option<E164> {
    let mut code = [0; 8];
    code[1..].copy_from_slice(&take::<7>(bytes)?);
    E164::from_code(u64::from_be_bytes(code))
}

/// Returns the first `N` bytes and advances `bytes` past them. Returns `None` if there are fewer.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> [Event; 3] {
        let environment = EnvironmentId::from_u128(u128::MAX - 7);
        let number = |digits| E164::from_digits(digits).expect("digits");
        let (from, to) = (number("15551234567"), number("000000000000000"));
        let at = Timestamp::from_secs(1_800_000_000);
        let agent = AgentId::from_u128(9);
        [
            Event::Call(Call { environment, agent, from, to, at, outcome: Outcome::Voicemail }),
            Event::Erasure(Erasure { environment, contact: to, until: Timestamp::LATEST, is_ahead: false }),
            Event::Erasure(Erasure { environment, contact: to, until: at, is_ahead: true }),
        ]
    }

    #[test]
    fn written_events_read_back_and_truncated_or_invalid_bytes_do_not() {
        let mut bytes = Vec::new();
        for event in &events() {
            write(event, &mut bytes);
        }
        assert_eq!(bytes.len(), LONGEST + 2 * 30);
        let mut rest = bytes.as_slice();
        for event in events() {
            assert_eq!(read(&mut rest), Some(event));
        }
        assert!(rest.is_empty());
        for len in 0..LONGEST {
            assert_eq!(read(&mut &bytes[..len]), None, "{len}");
        }
        for (at, byte) in [(0, 9), (0, 0x82), (33, 0xFF), (40, 0xFF)] {
            let mut wrong = bytes.clone();
            wrong[at] = byte;
            assert_eq!(read(&mut wrong.as_slice()), None, "byte {at}");
        }
    }
}
