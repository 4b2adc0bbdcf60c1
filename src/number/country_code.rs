//! What is known of the countries with a code, without metadata.

use super::scan::Scan;
use super::{E164, NumberError};

/// Returns the number whose international form starts after the first `skip` digits of `found`.
pub(super) fn international(found: &Scan, skip: usize) -> Result<E164, NumberError> {
    let digits = found.digits()?.get(skip..).unwrap_or_default();
    if !matches!(digits, [b'1'..=b'9', ..]) {
        return Err(NumberError::NotANumber);
    }
    let country = country_code_len(digits);
    match digits.split_at_checked(country) {
        Some((code, [b'0', rest @ ..])) if found.bracketed_zero == Some(skip + country) && !keeps_zero(code) => {
            E164::joined(code, rest)
        }
        _ => E164::from_ascii(digits),
    }
}

/// Returns the length of the country code of an international number (ITU-T E.164, list of assigned codes).
pub(super) fn country_code_len(digits: &[u8]) -> usize {
    match digits {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    }
}

/// Returns whether the country's numbers keep their leading zero when dialed from abroad: Italy, Côte d'Ivoire,
/// Congo, San Marino.
pub(super) fn keeps_zero(country_code: &[u8]) -> bool {
    matches!(country_code, b"39" | b"225" | b"242" | b"378")
}

/// The number of digits up to which digits may be a short code, whatever the country is.
pub(super) const LONGEST_SHORT_CODE: usize = 6;

pub(super) fn longest_short_code(country_code: &[u8]) -> usize {
    if country_code.len() == 3 { 4 } else { LONGEST_SHORT_CODE }
}
