//! A lock-free stack of small numbers: which chunks, or tables, are to be had.

use super::memory::Region;
use crate::sync::{AtomicU32, AtomicU64, Ordering, order};

/// The top of a stack. Several may share their links, as long as a number is in one of them at a time.
pub(crate) struct Stack {
    /// A count of changes in the upper half, so that a top that went and came back is not taken for one that stayed;
    /// the number plus one in the lower half, zero for an empty stack.
    top: AtomicU64,
    len: AtomicU32,
}

/// What lies under each number.
pub(crate) type Links = Region<AtomicU32>;

impl Stack {
    pub(crate) fn new() -> Stack {
        Stack { top: AtomicU64::new(0), len: AtomicU32::new(0) }
    }

    pub(crate) fn push(&self, links: &Links, number: usize) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // Relaxed: published by the exchange below.
            links[number].store(top as u32, Ordering::Relaxed);
            let new = (top >> 32).wrapping_add(1) << 32 | (number as u64 + 1);
            // Release: whoever pops the number sees its link and all that was done to what it stands for.
            match self.top.compare_exchange_weak(top, new, order!(Release, "push"), Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pop(&self, links: &Links) -> Option<usize> {
        // Acquire: the link of a number is read only after the push that wrote it.
        let mut top = self.top.load(order!(Acquire, "pop"));
        loop {
            let number = (top as u32).checked_sub(1)? as usize;
            // May be of a later push if the number went meanwhile; then the exchange fails by the count.
            let under = links[number].load(Ordering::Relaxed);
            let new = (top >> 32).wrapping_add(1) << 32 | u64::from(under);
            // Release: so that this exchange, which a later pop reads instead of the push of `under`, does not hide
            // that push (a read-modify-write continues its release sequence anyway; said for the reader).
            match self.top.compare_exchange_weak(top, new, order!(AcqRel, "pop"), order!(Acquire, "pop")) {
                Ok(_) => {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                    return Some(number);
                }
                Err(now) => top = now,
            }
        }
    }

    /// How many there are, or were a moment ago.
    pub(crate) fn len(&self) -> usize {
        // A pop may be counted before its push is.
        (self.len.load(Ordering::Relaxed) as i32).max(0) as usize
    }
}
