//! Calls with ids and contexts through C.

use super::c;
use super::edge::{NOW, OURS, call, close, shop};
use dialback::capi::*;
use std::ffi::CStr;
use std::ptr;

const CONTACT: &str = "+4930123456";

pub(super) fn detailed<'a>(id: &'a str, context: &'a str) -> DetailedCall {
    let CallReport { outcome, at_ms, environment, agent, from, to, .. } = call(CONTACT);
    DetailedCall {
        size: size_of::<DetailedCall>() as u32,
        outcome,
        at_ms,
        environment,
        agent,
        from,
        to,
        call_id: c::text(id),
        context: c::text(context),
    }
}

pub(super) fn record(handle: Handle, calls: &[DetailedCall]) -> Status {
    // SAFETY: structures and texts are valid during the call.
    unsafe { dialback_record_with_details(handle, calls.as_ptr(), calls.len(), NOW, ptr::null_mut()) }
}

fn id(call: &CallBehind) -> String {
    let bytes = call.call_id.map(|char| char.to_ne_bytes()[0]);
    CStr::from_bytes_until_nul(&bytes).expect("a NUL").to_str().expect("ASCII").to_owned()
}

fn decide(handle: Handle, caller: &str) -> DecisionOut {
    let (status, decision) = c::resolve(handle, OURS.as_bytes(), caller.as_bytes(), NOW);
    assert_eq!(status, Status::Ok, "{}", c::last_error());
    decision
}

fn read(handle: Handle, capacity: usize) -> c::Behind {
    let decision = decide(handle, CONTACT);
    c::in_time(|| c::behind(handle, OURS, CONTACT, &decision, capacity))
}

#[test]
fn call_behind_a_decision_has_its_id_its_status_and_its_context() {
    let directory = tempfile::tempdir().expect("a directory");
    let handle = shop(c::path(&directory));
    let longest = "~".repeat(128);
    let context = r#"{"name": "Jörg", "n": 1.10}"#;
    assert_eq!(record(handle, &[detailed(&longest, context)]), Status::Ok, "{}", c::last_error());
    close(handle);
    let handle = c::open(c::path(&directory));
    // The text and its NUL need one byte more than the text.
    for capacity in [0, 1, context.len()] {
        let (status, call, buffer, needed) = read(handle, capacity);
        assert_eq!((status, needed), (Status::ShortBuffer, context.len() + 1), "{capacity}");
        assert!(buffer.iter().all(|byte| *byte == 0xA5), "the buffer is unchanged");
        assert_eq!((id(&call), call.has_context), (longest.clone(), 1), "the call is written all the same");
    }
    let (status, call, buffer, needed) = read(handle, context.len() + 2);
    assert_eq!((status, needed, buffer[needed]), (Status::Ok, context.len() + 1, 0xA5));
    assert_eq!(CStr::from_bytes_with_nul(&buffer[..needed]).expect("a text").to_str(), Ok(context));
    assert_eq!((call.outcome, call.called_at_ms, call.call_id_len), (CallOutcome::NoAnswer as u32, NOW, 128));
    assert_eq!(call.size as usize, size_of::<CallBehind>());
    close(handle);
}

#[test]
fn call_without_details_and_decision_without_a_call_have_none() {
    let directory = tempfile::tempdir().expect("a directory");
    for place in ["", c::path(&directory)] {
        let handle = shop(place);
        assert_eq!(record(handle, &[detailed("", "")]), Status::Ok, "{}", c::last_error());
        let (status, call, _, needed) = read(handle, 0);
        assert_eq!((status, needed, id(&call)), (Status::Ok, 0, String::new()));
        assert_eq!((call.outcome, call.called_at_ms), (CallOutcome::NoAnswer as u32, NOW));
        assert_eq!((call.call_id_len, call.has_context), (0, 0));
        let stranger = decide(handle, "+4930999999");
        let (status, call, buffer, needed) = c::behind(handle, OURS, "+4930999999", &stranger, 3);
        assert_eq!((status, call.outcome, call.called_at_ms, needed), (Status::Ok, 0, 0, 0));
        assert_eq!(buffer, [0xA5; 3]);
        close(handle);
    }
    // The id alone.
    let handle = c::open(c::path(&directory));
    assert_eq!(record(handle, &[detailed("a", "")]), Status::Ok, "{}", c::last_error());
    let (status, call, _, needed) = read(handle, 0);
    assert_eq!((status, id(&call), call.has_context, needed), (Status::Ok, "a".into(), 0, 0));
    close(handle);
}

