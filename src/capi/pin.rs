//! Who is inside which handle: what lets a close wait for those inside without any of them sharing a cache line.
//!
//! A thread has a *seat* of its own and writes into it which handle it is about to use; then it looks whether the handle is
//! still open. Who closes takes the handle away first and then waits until no seat names it. One write that other threads
//! see, no counter that they share.
//!
//! # Orderings
//! * **Store, then look**, on both sides: the write of the seat before the look at the gate, the write of the gate before the look at
//!   the seats. Whichever write comes first is seen by the other side's look: the thread finds the handle closed, or the close
//!   finds the thread inside. Either all four are `SeqCst` and so in one total order; or ([`barrier`]) the thread only keeps the
//!   compiler from changing the order, and who closes has every thread run a full barrier between its write and its look: a thread
//!   that was before its look at the gate then sees it shut, and one that was past it has made its write of the seat visible.
//! * **What is behind the gate** is published by the gate's release store and acquired by the look at it.
//! * **Leaving** is a release store that the close's look at the seat acquires: all that was done inside happens before
//!   what is behind the gate goes. A seat that names another handle by then was written after it left, by the same
//!   thread, and what is seen of a later write of a thread is not older than an earlier one: on the machines that there are, the
//!   barrier, or else the `SeqCst` store, which releases too, makes it so.

use super::barrier;
use crate::sync::{AtomicBool, AtomicU64, Ordering, compiler_fence};

/// No handle: a seat that nobody sits in, a gate that nothing is behind.
const NOTHING: u64 = 0;
/// No handle either: what is behind the gate is about to go.
const CLOSING: u64 = 1;

/// A thread's place. Aligned to two cache lines, since processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Seat {
    taken: AtomicBool,
    /// The handle that the thread is inside.
    inside: AtomicU64,
}

/// The way to one opened thing.
#[repr(align(128))]
pub(super) struct Gate {
    /// The handle that is open, [`NOTHING`] or [`CLOSING`].
    open: AtomicU64,
    /// How many threads without a seat of their own are inside.
    crowd: AtomicU64,
}

impl Seat {
    pub(super) const fn new() -> Self {
        Self { taken: AtomicBool::new(false), inside: AtomicU64::new(NOTHING) }
    }

    /// Takes the seat for this thread, if nobody has it.
    pub(super) fn take(&self) -> bool {
        // Acquire: after the last owner's leaving.
        self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives it back when its thread ends.
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self { open: AtomicU64::new(NOTHING), crowd: AtomicU64::new(0) }
    }

    /// Whether nothing is behind it, so that something may be put there. Asked under the lock of those who open.
    pub(super) fn is_free(&self) -> bool {
        // Acquire: after the last close has taken away what was there.
        self.open.load(Ordering::Acquire) == NOTHING
    }

    /// Opens it under this handle: from 2 on, and never one that was used before.
    pub(super) fn open(&self, handle: u64) {
        self.open.store(handle, Ordering::Release);
    }

    /// Goes in, if the handle is open. Stays open for this thread until the pin is dropped.
    #[inline]
    pub(super) fn enter<'a>(&'a self, seat: Option<&'a Seat>, handle: u64) -> Option<Pin<'a>> {
        // Inside one handle already: then the other is held by the crowd's count.
        let seat = seat.filter(|seat| seat.inside.load(Ordering::Relaxed) == NOTHING);
        match seat {
            Some(seat) if barrier::is_there() => {
                seat.inside.store(handle, Ordering::Release);
                compiler_fence(Ordering::SeqCst);
            }
            Some(seat) => seat.inside.store(handle, Ordering::SeqCst),
            None => {
                self.crowd.fetch_add(1, Ordering::SeqCst);
            }
        }
        let pin = Pin { seat, gate: self };
        (self.open.load(Ordering::SeqCst) == handle).then_some(pin)
    }

    /// Takes the handle away: nobody comes in any more. `false`: it was not open, or somebody else did it.
    pub(super) fn shut(&self, handle: u64) -> bool {
        let is_mine = self.open.compare_exchange(handle, CLOSING, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if is_mine && barrier::is_there() {
            barrier::run();
        }
        is_mine
    }

    /// Whether nobody is inside the handle, which has been [`shut`](Self::shut).
    pub(super) fn is_empty(&self, mut seats: impl Iterator<Item: std::ops::Deref<Target = Seat>>, handle: u64) -> bool {
        self.crowd.load(Ordering::SeqCst) == 0 && seats.all(|seat| seat.inside.load(Ordering::SeqCst) != handle)
    }

    /// What was behind it is gone.
    pub(super) fn free(&self) {
        self.open.store(NOTHING, Ordering::Release);
    }
}

/// A thread inside a handle.
pub(super) struct Pin<'a> {
    seat: Option<&'a Seat>,
    gate: &'a Gate,
}

impl Pin<'_> {
    /// Whether it is the seat that holds the handle, and not the crowd's count.
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
                self.gate.crowd.fetch_sub(1, Ordering::Release);
            }
        }
    }
}
