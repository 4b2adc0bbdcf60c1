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

/// Returns the message of a TOML error without the values in it. Keys are values too, if they are not words.
fn without_values(message: &str) -> String {
    let expected =
        |rest: &str| rest.rsplit_once(", expected ").map_or(String::new(), |(_, what)| format!(", expected {what}"));
    let kinds =
        [("invalid type: ", "wrong type"), ("invalid value: ", "wrong value"), ("unknown variant ", "unknown value")];
    let of_kind =
        kinds.iter().find_map(|(kind, said)| Some(format!("{said}{}", expected(message.strip_prefix(kind)?))));
    let message = of_kind.unwrap_or_else(|| match message.strip_prefix("unknown field `") {
        // A key may contain the text that follows it.
        Some(rest) if !rest.rsplit_once("`, expected ").is_some_and(|(key, _)| is_word(key)) => {
            format!("unknown field{}", expected(rest))
        }
        _ => message.to_owned(),
    });
    message.split('"').step_by(2).collect::<Vec<_>>().join("…")
}

/// Returns whether a key can be shown: one with digits may be a phone number.
fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialback::declaration::Declaration;

    #[test]
    fn message_has_the_line_and_no_value() {
        for (text, said) in [
            ("[[numbers]]\nnumber = 12125550100", "line 2: wrong type, expected a string"),
            ("[[numbers]]\nnumber = +12125550100", "line 2: wrong type, expected a string"),
            ("[[numbers]]\nnumber = [\"+12125550100\"]", "line 2: wrong type, expected a string"),
            ("[[agents]]\nname = \"A\"\nnumbers = [+12125550100]", "line 3: wrong type, expected a string"),
            ("[[agents]]\nname = \"A\"\ncallback = 12125550100", "line 3: wrong type, expected "),
            ("[[agents]]\nname = \"A\"\ndirection = \"+12125550100\"", "line 3: unknown value, expected "),
            ("[[numbers]]\n\"+12125550100\" = 1", "line 2: unknown field, expected "),
            ("[[numbers]]\n\"a`+12125550100\" = 1", "line 2: unknown field, expected "),
            ("[[numbers]]\n\"a`, +12125550100\" = 1", "line 2: unknown field, expected "),
            ("[[numbers]]\nnumber = \"a\"\n+12125550100 = 1", "line 3: "),
            ("[[numbers]]\n12125550100 = \"a\"\n12125550100 = 1", "line 3: "),
            ("[[numbers]]\nnumber = 1212-555-0100", "line 2: "),
            ("[[numbers]]\nnumber = 12125550100x", "line 2: "),
            ("[12125550100]\n[12125550100]", "line 2: "),
            ("[[numbers]]\nnumbr = \"+12125550100\"", "line 2: unknown field `numbr`, expected "),
        ] {
            let wrong = parse::<Declaration>(Path::new("file"), text).unwrap_err();
            assert!(wrong.starts_with(&format!("file, {said}")), "{text}: {wrong}");
            assert!(!wrong.contains("555"), "{text}: {wrong}");
        }
    }
}
