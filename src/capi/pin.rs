//! Keeps an open handle alive while threads use it, without a cache line that those threads share.
//!
//! Each thread has a *seat*. It writes the handle that it is about to use into its seat, then checks whether the
//! handle is still open. The thread that closes the handle first marks it as closed, then waits until no seat names
//! it. An entering thread therefore does one write that other threads read, and touches no shared counter.
//!
//! # Orderings
//! * **Store, then load**, on both sides. The entering thread stores into its seat, then loads the gate. The closing
//!   thread stores into the gate, then loads the seats. Whichever store comes first is seen by the other side's load:
//!   either the entering thread finds the handle closed, or the closing thread finds the seat occupied. Two
//!   mechanisms guarantee this:
//!   * Without `membarrier`, all four operations are `SeqCst`, so they are in one total order.
//!   * With `membarrier` (see [`barrier`]), the entering thread only keeps the compiler from reordering its store and
//!     its load. The closing thread makes every thread run a full barrier between its own store and its own loads. A
//!     thread that had not yet loaded the gate then sees it closed. A thread that had already loaded the gate has
//!     made its store into the seat visible.
//! * **Publication.** The release store in [`Gate::open`] publishes the instance; the load of the gate in
//!   [`Gate::enter`] acquires it.
//! * **Leaving** is a release store (for a thread without a seat, a release decrement) that the closing thread's load
//!   acquires. Everything the thread did inside therefore happens before the instance is freed. A seat may already
//!   name another handle by then. That later store follows the leaving store, and it is a release store too, so a
//!   load that reads it acquires the earlier work as well.

use super::barrier;
use crate::sync::{AtomicBool, AtomicU64, Ordering, compiler_fence};

/// The value of a seat that is not in use, and of a gate that has no instance.
const NOTHING: u64 = 0;
/// The value of a gate whose handle is being closed. Never a valid handle.
const CLOSING: u64 = 1;

/// A caller can pass any number, also one that means that a gate has no instance.
#[inline]
fn is_handle(number: u64) -> bool {
    number > CLOSING
}

/// A thread's own slot, which names the handle that the thread is using. It is aligned to two cache lines, because
/// processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Seat {
    taken: AtomicBool,
    /// The handle that the thread is using, or [`NOTHING`].
    inside: AtomicU64,
}

/// Controls access to the instance behind one handle.
#[repr(align(128))]
pub(super) struct Gate {
    /// The open handle, [`NOTHING`] or [`CLOSING`].
    open: AtomicU64,
    /// The number of threads that use the handle without a seat.
    unseated: AtomicU64,
}

impl Seat {
    pub(super) const fn new() -> Self {
        Self { taken: AtomicBool::new(false), inside: AtomicU64::new(NOTHING) }
    }

    /// Claims the seat for the calling thread. Returns `false` if another thread has it.
    pub(super) fn take(&self) -> bool {
        // Acquire: pairs with the release store in `give_back` of the seat's last owner.
        self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Releases the seat when its thread ends.
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self { open: AtomicU64::new(NOTHING), unseated: AtomicU64::new(0) }
    }

    /// Returns whether a new handle can be opened here. The caller holds the lock that `open` in `registry.rs` takes.
    pub(super) fn is_free(&self) -> bool {
        // Acquire: pairs with `free`, so the last close has finished.
        self.open.load(Ordering::Acquire) == NOTHING
    }

    /// Opens the gate under `handle`, which must be at least 2 and must never have been used before.
    pub(super) fn open(&self, handle: u64) {
        self.open.store(handle, Ordering::Release);
    }

    /// Enters the handle if it is open. The instance stays alive until the returned pin is dropped.
    #[inline]
    pub(super) fn enter<'a>(&'a self, seat: Option<&'a Seat>, handle: u64) -> Option<Pin<'a>> {
        // A thread that is already inside a handle has its seat in use, so it counts itself in `unseated`.
        let seat = seat.filter(|seat| seat.inside.load(Ordering::Relaxed) == NOTHING);
        match seat {
            Some(seat) if barrier::is_available() => {
                seat.inside.store(handle, Ordering::Release);
                compiler_fence(Ordering::SeqCst);
            }
            Some(seat) => seat.inside.store(handle, Ordering::SeqCst),
            None => {
                self.unseated.fetch_add(1, Ordering::SeqCst);
            }
        }
        let pin = Pin { seat, gate: self };
        (is_handle(handle) && self.open.load(Ordering::SeqCst) == handle).then_some(pin)
    }

    /// Marks the handle as closed, so that no thread can enter it any more. Returns `false` if it was not open or if
    /// another thread closed it first.
    pub(super) fn shut(&self, handle: u64) -> bool {
        let is_mine = is_handle(handle)
            && self.open.compare_exchange(handle, CLOSING, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if is_mine && barrier::is_available() {
            barrier::run();
        }
        is_mine
    }

    /// Returns whether no thread is inside `handle`. Call it only after [`shut`](Self::shut).
    pub(super) fn is_empty(&self, mut seats: impl Iterator<Item: std::ops::Deref<Target = Seat>>, handle: u64) -> bool {
        self.unseated.load(Ordering::SeqCst) == 0 && seats.all(|seat| seat.inside.load(Ordering::SeqCst) != handle)
    }

    /// Makes the gate available for a new handle, after the instance has been freed.
    pub(super) fn free(&self) {
        self.open.store(NOTHING, Ordering::Release);
    }
}

/// Marks a thread as inside a handle. Dropping it leaves the handle.
pub(super) struct Pin<'a> {
    seat: Option<&'a Seat>,
    gate: &'a Gate,
}

impl Pin<'_> {
    /// Returns whether the thread's seat names the handle. Otherwise the thread is counted in `unseated`.
    #[inline]
    pub(super) fn is_seated(&self) -> bool {
        self.seat.is_some()
    }
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.seat {
            Some(seat) => seat.inside.store(NOTHING, Ordering::Release),
            None => {
                self.gate.unseated.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A caller may invent the two values by which a gate says that it has no instance.
    #[test]
    fn no_handle_enters_or_shuts_a_gate_without_an_instance() {
        let (gate, seat) = (Gate::new(), Seat::new());
        let enters = |handle| [None, Some(&seat)].map(|seat| gate.enter(seat, handle).is_some());
        let is_refused = || [NOTHING, CLOSING].into_iter().all(|handle| enters(handle) == [false; 2]);
        assert!(is_refused() && !gate.shut(NOTHING) && !gate.shut(CLOSING));
        gate.open(64);
        assert!(is_refused() && enters(64) == [true; 2]);
        assert!(gate.shut(64));
        assert!(is_refused() && !gate.shut(CLOSING) && enters(64) == [false; 2]);
        gate.free();
        assert!(is_refused() && gate.is_free() && gate.is_empty([&seat].into_iter(), 64));
    }
}
