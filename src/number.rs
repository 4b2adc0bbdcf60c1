//! Phone numbers in one canonical form, which fits into one word.
//!
//! [`E164`] holds 1 to 15 digits ([ITU-T E.164]) as an integer below 2^50. [`E164::parse`] accepts the forms that
//! gateways, call records and people write: `+` and prefix forms, national forms read with a [`DialPlan`],
//! separators, `tel:` URIs ([RFC 3966]), `sip:` and `sips:` URIs, and whole From headers ([RFC 3261]). [`Caller`]
//! adds the values that an inbound call may have instead of a number.
//!
//! This module allocates only where a region's plan reads a form other than `+` and digits. `Debug` and `Display` mask
//! numbers, so that none is printed by accident. Only [`E164::digits`] and [`E164::to_plus_form`] reveal a number.
//!
//! ```
//! use dialback::{Caller, DialPlan, E164};
//!
//! let germany = DialPlan::new("49", "0", "00")?;
//! let number = E164::parse("030 / 901820", &germany)?;
//! assert_eq!(number, E164::parse_international("+49 (0)30 901820")?);
//! assert_eq!(&*number.to_plus_form(), "+4930901820");
//! assert_eq!(number.to_string(), "+493*****20");
//! assert_eq!(Caller::parse("<sip:anonymous@anonymous.invalid>", &germany), Caller::Withheld);
//! # Ok::<(), dialback::NumberError>(())
//! ```
//!
//! [ITU-T E.164]: https://www.itu.int/rec/T-REC-E.164
//! [RFC 3261]: https://www.rfc-editor.org/rfc/rfc3261
//! [RFC 3966]: https://www.rfc-editor.org/rfc/rfc3966

mod address;
mod attestation;
mod caller;
mod country_code;
mod dial_plan;
mod lengths;
mod prefix;
mod region;
#[cfg(feature = "regions")]
mod regional;
#[cfg(feature = "regions")]
mod reread;
#[cfg(feature = "regions")]
mod rules;
mod scan;
#[cfg(feature = "serde")]
pub(crate) mod serde_text;
#[cfg(feature = "regions")]
pub(crate) mod trunk;
mod withheld;
mod written;

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::str::FromStr;

use address::Address;
use scan::Scan;

pub use attestation::Attestation;
pub use caller::Caller;
pub use dial_plan::DialPlan;
pub use written::Written;

/// A phone number of 1 to 15 digits in one word.
///
/// Each string of 1 to 15 digits has exactly one [`code`](E164::code). So E.164 numbers can be held next to short and
/// national forms that no dial plan could convert, and they are never confused. `112` and `0112` are two numbers;
/// `+112` and `112` are one.
///
/// `Debug` and `Display` mask the number. From 8 digits on they show the first three and the last two digits, below
/// that only stars. Equality and order are those of the code: by value, with leading-zero forms after all others.
///
/// ```
/// # use dialback::E164;
/// let number = E164::from_digits("15551234567").unwrap();
/// assert_eq!(format!("{number} {number:?}"), "+155******67 E164(+155******67)");
/// assert_eq!(&*number.digits(), "15551234567");
/// assert_eq!(size_of::<Option<E164>>(), 8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(
    /// The code, at the top of the word.
    NonZeroU64,
);

impl E164 {
    /// The largest number of digits in a number (E.164, section 6).
    pub const MAX_DIGITS: usize = 15;

    /// The number of bits in a word that a code does not use.
    pub(crate) const FREE_BITS: u32 = 64 - CODE_BITS;

    /// Returns the number with these digits. `None` unless there are 1 to 15 ASCII digits. Accepts no separators and
    /// uses no dial plan.
    ///
    /// ```
    /// # use dialback::E164;
    /// assert_eq!(&*E164::from_digits("0911").unwrap().digits(), "0911");
    /// assert_eq!(E164::from_digits("+49"), None);
    /// ```
    pub fn from_digits(digits: &str) -> Option<E164> {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        E164::from_ascii(digits.as_bytes()).ok()
    }

