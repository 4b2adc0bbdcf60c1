//! The last error message of each thread, and the guard that turns panics into a status.

use super::status::{Failure, Status};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST: RefCell<Failure> = const { RefCell::new(Failure { status: Status::Ok, message: std::borrow::Cow::Borrowed("") }) };
}

/// Runs `work` and returns its status. An error message is kept for [`last`], and a panic becomes a status.
#[inline]
pub(super) fn guard(work: impl FnOnce() -> Result<(), Failure>) -> Status {
    // Unwind safe: `work` shares only atomics, and locks whose users all ignore poisoning.
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
    // A thread that is ending has already dropped its message.
    let _ = LAST.try_with(|last| last.replace(failure));
    status
}

#[cold]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Status {
    // The panic hook has already reported the panic, and its text may hold personal data. Dropping the payload may
    // panic too; that second payload is leaked.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    keep(Status::Panicked.into())
}

/// Calls `look` with the last error message of this thread, which is empty if no call has failed.
pub(super) fn last<T>(look: impl FnOnce(&str) -> T) -> T {
    LAST.with(|last| look(&last.borrow().message))
}

/// A panic that a test can trigger.
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

/// Makes the next call on this thread panic. For tests only.
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub fn plant_panic() {
    plant::next();
}
