//! A lock-free stack of small numbers, which stand for available chunks or tables.

use super::memory::Region;
use crate::sync::{AtomicU32, AtomicU64, Ordering, order};

/// The top of a stack. Several stacks may share their links, as long as each number is in only one of them at a time.
pub(crate) struct Stack {
    /// The upper half counts changes, so that a top which was removed and pushed again is not taken for an unchanged
    /// one. The lower half is the number plus one, or zero for an empty stack.
    top: AtomicU64,
    len: AtomicU32,
}

/// For each number, the one below it.
pub(crate) type Links = Region<AtomicU32>;

impl Stack {
    pub(crate) fn new() -> Stack {
        Stack { top: AtomicU64::new(0), len: AtomicU32::new(0) }
    }

    pub(crate) fn push(&self, links: &Links, number: usize) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // Relaxed: the exchange below publishes it.
            links[number].store(top as u32, Ordering::Relaxed);
            let new = (top >> 32).wrapping_add(1) << 32 | (number as u64 + 1);
            // Release: a thread that pops the number sees its link, and everything that was done to what it stands for.
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
            // If the number was popped meanwhile, this may be the link of a later push. Then the exchange fails because
            // of the count.
            let under = links[number].load(Ordering::Relaxed);
            let new = (top >> 32).wrapping_add(1) << 32 | u64::from(under);
            // Release: a later pop may read this exchange instead of the push of `under`, and must still see that push.
            // (A read-modify-write continues the release sequence of that push anyway. The ordering is stated for the
            // reader.)
            match self.top.compare_exchange_weak(top, new, order!(AcqRel, "pop"), order!(Acquire, "pop")) {
                Ok(_) => {
                    self.len.fetch_sub(1, Ordering::Relaxed);
                    return Some(number);
                }
                Err(now) => top = now,
            }
        }
    }

    /// Returns the number of entries, which may be slightly out of date.
    pub(crate) fn len(&self) -> usize {
        // A pop may be counted before its push.
        (self.len.load(Ordering::Relaxed) as i32).max(0) as usize
    }
}
