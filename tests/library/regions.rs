//! Tests of regions: dial plans from the metadata of `libphonenumber`.
//!
//! `scripts/numbers` compares all regions with Python's port of the library.

use dialback::{Caller, DialPlan, E164, NumberError};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

fn region(code: &str) -> DialPlan {
    DialPlan::of_region(code).expect("a region")
}

/// Returns what the text stands for in a region: a number in its `+` form, or an error.
fn read(code: &str, text: &str) -> Result<String, NumberError> {
    E164::parse(text, &region(code)).map(|number| number.to_plus_form().to_string())
}

/// Checks rows of a region, the text and its number, as a reported number and as a caller.
fn check(rows: &[(&str, &str, &str)]) {
    for (code, text, expected) in rows {
        assert_eq!(read(code, text).as_deref(), Ok(*expected), "{text:?} in {code}");
        let number = E164::from_digits(expected.trim_start_matches('+')).expect("digits");
        assert_eq!(Caller::parse(text, &region(code)), Caller::Number(number), "caller {text:?} in {code}");
    }
}

#[test]
fn country_code_stays_where_a_national_number_begins_with_its_digits() {
    check(&[
        ("IN", "9123456789", "+919123456789"),
        ("IN", "91234 56789", "+919123456789"),
        ("IN", "919123456789", "+919123456789"),
        ("BR", "55996123456", "+5555996123456"),
        ("BR", "(55) 99612-3456", "+5555996123456"),
        ("BR", "5532221234", "+555532221234"),
        ("CH", "411234567", "+41411234567"),
        ("DE", "494112345", "+49494112345"),
        ("IT", "39066982", "+39066982"),
    ]);
}

#[test]
fn national_prefix_stays_where_a_national_number_begins_with_its_digits() {
    check(&[
        ("RU", "8121234567", "+78121234567"),
        ("RU", "(812) 123-45-67", "+78121234567"),
        ("RU", "8 812 123-45-67", "+78121234567"),
        ("RU", "8005553535", "+78005553535"),
        ("RU", "88005553535", "+78005553535"),
        ("RU", "78005553535", "+78005553535"),
    ]);
}

#[test]
fn short_national_number_is_not_a_short_code() {
    check(&[
        ("AT", "01 4000", "+4314000"),
        ("AT", "014000", "+4314000"),
        ("DE", "030 90-0", "+4930900"),
        ("IT", "06 6982", "+39066982"),
        ("IT", "080799", "+39080799"),
        ("AU", "13 12 34", "+61131234"),
        ("RU", "112", "+112"),
        ("DE", "112", "+112"),
        ("DE", "0112", "0112"),
        ("US", "911", "+911"),
        ("GB", "0", "0"),
        ("GB", "1571", "+1571"),
    ]);
}

#[test]
fn trunk_prefix_after_a_country_code_is_dropped() {
    check(&[
        ("GB", "+44 020 7946 0958", "+442079460958"),
        ("GB", "+4402079460958", "+442079460958"),
        ("GB", "4402079460958", "+442079460958"),
        ("GB", "0044 020 7946 0958", "+442079460958"),
        ("GB", "+44 (020) 7946 0958", "+442079460958"),
        ("DE", "(+49) 030 / 90 18 20", "+4930901820"),
        ("DE", "+49 ( 0 30 ) 901820", "+4930901820"),
        ("DE", "+49030901820", "+4930901820"),
        ("FR", "+330123456789", "+33123456789"),
        ("CH", "+41 (044) 364 35 33", "+41443643533"),
        ("AT", "+43 01 4000", "+4314000"),
        ("BR", "+55 011 96123-4567", "+5511961234567"),
        ("AR", "+54 011 2345-6789", "+541123456789"),
        ("IN", "+91 09876543210", "+919876543210"),
        ("AU", "+61 02 9374 4000", "+61293744000"),
        ("JP", "+81 03-1234-5678", "+81312345678"),
        // A foreign caller, too.
        ("US", "+4402079460958", "+442079460958"),
    ]);
}

#[test]
fn zero_that_belongs_to_the_number_is_kept() {
    check(&[
        ("IT", "+39 06 6982", "+39066982"),
        ("IT", "06 1234 5678", "+390612345678"),
        ("IT", "+39 (0)6 1234 5678", "+390612345678"),
        ("DE", "+390612345678", "+390612345678"),
        ("CI", "07 01 02 03 04", "+2250701020304"),
    ]);
}

