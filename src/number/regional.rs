//! Reads numbers as `libphonenumber` does, in the dial plan of a region.
//!
//! The library sees only digits, with or without a `+`: [`Scan`] has read the text. So each door accepts the same
//! separators, with a region and without.

use std::sync::OnceLock;

use rlibphonenumber::interfaces::AsOriginal;
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, Region as Country, ValidationError,
};

use super::country_code::{LONGEST_SHORT_CODE, country_code_len, international};
use super::region::Region;
use super::scan::Scan;
use super::{DialPlan, E164, NumberError, rules, trunk, withheld};

/// Returns the dial plan of a region: its country code and its prefixes. `None` if the metadata does not have it.
pub(super) fn dial_plan(region: Region) -> Option<DialPlan> {
    let country = country(region)?;
    let metadata = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region(country)?;
    let digits = |text: &str| text.replace('~', "");
    let national = digits(metadata.original.national_prefix());
    let preferred = digits(metadata.original.preferred_international_prefix());
    let pattern = metadata.international_prefix().original_base();
    let is_plain = |prefix: &str| !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    // Of a pattern such as `00(?:30|…)`, the digits before the carrier's.
    let common = pattern.split_once('(').map_or(pattern, |(common, _)| common);
    let abroad = [preferred.as_str(), common].into_iter().find(|prefix| is_plain(prefix)).unwrap_or_default();
    let code = metadata.original.country_code().to_string();
    warm(region);
    DialPlan::new(&code, &national, abroad).or_else(|_| DialPlan::new(&code, &national, "")).ok()
}

/// Compiles the patterns that reading numbers needs, so that no call waits for one.
pub(super) fn warm(region: Region) {
    static PATTERNS_OF_COUNTRY_CODES: OnceLock<()> = OnceLock::new();
    PATTERNS_OF_COUNTRY_CODES.get_or_init(|| {
        for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
            let _ = read_international(format!("{code}012345678").as_bytes());
        }
    });
    let Some(country) = country(region) else { return };
    let _ = read_national(b"012345678", country);
    // Whether a number is valid is a question to each region of its country code.
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(country).unwrap_or_default();
    let metadata = PHONE_NUMBER_UTIL.as_original();
    for country in PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).into_iter().flatten() {
        let Some(metadata) = metadata.get_metadata_for_region(country) else { continue };
        let _ = metadata.leading_digits().anchor_start();
        for kind in [
            &metadata.general_desc,
            &metadata.fixed_line,
            &metadata.mobile,
            &metadata.toll_free,
            &metadata.premium_rate,
            &metadata.shared_cost,
            &metadata.personal_number,
            &metadata.voip,
            &metadata.pager,
            &metadata.uan,
            &metadata.voicemail,
        ] {
            let _ = kind.national_number_pattern().anchor_full();
        }
    }
}

/// Returns the country of the number, and the number as people write it there and abroad, if it can be one of its country.
pub(super) fn written(number: E164) -> Option<(Option<String>, String, String)> {
    let read = read_international(number.digits().as_bytes()).filter(|_| number.is_international())?;
    if !is_complete(&read) {
        return None;
    }
    // A number that is not in use belongs to the main country of its code.
    let main = || PHONE_NUMBER_UTIL.get_region_for_country_code(read.country_code);
    let country = read.get_region_code().or_else(main).map(|region| region.as_region_str().to_string());
    // Numbers of no country have three digits in place of its letters.
    let country = country.filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase()));
    let format = |format| read.format_as(format).into_owned();
    Some((country, format(PhoneNumberFormat::National), format(PhoneNumberFormat::International)))
}

/// Returns the number that the digits stand for.
pub(super) fn number(plan: &DialPlan, region: Region, found: &Scan) -> Result<E164, NumberError> {
    let digits = found.digits()?;
    if found.plus {
        return match international(found, 0) {
            // With a trunk prefix, a number may have 16 digits.
            Err(NumberError::TooLong) => possible(read_international(digits)).ok_or(NumberError::TooLong),
            number => number.map(|number| settled(number, number.digits().as_bytes())),
        };
    }
    if withheld::is_only_zeros(digits) {
        return Err(NumberError::Withheld);
    }
    if digits.len() <= LONGEST_EMERGENCY_NUMBER {
        return E164::from_ascii(digits);
    }
    let read = country(region).and_then(|country| read_national(digits, country));
    if withheld::are_look_alike(digits) {
        let read = read.filter(|read| PHONE_NUMBER_UTIL.is_valid_number(read));
        return read.and_then(|read| number_of(&read)).ok_or(NumberError::Withheld);
    }
    if digits.len() <= plan.longest_short_code() {
        // Behind a trunk prefix, the rest is a number, because no short code has one.
        let has_prefix = |read: &PhoneNumber| digits[0] == b'0' && !read.italian_leading_zero() && is_complete(read);
        let is_number = |read: &PhoneNumber| has_prefix(read) || PHONE_NUMBER_UTIL.is_valid_number(read);
        return read.filter(is_number).and_then(|read| number_of(&read)).map_or_else(|| E164::from_ascii(digits), Ok);
    }
    let is_wrong_length = read.as_ref().is_some_and(is_wrong_length);
    let begins_abroad = read.as_ref().is_none_or(|read| plan.country_code().parse() != Ok(read.country_code));
    if let Some(number) = possible(read) {
        return Ok(number);
    }
    // A few national numbers begin with the international prefix, and the library reads no number behind it.
    if begins_abroad && let Some(number) = E164::joined(plan.country_code.digits(), digits).ok().and_then(valid) {
        return Ok(number);
    }
    if is_wrong_length && let Some(foreign) = possible(read_international(digits)) {
        return Ok(foreign);
    }
    plan.number_by_prefixes(found)
}

