//! The progress of loading the stored data.

use super::Recovered;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The progress of loading. One thread writes it. Each request reads it, without a lock once loading is complete.
#[derive(Debug)]
pub(super) struct Loading {
    is_over: OnceLock<()>,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    so_far: Recovered,
    /// The service is being dropped, and the loading thread must stop.
    is_given_up: bool,
}

impl Default for Loading {
    /// Returns a progress that is complete: there is nothing to load.
    fn default() -> Self {
        let loading = Self::begun();
        loading.end();
        loading
    }
}

impl Loading {
    pub(super) fn begun() -> Self {
        Self { is_over: OnceLock::new(), state: Mutex::default() }
    }

    /// Returns the progress, or `None` once loading is complete.
    pub(super) fn so_far(&self) -> Option<Recovered> {
        match self.is_over.get() {
            Some(()) => None,
            None => Some(self.state().so_far),
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state().is_given_up
    }

    pub(super) fn advance(&self, recovered: Recovered) {
        self.state().so_far = recovered;
    }

    pub(super) fn end(&self) {
        self.is_over.get_or_init(|| ());
    }

    pub(super) fn give_up(&self) {
        self.state().is_given_up = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
