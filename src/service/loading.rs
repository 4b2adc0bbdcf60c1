//! How far the loading of what is stored has come.

use super::Recovered;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Written by the thread that loads, read by everybody.
#[derive(Default, Debug)]
pub(super) struct Loading(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    /// How far; `None` once everything is there.
    so_far: Option<Recovered>,
    /// Nobody waits for it any more.
    is_given_up: bool,
}

impl Loading {
    pub(super) fn begun() -> Self {
        Self(Mutex::new(State { so_far: Some(Recovered::default()), is_given_up: false }))
    }

    pub(super) fn so_far(&self) -> Option<Recovered> {
        self.state().so_far
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state().is_given_up
    }

    pub(super) fn advance(&self, recovered: Recovered) {
        self.state().so_far = Some(recovered);
    }

    pub(super) fn end(&self) {
        self.state().so_far = None;
    }

    pub(super) fn give_up(&self) {
        self.state().is_given_up = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
