//! Values that are written and read as text: the names of a fixed set, and ids.

use std::fmt;

/// A text that is not one of the names of a set, or not an id. The error says what was expected, and never contains the
/// text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameError {
    expected: &'static str,
}

impl NameError {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.expected)
    }
}

impl std::error::Error for NameError {}

/// Implements `Display` and `FromStr` for a type with `ALL` and `name`.
macro_rules! named {
    ($type:ident, $expected:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::named::NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|value| value.name() == text);
                found.ok_or(crate::named::NameError::new($expected))
            }
        }
    };
}
pub(crate) use named;
