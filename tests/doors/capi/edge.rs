//! Each mistake that a C caller can make returns a status and has no other effect.

use super::c;
use dialback::capi::*;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ENVIRONMENT: &str = "00000000-0000-0000-0000-0000000000ee";
pub(super) const OURS: &str = "+15550100";
pub(super) const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 86_400_000;

/// A number with a default agent, an outbound agent that calls from it, and a callback agent for its callbacks.
const CHANGES: &str = r#"[
    {"environment_set": {"name": "Acme", "lookback": 2592000,
        "dial_plan": {"country_code": "49", "national_prefix": "0", "international_prefix": "00"}}},
    {"number_added": {"id": "00000000-0000-0000-0000-000000000001", "number": "+15550100"}},
    {"agent_created": {"id": "00000000-0000-0000-0000-00000000000a", "name": "Sales", "direction": "outbound"}},
    {"agent_created": {"id": "00000000-0000-0000-0000-00000000000b", "name": "Callbacks", "direction": "inbound"}},
    {"calling_set": {"id": "00000000-0000-0000-0000-00000000000b", "direction": "inbound",
        "numbers": ["00000000-0000-0000-0000-000000000001"]}},
    {"agent_published": {"id": "00000000-0000-0000-0000-00000000000b"}},
    {"callback_set": {"id": "00000000-0000-0000-0000-00000000000b", "sources": ["00000000-0000-0000-0000-00000000000a"]}}
]"#;
const SALES: &str = "00000000-0000-0000-0000-00000000000a";

pub(super) fn shop(directory: &str) -> Handle {
    let handle = c::open(directory);
    assert_eq!(c::configure(handle, ENVIRONMENT, CHANGES, NOW), Status::Ok, "{}", c::last_error());
    handle
}

pub(super) fn call(to: &str) -> CallReport {
    CallReport {
        size: size_of::<CallReport>() as u32,
        outcome: CallOutcome::NoAnswer as u32,
        at_ms: NOW,
        environment: c::text(ENVIRONMENT),
        agent: c::text(SALES),
        from: c::text(OURS),
        to: c::text(to),
    }
}

fn record(handle: Handle, calls: &[CallReport]) -> (Status, Recorded) {
    let mut recorded =
        Recorded { size: size_of::<Recorded>() as u32, reserved: 0, recorded: 0, unchanged: 0, ignored: 0 };
    // SAFETY: structures and texts are valid during the call.
    let status = unsafe { dialback_record(handle, calls.as_ptr(), calls.len(), NOW, &mut recorded) };
    (status, recorded)
}

pub(super) fn close(handle: Handle) {
    assert_eq!(dialback_close(handle), Status::Ok);
}

/// Calls every function with this handle.
fn all_with(handle: Handle) -> Vec<Status> {
    let (environment, len) = c::parts(ENVIRONMENT);
    let (number, number_len) = c::parts(OURS);
    let (mut pairs, mut statistics) = (0, statistics());
    let question = Question { dialed: c::text(OURS), caller: c::text(OURS) };
    let mut out = c::decision();
    out.outcome = 0;
    let mut buffer = [0; 4096];
    // SAFETY: all arguments are valid during the calls.
    unsafe {
        vec![
            c::configure(handle, ENVIRONMENT, "[]", NOW),
            record(handle, &[call("+4930123456")]).0,
            super::details::record(handle, &[super::details::detailed("", "")]),
            c::behind(handle, OURS, OURS, &out, 0).0,
            c::resolve(handle, OURS.as_bytes(), b"", NOW).0,
            dialback_route(handle, number, number_len, number, number_len, NOW, &mut out),
            dialback_resolve_batch(handle, &question, 1, NOW, &mut out),
            dialback_explain(
                handle,
                number,
                number_len,
                number,
                number_len,
                NOW,
                &mut out,
                buffer.as_mut_ptr(),
                4096,
                ptr::null_mut(),
            ),
            dialback_erase(handle, environment, len, number, number_len, NOW, &mut pairs),
            dialback_purge(handle, NOW),
            dialback_statistics(handle, environment, len, NOW, NOW, &mut statistics),
        ]
    }
}

fn statistics() -> StatisticsOut {
    let size = size_of::<StatisticsOut>() as u32;
    StatisticsOut { size, reserved: 0, callbacks: 0, unmatched: 0, pairs: 0, generation: 0 }
}