    /// Parses a phone number. `plan` determines how digits without a `+` are read (see [`DialPlan`]).
    ///
    /// Accepted forms:
    /// * `+15551234567`, `(555) 123-4567`, `030/901820`: digits with spaces, hyphens, dashes, dots, brackets,
    ///   slashes, and the invisible marks that copied numbers contain. `+44 (0)20 7946 0958` loses the bracketed
    ///   zero, except in countries whose numbers keep their zero, such as Italy.
    /// * `tel:` URIs. `;ext=` and other parameters are dropped. `;phone-context=+49` is put before a local number. In
    ///   the context of a country code alone, a short code stays as it is (RFC 3966, section 5.1.5: 911 in the
    ///   context +1 is not +1-911), and a leading zero counts as a national prefix.
    /// * `sip:` and `sips:` URIs: the user part without its parameters and password, with percent escapes decoded.
    ///   Without `@` there is only a host, so only a `+` form is accepted. `user@host` without a scheme is read like
    ///   a `sip:` URI.
    /// * A name-addr such as `"Alice" <sip:+15551234567@host;user=phone>;tag=1`; of several, the first. The display
    ///   name is never read as a number.
    ///
    /// # Cost
    /// No allocation. One scan if `text` contains digits and separators only, a few scans for a URI or header. The plan
    /// of a region reads forms without a `+` with a library, which allocates: about 1 µs.
    ///
    /// # Errors
    ///
    /// [`NumberError::Empty`] without a digit, [`NumberError::TooLong`] for more than 15 digits, and
    /// [`NumberError::NotANumber`] for letters, stars, a zero after the `+`, and malformed addresses.
    /// [`NumberError::Withheld`] for digits that stand for a withheld caller. [`NumberError::Decimals`] for decimals
    /// other than the `.0` that spreadsheets and data frames add, and [`NumberError::Several`] for digits that may be
    /// two numbers.
    ///
    /// ```
    /// # use dialback::{DialPlan, E164};
    /// let us = DialPlan::new("1", "1", "011")?;
    /// let number = E164::from_digits("15551234567").unwrap();
    /// for text in ["+15551234567", "(555) 123-4567", "1-555-123-4567", "tel:+1-555-123-4567;ext=9",
    ///     "\"Alice <3\" <sip:%2B15551234567;npdi@10.0.0.1:5060;user=phone>;tag=1"] {
    ///     assert_eq!(E164::parse(text, &us)?, number);
    /// }
    /// # Ok::<(), dialback::NumberError>(())
    /// ```
    pub fn parse(text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
        if let Some(number) = E164::clean(text.as_bytes()) {
            return plan.settled(number, text).unless_withheld();
        }
        let number = match Scan::of(text, false) {
            Err(NumberError::NotANumber) => Address::of(text)?.number(plan),
            found => plan.number(&found?),
        };
        number.and_then(E164::unless_withheld)
    }

    /// Parses a phone number that is about to be stored: [`E164::parse`], and then [`DialPlan::check`].
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn parse_to_store(text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
        E164::parse(text, plan).and_then(|number| plan.check(number))
    }

    /// Parses a number in international form: `+`, a first digit 1 to 9, at most 15 digits, and separators. Accepts
    /// no URIs and no prefixes, and uses no dial plan.
    ///
    /// # Cost
    /// No allocation, one scan.
    ///
    /// # Errors
    ///
    /// The errors of [`E164::parse`], and [`NumberError::NotInternational`] for digits without the `+`.
    ///
    /// ```
    /// # use dialback::{E164, NumberError};
    /// assert!(E164::parse_international("+1 (555) 123-4567").is_ok());
    /// assert_eq!(E164::parse_international("15551234567"), Err(NumberError::NotInternational));
    /// assert_eq!(E164::parse_international("+05551234567"), Err(NumberError::NotANumber));
    /// ```
    pub fn parse_international(text: &str) -> Result<E164, NumberError> {
        if let Some(number) = E164::clean(text.as_bytes()) {
            return number.unless_withheld();
        }
        let found = Scan::of(scan::trim(text), false)?;
        if !found.plus {
            return Err(NumberError::NotInternational);
        }
        country_code::international(&found, 0).and_then(E164::unless_withheld)
    }

