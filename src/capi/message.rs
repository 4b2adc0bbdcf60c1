//! What was last wrong on this thread, and the edge that nothing unwinds across.

use super::status::{Failure, Status};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST: RefCell<Failure> = const { RefCell::new(Failure { status: Status::Ok, message: std::borrow::Cow::Borrowed("") }) };
}

/// Does the work, and says how it went; what was wrong is kept for [`last`]. A panic is a status too.
#[inline]
pub(super) fn guard(work: impl FnOnce() -> Result<(), Failure>) -> Status {
    // Unwind safe: what the work shares with others is atomic, or a lock whose poison is looked through everywhere.
    let done = catch_unwind(AssertUnwindSafe(|| {
        plant::perhaps();
        work()
    }));
    match done {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(failure)) => keep(failure),
        Err(payload) => panicked(payload),
    }
}

#[cold]
fn keep(failure: Failure) -> Status {
    let status = failure.status;
    // A thread that is ending has no message any more.
    let _ = LAST.try_with(|last| last.replace(failure));
    status
}

#[cold]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Status {
    // The panic has been reported where it came up, and what it says is not ours to show. To drop it may panic as well, with
    // something that nobody drops.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    keep(Status::Panicked.into())
}

/// What was last wrong on this thread; empty where nothing was.
pub(super) fn last<T>(look: impl FnOnce(&str) -> T) -> T {
    LAST.with(|last| look(&last.borrow().message))
}

/// A panic that a test asks for.
mod plant {
    #[cfg(feature = "__testing")]
    thread_local! {
        static NEXT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    #[cfg(feature = "__testing")]
    pub(super) fn perhaps() {
        assert!(!NEXT.replace(false), "planted");
    }

    #[cfg(not(feature = "__testing"))]
    pub(super) fn perhaps() {}

    #[cfg(feature = "__testing")]
    pub(in crate::capi) fn next() {
        NEXT.set(true);
    }
}

/// Not for users: the next call on this thread panics inside.
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub fn plant_panic() {
    plant::next();
}
