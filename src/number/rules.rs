//! The rules by which `libphonenumber` reads digits, country by country.
//!
//! The library's `parse` spends most of its time on the text: it searches for extensions, letters and a second number, and
//! copies the text several times. [`Scan`](super::scan::Scan) has done this work already. The decisions that remain are made
//! here, in the order of `parse` and with the library's metadata and compiled patterns. The tests below compare both.

use std::borrow::Cow;

use regex::Regex;
use rlibphonenumber::interfaces::AsOriginal;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, Region as Country};

/// Returns the number that the library reads in `digits`, dialed in a country.
pub(super) fn read_national(digits: &str, country: Country) -> Option<PhoneNumber> {
    let rules = Rules::of(NO_CODE, country)?;
    match behind_international_prefix(digits, country) {
        Some(rest) => read_international(rest),
        None => rules.read(digits, country),
    }
}

/// Returns the number that the library reads in `+` and `digits`.
pub(super) fn read_international(digits: &str) -> Option<PhoneNumber> {
    let (code, country, national) = split(digits)?;
    Rules::of(code, country)?.number(national)
}

/// The lengths of national numbers between which the library reads them.
const SHORTEST: usize = 2;
const LONGEST: usize = 17;
/// In place of a country code where the country is known.
const NO_CODE: i32 = 0;

/// What the metadata says about a country's numbers.
struct Rules {
    code: i32,
    /// The pattern of the prefix before national numbers, with codes of carriers.
    prefix: Option<&'static Regex>,
    /// What stands in place of a prefix in which a group of the pattern took part.
    transform: &'static str,
    /// The pattern of all national numbers.
    general: Option<&'static Regex>,
    /// The lengths of national numbers, as bits. Lengths that can be dialed only nearby are shorter than these or between
    /// them.
    possible: u64,
}

/// How the length of digits compares with those of national numbers.
#[derive(PartialEq)]
enum Length {
    Possible,
    TooLong,
    /// Too short, or between two possible lengths.
    Other,
}

impl Rules {
    fn of(code: i32, country: Country) -> Option<Rules> {
        let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region_or_calling_code(code, country)?;
        let general = &metadata.general_desc;
        Some(Rules {
            code: metadata.original.country_code(),
            prefix: metadata.national_prefix_for_parsing().anchor_start().ok()?,
            transform: metadata.original.national_prefix_transform_rule(),
            general: general.national_number_pattern().anchor_full().ok()?,
            possible: bits(&general.original.possible_length),
        })
    }

    /// Returns the number in digits without an international prefix, dialed in `country`, whose rules these are.
    fn read(&self, digits: &str, country: Country) -> Option<PhoneNumber> {
        let Some(national) = self.behind_own_code(digits) else { return self.number(digits) };
        // Behind a country code, the rules of its main country apply.
        match main_country(self.code) {
            Some(main) if main != country => Rules::of(self.code, main)?.number(&national),
            _ => self.number(&national),
        }
    }

    /// Returns the national number behind the country's own code, if the digits are a better number without the code.
    fn behind_own_code<'a>(&self, digits: &'a str) -> Option<Cow<'a, str>> {
        let code = super::E164::of(u64::try_from(self.code).ok()?)?.digits();
        let national = self.without_prefix(digits.strip_prefix(&*code)?);
        let is_better = !self.is_general(digits) && self.is_general(&national);
        (is_better || self.length(digits) == Length::TooLong).then_some(national)
    }

    /// Returns the number in national digits, which may begin with a prefix.
    fn number(&self, digits: &str) -> Option<PhoneNumber> {
        if digits.len() < SHORTEST {
            return None;
        }
        let mut national = self.without_prefix(digits);
        // Where the rest is too short, the digits are a short number that begins like the prefix.
        if self.length(&national) == Length::Other {
            national = digits.into();
        }
        if !(SHORTEST..=LONGEST).contains(&national.len()) {
            return None;
        }
        let zeros = national.bytes().take_while(|digit| *digit == b'0').count().min(national.len() - 1);
        Some(PhoneNumber {
            country_code: self.code,
            national_number: national.parse().ok()?,
            italian_leading_zero: (zeros > 0).then_some(true),
            number_of_leading_zeros: if zeros > 1 { i32::try_from(zeros).ok() } else { None },
            ..PhoneNumber::default()
        })
    }

    /// Returns national digits without the prefix, unless only the digits with the prefix are a number.
    fn without_prefix<'a>(&self, digits: &'a str) -> Cow<'a, str> {
        let Some((prefix, found)) = self.prefix.and_then(|prefix| Some((prefix, prefix.find(digits)?))) else {
            return digits.into();
        };
        let rest = if !self.transform.is_empty() && has_inserted_digits(prefix, digits) {
            prefix.replace(digits, self.transform)
        } else {
            Cow::Borrowed(&digits[found.end()..])
        };
        if self.is_general(digits) && !self.is_general(&rest) { digits.into() } else { rest }
    }

    fn is_general(&self, digits: &str) -> bool {
        self.general.is_some_and(|pattern| pattern.is_match(digits))
    }

    fn length(&self, digits: &str) -> Length {
        let length = 1_u64.unbounded_shl(u32::try_from(digits.len()).unwrap_or(u32::MAX));
        if self.possible & length != 0 {
            Length::Possible
        } else if self.possible != 0 && length > self.possible {
            Length::TooLong
        } else {
            Length::Other
        }
    }
}

