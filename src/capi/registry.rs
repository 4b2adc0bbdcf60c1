//! The table of open handles. A handle is a number that leads to an entry of this table, not a pointer. A closed or
//! invented handle is therefore detected and never dereferenced.
#![allow(unsafe_code)]

use super::barrier;
use super::instance::Instance;
use super::pin::{Gate, Seat};
use super::status::{Failure, Status};
use crate::engine::{Engine, Reader};
use crate::plan::Plan;
use crate::sync::{AtomicPtr, Ordering};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The number of handles that can be open at once. It is a power of two: the low bits of a handle are its place, and
/// the bits above are a count that is never reused.
const PLACES: usize = 64;

/// The number of threads that can have a seat of their own. Further threads share one counter for each handle:
/// slower, but equally correct.
const SEATS: usize = 256;

struct Place {
    gate: Gate,
    /// Valid while the gate is open, and after that until the last thread has left.
    opened: AtomicPtr<Opened>,
}

/// A thread's reader, which keeps the engine in memory.
type Kept = Reader<Arc<Engine>>;

/// The instance that a handle leads to.
struct Opened {
    instance: Instance,
    /// For each seat, the reader of its thread. It keeps the plan, which saves two atomic exchanges a call.
    readers: [UnsafeCell<Option<Kept>>; SEATS],
}

// SAFETY: only `readers` is not `Sync` by itself. Each element is accessed only by the thread that owns the seat of the
// same index, while that seat names this handle (`with_plan`), and by the thread that drops the whole structure when
// no thread is inside.
unsafe impl Sync for Opened {}

/// Compile-time checks of two assumptions: `Instance` can be shared between threads, and any thread may drop a
/// reader.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    const fn is_sent<T: Send>() {}
    is_shared::<Instance>();
    is_sent::<Kept>();
};

static TABLE: [Place; PLACES] =
    [const { Place { gate: Gate::new(), opened: AtomicPtr::new(ptr::null_mut()) } }; PLACES];

static SEATED: [Seat; SEATS] = [const { Seat::new() }; SEATS];

/// The number of handles opened so far. The lock is held while a handle is opened.
static OPENED: Mutex<u64> = Mutex::new(0);

/// Registers the instance and returns its handle.
///
/// # Errors
/// `TooManyHandles` if [`PLACES`] handles are open.
pub(super) fn open(instance: Instance) -> Result<u64, Failure> {
    let mut count = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    barrier::prepare();
    let free = TABLE.iter().enumerate().find(|(_, place)| place.gate.is_free());
    let (index, place) = free.ok_or(Status::TooManyHandles)?;
    *count += 1;
    let handle = *count * PLACES as u64 + index as u64;
    let opened = Box::new(Opened { instance, readers: [const { UnsafeCell::new(None) }; SEATS] });
    // Relaxed: the release store in `Gate::open` publishes the pointer.
    place.opened.store(Box::into_raw(opened), Ordering::Relaxed);
    place.gate.open(handle);
    Ok(handle)
}

/// Runs `work` on the instance of the handle. The instance stays alive meanwhile.
#[inline]
pub(super) fn with<R>(handle: u64, work: impl FnOnce(&Instance) -> Result<R, Failure>) -> Result<R, Failure> {
    inside(handle, |opened, _| work(&opened.instance))
}

/// Runs `work` on the instance of the handle and the plan that is now in force.
#[inline]
pub(super) fn with_plan<R>(
    handle: u64,
    work: impl FnOnce(&Instance, &Plan) -> Result<R, Failure>,
) -> Result<R, Failure> {
    inside(handle, |opened, seat| {
        let afresh;
        let plan = if let Some(reader) = seat.and_then(|seat| opened.readers.get(seat)) {
            // SAFETY: the seat belongs to this thread alone, and this call entered by it. A nested call would enter
            // without a seat (`Gate::enter`), so there is no second reference. The seat's previous owner released it
            // before this thread claimed it (`Seat::take` acquires).
            let reader = unsafe { &mut *reader.get() };
            reader.get_or_insert_with(|| opened.instance.reader()).plan()
        } else {
            afresh = opened.instance.plan();
            &afresh
        };
        // There is one call of `work`, so that the compiler can inline it.
        work(&opened.instance, plan)
    })
}

/// Enters the handle and runs `work`, with the index of the seat if the thread entered by its seat.
#[inline]
fn inside<R>(handle: u64, work: impl FnOnce(&Opened, Option<usize>) -> Result<R, Failure>) -> Result<R, Failure> {
    // A thread that is ending has already dropped its thread-local, so it has no seat.
    let index = MINE.try_with(|mine| mine.0).unwrap_or(SEATS);
    let place = place(handle);
    let Some(pin) = place.gate.enter(SEATED.get(index), handle) else { return Err(no_such(handle)) };
    // SAFETY: `enter` returned a pin because the gate is open under this handle. `open` therefore stored a pointer
    // from `Box::into_raw` before (released by the gate's store, acquired by `enter`). `close` frees it only after it
    // has shut the gate and seen this pin dropped. Until then only shared references are made from the pointer.
    let opened = unsafe { &*place.opened.load(Ordering::Relaxed) };
    work(opened, pin.is_seated().then_some(index))
}

/// Closes the handle. Waits until no thread is inside it, then until all accepted changes are durable.
pub(super) fn close(handle: u64) -> Result<(), Failure> {
    with(handle, Instance::is_of_this_process)?;
    let place = place(handle);
    if !place.gate.shut(handle) {
        return Err(no_such(handle));
    }
    // The threads inside may be waiting for a disk write, so polling with a sleep is enough.
    while !place.gate.is_empty(SEATED.iter(), handle) {
        thread::sleep(Duration::from_micros(100));
    }
    let opened = place.opened.swap(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the gate was open, so the pointer is from `Box::into_raw`. Only one thread gets past `shut`, no thread
    // enters after it, and no thread is inside any more. So this is the last use of the pointer.
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

/// The index of this thread's seat, or [`SEATS`] if no seat was left.
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
