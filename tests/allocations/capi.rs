//! A decision or a batch through the C interface allocates nothing, whatever the result.
//!
//! The allocator of this program has a count for each thread, because the test harness allocates at any time.
#![allow(unsafe_code, reason = "what C calls is unsafe to call")]

use crate::counted;
use dialback::capi::{
    CallReport, DecisionOut, Handle, Options, Question, Status, Text, dialback_close, dialback_configure,
    dialback_open, dialback_record, dialback_resolve, dialback_resolve_batch, dialback_route,
};
use std::hint::black_box;
use std::ptr;

const ENVIRONMENT: &str = "00000000-0000-0000-0000-0000000000ee";
const CHANGES: &str = r#"[
    {"environment_set": {"name": "Acme", "lookback": 2592000,
        "dial_plan": {"country_code": "49", "national_prefix": "0", "international_prefix": "00"}}},
    {"number_added": {"id": "00000000-0000-0000-0000-000000000001", "number": "+15550100"}},
    {"agent_created": {"id": "00000000-0000-0000-0000-00000000000a", "name": "Sales", "direction": "outbound"}},
    {"agent_created": {"id": "00000000-0000-0000-0000-00000000000b", "name": "Desk", "direction": "inbound"}},
    {"calling_set": {"id": "00000000-0000-0000-0000-00000000000b", "direction": "inbound",
        "numbers": ["00000000-0000-0000-0000-000000000001"]}},
    {"agent_published": {"id": "00000000-0000-0000-0000-00000000000b"}},
    {"callback_set": {"id": "00000000-0000-0000-0000-00000000000b", "sources": ["00000000-0000-0000-0000-00000000000a"]}}
]"#;
const NOW: u64 = 1_800_000_000_000;

fn text(text: &str) -> Text {
    Text { bytes: text.as_ptr().cast(), len: text.len() }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).expect("small")
}

fn configure(handle: Handle, changes: &str) {
    let (environment, changes) = (text(ENVIRONMENT), text(changes));
    let null = ptr::null_mut();
    // SAFETY: the texts are valid during the call.
    let done = unsafe {
        dialback_configure(handle, environment.bytes, environment.len, changes.bytes, changes.len, NOW, null)
    };
    assert_eq!(done, Status::Ok);
}

fn shop() -> Handle {
    let mut handle = 0;
    let options = Options { size: size::<Options>(), survives: 0, max_pairs: 10_000, data_directory: text("") };
    // SAFETY: all arguments are valid during the calls.
    unsafe {
        assert_eq!(dialback_open(&raw const options, &raw mut handle), Status::Ok);
        configure(handle, CHANGES);
        let call = CallReport {
            size: size::<CallReport>(),
            outcome: 6,
            at_ms: NOW,
            environment: text(ENVIRONMENT),
            agent: text("00000000-0000-0000-0000-00000000000a"),
            from: text("+15550100"),
            to: text("+4930123456"),
        };
        assert_eq!(dialback_record(handle, &raw const call, 1, NOW, ptr::null_mut()), Status::Ok);
    }
    handle
}

#[test]
fn decision_through_c_allocates_nothing() {
    assert_eq!(counted(|| drop(black_box(Box::new(1)))).1, 2, "the counter counts");
    let handle = shop();
    // SAFETY: the structure holds numbers only.
    let mut out: DecisionOut = unsafe { std::mem::zeroed() };
    out.size = size::<DecisionOut>();
    let ask = |dialed: &str, caller: &str, out: &mut DecisionOut, route: bool| {
        let (dialed, caller) = (text(dialed), text(caller));
        let function = if route { dialback_route } else { dialback_resolve };
        // SAFETY: all arguments are valid during the call.
        counted(|| unsafe { function(handle, dialed.bytes, dialed.len, caller.bytes, caller.len, NOW, out) })
    };
    // A thread's first decision allocates the thread's own state: its seat and its shard of the counters.
    ask("+15550100", "", &mut out, false);
    let questions = [
        ("+15550100", "+4930123456", 9),
        ("+15550100", "\"Ann\" <sip:030123456@trunk.example>;tag=1", 9),
        ("+15550100", "+4930999999", 3),
        ("+15550100", "anonymous", 2),
        ("+15550199", "+4930123456", 1),
    ];
    for (dialed, caller, reason) in questions {
        for route in [false, true] {
            assert_eq!(ask(dialed, caller, &mut out, route), (Status::Ok, 0), "{caller}");
            assert_eq!(out.reason, reason, "{caller}");
        }
    }

    let many: Vec<Question> = questions
        .iter()
        .cycle()
        .take(100)
        .map(|(dialed, caller, _)| Question { dialed: text(dialed), caller: text(caller) })
        .collect();
    let mut outs = vec![out; many.len()];
    // SAFETY: all arguments are valid during the call.
    let batch = counted(|| unsafe { dialback_resolve_batch(handle, many.as_ptr(), 100, NOW, outs.as_mut_ptr()) });
    assert_eq!(batch, (Status::Ok, 0));
    assert!(outs.iter().zip(questions.iter().cycle()).all(|(out, (_, _, reason))| out.reason == *reason));

    assert_eq!(dialback_close(handle), Status::Ok);
    assert_eq!(ask("+15550100", "", &mut out, false), (Status::Closed, 0));
}