/// Returns the digits behind the country's international prefix, if there is one.
fn behind_international_prefix(digits: &str, country: Country) -> Option<&str> {
    let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region(country)?;
    let rest = &digits[metadata.international_prefix().anchor_start().ok()??.find(digits)?.end()..];
    // No country code begins with 0.
    (!rest.starts_with('0')).then_some(rest)
}

/// Returns the country code of international digits, its main country, and the national digits.
fn split(digits: &str) -> Option<(i32, Country, &str)> {
    if digits.len() <= SHORTEST {
        return None;
    }
    let (national, code) = PHONE_NUMBER_UTIL.as_original().extract_country_code(Cow::Borrowed(digits))?;
    Some((code, main_country(code)?, &digits[digits.len() - national.len()..]))
}

/// Returns the country whose rules apply to all numbers with a country code.
fn main_country(code: i32) -> Option<Country> {
    PHONE_NUMBER_UTIL.get_region_for_country_code(code)
}

/// Returns whether the groups of the prefix's pattern found what its transform rule inserts.
fn has_inserted_digits(prefix: &Regex, digits: &str) -> bool {
    let Some(captures) = prefix.captures(digits) else { return false };
    match (captures.get(1), captures.get(2)) {
        (Some(_), Some(second)) => !second.is_empty(),
        (Some(first), None) => !first.is_empty(),
        (None, _) => false,
    }
}

