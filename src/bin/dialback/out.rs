//! Writes answers to standard output, and notes to standard error.

use crate::failure::Failure;
use std::fmt;
use std::io::{Write, stderr, stdout};

/// Writes a line for people. It is one line whatever it contains, and does not control the terminal: tenants choose
/// names and labels.
///
/// Unlike `println!`, it returns an error instead of panicking if the reader has closed the pipe.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    exact(format_args!("{}", printable(&text.to_string())))
}

/// Writes a text for programs, such as JSON, or one that contains no names. It is written as it is.
pub(crate) fn exact(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(stdout(), "{text}").map_err(|error| Failure::new(format!("cannot write the output: {error}")))
}

/// Writes a line for people to standard error. It is one line whatever it contains, as in [`line`].
///
/// Unlike `eprintln!`, it does nothing if it cannot write: what the note is about is done.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{}", printable(&text.to_string()));
}

/// Returns the text without characters that control a terminal, end the line or change the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn is_printable(c: char) -> bool {
    // Separators of lines and paragraphs, and what embeds, overrides and isolates a direction (Unicode TR9).
    let is_layout = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !is_layout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_does_not_control_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e\u{2028}"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}"
        );
        assert_eq!(printable("Zoë 👩‍🚒 مرحبا"), "Zoë 👩‍🚒 مرحبا");
    }
}
