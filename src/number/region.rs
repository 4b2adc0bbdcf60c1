//! A region by its code.

use std::fmt;

use super::NumberError;

/// Two letters of ISO 3166-1 alpha-2, in upper case. Whether the metadata has the region is checked elsewhere, so that
/// a stored region survives a build whose metadata lacks it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Region([u8; 2]);

impl Region {
    /// Reads two letters, in any case.
    ///
    /// # Errors
    /// [`NumberError::UnknownRegion`] for any other text.
    pub(super) fn new(code: &str) -> Result<Region, NumberError> {
        match code.as_bytes() {
            &[first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Region([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Err(NumberError::UnknownRegion),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Region {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Region {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        super::serde_text::text(deserializer, "a region", Region::new)
    }
}