/// Returns a set of lengths as bits. A length of -1 says that there is none.
fn bits(lengths: &[i32]) -> u64 {
    lengths.iter().fold(0, |bits, length| u32::try_from(*length).map_or(0, |length| bits | 1_u64.unbounded_shl(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlibphonenumber::PhoneNumberType;

    /// The way in which digits are read.
    type Read = dyn Fn(&str, Country) -> Option<PhoneNumber>;

    type Change = fn(&mut Rules);

    fn library(digits: &str, country: Country) -> Option<PhoneNumber> {
        PHONE_NUMBER_UTIL.parse(digits, Some(country)).ok()
    }

    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).expect("31 bits") % end
        }

        fn digits(&mut self, len: usize) -> String {
            (0..len).map(|_| char::from(b"0123456789"[self.below(10)])).collect()
        }
    }

    /// The kinds of numbers whose examples are varied.
    const KINDS: [PhoneNumberType; 6] = [
        PhoneNumberType::FixedLine,
        PhoneNumberType::Mobile,
        PhoneNumberType::TollFree,
        PhoneNumberType::PremiumRate,
        PhoneNumberType::VoIP,
        PhoneNumberType::UAN,
    ];

    /// Returns texts that may be dialed in a country: valid numbers, such numbers with a digit too few or too many, and any
    /// digits; behind no prefix, each of the country's prefixes, a carrier's code, and a country code.
    fn texts(country: Country, chance: &mut Chance, count: usize) -> Vec<String> {
        let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region(country).expect("metadata");
        let code = metadata.original.country_code().to_string();
        let national = metadata.original.national_prefix().to_owned();
        let examples: Vec<String> = KINDS
            .iter()
            .filter_map(|kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(country, *kind).ok())
            .map(|example| rlibphonenumber::get_national_significant_number_owned(&example))
            .collect();
        let text = |_| {
            let carrier = chance.digits(2);
            let foreign = ["1", "7", "39", "44", "54", "55", "262", "999"][chance.below(8)];
            let abroad = ["00", "011", "810", "0011"][chance.below(4)];
            let mut text = match chance.below(10) {
                0 | 1 => String::new(),
                2 | 3 => national.clone(),
                4 => code.clone(),
                5 => format!("{code}{national}"),
                6 => format!("{national}{carrier}"),
                7 => format!("{abroad}{code}"),
                8 => format!("{abroad}{foreign}"),
                _ => carrier,
            };
            if examples.is_empty() || chance.below(4) == 0 {
                let len = 1 + chance.below(17);
                text.push_str(&chance.digits(len));
            } else {
                let example = &examples[chance.below(examples.len())];
                let kept = example.len() - chance.below(example.len().min(5));
                text.push_str(&example[..kept]);
                let len = example.len() - kept;
                text.push_str(&chance.digits(len));
                match chance.below(8) {
                    0 => drop(text.pop()),
                    1 => text.push('0'),
                    _ => {}
                }
            }
            text
        };
        (0..count).map(text).collect()
    }

    /// Returns the number of texts of all countries, and those that are read otherwise than by the library.
    fn differences(read: &Read, seed: u64, each: usize) -> (usize, Vec<String>) {
        let mut chance = Chance(seed);
        let (mut tried, mut found) = (0, Vec::new());
        for country in PHONE_NUMBER_UTIL.get_supported_regions() {
            for text in texts(country, &mut chance, each) {
                tried += 1;
                if read(&text, country) != library(&text, country) {
                    found.push(format!("{text} in {country}"));
                }
            }
        }
        (tried, found)
    }

    #[test]
    fn digits_are_read_as_the_library_reads_them() {
        let each = std::env::var("DIALBACK_CASES").map_or(100, |cases| cases.parse().expect("a number"));
        let (tried, found) = differences(&read_national, 5, each);
        assert!(found.is_empty(), "{} of {tried}: {:?}", found.len(), &found[..found.len().min(20)]);
        assert!(tried >= 240 * each, "{tried}");
    }

    #[test]
    fn plus_form_is_read_as_the_library_reads_it() {
        let mut chance = Chance(9);
        let mut read = 0;
        for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
            for len in (1..=18).chain(5..=12) {
                let digits = format!("{code}{}{}", ["", "0", "1", "8"][chance.below(4)], chance.digits(len));
                let expected = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok();
                assert_eq!(read_international(&digits), expected, "+{digits}");
                read += usize::from(expected.is_some());
            }
        }
        assert!(read > 4_000, "{read}");
        for digits in ["", "4", "44", "0", "00", "999", "9991234567", "0441234567"] {
            assert_eq!(
                read_international(digits),
                PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok(),
                "+{digits}"
            );
        }
    }

    #[test]
    fn length_that_is_dialed_only_nearby_is_neither_possible_nor_too_long() {
        let util = PHONE_NUMBER_UTIL.as_original();
        for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
            for country in PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).expect("countries") {
                let metadata = util.get_metadata_for_region_or_calling_code(code, country).expect("metadata");
                let nearby = bits(&metadata.general_desc.original.possible_length_local_only);
                let possible = bits(&metadata.general_desc.original.possible_length);
                assert!(nearby & possible == 0 && nearby < possible, "+{code} {country}");
            }
        }
    }

    /// Canary: the comparison must find each rule that is wrong in one place.
    #[test]
    fn comparison_finds_a_wrong_rule() {
        let changes: [(&str, Change); 4] = [
            ("a length too many", |rules| rules.possible |= rules.possible << 1),
            ("no pattern of all numbers", |rules| rules.general = None),
            ("no prefix", |rules| rules.prefix = None),
            ("no inserted digits", |rules| rules.transform = ""),
        ];
        for (name, change) in changes {
            let wrong = move |digits: &str, country| {
                if let Some(rest) = behind_international_prefix(digits, country) {
                    return read_international(rest);
                }
                let mut rules = Rules::of(NO_CODE, country)?;
                change(&mut rules);
                rules.read(digits, country)
            };
            let (_, found) = differences(&wrong, 5, 30);
            assert!(!found.is_empty(), "{name}");
        }
        let without_code = |digits: &str, country| match behind_international_prefix(digits, country) {
            Some(rest) => read_international(rest),
            None => Rules::of(NO_CODE, country)?.number(digits),
        };
        assert!(!differences(&without_code, 5, 30).1.is_empty(), "the country's own code stays");
        let without_abroad = |digits: &str, country| Rules::of(NO_CODE, country)?.read(digits, country);
        assert!(!differences(&without_abroad, 5, 30).1.is_empty(), "the international prefix stays");
        let of_own_country = |digits: &str, country| {
            let rules = Rules::of(NO_CODE, country)?;
            match behind_international_prefix(digits, country) {
                Some(rest) => read_international(rest),
                None => rules.number(&rules.behind_own_code(digits).unwrap_or(digits.into())),
            }
        };
        assert!(!differences(&of_own_country, 5, 100).1.is_empty(), "the rules of the country behind its code");
    }
}