#[test]
fn wrong_details_return_a_status_and_record_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let handle = shop(c::path(&directory));
    let good = detailed("good", "{}");
    let (long_id, long) = ("x".repeat(129), format!("{{\"a\":\"{}\"}}", "x".repeat(4096)));
    let text = |bytes: &[u8]| Text { bytes: bytes.as_ptr().cast(), len: bytes.len() };
    for (wrong, status, message) in [
        (detailed("a b", "{}"), Status::InvalidArgument, "call_id: not 1 to 128 visible ASCII characters"),
        (detailed(&long_id, "{}"), Status::InvalidArgument, "call_id: not 1 to 128 visible ASCII characters"),
        (detailed("a", "[]"), Status::InvalidJson, "context: must be a JSON object"),
        (detailed("a", r#"{"a":1,"a":2}"#), Status::InvalidJson, "context: must be a JSON object"),
        (detailed("a", "{"), Status::InvalidJson, "context: must be a JSON object"),
        (detailed("a", &long), Status::InvalidArgument, "context: must have at most 4096 bytes"),
        (DetailedCall { call_id: text(b"a\xFF"), ..good }, Status::InvalidUtf8, "call_id: a text is not UTF-8"),
        (DetailedCall { context: text(b"{\"\xFF\":1}"), ..good }, Status::InvalidUtf8, "context: a text is not UTF-8"),
        (DetailedCall { call_id: Text { bytes: ptr::null(), len: 1 }, ..good }, Status::Null, "a required pointer"),
        (DetailedCall { context: Text { bytes: ptr::null(), len: 1 }, ..good }, Status::Null, "a required pointer"),
        (DetailedCall { size: size_of::<CallReport>() as u32, ..good }, Status::InvalidArgument, "the size field of"),
    ] {
        assert_eq!(record(handle, &[good, wrong]), status, "{message}");
        assert!(c::last_error().starts_with(&format!("call 1: {message}")), "{}", c::last_error());
        assert_eq!(decide(handle, CONTACT).outcome, 0, "nothing is recorded");
    }
    let none = Text { bytes: ptr::null(), len: 0 };
    assert_eq!(record(handle, &[DetailedCall { call_id: none, context: none, ..good }]), Status::Ok);
    assert_eq!(record(handle, &[good]), Status::Ok);
    let other = DetailedCall { to: c::text("+4930999999"), ..good };
    assert_eq!(record(handle, &[other]), Status::CallIdReused);
    // The calls beside refused ones are recorded and counted, and the message names the first refused one.
    let new = DetailedCall { to: c::text("+4930888888"), ..detailed("new", "{}") };
    let calls = [good, other, new, other];
    let mut recorded =
        Recorded { size: size_of::<Recorded>() as u32, reserved: 0, recorded: 9, unchanged: 9, ignored: 9 };
    // SAFETY: structures and texts are valid during the call.
    let status = unsafe { dialback_record_with_details(handle, calls.as_ptr(), calls.len(), NOW, &mut recorded) };
    assert_eq!((status, recorded.recorded, recorded.unchanged, recorded.ignored), (Status::CallIdReused, 1, 1, 0));
    assert!(c::last_error().starts_with("call 1: "), "{}", c::last_error());
    close(handle);
    let handle = shop("");
    assert_eq!(record(handle, &[good]), Status::NotKept, "an engine in memory");
    close(handle);
}
