//! Parses the command line: `--name value` and `--name`.

use std::fmt::Debug;
use std::str::FromStr;

pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn of_the_program() -> Args {
        Args(std::env::args().skip(1).collect())
    }

    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg == name)
    }

    /// Returns the value after a name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|arg| arg == name)?;
        Some(self.0.get(at + 1).unwrap_or_else(|| panic!("{name} wants a value")))
    }

    pub(crate) fn value<T: FromStr<Err: Debug>>(&self, name: &str) -> Option<T> {
        self.text(name).map(|text| text.parse().unwrap_or_else(|error| panic!("{name} {text}: {error:?}")))
    }

    /// Parses a count: `10000000`, `10_000_000` or `1e7`.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.text(name).map(count)
    }

    /// Parses counts separated by commas.
    pub(crate) fn counts(&self, name: &str) -> Option<Vec<u64>> {
        self.text(name).map(|text| text.split(',').map(count).collect())
    }

    /// Returns the arguments with another value for a name.
    pub(crate) fn but(&self, name: &str, value: &str) -> Args {
        let mut args = self.0.clone();
        match args.iter().position(|arg| arg == name) {
            Some(at) => value.clone_into(&mut args[at + 1]),
            None => args.extend([name.to_owned(), value.to_owned()]),
        }
        Args(args)
    }

    /// Returns whether this is a measurement. `cargo bench` passes a flag; without it, the program only checks that
    /// it runs.
    pub(crate) fn measuring(&self) -> bool {
        self.has("--bench")
    }
}

pub(crate) fn count(text: &str) -> u64 {
    let plain = text.replace('_', "");
    plain.parse().unwrap_or_else(|_| match plain.parse::<f64>() {
        Ok(count) if count >= 0.0 => count as u64,
        _ => panic!("{text} is no count"),
    })
}

/// Formats a count for people: 10,000.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
