//! Reads phone numbers as the options say.

use super::spreadsheet;
use ahash::HashMap;
use dialback::{DialPlan, E164, NumberError};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The options by which numbers differ from the environment's dial plan.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Phones {
    /// The digits for an outside line in front of dialed numbers.
    pub(in crate::import) prefix: Option<DialedPrefix>,
    /// Whether digits without a prefix are international numbers without their `+`.
    pub(in crate::import) bare_is_international: bool,
    /// The texts of our own numbers that were read before. A file has few of them, and a region reads slowly.
    known: HashMap<String, E164>,
}

/// The reason why a text is not read as a number. An import is stricter than a door, where a person sees the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum PhoneError {
    Number(NumberError),
    /// Digits follow a complete number: a second number, or an extension.
    Joined,
}

impl From<NumberError> for PhoneError {
    fn from(error: NumberError) -> Self {
        Self::Number(error)
    }
}

impl fmt::Display for PhoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(error) => error.fmt(f),
            Self::Joined => {
                f.write_str("digits after a complete number may be a second number or an extension: give one number")
            }
        }
    }
}

/// The most texts that are kept.
const MOST_KNOWN: usize = 4096;

/// The value of `--strip-prefix`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DialedPrefix(String);

impl FromStr for DialedPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_dialed = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'*' | b'#'));
        if !is_dialed || !(1..=8).contains(&text.len()) {
            return Err("the prefix must be 1 to 8 digits, `*` or `#`".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Digits without a prefix are a short code up to this number of them.
const LONGEST_SHORT_CODE: usize = 6;

impl Phones {
    pub(in crate::import) fn new(prefix: Option<DialedPrefix>, bare_is_international: bool) -> Self {
        Self { prefix, bare_is_international, ..Self::default() }
    }

    /// Returns the number that a call was placed from. The plan must be the same for all texts.
    pub(in crate::import) fn ours(&mut self, text: &str, plan: &DialPlan) -> Result<E164, PhoneError> {
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        let number = self.read(spreadsheet::plain(text), plan)?;
        if self.known.len() < MOST_KNOWN {
            self.known.insert(text.to_owned(), number);
        }
        Ok(number)
    }

    /// Returns the number that was dialed, if it can be stored.
    pub(in crate::import) fn dialed(&self, text: &str, plan: &DialPlan) -> Result<E164, PhoneError> {
        let text = spreadsheet::plain(text);
        let number = match &self.prefix {
            Some(prefix) => self.read(&prefix.removed(text), plan)?,
            None => self.read(text, plan)?,
        };
        Ok(plan.check(number)?)
    }

    /// Returns the number in a text that has one reading only.
    fn read(&self, text: &str, plan: &DialPlan) -> Result<E164, PhoneError> {
        let number = self.parse(text, plan)?.without_trunk_zero();
        if is_only_zeros(number) {
            return Err(NumberError::NotANumber.into());
        }
        if is_too_long(number) {
            return Err(NumberError::Impossible.into());
        }
        if is_plain(text) {
            return Ok(number);
        }
        if names_several(text) {
            return Err(PhoneError::Joined);
        }
        check_groups(user(text))?;
        Ok(if number.is_international() { metadata().check(number)? } else { number })
    }

    fn parse(&self, text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
        if self.bare_is_international && has_bare_digits(text) {
            let number = E164::parse(text, &DialPlan::NONE)?;
            // The plan of a region drops a trunk prefix behind the country code.
            return E164::parse(&number.to_plus_form(), plan);
        }
        E164::parse(text, plan)
    }
}

/// Returns whether the text is a number of digits that begin neither with `+` nor with a prefix.
fn has_bare_digits(text: &str) -> bool {
    let user = user(text);
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    user.trim_start_matches(['(', ' ']).starts_with(|c: char| matches!(c, '1'..='9')) && digits > LONGEST_SHORT_CODE
}

/// Returns the part of a URI or an address that has the number.
fn user(text: &str) -> &str {
    let user = text.rsplit_once('<').map_or(text, |(_, uri)| uri);
    let user = user.split_at(scheme(user)).1;
    user.split(['@', ';', '>']).next().unwrap_or_default()
}

/// Returns whether the text has several addresses, or digits after its address that are not in a parameter.
fn names_several(text: &str) -> bool {
    let Some((_, after)) = text.split_once('>') else { return false };
    let is_parameter = after.trim_start().starts_with(';');
    after.contains('<') || (!is_parameter && after.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Returns whether the text is digits, or `+` and digits.
fn is_plain(text: &str) -> bool {
    text.strip_prefix('+').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether the number is `0`, `00` and so on.
fn is_only_zeros(number: E164) -> bool {
    !number.is_international() && number.digits().bytes().all(|digit| digit == b'0')
}

/// The first code of a number of 12 digits.
const TWELVE_DIGITS: u64 = 100_000_000_000;

/// Returns whether the number is of the zone 1 or 7, where all numbers have ten digits after it, and is longer.
fn is_too_long(number: E164) -> bool {
    number.code() >= TWELVE_DIGITS && number.is_international() && number.digits().starts_with(['1', '7'])
}

/// Returns a plan that knows the possible lengths of numbers in all countries.
fn metadata() -> &'static DialPlan {
    static PLAN: OnceLock<DialPlan> = OnceLock::new();
    PLAN.get_or_init(|| DialPlan::of_region("US").unwrap_or(DialPlan::NONE))
}

/// The number of digits of the longest country code, and of the longest area code without its prefix.
const LONGEST_COUNTRY_CODE: usize = 3;
const LONGEST_AREA_CODE: usize = 5;
/// The number of digits from which on a group of them may be a number without its area code.
const SHORTEST_SUBSCRIBER: usize = 7;

/// Checks that digits with separators between them are those of one number, and not a number with digits behind it:
/// `+12125550143 101`, `5550143 5550144`.
///
/// # Errors
/// `Joined` if more digits follow a group that is too long for an area code. `NotANumber` for a sign before the digits.
fn check_groups(user: &str) -> Result<(), PhoneError> {
    let begin = user.trim_start();
    if begin.starts_with(|c: char| matches!(c, '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')) {
        return Err(NumberError::NotANumber.into());
    }
    let groups: Vec<&str> = user.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    // A whole number with decimals, as data frames write it.
    if let [whole, "0" | "00"] = groups[..]
        && begin.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'))
    {
        return Ok(());
    }
    let Some((_, [first, inner @ ..])) = groups.split_last() else { return Ok(()) };
    let longest = match first.as_bytes() {
        _ if user.contains('+') => LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
        [b'0', b'1', b'1', ..] => 3 + LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
        [b'0', b'0', ..] => 2 + LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
        [b'0', ..] => 2 + LONGEST_AREA_CODE,
        _ => 1 + LONGEST_AREA_CODE,
    };
    if first.len() > longest || inner.iter().any(|group| group.len() >= SHORTEST_SUBSCRIBER) {
        return Err(PhoneError::Joined);
    }
    Ok(())
}

/// Returns the length of the URI scheme that the text begins with.
fn scheme(text: &str) -> usize {
    let begins = |scheme: &&str| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    ["sip:", "sips:", "tel:"].into_iter().find(begins).map_or(0, str::len)
}

impl DialedPrefix {
    /// Returns the text without the prefix at the beginning of its digits. A number with `+` has none.
    fn removed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (scheme, number) = text.split_at(scheme(text));
        match number.strip_prefix(self.0.as_str()) {
            // The prefix alone is an extension, such as the operator.
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(')) => {
                let rest = rest.trim_start_matches([' ', '-']);
                if scheme.is_empty() { Cow::Borrowed(rest) } else { Cow::Owned(format!("{scheme}{rest}")) }
            }
            _ => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(phones: &Phones, text: &str, plan: &DialPlan) -> Result<String, PhoneError> {
        phones.dialed(text, plan).map(|number| number.to_plus_form().to_string())
    }

    #[test]
    fn prefix_for_an_outside_line_is_removed_from_dialed_numbers() {
        let us = DialPlan::new("1", "1", "011").unwrap();
        let mut phones = Phones { prefix: Some("9".parse().unwrap()), ..Phones::default() };
        for (text, expected) in [
            ("912125550143", Ok("+12125550143")),
            ("92125550143", Ok("+12125550143")),
            ("901133123456789", Ok("+33123456789")),
            ("9-1-212-555-0143", Ok("+12125550143")),
            ("'912125550143", Ok("+12125550143")),
            ("sip:912125550143@gw.example", Ok("+12125550143")),
            ("+912125550143", Ok("+912125550143")),
            ("2125550144", Ok("+12125550144")),
            ("9", Ok("+9")),
            ("9*72", Err(NumberError::NotANumber.into())),
        ] {
            assert_eq!(read(&phones, text, &us), expected.map(str::to_owned), "{text}");
        }
        let ours = phones.ours("9175550143", &us).unwrap();
        assert_eq!(&*ours.to_plus_form(), "+19175550143", "our own number was not dialed");
        for text in ["", "+9", "9x", "123456789"] {
            assert!(text.parse::<DialedPrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn ordinary_formatting_is_read() {
        let us = DialPlan::new("1", "1", "011").unwrap();
        for (text, expected) in [
            ("+1 212-555-0143", "+12125550143"),
            ("+1.212.555.0143", "+12125550143"),
            ("(212) 555-0143", "+12125550143"),
            ("1-212-555-0143", "+12125550143"),
            ("1 2125550143", "+12125550143"),
            ("12125550143.0", "+12125550143"),
            ("tel:+1-212-555-0143;ext=9", "+12125550143"),
            ("\"Ann\" <sip:+1-212-555-0143@10.0.0.1:5060>", "+12125550143"),
            ("\"Ann\" <sip:+1-212-555-0143@10.0.0.1>;tag=77", "+12125550143"),
            ("+49 (0)30 901820", "+4930901820"),
            ("+49 30 901820-0", "+49309018200"),
            ("+49(0)30901820", "+4930901820"),
            ("+43 660 123 45 67", "+436601234567"),
            ("+55 11 98765-4321", "+5511987654321"),
            ("+4420 7946 0958", "+442079460958"),
            ("+33 1 23 45 67 89", "+33123456789"),
            ("011 44 7700 900143", "+447700900143"),
            ("01149151 12345678", "+4915112345678"),
            ("+999 0123 456789", "+9990123456789"),
            ("911", "+911"),
            ("+44 07700 900143", "+447700900143"),
            ("+4407700900143", "+447700900143"),
            ("+49 0151 12345678", "+4915112345678"),
            ("+39 06 1234 5678", "+390612345678"),
        ] {
            assert_eq!(read(&Phones::default(), text, &us).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn digits_after_a_complete_number_signs_and_zeros_are_rejected() {
        let (not_a_number, impossible) = (NumberError::NotANumber.into(), NumberError::Impossible.into());
        let us = DialPlan::new("1", "1", "011").unwrap();
        for (text, expected) in [
            ("+12125550143 101", impossible),
            ("+442079460958 1", PhoneError::Joined),
            ("+4930901820 17", PhoneError::Joined),
            ("+12125550143-1", impossible),
            ("+1 212 555 0143 101", impossible),
            ("12125550143 101", impossible),
            ("2125550143 101", PhoneError::Joined),
            ("5550143 5550", PhoneError::Joined),
            ("+44 2079460958 1", PhoneError::Joined),
            ("+44 20 7946 0958 201", impossible),
            ("(212) 555-0143-1", impossible),
            ("4930901820.0.0", PhoneError::Joined),
            ("<sip:+442079460958 1@gw.example>", PhoneError::Joined),
            ("<+12125550143><+12125550144>", PhoneError::Joined),
            ("Bob <+12125550143> +442079460958", PhoneError::Joined),
            ("-12125550143", not_a_number),
            ("\u{2212}12125550143", not_a_number),
            ("0", not_a_number),
            ("000", not_a_number),
            ("(0)", not_a_number),
            ("+121255501431", impossible),
            ("+78121234567 1", impossible),
        ] {
            for plan in [us, DialPlan::NONE] {
                let found = read(&Phones::default(), text, &plan);
                assert_eq!(found, Err(expected), "{text}");
            }
        }
    }

    #[test]
    fn bare_digits_are_international_only_if_the_option_says_so() {
        let germany = DialPlan::new("49", "0", "00").unwrap();
        let phones = Phones { bare_is_international: true, ..Phones::default() };
        for (text, by_plan, international) in [
            ("442079460958", "+49442079460958", "+442079460958"),
            ("12125550143", "+4912125550143", "+12125550143"),
            ("12125550143.0", "+4912125550143", "+12125550143"),
            ("<sip:442079460958@gw.example>", "+49442079460958", "+442079460958"),
            ("+442079460958", "+442079460958", "+442079460958"),
            ("00442079460958", "+442079460958", "+442079460958"),
            ("015112345678", "+4915112345678", "+4915112345678"),
            ("112", "+112", "+112"),
        ] {
            assert_eq!(read(&Phones::default(), text, &germany).as_deref(), Ok(by_plan), "{text}");
            assert_eq!(read(&phones, text, &germany).as_deref(), Ok(international), "{text}");
        }
        let britain = DialPlan::of_region("GB").unwrap();
        assert_eq!(read(&phones, "4402079460958", &britain).as_deref(), Ok("+442079460958"));
        assert_eq!(read(&phones, "44207", &britain), Ok("+44207".into()), "a short code");
    }
}
