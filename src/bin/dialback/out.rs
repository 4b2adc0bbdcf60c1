//! Answers on standard output.

use crate::failure::Failure;
use std::fmt;
use std::io::{Write, stdout};

/// Writes a line. `println!` would panic where the reader has left, as `head` does.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(stdout(), "{text}").map_err(|error| Failure::new(format!("cannot write the output: {error}")))
}