#[test]
fn closed_or_invented_handle_returns_a_status() {
    let handle = shop("");
    assert_eq!(all_with(handle), [Status::Ok; 11]);
    close(handle);
    assert_eq!(all_with(handle), [Status::Closed; 11]);
    assert_eq!(dialback_close(handle), Status::Closed);
    // The place may belong to another handle by now, but the handle is never reused.
    let others: Vec<Handle> = (0..3).map(|_| c::open("")).collect();
    assert!(!others.contains(&handle));
    assert_eq!(all_with(handle), [Status::Closed; 11]);
    for made_up in [1, 63, 64, handle + 1, handle ^ (1 << 40), u64::MAX] {
        assert!(others.contains(&made_up) || all_with(made_up) == [Status::Closed; 11], "{made_up}");
    }
    assert_eq!(all_with(0), [Status::Null; 11]);
    assert_eq!(dialback_close(0), Status::Null);
    others.into_iter().for_each(close);
}

#[test]
fn forbidden_null_returns_a_status_and_null_text_is_empty() {
    let handle = shop("");
    let (dialed, len) = c::parts(OURS);
    let null = ptr::null();
    // SAFETY: pointers that are not null are valid during the calls.
    unsafe {
        let mut out = c::decision();
        assert_eq!(dialback_resolve(handle, null, 9, dialed, len, NOW, &mut out), Status::Null);
        assert_eq!(dialback_resolve(handle, dialed, len, null, 9, NOW, &mut out), Status::Null);
        assert_eq!(dialback_resolve(handle, dialed, len, dialed, len, NOW, ptr::null_mut()), Status::Null);
        assert_eq!(dialback_resolve(handle, dialed, usize::MAX, null, 0, NOW, &mut out), Status::InvalidArgument);
        assert_eq!(c::read(&out), c::read(&c::decision()), "nothing is written");
        assert_eq!(dialback_resolve(handle, dialed, len, null, 0, NOW, &mut out), Status::Ok);
        assert_eq!((out.reason, out.route), (ReasonLine::AnonymousCaller as u32, RouteKind::Default as u32));

        assert_eq!(dialback_open(null.cast(), ptr::null_mut()), Status::Null);
        assert_eq!(dialback_record(handle, null.cast(), 1, NOW, ptr::null_mut()), Status::Null);
        assert_eq!(dialback_record(handle, null.cast(), 0, NOW, ptr::null_mut()), Status::Ok);
        assert_eq!(dialback_resolve_batch(handle, null.cast(), 1, NOW, &mut out), Status::Null);
        assert_eq!(dialback_resolve_batch(handle, null.cast(), 0, NOW, ptr::null_mut()), Status::Ok);
        let many = dialback_resolve_batch(handle, ptr::dangling(), usize::MAX / 2, NOW, &mut out);
        assert_eq!(many, Status::InvalidArgument);
        assert_eq!(dialback_id_text(null.cast(), ptr::null_mut(), 0), Status::Null);
        assert_eq!(dialback_id_parse(dialed, len, ptr::null_mut()), Status::Null);
        assert_eq!(dialback_last_error(ptr::null_mut(), 0, ptr::null_mut()), Status::ShortBuffer);
    }
    close(handle);
}

