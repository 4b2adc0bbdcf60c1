//! The functions that C calls, one beside the other: each reads what it was given, asks the instance, and writes what it is
//! told. Their comments become the header.
#![allow(unsafe_code)]

use super::foreign::{Out, bytes, put, put_text, questions, read, read_all, text};
use super::instance::{self, Instance, Told};
use super::message::{guard, last};
use super::registry::{close, open, with, with_plan};
use super::status::{Failure, Status};
use super::types::{CallReport, DecisionOut, Handle, Options, Question, Recorded, StatisticsOut, outcome};
use crate::decision::Reason;
use std::ffi::{CStr, c_char};
use std::ptr;

/// Opens an engine, in memory or on a data directory, which is durable. Null options: in memory. Returns when all that the
/// directory holds is back. Starts threads: open after a fork, not before.
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
            // SAFETY: what the caller of every function here promises.
            let (options, directory) = unsafe {
                let options = read(options)?;
                (options, text(options.data_directory)?)
            };
            let directory = std::str::from_utf8(directory).map_err(|_| Failure::from(Status::InvalidUtf8));
            Instance::open(directory?, options.survives, options.max_pairs)?
        };
        let opened = open(opened)?;
        // SAFETY: as above.
        unsafe { put(handle, opened) };
        Ok(())
    })
}

/// Closes the engine: waits for calls that are under way on other threads, makes durable what was handed in, lets go of the data
/// directory. Whoever uses the handle from then on gets `DIALBACK_STATUS_CLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_close(handle: Handle) -> Status {
    guard(|| close(handle))
}

/// Makes changes of an environment's configuration, from a JSON array of them (see docs/c.md): together, or none. `generation`, which may
/// be null, gets the number of the configuration that is in force.
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
        // SAFETY: what the caller of every function here promises.
        let (environment, changes) = unsafe { (bytes(environment, environment_len)?, bytes(changes, changes_len)?) };
        let made = with(handle, |instance| instance.configure(environment, now_ms, changes))?;
        // SAFETY: as above.
        unsafe { put(generation, made) };
        Ok(())
    })
}

/// Records outbound calls; returns when they are durable, all with one sync. One that is wrong is named in the message, and none is recorded
/// then. Safe to repeat, and in any order. `recorded` may be null.
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
        // SAFETY: what the caller of every function here promises.
        let mut out = if recorded.is_null() { None } else { Some(unsafe { Out::one(recorded)? }) };
        let done = with(handle, |instance| {
            // SAFETY: as above.
            let calls = unsafe { read_all(calls, count)? };
            let read = calls.enumerate().map(|(index, call)| {
                let call = call.and_then(|call| {
                    // SAFETY: as above.
                    let told = unsafe { told(&call)? };
                    instance.call(&told)
                });
                call.map_err(|error| error.about(&format!("call {index}")))
            });
            instance.record(read.collect::<Result<_, _>>()?, now_ms)
        })?;
        if let Some(out) = &mut out {
            out.put(0, done);
        }
        Ok(())
    })
}

/// # Safety
/// The texts of the call are those of a caller who keeps the promise.
unsafe fn told<'a>(call: &CallReport) -> Result<Told<'a>, Failure> {
    let outcome = outcome(call.outcome).ok_or_else(|| Failure::new(Status::InvalidArgument, "outcome: no such one"))?;
    // SAFETY: as this function's.
    let [environment, agent, from, to] =
        unsafe { [text(call.environment)?, text(call.agent)?, text(call.from)?, text(call.to)?] };
    Ok(Told { environment, agent, from, to, at_ms: call.at_ms, outcome })
}

/// Decides where a call to `dialed` from `caller` goes. `dialed` is E.164; `caller` is whatever the trunk sends: a number, a URI, a From
/// header, `anonymous`, nothing. Reads memory only: does not block, allocates nothing after a thread's first call, and is not counted in
/// the statistics.
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
    // SAFETY: as this function's.
    guard(|| unsafe { decide(handle, (dialed, dialed_len), (caller, caller_len), now_ms, decision, false) })
}

/// As `dialback_resolve`, of a call that is there to be routed and not only asked about: it is part of the statistics.
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
    // SAFETY: as this function's.
    guard(|| unsafe { decide(handle, (dialed, dialed_len), (caller, caller_len), now_ms, decision, true) })
}

/// # Safety
/// As for [`dialback_resolve`].
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
    // SAFETY: as this function's.
    let (mut out, dialed, caller) =
        unsafe { (Out::one(decision)?, bytes(dialed.0, dialed.1)?, bytes(caller.0, caller.1)?) };
    with_plan(handle, |instance, plan| {
        out.put(0, (&instance.resolve(plan, dialed, caller, now_ms, counts)?).into());
        Ok(())
    })
}

