//! How far the network vouches for the number of a caller (STIR/SHAKEN, ATIS-1000074).

use super::address::Address;
use super::scan;

/// The attestation of a caller's number, from the weakest to the strongest.
///
/// # Examples
///
/// ```
/// # use dialback::Attestation;
/// let verified = "<sip:+12125550143;verstat=TN-Validation-Passed-B@carrier.example.com>";
/// assert_eq!(Attestation::of(verified), Some(Attestation::B));
/// assert_eq!(Attestation::of("+12125550143"), None);
/// assert!(Attestation::B < Attestation::A);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Attestation {
    /// Gateway: the network knows only where the call entered it.
    C,
    /// Partial: the network knows its customer, but not whether the number belongs to the customer.
    B,
    /// Full: the network knows its customer, who has a right to the number.
    A,
}

impl Attestation {
    /// All attestations, in their order.
    pub const ALL: [Self; 3] = [Self::C, Self::B, Self::A];

    /// Returns `A`, `B` or `C`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::B => "B",
            Self::A => "A",
        }
    }

    /// Returns the attestation with this name, in any case. `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        let name = scan::trim(name);
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Returns the attestation in the parameter `verstat` of an address (3GPP TS 24.229, section 7.2A.20), which the
    /// verifying network adds to the URI of `P-Asserted-Identity` or `From`.
    ///
    /// `TN-Validation-Passed` means `A`; carriers append `-B` or `-C` for the others. With several `verstat`, the
    /// weakest counts. The result is `None` without the parameter, and for each other value.
    pub fn of(address: &str) -> Option<Self> {
        Self::verdicts(address).min().flatten()
    }

    /// Returns what each `verstat` of the address says. `None` stands for a value that is no attestation.
    pub(crate) fn verdicts(address: &str) -> impl Iterator<Item = Option<Self>> {
        let address = Address::of(address).ok();
        address.into_iter().flat_map(|address| address.params("verstat")).map(Self::passed)
    }

    /// Returns what a `verstat` with this value says.
    pub(crate) fn passed(verstat: &str) -> Option<Self> {
        const PASSED: &str = "TN-Validation-Passed";
        let (verdict, level) = verstat.split_at_checked(PASSED.len())?;
        match level.strip_prefix('-') {
            _ if !verdict.eq_ignore_ascii_case(PASSED) => None,
            Some(level) => Self::named(level),
            None => level.is_empty().then_some(Self::A),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestation_is_read_from_the_uri_only() {
        for (address, expected) in [
            ("tel:+12125550143;verstat=TN-Validation-Passed", Some(Attestation::A)),
            ("<sip:+12125550143;verstat=TN-Validation-Passed@x;user=phone>;tag=1", Some(Attestation::A)),
            ("\"Ann\" <sip:+12125550143@x;verstat=TN-Validation-Passed-A>", Some(Attestation::A)),
            ("<sip:+12125550143;VERSTAT=tn-validation-passed-b@x>", Some(Attestation::B)),
            ("<sip:+12125550143;verstat=TN-Validation-Passed-C@x>", Some(Attestation::C)),
            ("<sip:+1;verstat=TN-Validation-Passed@x;verstat=TN-Validation-Passed-C>", Some(Attestation::C)),
            ("<sip:+1;verstat=TN-Validation-Passed@x;verstat=No-TN-Validation>", None),
            ("<sip:+1;verstat=TN-Validation-Failed@x>", None),
            ("<sip:+1;verstat=TN-Validation-Failed-A@x>", None),
            ("<sip:+1;verstat=No-TN-Validation@x>", None),
            ("<sip:+1;verstat=TN-Validation-PassedA@x>", None),
            ("<sip:+1;verstat=TN-Validation-Passed-@x>", None),
            ("<sip:+1;verstat=TN-Validation-Passed-D@x>", None),
            ("<sip:+1;verstat@x>", None),
            ("<sip:+1@x?verstat=TN-Validation-Passed>", None),
            // A failure counts wherever it stands, and a password is no parameter.
            ("<sip:+1;verstat=TN-Validation-Passed;x=?;verstat=TN-Validation-Failed@x>", None),
            ("<sip:+1:x;verstat=TN-Validation-Passed@x>", None),
            ("<sip:+1;verstat=TN-Validation-Passed@x;verstat=TN-Validation-Failed?y>", None),
            ("+1;verstat=TN-Validation-Passed", Some(Attestation::A)),
            ("sip:+1;verstat=TN-Validation-Passed", Some(Attestation::A)),
            // A name that looks like an address.
            ("Ann \"<sip:+1;verstat=TN-Validation-Passed@x>\" <sip:+1@x>", None),
            ("Ann \"<sip:+1;verstat=TN-Validation-Passed@x> <sip:+1@x>", None),
            ("<sip:+1@x>;verstat=TN-Validation-Passed", None),
            ("\"<sip:+1;verstat=TN-Validation-Passed@x>\" <sip:+1@x>", None),
            ("\"x;verstat=TN-Validation-Passed\" <sip:+1@x>", None),
            ("\"x <sip:+1;verstat=TN-Validation-Passed@x>", None),
            ("<sip:+1;verstat=TN-Validation-Passed@x", None),
            ("", None),
        ] {
            assert_eq!(Attestation::of(address), expected, "{address}");
        }
        assert_eq!(Attestation::verdicts("<sip:+1@x>").count(), 0);
        assert_eq!(Attestation::verdicts("<sip:+1;verstat=x@x>").count(), 1);
    }

    #[test]
    fn names_are_read_in_any_case() {
        for level in Attestation::ALL {
            assert_eq!(Attestation::named(&format!(" {} ", level.name().to_lowercase())), Some(level));
        }
        assert_eq!((Attestation::named(""), Attestation::named("AB")), (None, None));
    }
}