#[test]
fn invalid_utf8_or_number_returns_a_status_without_the_number() {
    let handle = shop("");
    let of = |dialed: &[u8], caller: &[u8]| c::resolve(handle, dialed, caller, NOW).0;
    assert_eq!(of(b"+1555\xFF0100", b""), Status::InvalidUtf8);
    assert_eq!(c::last_error(), "dialed: a text is not UTF-8");
    assert_eq!(of(OURS.as_bytes(), b"+4930\xC3123456"), Status::InvalidUtf8);
    assert_eq!(of(b"alice", b""), Status::NotANumber);
    assert_eq!(of(b"", b""), Status::NotANumber);
    assert_eq!(of(b"+155501001234567890", b""), Status::NotANumber);
    assert!(!c::last_error().contains("555"), "{}", c::last_error());
    // Any text that a trunk sends as the caller is accepted.
    for caller in ["", "anonymous", "sip:alice@example.com", "0", "\u{fffd}", "<sip:", "+", "+0", "a\0b"] {
        assert_eq!(of(OURS.as_bytes(), caller.as_bytes()), Status::Ok, "{caller:?}");
    }

    let configure = |json: &str| c::configure(handle, ENVIRONMENT, json, NOW);
    for json in ["", "[", "{}", "[{}]", "[{\"+4930123456\": {}}]", "[{\"agent_published\": {\"id\": 4930123456}}]"] {
        assert_eq!(configure(json), Status::InvalidJson, "{json}");
        assert!(!c::last_error().contains("493012"), "{}", c::last_error());
    }
    assert_eq!(configure("[{\"agent_publish\": {}}]"), Status::InvalidJson);
    assert!(c::last_error().starts_with("line 1 column 17: unknown variant"), "{}", c::last_error());
    assert_eq!(
        configure("[{\"agent_published\": {\"id\": \"00000000-0000-0000-0000-0000000000ff\"}}]"),
        Status::Refused
    );
    assert!(c::last_error().starts_with("AGENT_NOT_FOUND: "), "{}", c::last_error());
    assert_eq!(c::configure(handle, "acme", "[]", NOW), Status::InvalidArgument);
    close(handle);
}

#[test]
fn wrong_size_field_returns_a_status_and_larger_size_is_zeroed() {
    let handle = shop("");
    let (dialed, len) = c::parts(OURS);
    for size in [0, 1, 71, 73, 0xA5A5_A5A5] {
        let mut out = c::decision();
        out.size = size;
        // SAFETY: the library must reject the size before it reads more.
        let status = unsafe { dialback_resolve(handle, dialed, len, dialed, len, NOW, &mut out) };
        assert_eq!((status, out.agent), (Status::InvalidArgument, [0xA5; 16]), "{size}");
    }
    // A structure of a later version, which is larger.
    #[repr(C)]
    struct Later {
        known: DecisionOut,
        more: [u64; 2],
        beyond: u64,
    }
    let mut later = Later { known: c::decision(), more: [u64::MAX; 2], beyond: 7 };
    later.known.size += 16;
    // SAFETY: the memory has that size.
    let status = unsafe { dialback_resolve(handle, dialed, len, dialed, len, NOW, &mut later.known) };
    assert_eq!((status, later.more, later.beyond), (Status::Ok, [0, 0], 7));

    let mut reports = [call("+4930123456"), call("+4930123457")];
    reports[1].size = 0;
    assert_eq!(record(handle, &reports).0, Status::InvalidArgument);
    assert_eq!(c::last_error(), "call 1: the size field of a structure is wrong: set it to sizeof the structure");
    close(handle);
}

#[test]
fn record_stores_all_calls_or_names_the_wrong_one() {
    let handle = shop("");
    let good = call("030 123456");
    let wrong = [
        (
            CallReport { outcome: 0, ..good },
            "call 1: outcome: not a DIALBACK_OUTCOME value from 1 to 8",
            Status::InvalidArgument,
        ),
        (
            CallReport { outcome: 9, ..good },
            "call 1: outcome: not a DIALBACK_OUTCOME value from 1 to 8",
            Status::InvalidArgument,
        ),
        (CallReport { agent: c::text("sales"), ..good }, "call 1: agent: not a UUID", Status::InvalidArgument),
        (
            CallReport { to: c::text("+49301234567890123456"), ..good },
            "call 1: to: the number has more than 15 digits",
            Status::NotANumber,
        ),
        (
            CallReport { at_ms: NOW + DAY + 1, ..good },
            "call 1: at_ms: more than a day in the future",
            Status::InvalidArgument,
        ),
    ];
    for (wrong, message, status) in wrong {
        assert_eq!(record(handle, &[good, wrong]).0, status, "{message}");
        assert_eq!(c::last_error(), message);
    }
    let resolved = || c::resolve(handle, OURS.as_bytes(), b"+49 30 123456", NOW).1;
    assert_eq!(resolved().reason, ReasonLine::NoHistory as u32, "nothing of those batches is there");
    let stranger = CallReport { agent: c::text(ENVIRONMENT), ..good };
    let (status, recorded) = record(handle, &[good, good, stranger]);
    assert_eq!((status, recorded.recorded, recorded.unchanged, recorded.ignored), (Status::Ok, 1, 1, 1));
    let matched = resolved();
    assert_eq!((matched.reason, matched.outcome), (ReasonLine::Matched as u32, CallOutcome::NoAnswer as u32));
    // The caller is read with the dial plan of the dialed number's environment.
    assert_eq!(c::read(&c::resolve(handle, OURS.as_bytes(), b"030/123456", NOW).1), c::read(&matched));
    close(handle);
}