/// As `dialback_resolve`, with all that led to the decision, as JSON with a NUL at its end, in the caller's buffer. `needed`, which may be
/// null, gets how long both are. A buffer that is too short is left as it is, but `decision`, which may be null, is written. Allocates.
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
        // SAFETY: what the caller of every function here promises.
        let (mut out, dialed, caller) = unsafe {
            let out = if decision.is_null() { None } else { Some(Out::one(decision)?) };
            (out, bytes(dialed, dialed_len)?, bytes(caller, caller_len)?)
        };
        let (decided, explanation) = with(handle, |instance| instance.explain(dialed, caller, now_ms))?;
        if let Some(out) = &mut out {
            out.put(0, decided);
        }
        // SAFETY: as above.
        unsafe { put_text(&explanation, buffer, capacity, needed) }
    })
}

/// Decides `count` calls at once, on one configuration and as of one moment: cheaper than one by one where memory is what it waits for. Set
/// the size of the first decision; the others lie that far behind each other. A question that is none has its status in its decision, and
/// the first such status is returned; all others are decided. Allocates nothing where all are questions.
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
        // SAFETY: what the caller of every function here promises.
        let (questions, mut out) = unsafe { (questions(first_question, count)?, Out::all(first_decision, count)?) };
        // SAFETY: as above.
        let texts = |question: &Question| unsafe { Ok((text(question.dialed)?, text(question.caller)?)) };
        with_plan(handle, |instance, plan| {
            instance.resolve_batch(plan, questions, texts, now_ms, |index, decision| out.put(index, decision))
        })
    })
}

/// Forgets a contact in an environment: calls up to and including `until_ms`, also those that are reported later. Returns when that is durable;
/// `pairs`, which may be null, gets how many (number, contact) pairs were forgotten. The files are clean of it after `dialback_purge`.
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
        // SAFETY: what the caller of every function here promises.
        let (environment, contact) = unsafe { (bytes(environment, environment_len)?, bytes(contact, contact_len)?) };
        let erased = with(handle, |instance| instance.erase(environment, contact, until_ms))?;
        // SAFETY: as above.
        unsafe { put(pairs, erased) };
        Ok(())
    })
}

/// Removes from memory and disk what was erased, and what is older than the longest look-back and a day. Takes as long as rewriting the data
/// directory; decisions and records go on meanwhile. Call it about once a day.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_purge(handle: Handle, now_ms: u64) -> Status {
    guard(|| with(handle, |instance| instance.purge(now_ms)))
}

/// What `dialback_route` counted in an environment, over the days (UTC) of the two moments and those in between. Waits until all that was
/// counted so far is durable.
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
        // SAFETY: what the caller of every function here promises.
        let (mut out, environment) = unsafe { (Out::one(statistics)?, bytes(environment, environment_len)?) };
        out.put(0, with(handle, |instance| instance.statistics(environment, from_ms, to_ms))?);
        Ok(())
    })
}

/// What the last call of this thread that failed has to say, with a NUL, in the caller's buffer: for people and logs. It holds no phone number.
/// Calls that succeed leave it as it is, and so does this one.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_last_error(buffer: *mut c_char, capacity: usize, needed: *mut usize) -> Status {
    let mut status = Status::Ok;
    let inner = guard(|| {
        // SAFETY: what the caller of every function here promises.
        status = last(|message| {
            unsafe { put_text(message, buffer, capacity, needed) }.map_or_else(|e| e.status, |()| Status::Ok)
        });
        Ok(())
    });
    if inner == Status::Ok { status } else { inner }
}

/// A status in a few words: a text that stays, with a NUL. Null where there is no such status.
#[unsafe(no_mangle)]
pub extern "C" fn dialback_status_message(status: i32) -> *const c_char {
    Status::ALL.into_iter().find(|known| *known as i32 == status).map_or(ptr::null(), |known| known.message().as_ptr())
}

/// The name of a `DIALBACK_REASON_...`, such as `NO_HISTORY`: a text that stays, with a NUL. Null where there is no such reason.
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

/// The text of an identity, 36 characters and a NUL: `buffer` is good for 37.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_id_text(id: *const u8, buffer: *mut c_char, capacity: usize) -> Status {
    guard(|| {
        // SAFETY: what the caller of every function here promises: an identity has 16 bytes.
        let id = unsafe { bytes(id.cast(), 16)? };
        let id = uuid::Uuid::from_slice(id).map_err(|_| Failure::from(Status::InvalidArgument))?;
        let mut text = [0; 36];
        // SAFETY: as above.
        unsafe { put_text(id.hyphenated().encode_lower(&mut text), buffer, capacity, ptr::null_mut()) }
    })
}

/// The 16 bytes of an identity's text, into `id`.
///
/// # Safety
/// See the head of this file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dialback_id_parse(id_text: *const c_char, id_len: usize, id: *mut u8) -> Status {
    guard(|| {
        if id.is_null() {
            return Err(Status::Null.into());
        }
        // SAFETY: what the caller of every function here promises.
        let parsed = instance::id(unsafe { bytes(id_text, id_len)? })?;
        // SAFETY: as above; 16 bytes need no alignment.
        unsafe { put(id.cast::<[u8; 16]>(), *parsed.as_bytes()) };
        Ok(())
    })
}
