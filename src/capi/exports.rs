//! The functions that C calls. Each one reads its arguments, calls the instance, and writes the results. Their doc
//! comments become the comments of the C header.
#![allow(unsafe_code)]

use super::foreign::{Out, Sized32, bytes, put, put_text, questions, read, read_all, text};
use super::instance::{self, Instance, ReportTexts};
use super::message::{guard, last};
use super::registry::{close, open, with, with_plan};
use super::status::{Failure, Status};
use super::types::{
    CallBehind, CallReport, DecisionOut, DetailedCall, Handle, Options, Question, Recorded, StatisticsOut, outcome,
};
use crate::decision::Reason;
use crate::event::{Call, Details};
use std::ffi::{CStr, c_char};
use std::ptr;

/// Opens an engine on a data directory, or in memory if `options` is null or names no directory. Returns after
/// everything in the directory is loaded. Starts threads, so open it after a fork, not before.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_open(options: *const Options, handle: *mut Handle) -> Status {
    guard(|| {
        if handle.is_null() {
            return Err(Status::Null.into());
        }
        let opened = if options.is_null() {
            Instance::open("", 0, 0)?
        } else {
            // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
            let (options, directory) = unsafe {
                let options = read(options)?;
                (options, text(options.data_directory)?)
            };
            let directory = std::str::from_utf8(directory).map_err(|_| Failure::from(Status::InvalidUtf8));
            Instance::open(directory?, options.survives, options.max_pairs)?
        };
        let opened = open(opened)?;
        // SAFETY: the caller promises that `handle` is valid for writing.
        unsafe { put(handle, opened) };
        Ok(())
    })
}

/// Closes the engine. Waits for calls that run on other threads, makes all accepted changes durable, and releases the
/// data directory. Later calls with this handle return `DIALBACK_STATUS_CLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_close(handle: Handle) -> Status {
    guard(|| close(handle))
}

/// Applies a JSON array of changes to an environment's configuration (see docs/c.md): all of them or none. Writes the
/// number of the new configuration to `generation`, which may be null.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_configure(
    handle: Handle,
    environment: *const c_char,
    environment_len: usize,
    changes: *const c_char,
    changes_len: usize,
    now_ms: u64,
    generation: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (environment, changes) = unsafe { (bytes(environment, environment_len)?, bytes(changes, changes_len)?) };
        let made = with(handle, |instance| instance.configure(environment, now_ms, changes))?;
        // SAFETY: the caller promises that `generation` is null or valid for writing.
        unsafe { put(generation, made) };
        Ok(())
    })
}

/// Records outbound calls and returns when they are durable, with one sync for all. If a call is not valid, no call
/// is recorded and the error message names the first such call. Reports can be repeated, and sent in any order.
/// `recorded` may be null.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_record(
    handle: Handle,
    calls: *const CallReport,
    count: usize,
    now_ms: u64,
    recorded: *mut Recorded,
) -> Status {
    guard(|| {
        // SAFETY: this function has the contract of `record`, and the texts of each call are valid.
        unsafe {
            record(handle, calls, count, now_ms, recorded, |instance, call| {
                Ok((instance.call(&report_texts(&call)?)?, Details::default()))
            })
        }
    })
}

/// Records outbound calls with their ids and contexts, as `dialback_record` does without them. A call whose id belongs to
/// another call, or whose details find no room, is not recorded. The calls beside it are, and `recorded` is written: the
/// function returns the status of the first such call, and the error message names it.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_record_with_details(
    handle: Handle,
    calls: *const DetailedCall,
    count: usize,
    now_ms: u64,
    recorded: *mut Recorded,
) -> Status {
    guard(|| {
        // SAFETY: this function has the contract of `record`, and the texts of each call are valid.
        unsafe {
            record(handle, calls, count, now_ms, recorded, |instance, detailed| {
                let DetailedCall { size, outcome, at_ms, environment, agent, from, to, call_id, context } = detailed;
                let report = CallReport { size, outcome, at_ms, environment, agent, from, to };
                let call = instance.call(&report_texts(&report)?)?;
                Ok((call, instance::details(text(call_id)?, text(context)?)?))
            })
        }
    })
}

