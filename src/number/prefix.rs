//! A country code, or the digits dialed before a number.

use std::fmt;

use super::NumberError;

/// Up to 5 digits, stored inline.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    bytes: [u8; 5],
    len: u8,
}

impl Prefix {
    pub(super) const NONE: Prefix = Prefix { bytes: [0; 5], len: 0 };

    pub(super) fn new(digits: &str) -> Result<Prefix, NumberError> {
        let mut prefix = Prefix::NONE;
        let place = prefix.bytes.get_mut(..digits.len()).ok_or(NumberError::BadDialPlan)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::BadDialPlan);
        }
        place.copy_from_slice(digits.as_bytes());
        prefix.len = u8::try_from(digits.len()).map_err(|_| NumberError::BadDialPlan)?;
        Ok(prefix)
    }

    pub(super) fn digits(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.digits()).unwrap_or_default()
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Prefix, D::Error> {
        super::serde_text::text(deserializer, "a prefix", Prefix::new)
    }
}