#[test]
fn batch_decides_all_valid_questions() {
    let handle = shop("");
    assert_eq!(record(handle, &[call("+4930123456")]).0, Status::Ok);
    // More questions than are resolved together.
    let questions: Vec<Question> = (0..100)
        .map(|index| Question {
            dialed: c::text(if index == 70 { "alice" } else { OURS }),
            caller: c::text("030123456"),
        })
        .collect();
    let mut decisions = vec![c::decision(); 100];
    // SAFETY: all arguments are valid during the call.
    let status = unsafe { dialback_resolve_batch(handle, questions.as_ptr(), 100, NOW, decisions.as_mut_ptr()) };
    assert_eq!(status, Status::NotANumber);
    assert_eq!(c::last_error(), "question 70: dialed: not a phone number");
    let one = c::read(&c::resolve(handle, OURS.as_bytes(), b"030123456", NOW).1);
    for (index, decision) in decisions.iter().enumerate() {
        if index == 70 {
            assert_eq!((decision.status, decision.reason), (Status::NotANumber as i32, 0));
        } else {
            assert_eq!(c::read(decision), one, "{index}");
        }
    }
    close(handle);
}

#[test]
fn acknowledged_changes_survive_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let handle = shop(c::path(&directory));
    let calls: Vec<_> = ["+4930123456", "+4930123457"].map(call).into();
    assert_eq!(record(handle, &calls).1.recorded, 2);
    for _ in 0..3 {
        c::route(handle, OURS, "+4930123456", NOW);
    }
    c::route(handle, OURS, "+4930999999", NOW);
    let mut second = 0;
    // SAFETY: both pointers are valid during the call.
    assert_eq!(unsafe { dialback_open(&c::options(c::path(&directory)), &mut second) }, Status::Store);
    assert!(c::last_error().contains("another process holds this data directory"), "{}", c::last_error());
    close(handle);

    let handle = c::open(c::path(&directory));
    let reason = |caller: &[u8]| c::resolve(handle, OURS.as_bytes(), caller, NOW).1.reason;
    assert_eq!(reason(b"+4930123456"), ReasonLine::Matched as u32);
    let (environment, len) = c::parts(ENVIRONMENT);
    let (contact, contact_len) = c::parts("030 123456");
    let (mut pairs, mut counted) = (0, statistics());
    // SAFETY: all arguments are valid during the calls.
    unsafe {
        assert_eq!(dialback_erase(handle, environment, len, contact, contact_len, NOW, &mut pairs), Status::Ok);
        assert_eq!(dialback_purge(handle, NOW), Status::Ok, "{}", c::last_error());
        assert_eq!(dialback_statistics(handle, environment, len, NOW, NOW, &mut counted), Status::Ok);
    }
    assert_eq!((pairs, counted.callbacks, counted.unmatched, counted.generation), (1, 3, 1, 1));
    assert_eq!(reason(b"+4930123456"), ReasonLine::NoHistory as u32);
    assert_eq!(reason(b"+4930123457"), ReasonLine::Matched as u32);
    close(handle);
}

#[test]
fn panic_returns_a_status_and_the_handle_stays_usable() {
    let handle = shop("");
    plant_panic();
    assert_eq!(c::resolve(handle, OURS.as_bytes(), b"", NOW).0, Status::Panicked);
    assert_eq!(c::last_error(), "the library panicked, which is a bug; the panic was caught");
    plant_panic();
    assert_eq!(dialback_close(handle), Status::Panicked);
    assert_eq!(all_with(handle), [Status::Ok; 11]);
    close(handle);
}

