//! The binary form of calls, erasures and reports with details, which a fleet's outbox and messages use.
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
//! A report with details is:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | `0x90` |
//! | 1 | `0xFF` if the call does not count; `0xFE` if it counts and comes as a call, too; otherwise the rank with which it counts |
//! | 53 | the call, with the outcome of all its reports together |
//! | 1 and so many | the length of the id, and the id. Without an id, 0 |
//! | 2 | the length of the context's text. Without a context, 0, and nothing follows |
//! | 6 | when the context was reported |
//! | | the context's text |
//!
//! It contains UUIDs and phone numbers, never slots. All integers are big-endian, and times are milliseconds since
//! 1970. Each event has exactly one form; any other bytes are rejected.

use super::{Call, CallId, Context, Counted, Erasure, Event, Joined};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// The first byte of an erasure. A call's first byte is lower.
const ERASURE: u8 = 0x80;
/// The first byte of an erasure up to a moment that was in the future.
const ERASURE_AHEAD: u8 = 0x81;

/// The first byte of a report with details.
const JOINED: u8 = 0x90;
/// The call of such a report does not count.
const UNCOUNTED: u8 = 0xFF;
/// The call of such a report counts, and comes as an event of its own.
const APART: u8 = 0xFE;

/// The size of a call.
pub(crate) const CALL: usize = 53;
/// The size of an erasure.
const ERASED: usize = 30;

/// Returns the number of bytes that [`write`] appends.
pub(crate) fn len(event: &Event) -> usize {
    match event {
        Event::Call(_) => CALL,
        Event::Erasure(_) => ERASED,
        Event::Joined(joined) => {
            let context = joined.context.as_ref().map_or(0, |(_, text)| 6 + text.as_str().len());
            2 + CALL + 1 + joined.id.as_ref().map_or(0, |id| id.as_str().len()) + 2 + context
        }
        Event::Report(_) | Event::Update(_) | Event::Configuration(_) => 0,
    }
}

/// Appends a call, an erasure or a report with details. Appends nothing for a configuration, which is encoded as text
/// elsewhere, and for the report of a client, which becomes one with all that the node knows of its call.
pub(crate) fn write(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Call(call) => write_call(call, out),
        Event::Erasure(Erasure { environment, contact, until, is_ahead }) => {
            out.push(if *is_ahead { ERASURE_AHEAD } else { ERASURE });
            out.extend(environment.as_u128().to_be_bytes());
            write_tail(*contact, *until, out);
        }
        Event::Joined(joined) => write_joined(joined, out),
        Event::Report(_) | Event::Update(_) | Event::Configuration(_) => {}
    }
}

fn write_joined(Joined { call, id, context, counted }: &Joined, out: &mut Vec<u8>) {
    let counted = match counted {
        Counted::No => UNCOUNTED,
        Counted::Apart => APART,
        Counted::As(outcome) => outcome.code(),
    };
    out.extend([JOINED, counted]);
    write_call(call, out);
    let id = id.as_ref().map_or("", CallId::as_str);
    out.push(u8::try_from(id.len()).expect("an id is shorter"));
    out.extend(id.as_bytes());
    let text = context.as_ref().map_or("", |(_, text)| text.as_str());
    out.extend(u16::try_from(text.len()).expect("a context is shorter").to_be_bytes());
    if let Some((at, text)) = context {
        write_time(*at, out);
        out.extend(text.as_str().as_bytes());
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
    write_time(moment, out);
}

fn write_time(moment: Timestamp, out: &mut Vec<u8>) {
    // Six bytes hold every time up to the latest that a register can hold.
    out.extend(&moment.clamped().millis().to_be_bytes()[2..]);
}

/// Reads the first event and advances `bytes` past it. Returns `None` if they do not start with a valid event.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<Event> {
    let [kind] = take(bytes)?;
    if kind == JOINED {
        return Some(Event::Joined(Box::new(read_joined(bytes)?)));
    }
    let environment = EnvironmentId::from_u128(u128::from_be_bytes(take(bytes)?));
    if let ERASURE | ERASURE_AHEAD = kind {
        let (contact, until) = read_tail(bytes)?;
        return Some(Event::Erasure(Erasure { environment, contact, until, is_ahead: kind == ERASURE_AHEAD }));
    }
    Some(Event::Call(read_call(kind, environment, bytes)?))
}

