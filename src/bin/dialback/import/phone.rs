//! Reads phone numbers as the options say.

use super::spreadsheet;
use ahash::HashMap;
use dialback::{DialPlan, E164, NumberError};
use std::borrow::Cow;
use std::str::FromStr;

/// The options by which numbers differ from the environment's dial plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Phones {
    /// The digits for an outside line in front of dialed numbers.
    pub(super) prefix: Option<DialedPrefix>,
    /// Whether digits without a prefix are international numbers without their `+`.
    pub(super) bare_is_international: bool,
    /// The texts of our own numbers that were read before. A file has few of them, and a region reads slowly.
    known: HashMap<String, E164>,
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
    pub(super) fn new(prefix: Option<DialedPrefix>, bare_is_international: bool) -> Self {
        Self { prefix, bare_is_international, ..Self::default() }
    }

    /// Returns the number that a call was placed from. The plan must be the same for all texts.
    pub(super) fn ours(&mut self, text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
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
    pub(super) fn dialed(&self, text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
        let text = spreadsheet::plain(text);
        let number = match &self.prefix {
            Some(prefix) => self.read(&prefix.removed(text), plan)?,
            None => self.read(text, plan)?,
        };
        plan.check(number)
    }

    fn read(&self, text: &str, plan: &DialPlan) -> Result<E164, NumberError> {
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
    let user = text.rsplit_once('<').map_or(text, |(_, uri)| uri);
    let user = user.split_at(scheme(user)).1;
    let user = user.split(['@', ';', '>']).next().unwrap_or_default();
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    user.trim_start_matches(['(', ' ']).starts_with(|c: char| matches!(c, '1'..='9')) && digits > LONGEST_SHORT_CODE
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

    fn read(phones: &Phones, text: &str, plan: &DialPlan) -> Result<String, NumberError> {
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
            ("9*72", Err(NumberError::NotANumber)),
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
