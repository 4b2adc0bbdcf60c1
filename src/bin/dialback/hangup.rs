//! SIGHUP: a daemon reads its settings again, and other commands end.

use crate::failure::Failure;
use std::ffi::OsString;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The SIGHUPs since the start of the program.
pub(crate) struct Hangups(Option<Signal>);

impl Hangups {
    /// Keeps SIGHUP from ending the program, if the command line is that of a daemon. Call it first in `main`: a supervisor
    /// may send the signal at any time after the start.
    pub(crate) fn hold(arguments: &[OsString]) -> Self {
        // The command line is read later. Another command with this word among its arguments ends by itself soon.
        let is_daemon = arguments.iter().any(|argument| argument == "serve");
        // A signal is registered in a runtime, and outlives it.
        let runtime = is_daemon.then(|| Builder::new_current_thread().enable_io().build().ok()).flatten();
        Self(runtime.and_then(|runtime| runtime.block_on(async { signal(SignalKind::hangup()) }).ok()))
    }

    /// Returns the signals, with those that have come already. Call it in a runtime.
    ///
    /// # Errors
    /// The system has too few resources.
    pub(crate) fn signals(self) -> Result<Signal, Failure> {
        let cannot = |error| Failure::new(format!("cannot listen for signals: {error}"));
        self.0.map_or_else(|| signal(SignalKind::hangup()).map_err(cannot), Ok)
    }
}