/// Reads the rest of a call.
fn read_call(code: u8, environment: EnvironmentId, bytes: &mut &[u8]) -> Option<Call> {
    let outcome = read_outcome(code)?;
    let agent = AgentId::from_u128(u128::from_be_bytes(take(bytes)?));
    let from = read_number(bytes)?;
    let (to, at) = read_tail(bytes)?;
    Some(Call { environment, agent, from, to, at, outcome })
}

fn read_outcome(code: u8) -> Option<Outcome> {
    Some(Outcome::from_code(code.into())).filter(|outcome| outcome.code() == code)
}

/// Reads the rest of a report with details.
fn read_joined(bytes: &mut &[u8]) -> Option<Joined> {
    let [counted, outcome] = take(bytes)?;
    let counted = match counted {
        UNCOUNTED => Counted::No,
        APART => Counted::Apart,
        code => Counted::As(read_outcome(code)?),
    };
    let environment = EnvironmentId::from_u128(u128::from_be_bytes(take(bytes)?));
    let call = read_call(outcome, environment, bytes)?;
    let [len] = take(bytes)?;
    let id = match read_text(bytes, usize::from(len))? {
        "" => None,
        id => Some(CallId::new(id)?),
    };
    let len = u16::from_be_bytes(take(bytes)?);
    if len == 0 {
        return Some(Joined { call, id, context: None, counted });
    }
    let at = read_time(bytes)?;
    let context = Some((at, Context::from_stored(read_text(bytes, usize::from(len))?)?));
    Some(Joined { call, id, context, counted })
}

fn read_text<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a str> {
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    str::from_utf8(text).ok()
}

fn read_tail(bytes: &mut &[u8]) -> Option<(E164, Timestamp)> {
    Some((read_number(bytes)?, read_time(bytes)?))
}

fn read_time(bytes: &mut &[u8]) -> Option<Timestamp> {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&take::<6>(bytes)?);
    let moment = Timestamp::from_millis(u64::from_be_bytes(millis));
    (moment == moment.clamped()).then_some(moment)
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
        assert_eq!(bytes.len(), CALL + 2 * ERASED);
        let mut rest = bytes.as_slice();
        for event in events() {
            assert_eq!(read(&mut rest), Some(event));
        }
        assert!(rest.is_empty());
        for len in 0..CALL {
            assert_eq!(read(&mut &bytes[..len]), None, "{len}");
        }
        for (at, byte) in [(0, 9), (0, 0x82), (33, 0xFF), (40, 0xFF)] {
            let mut wrong = bytes.clone();
            wrong[at] = byte;
            assert_eq!(read(&mut wrong.as_slice()), None, "byte {at}");
        }
    }

    #[test]
    fn report_with_details_reads_back_and_truncated_or_invalid_bytes_do_not() {
        let [Event::Call(call), ..] = events() else { panic!("a call") };
        let longest = format!("{{\"a\":\"{}\"}}", "x".repeat(Context::MAX - 8));
        let text = |text: &str| Some((call.at, Context::from_stored(text).expect("an object")));
        let reports = [
            Joined { call, id: None, context: text("{}"), counted: Counted::No },
            Joined { call, id: CallId::new("a"), context: None, counted: Counted::Apart },
            Joined {
                call,
                id: CallId::new(&"i".repeat(CallId::MAX)),
                context: text(&longest),
                counted: Counted::As(Outcome::Failed),
            },
        ];
        for report in reports {
            let has_context = report.context.is_some();
            let event = Event::Joined(Box::new(report));
            let mut bytes = Vec::new();
            write(&event, &mut bytes);
            assert_eq!(bytes.len(), len(&event));
            assert!(bytes.len() <= 2 + CALL + 1 + CallId::MAX + 2 + 6 + Context::MAX);
            let mut rest = bytes.as_slice();
            assert_eq!((read(&mut rest), rest), (Some(event), &[][..]));
            for len in 0..bytes.len() {
                assert_eq!(read(&mut &bytes[..len]), None, "{len}");
            }
            // No outcome, twice; a number that is none; the id; and the end of the context.
            let mut wrongs = vec![(1, 8), (2, 9), (2, 0x80), (35, 0xFF)];
            wrongs.extend(has_context.then_some((bytes.len() - 1, b' ')));
            wrongs.extend((bytes[2 + CALL] > 0).then_some((3 + CALL, b' ')));
            for (at, byte) in wrongs {
                let mut wrong = bytes.clone();
                wrong[at] = byte;
                assert_eq!(read(&mut wrong.as_slice()), None, "byte {at}");
            }
        }
    }
}
