//! The lengths of a plan's national numbers.

use std::fmt;

use super::{E164, NumberError};

/// A set of numbers of digits, from 1 to 15. The empty set means that the lengths are unknown.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Vec<usize>", try_from = "Vec<usize>"))]
pub(super) struct Lengths(
    /// Bit n is set if n is in the set.
    u16,
);

impl Lengths {
    pub(super) const NONE: Lengths = Lengths(0);

    /// # Errors
    /// [`NumberError::BadDialPlan`] if a length is not from 1 to 15.
    pub(super) fn new(lengths: &[usize]) -> Result<Lengths, NumberError> {
        let is_length = |len: &usize| (1..=E164::MAX_DIGITS).contains(len);
        if lengths.iter().all(is_length) {
            Ok(Lengths(lengths.iter().fold(0, |set, len| set | 1 << len)))
        } else {
            Err(NumberError::BadDialPlan)
        }
    }

    // Serde calls it with a reference.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's `skip_serializing_if` calls")]
    pub(super) fn is_empty(&self) -> bool {
        *self == Lengths::NONE
    }

    /// Returns whether a national number can have this length. Always true if the lengths are unknown.
    pub(super) fn allow(self, len: usize) -> bool {
        self.is_empty() || (len <= E164::MAX_DIGITS && self.0 & (1 << len) != 0)
    }

    pub(super) fn longest(self) -> Option<usize> {
        self.iter().last()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> + use<> {
        (1..=E164::MAX_DIGITS).filter(move |len| self.0 & (1 << len) != 0)
    }
}

impl fmt::Debug for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl From<Lengths> for Vec<usize> {
    fn from(lengths: Lengths) -> Vec<usize> {
        lengths.iter().collect()
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Vec<usize>> for Lengths {
    type Error = NumberError;

    fn try_from(lengths: Vec<usize>) -> Result<Lengths, NumberError> {
        Lengths::new(&lengths)
    }
}