/// Reads calls with `read` and records them.
///
/// # Safety
/// `calls` and `recorded` are valid as the header requires.
unsafe fn record<T: Sized32>(
    handle: Handle,
    calls: *const T,
    count: usize,
    now_ms: u64,
    recorded: *mut Recorded,
    read: impl Fn(&Instance, T) -> Result<(Call, Details), Failure>,
) -> Result<(), Failure> {
    // SAFETY: this function's contract covers `recorded`.
    let mut out = if recorded.is_null() { None } else { Some(unsafe { Out::one(recorded)? }) };
    let (done, refused) = with(handle, |instance| {
        // SAFETY: this function's contract covers `count` structures.
        let calls = unsafe { read_all(calls, count)? };
        let read = calls.enumerate().map(|(index, call)| {
            let call = call.and_then(|call| read(instance, call));
            call.map_err(|error| error.about(&format!("call {index}")))
        });
        instance.record(read.collect::<Result<_, _>>()?, now_ms)
    })?;
    if let Some(out) = &mut out {
        out.put(0, done);
    }
    refused
}

/// Returns the call behind a decision: its id and status in `call`, and its context as JSON with a NUL at its end in
/// `buffer`. `dialed` and `caller` are those of the decision. Writes the length of the context and its NUL to `needed`,
/// which may be null: 0 if there is no context, and then `buffer` is left unchanged. If the buffer is too short it is left
/// unchanged, but `call` is written. Waits for the disk, but no longer than 20 milliseconds: if it does not answer in that
/// time, the status is `DIALBACK_STATUS_NOT_IN_TIME`.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_call_behind(
    handle: Handle,
    dialed: *const c_char,
    dialed_len: usize,
    caller: *const c_char,
    caller_len: usize,
    decision: *const DecisionOut,
    call: *mut CallBehind,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (mut out, decision, dialed, caller) =
            unsafe { (Out::one(call)?, read(decision)?, bytes(dialed, dialed_len)?, bytes(caller, caller_len)?) };
        let (behind, context) = with(handle, |instance| instance.call_behind(dialed, caller, &decision))?;
        out.put(0, behind);
        let Some(context) = context else {
            // SAFETY: the caller promises that `needed` is null or valid for writing.
            unsafe { put(needed, 0) };
            return Ok(());
        };
        // SAFETY: the caller promises that `buffer` and `needed` are valid for writing.
        unsafe { put_text(context.as_str(), buffer, capacity, needed) }
    })
}

/// Reads the texts and the outcome of a reported call.
///
/// # Safety
/// The texts of `call` are valid as the header requires.
unsafe fn report_texts<'a>(call: &CallReport) -> Result<ReportTexts<'a>, Failure> {
    let outcome = outcome(call.outcome)
        .ok_or_else(|| Failure::new(Status::InvalidArgument, "outcome: not a DIALBACK_OUTCOME value from 1 to 8"))?;
    // SAFETY: this function's contract covers the four texts.
    let [environment, agent, from, to] =
        unsafe { [text(call.environment)?, text(call.agent)?, text(call.from)?, text(call.to)?] };
    Ok(ReportTexts { environment, agent, from, to, at_ms: call.at_ms, outcome })
}

/// Decides where a call to `dialed` from `caller` goes. `dialed` is an E.164 number. `caller` is what the trunk
/// sends: a number, a URI, a From header, `anonymous`, or the empty text. Reads memory only: it does not block, and
/// allocates nothing after a thread's first call. The call is not counted in the statistics.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_resolve(
    handle: Handle,
    dialed: *const c_char,
    dialed_len: usize,
    caller: *const c_char,
    caller_len: usize,
    now_ms: u64,
    decision: *mut DecisionOut,
) -> Status {
    // SAFETY: this function has the contract of `decide`.
    guard(|| unsafe { decide(handle, (dialed, dialed_len), (caller, caller_len), now_ms, decision, false) })
}