#[test]
fn texts_of_statuses_reasons_and_ids_are_returned() {
    for status in 0..=Status::NotInTime as i32 {
        // SAFETY: the result is null or a text with a NUL.
        assert!(!unsafe { CStr::from_ptr(dialback_status_message(status)) }.is_empty(), "{status}");
    }
    assert!(dialback_status_message(-1).is_null() && dialback_status_message(Status::NotInTime as i32 + 1).is_null());
    for reason in dialback::Reason::ALL {
        // SAFETY: the result is null or a text with a NUL.
        let name = unsafe { CStr::from_ptr(dialback_reason_name(u32::from(reason.line()))) };
        assert_eq!(name.to_str(), Ok(reason.name()));
    }
    assert!(dialback_reason_name(0).is_null() && dialback_reason_name(10).is_null());
    let (text, len) = c::parts(SALES);
    let (mut id, mut back) = ([0_u8; 16], [0xA5_u8; 37]);
    // SAFETY: the buffer has the length that is passed.
    unsafe {
        assert_eq!(dialback_id_parse(text, len, id.as_mut_ptr()), Status::Ok);
        assert_eq!(dialback_id_text(id.as_ptr(), back.as_mut_ptr().cast(), 36), Status::ShortBuffer);
        assert_eq!(dialback_id_text(id.as_ptr(), back.as_mut_ptr().cast(), 37), Status::Ok);
        assert_eq!(dialback_id_parse(text, 5, id.as_mut_ptr()), Status::InvalidArgument);
    }
    assert_eq!(CStr::from_bytes_with_nul(&back).expect("a NUL").to_str(), Ok(SALES));
}

/// More threads than there are seats ask questions while their handles are closed. Each result is a decision or the
/// status `Closed`, and after the close always `Closed`.
#[test]
fn close_while_many_threads_ask_is_safe() {
    // Made before the threads begin: beside them, the thread that makes one gets little of the processors.
    let mut shops: Vec<u64> = (0..31).map(|_| shop("")).collect();
    let current = AtomicU64::new(shops.pop().expect("one of 31"));
    let stop = AtomicBool::new(false);
    let (decided, closed) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let handle = current.load(Ordering::Relaxed);
                    match c::resolve(handle, OURS.as_bytes(), b"+4930123456", NOW) {
                        (Status::Ok, decision) => {
                            assert_eq!(decision.reason, ReasonLine::NoHistory as u32);
                            decided.fetch_add(1, Ordering::Relaxed);
                        }
                        (Status::Closed, _) => {
                            closed.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                        }
                        (other, _) => panic!("{other:?}"),
                    }
                }
            });
        }
        let wait_for_more = |counter: &AtomicU64, more| {
            let before = counter.load(Ordering::Relaxed);
            while counter.load(Ordering::Relaxed) < before + more {
                thread::sleep(Duration::from_millis(1));
            }
        };
        for next in shops {
            let handle = current.load(Ordering::Relaxed);
            wait_for_more(&decided, 1000);
            close(handle);
            assert_eq!(c::resolve(handle, OURS.as_bytes(), b"", NOW).0, Status::Closed);
            wait_for_more(&closed, 10);
            current.store(next, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
    });
    close(current.into_inner());
}

/// A caller as plain digits takes a short path in C. A requirement must hold there too, and after the next start.
#[test]
fn required_attestation_holds_for_plain_digits_and_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let handle = shop(c::path(&directory));
    assert_eq!(record(handle, &[call("+4930123456")]).0, Status::Ok);
    let reason = |handle, caller: &str| c::resolve(handle, OURS.as_bytes(), caller.as_bytes(), NOW).1.reason;
    assert_eq!(reason(handle, "+4930123456"), ReasonLine::Matched as u32);
    let required = r#"[{"attestation_required": {"level": "B"}}]"#;
    assert_eq!(c::configure(handle, ENVIRONMENT, required, NOW), Status::Ok, "{}", c::last_error());
    let check = |handle| {
        assert_eq!(reason(handle, "+4930123456"), ReasonLine::AnonymousCaller as u32);
        let verified = |verstat: &str| format!("<sip:+4930123456;verstat={verstat}@carrier.example.com>");
        assert_eq!(reason(handle, &verified("TN-Validation-Passed-B")), ReasonLine::Matched as u32);
        assert_eq!(reason(handle, &verified("TN-Validation-Passed-C")), ReasonLine::AnonymousCaller as u32);
    };
    check(handle);
    close(handle);
    let handle = c::open(c::path(&directory));
    check(handle);
    let removed = r#"[{"attestation_required": {"level": null}}]"#;
    assert_eq!(c::configure(handle, ENVIRONMENT, removed, NOW), Status::Ok, "{}", c::last_error());
    assert_eq!(reason(handle, "+4930123456"), ReasonLine::Matched as u32);
    close(handle);
}
