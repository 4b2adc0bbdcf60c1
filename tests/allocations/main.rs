//! Tests which operations allocate, and how much: this program has an allocator that counts.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement; this one passes everything on to the system's")]

#[cfg(feature = "capi")]
mod capi;
mod engine;
#[path = "../support/mod.rs"]
mod support;
mod tally;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The bytes that the process has allocated and not freed.
static HELD: AtomicUsize = AtomicUsize::new(0);

fn count() {
    // A thread that is ending has no counter any more, and its count is not needed.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: each call is passed unchanged to the system's allocator. Counting accesses no allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // Deallocations count too: memory that is freed during a decision must have been allocated before.
        count();
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the result of `work` and the number of calls of this thread to the allocator.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = CALLS.get();
    let result = black_box(work());
    (result, CALLS.get() - before)
}

/// Returns the bytes that the process has allocated and not freed.
fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}