/// Decides where a call goes, with the arguments of `dialback_resolve`, and counts the call in the statistics. Use it
/// for calls that are routed, and `dialback_resolve` for queries.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_route(
    handle: Handle,
    dialed: *const c_char,
    dialed_len: usize,
    caller: *const c_char,
    caller_len: usize,
    now_ms: u64,
    decision: *mut DecisionOut,
) -> Status {
    // SAFETY: this function has the contract of `decide`.
    guard(|| unsafe { decide(handle, (dialed, dialed_len), (caller, caller_len), now_ms, decision, true) })
}

/// Decides one call; `counts` says whether it is part of the statistics.
///
/// # Safety
/// All pointers are valid as the header requires.
#[inline(always)]
#[allow(clippy::inline_always, reason = "one piece of code for each of the two functions that C calls for every call")]
unsafe fn decide(
    handle: Handle,
    dialed: (*const c_char, usize),
    caller: (*const c_char, usize),
    now_ms: u64,
    decision: *mut DecisionOut,
    counts: bool,
) -> Result<(), Failure> {
    // SAFETY: this function's contract covers all four pointers.
    let (mut out, dialed, caller) =
        unsafe { (Out::one(decision)?, bytes(dialed.0, dialed.1)?, bytes(caller.0, caller.1)?) };
    with_plan(handle, |instance, plan| {
        out.put(0, (&instance.resolve(plan, dialed, caller, now_ms, counts)?).into());
        Ok(())
    })
}

/// Decides where a call goes, and writes the explanation of the decision as JSON with a NUL at its end into `buffer`.
/// Writes the length of both to `needed`, which may be null. If the buffer is too short it is left unchanged, but
/// `decision`, which may be null, is written. Allocates memory.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_explain(
    handle: Handle,
    dialed: *const c_char,
    dialed_len: usize,
    caller: *const c_char,
    caller_len: usize,
    now_ms: u64,
    decision: *mut DecisionOut,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (mut out, dialed, caller) = unsafe {
            let out = if decision.is_null() { None } else { Some(Out::one(decision)?) };
            (out, bytes(dialed, dialed_len)?, bytes(caller, caller_len)?)
        };
        let (decided, explanation) = with(handle, |instance| instance.explain(dialed, caller, now_ms))?;
        if let Some(out) = &mut out {
            out.put(0, decided);
        }
        // SAFETY: the caller promises that `buffer` and `needed` are valid for writing.
        unsafe { put_text(&explanation, buffer, capacity, needed) }
    })
}

/// Decides `count` calls with one configuration and one time. A batch is faster than single calls when memory latency
/// dominates. Set the size field of the first decision: it is the distance between decisions in the array. A question
/// that is not valid gets its status in its decision, and the first such status is returned. All other questions are
/// decided. Allocates nothing if all questions are valid.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_resolve_batch(
    handle: Handle,
    first_question: *const Question,
    count: usize,
    now_ms: u64,
    first_decision: *mut DecisionOut,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (questions, mut out) = unsafe { (questions(first_question, count)?, Out::all(first_decision, count)?) };
        // SAFETY: the caller promises that the texts of each question are valid.
        let texts = |question: &Question| unsafe { Ok((text(question.dialed)?, text(question.caller)?)) };
        with_plan(handle, |instance, plan| {
            instance.resolve_batch(plan, questions, texts, now_ms, |index, decision| out.put(index, decision))
        })
    })
}

/// Erases a contact from an environment: all calls up to and including `until_ms`, also calls that are reported
/// later. Returns when the erasure is durable. Writes the number of erased (number, contact) pairs to `pairs`, which
/// may be null. The contact's data stays in the files until `dialback_purge` runs.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_erase(
    handle: Handle,
    environment: *const c_char,
    environment_len: usize,
    contact: *const c_char,
    contact_len: usize,
    until_ms: u64,
    pairs: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (environment, contact) = unsafe { (bytes(environment, environment_len)?, bytes(contact, contact_len)?) };
        let erased = with(handle, |instance| instance.erase(environment, contact, until_ms))?;
        // SAFETY: the caller promises that `pairs` is null or valid for writing.
        unsafe { put(pairs, erased) };
        Ok(())
    })
}

