//! A number as people write it.

use super::E164;
#[cfg(feature = "regions")]
use super::regional;
use std::fmt;

/// A number as people write it, with the country that it belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// The country, in ISO 3166-1 alpha-2. `None` if the number belongs to no country that the metadata knows, and
    /// without the feature `regions`.
    pub country: Option<String>,
    /// The number as it is written in its country, such as `(212) 555-0100`; its digits if the country is unknown.
    pub national: String,
    /// The number as it is written abroad, such as `+1 212-555-0100`.
    pub international: String,
}

impl Written {
    /// Returns the number without separators.
    fn plain(number: E164) -> Self {
        let text = number.to_plus_form().to_string();
        Self { country: None, national: text.clone(), international: text }
    }
}

/// Masks the number.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("country", &self.country).finish_non_exhaustive()
    }
}

impl E164 {
    /// Returns the number as people write it, unmasked. Without the feature `regions`, it has no separators.
    ///
    /// # Cost
    /// Some microseconds, and a few milliseconds for the first number of a country.
    pub fn written(self) -> Written {
        #[cfg(feature = "regions")]
        if let Some((country, national, international)) = regional::written(self) {
            return Written { country, national, international };
        }
        Written::plain(self)
    }
}

#[cfg(all(test, feature = "regions"))]
mod tests {
    use super::*;

    #[test]
    fn number_is_written_as_in_its_country() {
        for (number, country, national, international) in [
            ("12125550100", Some("US"), "(212) 555-0100", "+1 212-555-0100"),
            ("14165550100", Some("CA"), "(416) 555-0100", "+1 416-555-0100"),
            ("4930901820", Some("DE"), "030 901820", "+49 30 901820"),
            ("447700900143", Some("GB"), "07700 900143", "+44 7700 900143"),
            // No country has this code, and this number is too short for its country.
            ("999123456", None, "+999123456", "+999123456"),
            ("4912", None, "+4912", "+4912"),
            ("0112", None, "0112", "0112"),
        ] {
            let written = E164::from_digits(number).expect("digits").written();
            let found = (written.country.as_deref(), &*written.national, &*written.international);
            assert_eq!(found, (country, national, international));
            assert!(!format!("{written:?}").contains(&number[3..]), "the number is masked");
        }
    }
}
