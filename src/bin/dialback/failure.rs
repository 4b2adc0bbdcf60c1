//! Why a command could not be carried out, and the exit code that says so.

use dialback::{ServiceError, store::StoreError};
use std::fmt;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::ExitCode;

/// What the exit codes mean, as `--help` says it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  could not be done; the message says why
  2  wrong usage
  3  done in part: an import rejected lines, or `resolve` found the call unrouted
  4  the data directory cannot be used: not there, held by another process, not ours, of a newer
     version, or damaged";

#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// The exit code for something that was done in part.
pub(crate) fn in_part() -> ExitCode {
    ExitCode::from(3)
}

/// The exit code for a data directory that is damaged, where that was said already.
pub(crate) fn damaged() -> ExitCode {
    ExitCode::from(4)
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    pub(crate) fn no_directory(path: &Path) -> Self {
        Self { code: 4, message: format!("{}: there is no such data directory", path.display()) }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    pub(crate) fn and(mut self, more: &str) -> Self {
        self.message = format!("{}, {more}", self.message);
        self
    }

    /// On standard error, as a line for people or as JSON for machines.
    pub(crate) fn report(&self, json: bool) {
        let line = if json {
            serde_json::json!({ "success": false, "message": self.message }).to_string()
        } else {
            format!("dialback: {}", self.message)
        };
        // Where nobody reads it, the exit code still says so.
        let _ = writeln!(stderr(), "{line}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Io { .. } => 1,
            _ => 4,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(error.to_string())
    }
}
