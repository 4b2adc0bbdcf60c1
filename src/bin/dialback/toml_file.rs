//! Reads a TOML file. An error names the line, and no value of it: a value can be a phone number or a login.

use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// Reads the file.
///
/// # Errors
/// A message with the path, and with the line if the content is wrong.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    parse(path, &text(path)?)
}

/// Returns the text of the file.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Parses the text of the file.
///
/// # Errors
/// A message with the path and the line.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("{}, line {line}: {}", path.display(), without_values(error.message()))
    })
}

/// Returns the message of a TOML error without the values in it.
fn without_values(message: &str) -> String {
    let message = match message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, expected)) => format!("unknown value, {expected}"),
        None => message.to_owned(),
    };
    message.split('"').step_by(2).collect::<Vec<_>>().join("…")
}
