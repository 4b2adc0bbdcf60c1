//! Serializes phone numbers and dial plans as text. [`E164`] itself does not implement `Serialize`: each field that
//! may reveal its number says so with `#[serde(with = "crate::number::serde_text")]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

use super::{E164, NumberError};

/// Writes the number in its `+` form.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's `with` calls")]
pub(crate) fn serialize<S: Serializer>(number: &E164, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&number.to_plus_form())
}

/// Reads exactly what [`serialize`] writes. No other spelling of a number is accepted.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<E164, D::Error> {
    text(deserializer, "a number", |text| {
        let number = E164::from_digits(text.strip_prefix('+').unwrap_or(text));
        number.filter(|number| *number.to_plus_form() == *text).ok_or(NumberError::NotANumber)
    })
}

/// Reads a borrowed or owned string with `read`.
pub(super) fn text<'de, D, T, F>(deserializer: D, what: &'static str, read: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: FnOnce(&str) -> Result<T, NumberError>,
{
    struct Text<T, F>(&'static str, F, PhantomData<T>);

    impl<T, F: FnOnce(&str) -> Result<T, NumberError>> Visitor<'_> for Text<T, F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} as text", self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(E::custom)
        }

        // Serde's default errors for these types would quote the value, which may be a phone number without its
        // quotes. JSON calls these methods only for `deserialize_any`.

        fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
            Err(E::custom(NumberError::NotANumber))
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
            Err(E::custom(NumberError::NotANumber))
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
            Err(E::custom(NumberError::NotANumber))
        }
    }

    deserializer.deserialize_any(Text(what, read, PhantomData))
}
