//! The table of open handles. A handle is a number: nothing is behind it but a place in here, so that one which was closed, or
//! was made up, is found out instead of followed.
#![allow(unsafe_code)]

use super::instance::Instance;
use super::pin::{Gate, Seat};
use super::status::{Failure, Status};
use crate::sync::{AtomicPtr, Ordering};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many handles can be open at once. A power of two: a handle is its place and, above it, a number that never comes twice.
const PLACES: usize = 64;

/// How many threads have a seat of their own. More threads than that share a counter, which is slower and no less right.
const SEATS: usize = 256;

struct Place {
    gate: Gate,
    /// Valid while the gate is open, and until those inside have left.
    instance: AtomicPtr<Instance>,
}

static TABLE: [Place; PLACES] =
    [const { Place { gate: Gate::new(), instance: AtomicPtr::new(ptr::null_mut()) } }; PLACES];

static SEATED: [Seat; SEATS] = [const { Seat::new() }; SEATS];

/// Held while a handle is opened: how many have been so far.
static OPENED: Mutex<u64> = Mutex::new(0);

/// Opens a handle to the instance.
pub(super) fn open(instance: Box<Instance>) -> Result<u64, Failure> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let free = TABLE.iter().enumerate().find(|(_, place)| place.gate.is_free());
    let (index, place) = free.ok_or(Status::TooManyHandles)?;
    *opened += 1;
    let handle = *opened * PLACES as u64 + index as u64;
    // Relaxed: the gate publishes it.
    place.instance.store(Box::into_raw(instance), Ordering::Relaxed);
    place.gate.open(handle);
    Ok(handle)
}

/// Does something with what is behind the handle, which stays there meanwhile.
#[inline]
pub(super) fn with<R>(handle: u64, work: impl FnOnce(&Instance) -> Result<R, Failure>) -> Result<R, Failure> {
    // A thread that is ending has no seat any more.
    let seat = MINE.try_with(|mine| mine.0).unwrap_or_default();
    let place = place(handle);
    let Some(_pin) = place.gate.enter(seat, handle) else { return Err(no_such(handle)) };
    // SAFETY: the pin was given because the gate is open under this handle, so `open` has stored a pointer from
    // `Box::into_raw` before (the gate's release, acquired by `enter`), and `close` frees it only after it has shut the gate and
    // seen this pin gone. Only shared references are made of it until then.
    work(unsafe { &*place.instance.load(Ordering::Relaxed) })
}

/// Closes the handle: waits for those inside, then for what was handed in to be durable.
pub(super) fn close(handle: u64) -> Result<(), Failure> {
    with(handle, Instance::is_of_this_process)?;
    let place = place(handle);
    if !place.gate.shut(handle) {
        return Err(no_such(handle));
    }
    // They may be waiting for a disk; there is no hurry.
    while !place.gate.is_empty(SEATED.iter(), handle) {
        thread::sleep(Duration::from_micros(100));
    }
    let instance = place.instance.swap(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the pointer is from `Box::into_raw`, since the gate was open. Only one closer gets past `shut`, nobody comes in
    // after it, and nobody is inside any more, so this is the last that is done with it.
    let instance = unsafe { Box::from_raw(instance) };
    place.gate.free();
    drop(instance);
    Ok(())
}

fn place(handle: u64) -> &'static Place {
    &TABLE[usize::try_from(handle % PLACES as u64).unwrap_or(0)]
}

#[cold]
fn no_such(handle: u64) -> Failure {
    if handle == 0 { Status::Null.into() } else { Status::Closed.into() }
}

/// This thread's seat, if there was one left.
struct Mine(Option<&'static Seat>);

thread_local! {
    static MINE: Mine = Mine(SEATED.iter().find(|seat| seat.take()));
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(seat) = self.0 {
            seat.give_back();
        }
    }
}
