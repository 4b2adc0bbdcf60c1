//! The error of a command, and its exit code.

use crate::out::printable;
use dialback::{ServiceError, store::StoreError};
use std::fmt;
use std::io::{ErrorKind, Write, stderr};
use std::path::Path;
use std::process::ExitCode;

/// The exit codes, as `--help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failed; the message gives the reason
  2  wrong usage
  3  partly done: an import rejected lines, or `resolve` found no agent for the call
  4  the data directory cannot be used: missing, not permitted, held by another process, foreign,
     of a newer version, or damaged";

#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    /// The API's code, if the API refused a request.
    refusal: Option<String>,
}

/// The exit code of a command that completed partly.
pub(crate) fn in_part() -> ExitCode {
    ExitCode::from(3)
}

/// The exit code for a damaged data directory, after the damage has been printed.
pub(crate) fn damaged() -> ExitCode {
    ExitCode::from(4)
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), refusal: None }
    }

    /// A command line that the parser cannot know to be wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), refusal: None }
    }

    /// A refusal of the API, with its code.
    pub(crate) fn refused(code: String, message: String) -> Self {
        Self { code: 1, message, refusal: Some(code) }
    }

    /// Returns whether the API refused the request with this code.
    pub(crate) fn is_refusal(&self, code: &str) -> bool {
        self.refusal.as_deref() == Some(code)
    }

    pub(crate) fn no_directory(path: &Path) -> Self {
        Self {
            code: 4,
            message: format!("{}: there is no such data directory: check --data", path.display()),
            refusal: None,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    pub(crate) fn and(mut self, more: &str) -> Self {
        self.message = format!("{}, {more}", self.message);
        self
    }

    /// Prints the error on standard error, as text or as JSON.
    pub(crate) fn report(&self, json: bool) {
        let line = if json {
            serde_json::json!({ "success": false, "message": self.message }).to_string()
        } else {
            // A message can have several lines, and repeat a name.
            let lines: Vec<_> = self.message.split('\n').map(printable).collect();
            format!("dialback: {}", lines.join("\n"))
        };
        // If standard error is closed, the exit code still reports the failure.
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
            StoreError::Io { ref error, .. } if !is_unusable(error.kind()) => 1,
            _ => 4,
        };
        Self { code, message: error.to_string(), refusal: None }
    }
}

/// Returns whether the error says that the data directory cannot be used at all.
fn is_unusable(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidFilename
    )
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(error.to_string())
    }
}
