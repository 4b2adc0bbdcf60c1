//! Dial plans: how digits without a `+` are read as a phone number.

use std::fmt;

use super::scan::Scan;
use super::{E164, NumberError, withheld};

/// A country code and the prefixes dialed before national and international numbers. It determines how digits without
/// a `+` are read.
///
/// The first line that applies reads the digits:
///
/// 1. Up to 6 digits (up to 4 if the country code has three digits, because those countries have national numbers of
///    5 and 6 digits): a short code such as `112` or `911`, or a message sender. It is held as it is, because
///    `+49112` would be another number.
/// 2. The plan's international prefix, then `00`, then `011`: the digits after it are an international number. `011`
///    counts only if the plan has a national prefix and the digits do not begin with it. (`011` is Turin in Italy,
///    and not a prefix in Germany.)
/// 3. The national prefix: the number is the country code followed by the remaining digits.
/// 4. The country code, if enough digits follow: an international number without its `+`, as trunks send them. In the
///    one-digit zones 1 and 7, 10 digits are enough, because all national numbers there have 10 digits. If the plan
///    has a national prefix, one digit is enough in the other zones. Without a national prefix, national numbers may
///    begin with the country code's digits too. Then 9 digits are enough in Italy (`39`), 6 after three-digit codes,
///    and 8 elsewhere.
/// 5. A leading zero, if the plan has a national prefix: an unknown form, which is held as it is.
/// 6. More than 10 digits in the zones 1 and 7: an international number without its `+`, as in line 4.
/// 7. All other digits: the number is the country code followed by the digits. Without a national prefix, a leading
///    zero belongs to the number, as in Italy.
///
/// A zero directly after the prefix of line 2 or 3 is an error, as it is after `+`. Carrier selection codes are not
/// supported.
///
/// # Cost
/// The plan takes 18 bytes and is copied freely. It never allocates.
///
/// # Examples
///
/// ```
/// # use dialback::{DialPlan, E164};
/// let parse = |text, plan: &DialPlan| E164::parse(text, plan).unwrap().to_plus_form().to_string();
/// let us = DialPlan::new("1", "1", "011")?;
/// assert_eq!(parse("555 123 4567", &us), "+15551234567");
/// assert_eq!(parse("011 49 30 901820", &us), "+4930901820");
/// assert_eq!(parse("911", &us), "+911"); // held as 911
/// let italy = DialPlan::new("39", "", "00")?;
/// assert_eq!(parse("06 1234 5678", &italy), "+390612345678");
/// # Ok::<(), dialback::NumberError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Unchecked"))]
pub struct DialPlan {
    country_code: Prefix,
    national_prefix: Prefix,
    international_prefix: Prefix,
}

impl DialPlan {
    /// A plan without a country, which is the default. `+`, `00` and `011` introduce international numbers, and so do
    /// digits without a leading zero. Digits with another leading zero, and up to 6 digits, are held as they are.
    ///
    /// # Examples
    /// ```
    /// # use dialback::{DialPlan, E164};
    /// let parse = |text| E164::parse(text, &DialPlan::NONE).unwrap().to_plus_form().to_string();
    /// assert_eq!(parse("0044 20 7946 0958"), "+442079460958");
    /// assert_eq!(parse("442079460958"), "+442079460958");
    /// assert_eq!(parse("020 7946 0958"), "02079460958");
    /// ```
    pub const NONE: DialPlan =
        DialPlan { country_code: Prefix::NONE, national_prefix: Prefix::NONE, international_prefix: Prefix::NONE };

    /// Creates the plan of a country: `("1", "1", "011")`, `("49", "0", "00")`, `("39", "", "00")`. Prefixes may be
    /// empty.
    ///
    /// # Errors
    ///
    /// [`NumberError::BadDialPlan`] unless all of these hold: the country code has 1 to 3 digits and begins with 1 to
    /// 9; each prefix has at most 5 digits; the prefixes differ or are both empty.
    pub fn new(country_code: &str, national_prefix: &str, international_prefix: &str) -> Result<DialPlan, NumberError> {
        let plan = DialPlan {
            country_code: Prefix::new(country_code)?,
            national_prefix: Prefix::new(national_prefix)?,
            international_prefix: Prefix::new(international_prefix)?,
        };
        let country_fits = matches!(plan.country_code.digits(), [b'1'..=b'9', rest @ ..] if rest.len() < 3);
        let prefixes_differ = national_prefix.is_empty() || national_prefix != international_prefix;
        if country_fits && prefixes_differ { Ok(plan) } else { Err(NumberError::BadDialPlan) }
    }

    /// Returns the country code, which is empty in [`DialPlan::NONE`].
    pub fn country_code(&self) -> &str {
        self.country_code.as_str()
    }

    /// Returns the prefix dialed before a national number. It may be empty.
    pub fn national_prefix(&self) -> &str {
        self.national_prefix.as_str()
    }

    /// Returns the prefix dialed before an international number. It may be empty.
    pub fn international_prefix(&self) -> &str {
        self.international_prefix.as_str()
    }