#[test]
fn carrier_codes_and_inserted_digits_are_removed() {
    check(&[
        ("BR", "0 21 11 96123-4567", "+5511961234567"),
        ("BR", "01511912345678", "+5511912345678"),
        ("AR", "011 15 1234-5678", "+5491112345678"),
        ("AR", "+54 11 15 1234-5678", "+5491112345678"),
        ("BY", "8 017 345-67-89", "+375173456789"),
        ("BY", "80173456789", "+375173456789"),
    ]);
}

#[test]
fn foreign_number_without_plus_is_recognized_by_its_length() {
    check(&[
        ("GB", "12125550143", "+12125550143"),
        ("RU", "12125550143", "+12125550143"),
        ("AU", "12125550143", "+12125550143"),
        // A British number may have ten digits.
        ("GB", "2125550143", "+442125550143"),
    ]);
}

#[test]
fn international_prefixes_of_other_countries_are_read_where_no_national_number_fits() {
    check(&[("US", "0049 30 901820", "+4930901820"), ("US", "011 49 30 901820", "+4930901820")]);
    check(&[("JP", "010 49 30 901820", "+4930901820"), ("RU", "8 10 49 30 901820", "+4930901820")]);
}

#[test]
fn forms_of_addresses_are_read_by_the_region() {
    check(&[
        ("GB", "<sip:02079460958@trunk.example;user=phone>", "+442079460958"),
        ("GB", "sip:%2B4402079460958@trunk.example", "+442079460958"),
        ("GB", "tel:020-7946-0958;phone-context=+44", "+442079460958"),
    ]);
}

#[test]
fn withheld_callers_stay_withheld() {
    for text in ["+266696687", "0000000000", "anonymous", ""] {
        assert_eq!(Caller::parse(text, &region("GB")), Caller::Withheld, "{text:?}");
    }
    assert_eq!(read("GB", "+266696687"), Err(NumberError::Withheld));
    // Without the `+`, too, unless the region has this number.
    for code in ["CN", "GB", "IN", "UG", "US"] {
        for text in ["266696687", "sip:266696687@trunk.example", "2562533", "8656696", "86282452253"] {
            assert_eq!(Caller::parse(text, &region(code)), Caller::Withheld, "{text:?} in {code}");
        }
    }
    // 737 is an area code in the United States, and 2666 in Germany. British mobile numbers begin with 7.
    check(&[
        ("US", "7378742833", "+17378742833"),
        ("GB", "7378742833", "+447378742833"),
        ("DE", "266696687", "+49266696687"),
    ]);
}

#[test]
fn digits_that_are_no_number_are_read_without_a_panic() {
    for code in ["AR", "BR", "DE", "GB", "IT", "JP", "RU", "US"] {
        for len in 1..=24 {
            for text in ["0", "1", "9", "00", "0119", "8810", "+", "+0"] {
                let text: String = text.chars().chain("1234567890".chars().cycle()).take(len).collect();
                let _ = read(code, &text);
            }
        }
    }
    assert_eq!(read("DE", "1234567890123456"), Err(NumberError::TooLong));
    assert_eq!(read("DE", "+0049"), Err(NumberError::NotANumber));
}

#[test]
fn number_of_impossible_length_is_found_when_read_and_refused_when_stored() {
    let britain = region("GB");
    for (text, expected) in [
        ("+442079460958", Ok(())),
        ("+12125550143", Ok(())),
        ("112", Ok(())),
        ("131234", Ok(())),
        // No country has this code: the metadata may be older than the country.
        ("+2101234567", Ok(())),
        ("+44207946095812", Err(NumberError::Impossible)),
        ("+4420794609", Ok(())),
        ("+1212555014", Err(NumberError::Impossible)),
        ("+12125550143999", Err(NumberError::Impossible)),
        ("+390612", Ok(())),
        ("+390612345678901", Err(NumberError::Impossible)),
    ] {
        let number = E164::parse(text, &britain).expect("a number");
        assert_eq!(britain.check(number).map(|_| ()), expected, "{text}");
        assert_eq!(Caller::parse(text, &britain), Caller::Number(number), "{text}");
        assert_eq!(DialPlan::NONE.check(number), Ok(number), "{text}");
    }
    let unknown = E164::from_digits("01234567").expect("digits");
    assert_eq!(britain.check(unknown), Err(NumberError::Impossible));
}