    /// Returns the number without a trunk prefix 0 after its country code, as in `+44 07700 900143`. Numbers of countries
    /// that keep the zero, and all others, stay as they are. The plan of a region does the same when it reads a number.
    ///
    /// # Cost
    /// A few nanoseconds. With a zero after the country code, about 1 µs in the library, which allocates.
    ///
    /// # Examples
    /// ```
    /// # use dialback::{DialPlan, E164};
    /// let read = |text| E164::parse(text, &DialPlan::NONE).unwrap().without_trunk_zero().to_plus_form().to_string();
    /// assert_eq!(read("+44 07700 900143"), "+447700900143");
    /// assert_eq!(read("+39 06 1234 5678"), "+390612345678");
    /// ```
    #[cfg(feature = "regions")]
    #[must_use]
    pub fn without_trunk_zero(self) -> E164 {
        regional::without_trunk_zero(self)
    }

    /// Returns the number as an integer from 1 to below 2^50. It is the same on every machine and in every version.
    ///
    /// Without a leading zero, it is the value of the digits. With a leading zero, it is 10^15 + (10^k - 1) / 9 + v,
    /// where v is the value of the k digits after the zero. So shorter forms come before longer ones.
    pub fn code(self) -> u64 {
        self.0.get() >> E164::FREE_BITS
    }

    /// Returns the number with this [`code`](E164::code). `None` for 0 and for codes that no digit string has.
    pub fn from_code(code: u64) -> Option<E164> {
        if code < CODES_END { E164::of(code) } else { None }
    }

    /// Returns the code above the [free bits](E164::FREE_BITS), as it is stored. A product of this word keeps to 50
    /// bits without masking. The history computes one for each lookup and so saves the shift.
    #[inline]
    pub(crate) const fn word(self) -> u64 {
        self.0.get()
    }

    /// Returns the number with a code below [`CODES_END`]. `None` for zero.
    #[inline]
    fn of(code: u64) -> Option<E164> {
        NonZeroU64::new(code << E164::FREE_BITS).map(E164)
    }

    /// Returns whether the number has no leading zero, so that it can be written with a `+`. It does not check
    /// whether the number is in service or its country code is assigned.
    pub fn is_international(self) -> bool {
        self.code() < LEADING_ZERO
    }

    /// Returns all digits unmasked: for storage, for the wire, and for displays of authorized users.
    pub fn digits(self) -> Digits {
        let mut digits = Digits { bytes: [0; 16], len: 0 };
        let code = self.code();
        if code < LEADING_ZERO {
            digits.push_number(code, code.ilog10() as usize + 1);
        } else {
            let rest = code - LEADING_ZERO;
            let behind = REPUNITS.partition_point(|&unit| unit <= rest) - 1;
            digits.push_number(rest - REPUNITS[behind], behind + 1);
        }
        digits
    }

    /// Returns all digits unmasked, with a leading `+` if the number [is international](E164::is_international).
    /// [`E164::parse`] reads an international number back with any plan.
    pub fn to_plus_form(self) -> Digits {
        let plain = self.digits();
        if !self.is_international() {
            return plain;
        }
        let mut digits = Digits { bytes: [b'+'; 16], len: plain.len + 1 };
        digits.bytes[1..].copy_from_slice(&plain.bytes[..15]);
        digits
    }

    /// Parses the form that nearly all records and trunks use: a `+` and digits, nothing else.
    #[inline]
    pub(crate) fn clean(text: &[u8]) -> Option<E164> {
        let [b'+', digits @ ..] = text else { return None };
        if digits.len() > E164::MAX_DIGITS || digits.first() == Some(&b'0') {
            return None;
        }
        let value = match (digits.first_chunk(), digits.last_chunk()) {
            (Some(first), Some(last)) => {
                let (first, last) = (eight_digits(*first)?, eight_digits(*last)?);
                // The digits of the first eight that are not among the last eight, preceded by zeros.
                let first = first.unbounded_shl(8 * (16 - u32::try_from(digits.len()).ok()?));
                value_of_eight(first) * 100_000_000 + value_of_eight(last)
            }
            _ => digits.iter().try_fold(0, |value, byte| {
                let digit = byte.wrapping_sub(b'0');
                (digit <= 9).then(|| value * 10 + u64::from(digit))
            })?,
        };
        E164::of(value)
    }

