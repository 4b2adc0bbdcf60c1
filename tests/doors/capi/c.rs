//! Calls the C functions with Rust texts, and does nothing that a C program could not do.

use dialback::capi::*;
use std::ffi::{CStr, c_char};
use std::ptr;

pub(crate) fn parts(text: &str) -> (*const c_char, usize) {
    (text.as_ptr().cast(), text.len())
}

pub(crate) fn text(text: &str) -> Text {
    Text { bytes: text.as_ptr().cast(), len: text.len() }
}

pub(crate) fn path(directory: &tempfile::TempDir) -> &str {
    directory.path().to_str().expect("UTF-8")
}

pub(crate) fn options(directory: &str) -> Options {
    let size = u32::try_from(size_of::<Options>()).expect("small");
    Options { size, survives: 0, max_pairs: 100_000, data_directory: text(directory) }
}

/// Opens an engine on this directory, or in memory if the path is empty.
pub(crate) fn open(directory: &str) -> Handle {
    let mut handle = 0;
    // SAFETY: both pointers are valid during the call.
    let status = unsafe { dialback_open(&options(directory), &mut handle) };
    assert_eq!(status, Status::Ok, "{}", last_error());
    handle
}

pub(crate) fn configure(handle: Handle, environment: &str, changes: &str, now: u64) -> Status {
    let ((environment, environment_len), (changes, changes_len)) = (parts(environment), parts(changes));
    // SAFETY: the texts are valid during the call.
    unsafe { dialback_configure(handle, environment, environment_len, changes, changes_len, now, ptr::null_mut()) }
}

/// Returns a decision filled with noise, so that fields that are not written are detected.
pub(crate) fn decision() -> DecisionOut {
    // SAFETY: the structure holds numbers only, and every bit pattern is valid.
    let mut decision: DecisionOut = unsafe { std::mem::transmute([0xA5_u8; size_of::<DecisionOut>()]) };
    decision.size = u32::try_from(size_of::<DecisionOut>()).expect("small");
    decision
}

pub(crate) fn resolve(handle: Handle, dialed: &[u8], caller: &[u8], now: u64) -> (Status, DecisionOut) {
    let mut out = decision();
    let (dialed, dialed_len) = (dialed.as_ptr().cast(), dialed.len());
    let (caller, caller_len) = (caller.as_ptr().cast(), caller.len());
    // SAFETY: texts and structure are valid during the call.
    let status = unsafe { dialback_resolve(handle, dialed, dialed_len, caller, caller_len, now, &mut out) };
    (status, out)
}

pub(crate) fn route(handle: Handle, dialed: &str, caller: &str, now: u64) -> DecisionOut {
    let mut out = decision();
    let ((dialed, dialed_len), (caller, caller_len)) = (parts(dialed), parts(caller));
    // SAFETY: the texts and the structure are valid during the call.
    let status = unsafe { dialback_route(handle, dialed, dialed_len, caller, caller_len, now, &mut out) };
    assert_eq!(status, Status::Ok, "{}", last_error());
    out
}

pub(crate) fn resolve_batch<const N: usize>(handle: Handle, calls: [(&str, &str); N], now: u64) -> [DecisionOut; N] {
    let questions = calls.map(|(dialed, caller)| Question { dialed: text(dialed), caller: text(caller) });
    let mut out = [decision(); N];
    // SAFETY: the texts and the structure are valid during the call.
    let status = unsafe { dialback_resolve_batch(handle, questions.as_ptr(), N, now, out.as_mut_ptr()) };
    assert_eq!(status, Status::Ok, "{}", last_error());
    out
}

/// Calls the function twice; the first call returns the required length.
pub(crate) fn explain(handle: Handle, dialed: &str, caller: &str, now: u64) -> (DecisionOut, String) {
    let mut out = decision();
    let ((dialed, dialed_len), (caller, caller_len)) = (parts(dialed), parts(caller));
    let mut ask = |buffer: &mut [u8]| {
        let mut needed = 0;
        let (start, capacity) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the texts are valid, and the buffer has the length that is passed.
        let status = unsafe {
            dialback_explain(
                handle,
                dialed,
                dialed_len,
                caller,
                caller_len,
                now,
                &mut out,
                start,
                capacity,
                &mut needed,
            )
        };
        (status, needed)
    };
    let mut short = [0xA5; 4];
    let (status, needed) = ask(&mut short);
    assert_eq!((status, short), (Status::ShortBuffer, [0xA5; 4]));
    let mut buffer = vec![0xA5; needed];
    assert_eq!(ask(&mut buffer).0, Status::Ok);
    (out, CStr::from_bytes_with_nul(&buffer).expect("all of it, and a NUL").to_str().expect("UTF-8").to_owned())
}

/// The answer of `dialback_call_behind`: its status, the call, the buffer, and the needed size.
pub(crate) type Behind = (Status, CallBehind, Vec<u8>, usize);

/// Asks for the call behind a decision, with a buffer of this size.
pub(crate) fn behind(handle: Handle, dialed: &str, caller: &str, decision: &DecisionOut, capacity: usize) -> Behind {
    // SAFETY: the structure holds numbers only, and every bit pattern is valid.
    let mut call: CallBehind = unsafe { std::mem::transmute([0xA5_u8; size_of::<CallBehind>()]) };
    call.size = u32::try_from(size_of::<CallBehind>()).expect("small");
    let (mut buffer, mut needed) = (vec![0xA5_u8; capacity], usize::MAX);
    let ((dialed, dialed_len), (caller, caller_len)) = (parts(dialed), parts(caller));
    let start = if capacity == 0 { ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
    // SAFETY: the texts are valid, and the buffer has the length that is passed.
    let status = unsafe {
        dialback_call_behind(
            handle,
            dialed,
            dialed_len,
            caller,
            caller_len,
            decision,
            &mut call,
            start,
            capacity,
            &mut needed,
        )
    };
    (status, call, buffer, needed)
}

/// The first answer that the disk gave in time. A busy machine may need several questions.
pub(crate) fn in_time(mut ask: impl FnMut() -> Behind) -> Behind {
    loop {
        match ask() {
            (Status::NotInTime, ..) => {}
            answer => return answer,
        }
    }
}

/// Returns the call behind a decision and its context.
pub(crate) fn call_behind(
    handle: Handle,
    dialed: &str,
    caller: &str,
    decision: &DecisionOut,
) -> (CallBehind, Option<String>) {
    let (status, call, buffer, needed) = in_time(|| behind(handle, dialed, caller, decision, 4097));
    assert_eq!(status, Status::Ok, "{}", last_error());
    let text = |text: &[u8]| CStr::from_bytes_with_nul(text).expect("a text").to_str().expect("UTF-8").to_owned();
    (call, (needed > 0).then(|| text(&buffer[..needed])))
}

pub(crate) fn last_error() -> String {
    let mut buffer = [0xA5_u8; 1000];
    // SAFETY: the buffer has the length that is passed.
    let status = unsafe { dialback_last_error(buffer.as_mut_ptr().cast(), buffer.len(), ptr::null_mut()) };
    assert_eq!(status, Status::Ok);
    CStr::from_bytes_until_nul(&buffer).expect("a NUL").to_str().expect("UTF-8").to_owned()
}

/// Returns all fields of a decision, for comparisons.
pub(crate) fn read(decision: &DecisionOut) -> String {
    format!("{decision:?}")
}
