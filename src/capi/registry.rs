//! The table of open handles. A handle is a number: nothing is behind it but a place in here, so that one which was closed, or
//! was made up, is found out instead of followed.
#![allow(unsafe_code)]

use super::barrier;
use super::instance::Instance;
use super::pin::{Gate, Seat};
use super::status::{Failure, Status};
use crate::engine::KeptPlan;
use crate::plan::Plan;
use crate::sync::{AtomicPtr, Ordering};
use std::cell::UnsafeCell;
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
    opened: AtomicPtr<Opened>,
}

/// What is behind a handle.
struct Opened {
    instance: Instance,
    /// The plan that each seat's thread has read last, which saves it the two exchanges that taking one afresh costs.
    plans: [UnsafeCell<Option<KeptPlan>>; SEATS],
}

// SAFETY: only `plans` is not `Sync` by itself. Each of them is touched only by the thread that has the seat of the same index,
// while it is inside by that seat (`with_plan`), and by the one who drops it all when nobody is inside.
unsafe impl Sync for Opened {}

/// What the promise above takes for granted, and that any thread may close.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    const fn is_sent<T: Send>() {}
    is_shared::<Instance>();
    is_sent::<KeptPlan>();
};

static TABLE: [Place; PLACES] =
    [const { Place { gate: Gate::new(), opened: AtomicPtr::new(ptr::null_mut()) } }; PLACES];

static SEATED: [Seat; SEATS] = [const { Seat::new() }; SEATS];

/// Held while a handle is opened: how many have been so far.
static OPENED: Mutex<u64> = Mutex::new(0);

/// Opens a handle to the instance.
pub(super) fn open(instance: Instance) -> Result<u64, Failure> {
    let mut count = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    barrier::prepare();
    let free = TABLE.iter().enumerate().find(|(_, place)| place.gate.is_free());
    let (index, place) = free.ok_or(Status::TooManyHandles)?;
    *count += 1;
    let handle = *count * PLACES as u64 + index as u64;
    let opened = Box::new(Opened { instance, plans: [const { UnsafeCell::new(None) }; SEATS] });
    // Relaxed: the gate publishes it.
    place.opened.store(Box::into_raw(opened), Ordering::Relaxed);
    place.gate.open(handle);
    Ok(handle)
}

/// Does something with what is behind the handle, which stays there meanwhile.
#[inline]
pub(super) fn with<R>(handle: u64, work: impl FnOnce(&Instance) -> Result<R, Failure>) -> Result<R, Failure> {
    inside(handle, |opened, _| work(&opened.instance))
}

/// The same, with the plan that decisions read now.
#[inline]
pub(super) fn with_plan<R>(
    handle: u64,
    work: impl FnOnce(&Instance, &Plan) -> Result<R, Failure>,
) -> Result<R, Failure> {
    inside(handle, |opened, seat| {
        let afresh;
        let plan = if let Some(plan) = seat.and_then(|seat| opened.plans.get(seat)) {
            // SAFETY: the seat is this thread's alone, and it is inside by it: a call within this one would be given none
            // (`enter`). Who had the seat before has given it back, and who takes it has seen that (`Seat::take`).
            let plan = unsafe { &mut *plan.get() };
            plan.get_or_insert_with(|| opened.instance.keep_plan()).load()
        } else {
            afresh = opened.instance.plan();
            &afresh
        };
        // One call, so that it can be one piece of code with this.
        work(&opened.instance, plan)
    })
}

/// Does something inside the handle, and by which seat.
#[inline]
fn inside<R>(handle: u64, work: impl FnOnce(&Opened, Option<usize>) -> Result<R, Failure>) -> Result<R, Failure> {
    // A thread that is ending has no seat any more.
    let index = MINE.try_with(|mine| mine.0).unwrap_or(SEATS);
    let place = place(handle);
    let Some(pin) = place.gate.enter(SEATED.get(index), handle) else { return Err(no_such(handle)) };
    // SAFETY: the pin was given because the gate is open under this handle, so `open` has stored a pointer from
    // `Box::into_raw` before (the gate's release, acquired by `enter`), and `close` frees it only after it has shut the gate and
    // seen this pin gone. Only shared references are made of it until then.
    let opened = unsafe { &*place.opened.load(Ordering::Relaxed) };
    work(opened, pin.is_seated().then_some(index))
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
    let opened = place.opened.swap(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the pointer is from `Box::into_raw`, since the gate was open. Only one closer gets past `shut`, nobody comes in
    // after it, and nobody is inside any more, so this is the last that is done with it.
    let opened = unsafe { Box::from_raw(opened) };
    place.gate.free();
    drop(opened);
    Ok(())
}

fn place(handle: u64) -> &'static Place {
    &TABLE[usize::try_from(handle % PLACES as u64).unwrap_or(0)]
}

#[cold]
fn no_such(handle: u64) -> Failure {
    if handle == 0 { Status::Null.into() } else { Status::Closed.into() }
}

/// The index of this thread's seat; that of none where there was none left.
struct Mine(usize);

thread_local! {
    static MINE: Mine = Mine(SEATED.iter().position(Seat::take).unwrap_or(SEATS));
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(seat) = SEATED.get(self.0) {
            seat.give_back();
        }
    }
}