    /// Returns the number, or [`NumberError::Withheld`] if it stands for a withheld caller.
    #[inline]
    fn unless_withheld(self) -> Result<E164, NumberError> {
        if withheld::is_look_alike(self) { Err(NumberError::Withheld) } else { Ok(self) }
    }

    fn from_ascii(digits: &[u8]) -> Result<E164, NumberError> {
        E164::joined(digits, b"")
    }

    /// Returns the number whose digits are `head` followed by `tail`. Both must contain ASCII digits only.
    fn joined(head: &[u8], tail: &[u8]) -> Result<E164, NumberError> {
        let len = head.len() + tail.len();
        if len > E164::MAX_DIGITS {
            return Err(NumberError::TooLong);
        }
        let mut digits = head.iter().chain(tail).map(|byte| u64::from(byte - b'0')).peekable();
        let leading_zero = digits.peek() == Some(&0);
        let value = digits.fold(0, |value, digit| value * 10 + digit);
        let code = if leading_zero { LEADING_ZERO + REPUNITS[len - 1] + value } else { value };
        E164::of(code).ok_or(NumberError::Empty)
    }
}

impl FromStr for E164 {
    type Err = NumberError;

    /// Reads a number in international form, as [`parse_international`](Self::parse_international) does. The text of
    /// `Display` is masked and cannot be read back; [`to_plus_form`](Self::to_plus_form) can.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        Self::parse_international(text)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({})", &*self.to_plus_form().masked())
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_plus_form().masked())
    }
}

/// The unmasked digits of a number, stored inline. [`E164::digits`] and [`E164::to_plus_form`] return it.
///
/// It is a `str` by `Deref` and `AsRef`, and `Display` writes it whole. `Debug` masks it, so that a derived `Debug`
/// of a containing type reveals nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digits {
    bytes: [u8; 16],
    len: u8,
}

impl Digits {
    /// Appends `value` with exactly `width` digits, padded with zeros.
    fn push_number(&mut self, mut value: u64, width: usize) {
        for byte in self.bytes[..width].iter_mut().rev() {
            *byte = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
        self.len = u8::try_from(width).unwrap_or(0);
    }

    fn masked(mut self) -> Digits {
        let plus = usize::from(self.starts_with('+'));
        let digits = &mut self.bytes[plus..usize::from(self.len)];
        let len = digits.len();
        let hidden = if len >= 8 { 3..len - 2 } else { 0..len };
        digits[hidden].fill(b'*');
        self
    }
}

impl Deref for Digits {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl AsRef<str> for Digits {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({})", &*self.masked())
    }
}

/// The reason why a text is not a phone number, or why prefixes are not a dial plan. It never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NumberError {
    /// The text is blank or contains only separators.
    Empty,
    /// More than 15 digits, not counting prefixes.
    TooLong,
    /// Something that no number contains: letters, stars, a zero after the `+`, a truncated address.
    NotANumber,
    /// Digits that stand for a withheld caller: `+266696687` (`anonymous` on a keypad), or four zeros and more.
    Withheld,
    /// Decimals that are no part of a number: `+12125550143.0`, `12125550143.5`.
    Decimals,
    /// A slash after more digits than an area code has: two numbers, or a number and an extension (`555-0143/0144`).
    Several,
    /// Digits without the `+` where the international form is required.
    NotInternational,
    /// The number is too short or too long for its country.
    Impossible,
    /// A region that the metadata does not have.
    UnknownRegion,
    /// A dial plan whose country code, prefixes or lengths are not valid.
    BadDialPlan,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberError::Empty => "the number is missing",
            NumberError::TooLong => "the number has more than 15 digits",
            NumberError::NotANumber => "not a phone number",
            NumberError::Withheld => "stands for a withheld caller, not for a phone number",
            NumberError::Decimals => "the number has decimals: export the column as text",
            NumberError::Several => "digits after a slash may be a second number or an extension: give one number",
            NumberError::NotInternational => "not in international form: write the number with + and its country code",
            NumberError::Impossible => "the number is too short or too long for its country",
            NumberError::UnknownRegion => "not a known region: use two letters of ISO 3166-1, such as DE",
            NumberError::BadDialPlan => {
                "a dial plan has a country code of 1 to 3 digits, not beginning with 0, \
                 two different prefixes of at most 5 digits, and national numbers of 1 to 15 digits"
            }
        })
    }
}