/// Returns the number that the library reads in `+` and `digits`, which are those of `number`.
pub(super) fn settled(number: E164, digits: &[u8]) -> E164 {
    if !trunk::can_follow(digits) {
        return number;
    }
    read_international(digits).and_then(|read| number_of(&read)).unwrap_or(number)
}

/// Returns the number without a trunk prefix 0 after its country code.
pub(super) fn without_trunk_zero(number: E164) -> E164 {
    let digits = number.digits();
    let (_, national) = digits.split_at(country_code_len(digits.as_bytes()).min(digits.len()));
    if !number.is_international() || !national.starts_with('0') {
        return number;
    }
    settled(number, digits.as_bytes())
}

/// Returns whether the number is a short code, has a length that is possible in its country, or belongs to a country
/// that the metadata does not have.
pub(super) fn is_possible(number: E164) -> bool {
    let digits = number.digits();
    if digits.len() <= LONGEST_SHORT_CODE {
        return true;
    }
    if !number.is_international() {
        return false;
    }
    let (code, national) = digits.split_at(country_code_len(digits.as_bytes()).min(digits.len()));
    let zeros = national.len() - national.trim_start_matches('0').len();
    let (Ok(country_code), Ok(national_number)) = (code.parse(), national.parse()) else { return false };
    let read = PhoneNumber {
        country_code,
        national_number,
        italian_leading_zero: Some(zeros > 0),
        number_of_leading_zeros: i32::try_from(zeros).ok(),
        ..PhoneNumber::default()
    };
    match PHONE_NUMBER_UTIL.is_possible_number_with_reason(&read) {
        Ok(_) | Err(ValidationError::InvalidCountryCode) => true,
        Err(_) => false,
    }
}

/// Emergency numbers have up to three digits. No national number is as short.
const LONGEST_EMERGENCY_NUMBER: usize = 3;

fn country(region: Region) -> Option<Country> {
    Country::from_code(region.as_str()).ok()
}

fn read_national(digits: &[u8], country: Country) -> Option<PhoneNumber> {
    rules::read_national(std::str::from_utf8(digits).ok()?, country)
}

fn read_international(digits: &[u8]) -> Option<PhoneNumber> {
    rules::read_international(std::str::from_utf8(digits).ok()?)
}

/// Returns the number, if its length is that of a number which can be dialed from abroad.
fn possible(read: Option<PhoneNumber>) -> Option<E164> {
    read.filter(is_complete).and_then(|read| number_of(&read))
}

/// Returns the number that the library reads in `+` and the digits of `number`, if it is a number of the metadata.
fn valid(number: E164) -> Option<E164> {
    let read = read_international(number.digits().as_bytes())?;
    if PHONE_NUMBER_UTIL.is_valid_number(&read) { number_of(&read) } else { None }
}

/// Returns whether the metadata has a range with this number.
pub(super) fn is_valid(number: E164) -> bool {
    valid(number) == Some(number)
}

fn is_complete(read: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_possible_number_with_reason(read) == Ok(NumberLengthType::IsPossible)
}

/// Returns whether no number of the country has this length, although shorter ones exist.
fn is_wrong_length(read: &PhoneNumber) -> bool {
    let length = PHONE_NUMBER_UTIL.is_possible_number_with_reason(read);
    matches!(length, Err(ValidationError::TooLong | ValidationError::InvalidLength))
}

/// Returns the number in one word. `None` if it has more than 15 digits.
fn number_of(read: &PhoneNumber) -> Option<E164> {
    let country = u64::try_from(read.country_code).ok().filter(|code| *code > 0)?;
    let zeros = if read.italian_leading_zero() { u32::try_from(read.number_of_leading_zeros()).ok()? } else { 0 };
    let national = read.national_number;
    let len = zeros.checked_add(national.checked_ilog10().unwrap_or(0) + 1)?;
    let digits = usize::try_from(country.ilog10() + 1 + len).ok()?;
    if digits > E164::MAX_DIGITS {
        return None;
    }
    E164::of(country * 10_u64.pow(len) + national)
}