#[test]
fn region_sets_the_country_code_and_the_prefixes() {
    for (code, expected) in [
        ("GB", ["44", "0", "00"]),
        ("US", ["1", "1", "011"]),
        ("RU", ["7", "8", "810"]),
        ("IT", ["39", "", "00"]),
        ("BR", ["55", "0", "00"]),
        ("AU", ["61", "0", "0011"]),
        ("JP", ["81", "0", "010"]),
        ("HU", ["36", "06", "00"]),
        ("SG", ["65", "", ""]),
    ] {
        let plan = region(code);
        assert_eq!([plan.country_code(), plan.national_prefix(), plan.international_prefix()], expected, "{code}");
        assert_eq!(plan.region(), Some(code));
    }
    assert_eq!(region("gb"), region("GB"));
    for code in ["", "G", "GBR", "XX", "ZZ", "00", "001", "ß", "AQ", "GB\0"] {
        assert_eq!(DialPlan::of_region(code), Err(NumberError::UnknownRegion), "{code:?}");
    }
}

#[test]
fn each_region_of_the_metadata_has_a_dial_plan() {
    let mut regions = 0;
    for known in PHONE_NUMBER_UTIL.get_supported_regions() {
        let plan = region(&known.to_string());
        assert_eq!(Some(plan.country_code().parse().unwrap()), PHONE_NUMBER_UTIL.get_country_code_for_region(known));
        regions += 1;
    }
    assert!(regions > 240, "{regions}");
}

#[test]
fn region_is_stored_and_old_plans_load_unchanged() {
    let text = serde_json::to_string(&region("GB")).unwrap();
    assert_eq!(serde_json::from_str::<DialPlan>(&text).unwrap(), region("GB"));
    let old = r#"{"country_code":"44","national_prefix":"0","international_prefix":"00"}"#;
    let plan = DialPlan::new("44", "0", "00").unwrap();
    assert_eq!(serde_json::from_str::<DialPlan>(old).unwrap(), plan);
    assert_eq!(serde_json::to_string(&plan).unwrap(), old);
    let lengths = plan.with_national_lengths(&[10, 9]).unwrap();
    let text = serde_json::to_string(&lengths).unwrap();
    assert_eq!(serde_json::from_str::<DialPlan>(&text).unwrap(), lengths);
    // A region that this build does not have is kept, and read by its prefixes.
    let unknown = r#"{"country_code":"44","national_prefix":"0","international_prefix":"00","region":"XX"}"#;
    let plan = serde_json::from_str::<DialPlan>(unknown).unwrap();
    assert_eq!(serde_json::to_string(&plan).unwrap(), unknown);
    assert_eq!(E164::parse("020 7946 0958", &plan), E164::parse_international("+442079460958"));
}

/// What a plan written by hand read, and what the region reads.
#[test]
fn number_that_an_earlier_plan_misread_is_read_again() {
    for (code, text, stored, meant) in [
        ("IN", "9123456789", "+9123456789", Some("+919123456789")),
        ("RU", "8121234567", "+7121234567", Some("+78121234567")),
        ("BR", "55996123456", "+55996123456", Some("+5555996123456")),
        ("BR", "02111961234567", "+552111961234567", Some("+5511961234567")),
        ("CH", "411234567", "+411234567", Some("+41411234567")),
        ("AT", "014000", "014000", Some("+4314000")),
        ("DE", "030900", "030900", Some("+4930900")),
        ("GB", "+4402079460958", "+4402079460958", Some("+442079460958")),
        ("GB", "12125550143", "+4412125550143", Some("+12125550143")),
        ("GB", "+442079460958", "+442079460958", None),
        ("GB", "+12125550143", "+12125550143", None),
        ("GB", "112", "112", None),
        // No text gives a number of the metadata.
        ("GB", "+4412345", "+4412345", None),
    ] {
        let region = region(code);
        let by_hand =
            DialPlan::new(region.country_code(), region.national_prefix(), region.international_prefix()).unwrap();
        let number = |text: &str| E164::from_digits(text.trim_start_matches('+')).expect("digits");
        assert_eq!(E164::parse(text, &by_hand), Ok(number(stored)), "{text} in {code}");
        assert_eq!(region.reread(number(stored), &by_hand), meant.map(number), "{stored} in {code}");
        assert_eq!(meant.and_then(|meant| region.reread(number(meant), &by_hand)), None, "{stored} in {code} twice");
        assert_eq!(by_hand.reread(number(stored), &by_hand), None);
    }
}