impl std::error::Error for NumberError {}

/// Converts eight ASCII digits to numbers from 0 to 9, the first in the lowest byte. `None` if a byte is not a digit.
#[inline]
fn eight_digits(ascii: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(ascii) ^ 0x3030_3030_3030_3030;
    // For a byte of 10 or more, the addition sets its highest bit. A carry out of a byte occurs only if that byte has
    // its highest bit set already, so it cannot hide an error.
    let more_than_nine = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    (more_than_nine == 0).then_some(digits)
}

/// Returns the value of eight digits. It combines digits to pairs, pairs to fours, and fours to eight. That takes
/// three multiplications instead of a chain of eight.
#[inline]
fn value_of_eight(digits: u64) -> u64 {
    let pairs = digits * 10 + (digits >> 8);
    let even = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(1 + (10_000 << 32));
    even.wrapping_add(odd) >> 32
}

/// The number of bits of a code.
pub(crate) const CODE_BITS: u32 = 50;

/// Codes from here on stand for digit strings with a leading zero.
const LEADING_ZERO: u64 = 1_000_000_000_000_000;

/// `REPUNITS[k]` = (10^k - 1) / 9, the number of digit strings, including the empty one, with fewer than k digits.
const REPUNITS: [u64; 16] = {
    let mut units = [0; 16];
    let mut k = 1;
    while k < 16 {
        units[k] = units[k - 1] * 10 + 1;
        k += 1;
    }
    units
};

/// The first code that stands for no digit string.
pub(crate) const CODES_END: u64 = LEADING_ZERO + REPUNITS[15];

// The history packs a number into 50 bits of its key.
const _: () = assert!(CODES_END <= 1 << CODE_BITS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_form_of_each_length_parses_and_any_other_byte_is_rejected() {
        for len in 1..=15 {
            let digits: String = (0..len).map(|at| char::from(b'1' + at * 7 % 9)).collect();
            let text = format!("+{digits}");
            assert_eq!(E164::clean(text.as_bytes()), E164::from_digits(&digits), "{len}");
            for at in 1..text.len() {
                for byte in (0..=255).filter(|byte: &u8| !byte.is_ascii_digit()) {
                    let mut wrong = text.clone().into_bytes();
                    wrong[at] = byte;
                    assert_eq!(E164::clean(&wrong), None, "{len}: {byte} at {at}");
                }
            }
        }
        for text in ["", "+", "+0", "+012345678", "+1234567890123456", "12345678"] {
            assert_eq!(E164::clean(text.as_bytes()), None, "{text}");
        }
        assert_eq!(E164::clean(b"+999999999999999").map(E164::code), Some(999_999_999_999_999));
    }

    #[test]
    fn codes_of_leading_zero_forms_are_dense_and_ordered_by_length() {
        for (digits, offset) in [("0", 0), ("00", 1), ("09", 10), ("000", 11), ("099", 110), ("0000", 111)] {
            assert_eq!(E164::from_digits(digits).unwrap().code(), LEADING_ZERO + offset);
        }
        assert_eq!(E164::from_digits("099999999999999").unwrap().code(), CODES_END - 1);
        assert_eq!(E164::from_code(CODES_END), None);
    }
}