    /// Returns the number that the digits stand for. The order of the checks is that of the type's documentation.
    pub(super) fn number(&self, found: &Scan) -> Result<E164, NumberError> {
        let digits = found.digits()?;
        if found.plus {
            return international(found, 0);
        }
        if withheld::is_only_zeros(digits) {
            return Err(NumberError::Withheld);
        }
        let country = self.country_code.digits();
        let national = self.national_prefix.digits();
        if digits.len() <= longest_short_code(country) {
            return E164::from_ascii(digits);
        }
        if let Some(skip) = self.international_prefix_in(digits) {
            return international(found, skip);
        }
        let leading_zero = digits.first() == Some(&b'0');
        if country.is_empty() {
            return if leading_zero { E164::from_ascii(digits) } else { international(found, 0) };
        }
        if !national.is_empty()
            && let Some(rest) = digits.strip_prefix(national)
        {
            return match rest {
                [b'1'..=b'9', ..] => E164::joined(country, rest),
                _ => Err(NumberError::NotANumber),
            };
        }
        if digits.strip_prefix(country).is_some_and(|rest| rest.len() >= self.enough_behind_country_code()) {
            return international(found, 0);
        }
        if leading_zero && !national.is_empty() {
            return E164::from_ascii(digits);
        }
        if country.len() == 1 && digits.len() > NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES && !leading_zero {
            return international(found, 0);
        }
        E164::joined(country, digits)
    }

    /// Returns the number that local digits stand for in a `phone-context`, which holds the first digits of the
    /// global number.
    pub(super) fn number_in_context(&self, found: &Scan, context: &Scan) -> Result<E164, NumberError> {
        let context = context.digits()?;
        let digits = found.digits()?;
        if context == self.country_code.digits() {
            return self.number(found);
        }
        if context.first() == Some(&b'0') {
            return Err(NumberError::NotANumber);
        }
        if context.len() > country_code_len(context) {
            return E164::joined(context, digits);
        }
        if digits.len() <= longest_short_code(context) {
            return E164::from_ascii(digits);
        }
        match digits {
            [b'0', b'0', ..] => Err(NumberError::NotANumber),
            [b'0', rest @ ..] if !keeps_zero(context) => E164::joined(context, rest),
            // In zone 1 the national prefix is 1, and no national number begins with 1.
            [b'1', rest @ ..] if context == b"1" => E164::joined(context, rest),
            _ => E164::joined(context, digits),
        }
    }

    /// Returns the length of the international prefix at the start of `digits`, if there is one.
    fn international_prefix_in(&self, digits: &[u8]) -> Option<usize> {
        let own = self.international_prefix.digits();
        let national = self.national_prefix.digits();
        let begins_national = !national.is_empty() && digits.starts_with(national);
        if !own.is_empty() && digits.starts_with(own) {
            let national_is_nearer = begins_national && national.len() > own.len();
            return (!national_is_nearer).then_some(own.len());
        }
        match digits {
            // No national number begins with two zeros, whatever the plan's national prefix is.
            [b'0', b'0', b'1'..=b'9', ..] if !national.starts_with(b"00") => Some(2),
            [b'0', b'1', b'1', b'1'..=b'9', ..] => {
                let zeros_are_free = self.country_code.digits().is_empty() || !national.is_empty();
                (zeros_are_free && !begins_national).then_some(3)
            }
            _ => None,
        }
    }

    fn enough_behind_country_code(&self) -> usize {
        match (self.country_code.digits(), self.national_prefix.digits()) {
            ([_], _) => NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES,
            (_, [_, ..]) => 1,
            (b"39", []) => 9,
            ([_, _, _], []) => 6,
            (_, []) => 8,
        }
    }
}

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
fn country_code_len(digits: &[u8]) -> usize {
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
fn keeps_zero(country_code: &[u8]) -> bool {
    matches!(country_code, b"39" | b"225" | b"242" | b"378")
}

/// The number of digits of all national numbers in the zones 1 and 7.
const NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES: usize = 10;

fn longest_short_code(country_code: &[u8]) -> usize {
    if country_code.len() == 3 { 4 } else { 6 }
}

/// Up to 5 digits, stored inline.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Prefix {
    bytes: [u8; 5],
    len: u8,
}

impl Prefix {
    const NONE: Prefix = Prefix { bytes: [0; 5], len: 0 };

    fn new(digits: &str) -> Result<Prefix, NumberError> {
        let mut prefix = Prefix::NONE;
        let place = prefix.bytes.get_mut(..digits.len()).ok_or(NumberError::BadDialPlan)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::BadDialPlan);
        }
        place.copy_from_slice(digits.as_bytes());
        prefix.len = u8::try_from(digits.len()).map_err(|_| NumberError::BadDialPlan)?;
        Ok(prefix)
    }

    fn digits(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn as_str(&self) -> &str {
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

/// The stored form of a [`DialPlan`] before validation.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    country_code: Prefix,
    national_prefix: Prefix,
    international_prefix: Prefix,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for DialPlan {
    type Error = NumberError;

    fn try_from(stored: Unchecked) -> Result<DialPlan, NumberError> {
        let Unchecked { country_code, national_prefix, international_prefix } = stored;
        if [country_code, national_prefix, international_prefix] == [Prefix::NONE; 3] {
            return Ok(DialPlan::NONE);
        }
        DialPlan::new(country_code.as_str(), national_prefix.as_str(), international_prefix.as_str())
    }
}