/// Removes erased data, and data older than the longest look-back plus one day, from memory and disk. Takes as long
/// as rewriting the data directory; decisions and records continue meanwhile. Call it about once a day.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_purge(handle: Handle, now_ms: u64) -> Status {
    guard(|| with(handle, |instance| instance.purge(now_ms)))
}

/// Returns what `dialback_route` counted in an environment, from the day (UTC) of `from_ms` to the day of `to_ms`,
/// both included. Waits until all counts so far are durable.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_statistics(
    handle: Handle,
    environment: *const c_char,
    environment_len: usize,
    from_ms: u64,
    to_ms: u64,
    statistics: *mut StatisticsOut,
) -> Status {
    guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let (mut out, environment) = unsafe { (Out::one(statistics)?, bytes(environment, environment_len)?) };
        out.put(0, with(handle, |instance| instance.statistics(environment, from_ms, to_ms))?);
        Ok(())
    })
}

/// Writes the error message of this thread's last failed call, with a NUL, into `buffer`. It is meant for people and
/// logs, and holds no phone number. Successful calls do not change the message, and neither does this function.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_last_error(buffer: *mut c_char, capacity: usize, needed: *mut usize) -> Status {
    let mut status = Status::Ok;
    let inner = guard(|| {
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        status = last(|message| {
            unsafe { put_text(message, buffer, capacity, needed) }.map_or_else(|e| e.status, |()| Status::Ok)
        });
        Ok(())
    });
    if inner == Status::Ok { status } else { inner }
}

/// Returns a short description of a status, with a NUL, as a static text. Returns null if there is no such status.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_status_message(status: i32) -> *const c_char {
    Status::ALL.into_iter().find(|known| *known as i32 == status).map_or(ptr::null(), |known| known.message().as_ptr())
}

/// Returns the name of a `DIALBACK_REASON_...` value, such as `NO_HISTORY`, with a NUL, as a static text. Returns
/// null if there is no such reason.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_reason_name(reason: u32) -> *const c_char {
    const NAMES: [&CStr; 9] = [
        c"UNKNOWN_NUMBER",
        c"ANONYMOUS_CALLER",
        c"NO_HISTORY",
        c"NO_CALLBACK_AGENT",
        c"NUMBER_NOT_OWNED",
        c"CALLBACK_AGENT_UNPUBLISHED",
        c"OUTCOME_NOT_ELIGIBLE",
        c"EXPIRED",
        c"MATCHED",
    ];
    const _: () = assert!(NAMES.len() == Reason::ALL.len());
    let index = (reason as usize).wrapping_sub(1);
    NAMES.get(index).map_or(ptr::null(), |name| name.as_ptr())
}

/// Writes the 16 bytes of a UUID as a text of 36 characters and a NUL. `buffer` must have room for 37 bytes.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_id_text(id: *const u8, buffer: *mut c_char, capacity: usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises that `id` points to 16 bytes.
        let id = unsafe { bytes(id.cast(), 16)? };
        let id = uuid::Uuid::from_slice(id).map_err(|_| Failure::from(Status::InvalidArgument))?;
        let mut text = [0; 36];
        // SAFETY: the caller promises that `buffer` is valid for `capacity` bytes.
        unsafe { put_text(id.hyphenated().encode_lower(&mut text), buffer, capacity, ptr::null_mut()) }
    })
}

/// Reads a UUID from its text and writes its 16 bytes to `id`.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_id_parse(id_text: *const c_char, id_len: usize, id: *mut u8) -> Status {
    guard(|| {
        if id.is_null() {
            return Err(Status::Null.into());
        }
        // SAFETY: every C caller promises that its pointers are valid (see `foreign.rs`).
        let parsed = instance::id(unsafe { bytes(id_text, id_len)? })?;
        // SAFETY: the caller promises that `id` has room for 16 bytes; bytes need no alignment.
        unsafe { put(id.cast::<[u8; 16]>(), *parsed.as_bytes()) };
        Ok(())
    })
}
