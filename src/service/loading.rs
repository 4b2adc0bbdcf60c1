//! How far the loading of what is stored has come.

use super::Recovered;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Written by the thread that loads, read by everybody: every request asks, and once everything is there nobody waits for a lock.
#[derive(Debug)]
pub(super) struct Loading {
    is_over: OnceLock<()>,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    so_far: Recovered,
    /// Nobody waits for it any more.
    is_given_up: bool,
}

impl Default for Loading {
    /// Nothing to load.
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

    /// How far; `None` once everything is there.
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
