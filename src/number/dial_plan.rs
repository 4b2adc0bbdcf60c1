//! Dial plans: how digits without a `+` are read as a phone number.

use super::country_code::{country_code_len, international, keeps_zero, longest_short_code};
use super::lengths::Lengths;
use super::prefix::Prefix;
use super::region::Region;
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
/// supported. Before all lines, zeros only and words on a keypad (`266696687`) are [`NumberError::Withheld`], unless the
/// word has a length that the plan knows as that of national numbers.
///
/// # Lengths of national numbers
///
/// These lines know no country's lengths, so digits may lose a prefix that belongs to the number. In India, `91` is
/// the country code and begins mobile numbers. [`DialPlan::with_national_lengths`] tells the plan how many digits
/// national numbers have. Then lines 3 and 4 apply only if the remaining digits have such a length, digits of such a
/// length are never a short code, and line 6 applies in each country to digits that are longer than all lengths.
///
/// # Regions
///
/// [`DialPlan::of_region`] makes the plan of a region from the metadata of `libphonenumber`. Such a plan reads digits
/// as `libphonenumber` does, and falls back to the lines above for digits that the library finds impossible. It also
/// drops a trunk prefix after a country code: `+44 020 7946 0958` is +442079460958.
///
/// # Cost
/// The plan takes 24 bytes and is copied freely. It never allocates, except where the library reads a number: that is
/// each form without a `+` in the plan of a region, and a trunk prefix after a country code.
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
    pub(super) country_code: Prefix,
    national_prefix: Prefix,
    international_prefix: Prefix,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Lengths::is_empty"))]
    national_lengths: Lengths,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    region: Option<Region>,
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
    pub const NONE: DialPlan = DialPlan {
        country_code: Prefix::NONE,
        national_prefix: Prefix::NONE,
        international_prefix: Prefix::NONE,
        national_lengths: Lengths::NONE,
        region: None,
    };

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
            ..DialPlan::NONE
        };
        let country_fits = matches!(plan.country_code.digits(), [b'1'..=b'9', rest @ ..] if rest.len() < 3);
        let prefixes_differ = national_prefix.is_empty() || national_prefix != international_prefix;
        if country_fits && prefixes_differ { Ok(plan) } else { Err(NumberError::BadDialPlan) }
    }

    /// Creates the plan of a region, such as `DE`, from the metadata of `libphonenumber`. The code is one of
    /// ISO 3166-1 alpha-2, in any case.
    ///
    /// # Errors
    ///
    /// [`NumberError::UnknownRegion`] if the metadata does not have the region, or if the crate was built without the
    /// feature `regions`.
    ///
    /// # Cost
    /// The first call in a process reads the metadata and compiles its patterns: about 0.1 s, and 30 MB of memory.
    ///
    /// # Examples
    #[cfg_attr(feature = "regions", doc = "```")]
    #[cfg_attr(not(feature = "regions"), doc = "```ignore")]
    /// # use dialback::{DialPlan, E164};
    /// let india = DialPlan::of_region("IN")?;
    /// assert_eq!(&*E164::parse("91234 56789", &india)?.to_plus_form(), "+919123456789");
    /// assert_eq!((india.country_code(), india.national_prefix()), ("91", "0"));
    /// # Ok::<(), dialback::NumberError>(())
    /// ```
    pub fn of_region(code: &str) -> Result<DialPlan, NumberError> {
        let region = Region::new(code)?;
        #[cfg(feature = "regions")]
        let plan = super::regional::dial_plan(region);
        #[cfg(not(feature = "regions"))]
        let plan = None;
        let plan: DialPlan = plan.ok_or(NumberError::UnknownRegion)?;
        Ok(DialPlan { region: Some(region), ..plan })
    }

    /// Adds the numbers of digits that national numbers have, without the national prefix. An empty list removes them.
    ///
    /// # Errors
    ///
    /// [`NumberError::BadDialPlan`] unless each length is from 1 to 15 and the plan has a country code. A region has
    /// lengths of its own: setting them is an error too.
    ///
    /// # Examples
    /// ```
    /// # use dialback::{DialPlan, E164};
    /// let russia = DialPlan::new("7", "8", "810")?.with_national_lengths(&[10])?;
    /// assert_eq!(&*E164::parse("812 123-45-67", &russia)?.to_plus_form(), "+78121234567");
    /// assert_eq!(&*E164::parse("8 812 123-45-67", &russia)?.to_plus_form(), "+78121234567");
    /// # Ok::<(), dialback::NumberError>(())
    /// ```
    pub fn with_national_lengths(self, lengths: &[usize]) -> Result<DialPlan, NumberError> {
        let national_lengths = Lengths::new(lengths)?;
        let is_free = self.region.is_none() && !self.country_code.digits().is_empty();
        if is_free || national_lengths.is_empty() {
            Ok(DialPlan { national_lengths, ..self })
        } else {
            Err(NumberError::BadDialPlan)
        }
    }

    /// Returns the code of the region, such as `DE`, if the plan was made of one.
    pub fn region(&self) -> Option<&str> {
        self.region.as_ref().map(Region::as_str)
    }

    /// Returns the numbers of digits that national numbers have, in ascending order. Empty if they were not set.
    pub fn national_lengths(&self) -> impl Iterator<Item = usize> + use<> {
        self.national_lengths.iter()
    }

    /// Checks a number that is about to be stored. In the plan of a region, its length must be possible in its country.
    ///
    /// Short codes, and numbers of countries that the metadata does not have, pass. So do all numbers in a plan without
    /// a region. A caller's number is not checked: it is looked up, because new ranges exist that the metadata does
    /// not have.
    ///
    /// # Errors
    ///
    /// [`NumberError::Impossible`] if the number is too short or too long for its country, or has a leading zero and
    /// more digits than a short code.
    pub fn check(&self, number: E164) -> Result<E164, NumberError> {
        #[cfg(feature = "regions")]
        if self.region.is_some() && !super::regional::is_possible(number) {
            return Err(NumberError::Impossible);
        }
        Ok(number)
    }

    /// Returns the plan with the same country code and prefixes, and without a region.
    #[cfg(feature = "regions")]
    pub(super) fn by_hand(self) -> DialPlan {
        DialPlan { region: None, ..self }
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
        #[cfg(feature = "regions")]
        if let Some(region) = self.region {
            return super::regional::number(self, region, found);
        }
        self.number_by_prefixes(found)
    }

    /// Returns the number that the clean `+` form `text` stands for: itself, unless the plan is a region's and a trunk prefix
    /// follows the country code.
    #[inline]
    #[cfg_attr(
        not(feature = "regions"),
        expect(clippy::unused_self, reason = "without regions there is nothing to do")
    )]
    pub(super) fn settled(&self, number: E164, text: &str) -> E164 {
        #[cfg(feature = "regions")]
        if self.region.is_some() {
            return super::regional::settled(number, &text.as_bytes()[1..]);
        }
        let _ = text;
        number
    }

    /// Returns the number that the digits stand for by the lines of the type's documentation, without a library.
    pub(super) fn number_by_prefixes(&self, found: &Scan) -> Result<E164, NumberError> {
        let digits = found.digits()?;
        if found.plus {
            return international(found, 0);
        }
        let country = self.country_code.digits();
        if withheld::is_only_zeros(digits)
            || withheld::are_look_alike(digits)
                && !is_full_length(country, digits)
                && !self.is_national_by_length(digits)
        {
            return Err(NumberError::Withheld);
        }
        let national = self.national_prefix.digits();
        if digits.len() <= self.longest_short_code() && !self.is_national_by_length(digits) {
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
            && self.national_lengths.allow(rest.len())
        {
            return match rest {
                [b'1'..=b'9', ..] => E164::joined(country, rest),
                _ => Err(NumberError::NotANumber),
            };
        }
        if digits.strip_prefix(country).is_some_and(|rest| self.is_enough_behind_country_code(rest.len())) {
            return international(found, 0);
        }
        if leading_zero && !national.is_empty() {
            return E164::from_ascii(digits);
        }
        let longest = self.national_lengths.longest();
        let longest = longest.or((country.len() == 1).then_some(NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES));
        if longest.is_some_and(|longest| digits.len() > longest) && !leading_zero {
            return international(found, 0);
        }
        E164::joined(country, digits)
    }

    /// Returns whether the digits, with or without the national prefix, have the length of a national number. False if
    /// the plan has no lengths.
    fn is_national_by_length(&self, digits: &[u8]) -> bool {
        let national = self.national_prefix.digits();
        let rest = if national.is_empty() { None } else { digits.strip_prefix(national) };
        !self.national_lengths.is_empty()
            && [Some(digits), rest].into_iter().flatten().any(|digits| self.national_lengths.allow(digits.len()))
    }

    /// Returns the number that local digits stand for in a `phone-context`, which holds the first digits of the
    /// global number.
    pub(super) fn number_in_context(&self, found: &Scan, context: &Scan) -> Result<E164, NumberError> {
        let context = context.digits()?;
        let digits = found.digits()?;
        if context == self.country_code.digits() {
            return self.number(found);
        }
        if withheld::is_only_zeros(digits) || withheld::are_look_alike(digits) && !is_full_length(context, digits) {
            return Err(NumberError::Withheld);
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

    /// Returns the number of digits up to which digits without a prefix are a short code.
    pub(super) fn longest_short_code(&self) -> usize {
        longest_short_code(self.country_code.digits())
    }

    fn is_enough_behind_country_code(&self, len: usize) -> bool {
        if !self.national_lengths.is_empty() {
            return self.national_lengths.allow(len);
        }
        let enough = match (self.country_code.digits(), self.national_prefix.digits()) {
            ([_], _) => NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES,
            (_, [_, ..]) => 1,
            (b"39", []) => 9,
            ([_, _, _], []) => 6,
            (_, []) => 8,
        };
        len >= enough
    }
}

/// The number of digits of all national numbers in the zones 1 and 7.
const NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES: usize = 10;

/// Returns whether the digits have the length of all national numbers of the country, where this length is known.
fn is_full_length(country_code: &[u8], digits: &[u8]) -> bool {
    country_code.len() == 1 && digits.len() == NATIONAL_DIGITS_OF_ONE_DIGIT_ZONES
}

/// The stored form of a [`DialPlan`] before validation.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    country_code: Prefix,
    national_prefix: Prefix,
    international_prefix: Prefix,
    #[serde(default)]
    national_lengths: Lengths,
    #[serde(default)]
    region: Option<Region>,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for DialPlan {
    type Error = NumberError;

    fn try_from(stored: Unchecked) -> Result<DialPlan, NumberError> {
        let Unchecked { country_code, national_prefix, international_prefix, national_lengths, region } = stored;
        if [country_code, national_prefix, international_prefix] == [Prefix::NONE; 3] {
            return Ok(DialPlan::NONE);
        }
        let plan = DialPlan::new(country_code.as_str(), national_prefix.as_str(), international_prefix.as_str())?;
        #[cfg(feature = "regions")]
        region.into_iter().for_each(super::regional::warm);
        Ok(DialPlan { national_lengths, region, ..plan })
    }
}
