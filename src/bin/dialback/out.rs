//! Writes answers to standard output.

use crate::failure::Failure;
use std::fmt;
use std::io::{Write, stdout};

/// Writes a line. Unlike `println!`, it returns an error instead of panicking if the reader has closed the pipe.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(stdout(), "{text}").map_err(|error| Failure::new(format!("cannot write the output: {error}")))
}