/// A stored number may be one that the metadata does not have yet. It moves only if the earlier plan could read a text as it.
#[test]
fn number_that_the_earlier_plan_read_rightly_stays() {
    let number = |text: &str| E164::from_digits(text.trim_start_matches('+')).expect("digits");
    let mut seed = 3_u64;
    let mut ambiguous = 0;
    for code in ["AT", "DE", "GB", "IN", "US"] {
        let plan = region(code);
        let by_hand = DialPlan::new(plan.country_code(), plan.national_prefix(), "00").unwrap();
        for _ in 0..300 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits = (2_000_000_000 + (seed >> 33)).to_string();
            let stored = number(&digits);
            // An environment without a plan read such digits as they are, and they may have been a national number. A plan
            // written by hand made them one.
            let Some(meant) = plan.reread(stored, &DialPlan::NONE) else { continue };
            let plus = E164::parse(&stored.to_plus_form(), &plan);
            if digits.starts_with(plan.country_code()) || plus != Ok(stored) {
                continue;
            }
            assert_eq!(E164::parse(&digits, &by_hand), Ok(meant), "{digits} in {code}");
            assert_eq!(plan.reread(stored, &by_hand), None, "{digits} in {code}");
            ambiguous += 1;
        }
    }
    assert!(ambiguous > 50, "{ambiguous}");
    // A change from one region to another.
    assert_eq!(region("US").reread(number("+442125550143"), &region("GB")), Some(number("+12125550143")));
    assert_eq!(region("US").reread(number("+442079460958"), &region("GB")), None);
}

/// Each number moves once: a second run of `dialback numbers check` does not know the plan before the first one. And a caller
/// is found where its calls were moved to.
#[test]
fn number_that_was_read_again_stays_and_is_found() {
    let mut seed = 7_u64;
    let mut random = move |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % end
    };
    let mut moved = 0;
    for known in PHONE_NUMBER_UTIL.get_supported_regions() {
        let plan = region(&known.to_string());
        let by_hand = DialPlan::new(plan.country_code(), plan.national_prefix(), plan.international_prefix()).unwrap();
        for _ in 0..20 {
            let digits: String = (0..3 + random(11)).map(|_| random(10).to_string()).collect();
            let before = ["", plan.national_prefix(), plan.country_code(), "+", "0"][random(5)];
            let trunk = format!("+{}{}", plan.country_code(), plan.national_prefix());
            for text in [format!("{before}{digits}"), format!("{trunk}{digits}")] {
                for earlier in [by_hand, DialPlan::NONE, plan] {
                    let Ok(stored) = E164::parse(&text, &earlier) else { continue };
                    let Some(meant) = plan.reread(stored, &earlier) else { continue };
                    moved += 1;
                    assert_eq!(plan.reread(meant, &earlier), None, "{text} in {known}: {}", &*meant.digits());
                    assert_eq!(E164::parse(&meant.to_plus_form(), &plan), Ok(meant), "{text} in {known}");
                }
            }
        }
    }
    assert!(moved > 1_000, "{moved}");
}

// The fast path: `+` and digits are their own number, unless a prefix follows the country code. `src/number/trunk.rs`
// proves it.

/// Returns the number that the library reads in `+` and digits, if it is one.
fn library(text: &str) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(text, None).ok()?;
    Some(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).to_string())
}

#[test]
fn plus_form_is_read_as_the_library_reads_it() {
    let plan = region("GB");
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let (mut tried, mut changed) = (0, 0);
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        for first in 0..100 {
            let code = code.to_string();
            let rest = format!("{first:02}{:013}", random() * 1_000 + random() % 1_000);
            let len = 3 + usize::try_from(random()).unwrap() % (13 - code.len());
            let text = format!("+{code}{}", &rest[..len.min(rest.len())]);
            let Some(expected) = library(&text) else { continue };
            let number = E164::parse(&text, &plan).map_err(|error| match error {
                NumberError::Withheld => error,
                error => panic!("{text}: {error}"),
            });
            let Ok(number) = number else { continue };
            assert_eq!(&*number.to_plus_form(), expected, "{text}");
            tried += 1;
            changed += usize::from(expected != text);
        }
    }
    assert!(tried > 15_000 && changed > 400, "{tried} tried, {changed} changed");
}
