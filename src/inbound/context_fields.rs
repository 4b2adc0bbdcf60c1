//! The fields of a call's context that a door passes to its gateway.

use crate::event::Context;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The names of the fields of contexts that a door passes on, in the operator's order. By default there are none.
///
/// Each name becomes a part of a header's or a variable's name. No other part of a context does.
#[derive(Clone, Default, Debug)]
pub struct ContextFields(Arc<[Box<str>]>);

impl ContextFields {
    /// The most names.
    pub const MAX: usize = 16;
    /// The most characters of a name.
    pub const MAX_NAME: usize = 64;

    /// Returns the fields with these names. A name has letters and digits of ASCII, `_`, and the characters of `more`.
    ///
    /// # Errors
    /// [`ContextFieldsError`] if a name is not valid or is given twice, or if there are too many. Two names that differ in
    /// their case only are the same name.
    pub fn new<S: AsRef<str>>(names: &[S], more: &[char]) -> Result<Self, ContextFieldsError> {
        if names.len() > Self::MAX {
            return Err(ContextFieldsError::TooMany);
        }
        let is_valid = |name: &str| {
            (1..=Self::MAX_NAME).contains(&name.len())
                && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_' || more.contains(&char))
        };
        for (place, name) in names.iter().map(AsRef::as_ref).enumerate() {
            if !is_valid(name) {
                return Err(ContextFieldsError::Invalid(name.into()));
            }
            if names[..place].iter().any(|other| other.as_ref().eq_ignore_ascii_case(name)) {
                return Err(ContextFieldsError::Twice(name.into()));
            }
        }
        Ok(Self(names.iter().map(|name| name.as_ref().into()).collect()))
    }

    /// Returns the names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Returns the values of those fields that the context has: a string as it is, and any other value as its JSON text. They
    /// may contain any character.
    pub(crate) fn values(&self, context: &Context) -> Vec<(&str, String)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let Ok(all) = serde_json::from_str::<BTreeMap<String, &RawValue>>(context.as_str()) else { return Vec::new() };
        let text = |value: &RawValue| serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned());
        self.names().filter_map(|name| Some((name, text(all.get(name)?)))).collect()
    }
}

/// Why names are not [`ContextFields`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContextFieldsError {
    /// There are more than [`ContextFields::MAX`] names.
    TooMany,
    /// This name is empty, too long, or has a character that is not allowed.
    Invalid(String),
    /// This name is given twice.
    Twice(String),
}

impl fmt::Display for ContextFieldsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "names more than {} fields", ContextFields::MAX),
            Self::Invalid(name) => {
                write!(f, "{name:?} is not a name of 1 to {} allowed characters", ContextFields::MAX_NAME)
            }
            Self::Twice(name) => write!(f, "names the field {name:?} twice"),
        }
    }
}

impl std::error::Error for ContextFieldsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_is_invalid_or_given_twice_is_an_error() {
        let fields = |names: &[&str]| ContextFields::new(names, &['-']).map(|_| ());
        assert_eq!(fields(&[]), Ok(()));
        assert_eq!(fields(&["order", "Order_2", "a-b"]), Ok(()));
        for name in ["", "a b", "a:b", "a\r\nX", "ä", "a%", &"x".repeat(65)] {
            assert_eq!(fields(&["order", name]), Err(ContextFieldsError::Invalid(name.into())));
        }
        assert_eq!(ContextFields::new(&["a-b"], &[]).map(|_| ()), Err(ContextFieldsError::Invalid("a-b".into())));
        for name in ["order", "ORDER"] {
            assert_eq!(fields(&["order", "x", name]), Err(ContextFieldsError::Twice(name.into())));
        }
        let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        assert_eq!(ContextFields::new(&many, &[]).map(|_| ()), Err(ContextFieldsError::TooMany));
    }

    #[test]
    fn values_are_strings_or_json_text_in_the_order_of_the_names() {
        let context =
            r#"{"n": 1.10, "s": "a\"\r\nb", "o": {"x": [12345678901234567890123, "\n"]}, "z": null, "e": ""}"#;
        let context = Context::new(context).expect("a context");
        let fields = ContextFields::new(&["s", "n", "o", "missing", "z", "e"], &[]).expect("names");
        let expected = [
            ("s", "a\"\r\nb"),
            ("n", "1.10"),
            ("o", r#"{"x": [12345678901234567890123, "\n"]}"#),
            ("z", "null"),
            ("e", ""),
        ];
        assert_eq!(fields.values(&context), expected.map(|(name, value)| (name, value.to_owned())));
        assert!(ContextFields::default().values(&context).is_empty());
    }
}
