//! Tests of numbers, dial plans and callers: parsing, codes and masking.

use dialback::{Caller, DialPlan, E164, NumberError};
use proptest::prelude::*;

fn plan(country_code: &str, national_prefix: &str, international_prefix: &str) -> DialPlan {
    DialPlan::new(country_code, national_prefix, international_prefix).unwrap()
}

fn us() -> DialPlan {
    plan("1", "1", "011")
}

fn germany() -> DialPlan {
    plan("49", "0", "00")
}

fn italy() -> DialPlan {
    plan("39", "", "00")
}

fn plans() -> Vec<DialPlan> {
    let mut plans = vec![DialPlan::NONE, us(), germany(), italy()];
    for (country_code, national, international) in [
        ("44", "0", "00"),
        ("7", "8", "810"),
        ("36", "06", "00"),
        ("52", "01", "00"),
        ("61", "0", "0011"),
        ("65", "", "001"),
        ("298", "", "00"),
        ("358", "0", "00"),
        ("49", "", ""),
        ("1", "011", "01"),
        ("999", "99999", "00000"),
    ] {
        plans.push(plan(country_code, national, international));
    }
    plans
}

/// Checks each row: its text, read with `plan`, gives these digits or this error.
fn check(plan: &DialPlan, rows: &[(&str, Result<&str, NumberError>)]) {
    for (text, expected) in rows {
        let read = E164::parse(text, plan);
        let digits = read.map(E164::digits);
        assert_eq!(digits.as_deref().map_err(|error| *error), *expected, "{text:?} under {plan:?}");
        if let Ok(number) = read {
            assert_eq!(Caller::parse(text, plan), Caller::Number(number), "{text:?} under {plan:?}");
        }
    }
}

fn number(digits: &str) -> E164 {
    E164::from_digits(digits).unwrap()
}

use NumberError::{Decimals, Empty, NotANumber, NotInternational, Several, TooLong, Withheld};

// Codes

#[test]
fn code_is_the_value_or_an_offset_for_leading_zeros() {
    for (digits, code) in [
        ("1", 1),
        ("15551234567", 15_551_234_567),
        ("999999999999999", 999_999_999_999_999),
        ("0", 1_000_000_000_000_000),
        ("00", 1_000_000_000_000_001),
        ("01", 1_000_000_000_000_002),
        ("000", 1_000_000_000_000_011),
        ("0911", 1_000_000_000_001_022),
        ("099999999999999", 1_111_111_111_111_110),
    ] {
        assert_eq!(number(digits).code(), code, "{digits}");
        assert_eq!(E164::from_code(code), Some(number(digits)), "{code}");
        assert_eq!(&*number(digits).digits(), digits);
    }
}

#[test]
fn codes_that_no_digit_string_has_are_rejected() {
    for code in [0, 1_111_111_111_111_111, (1 << 50) - 1, 1 << 50, u64::MAX] {
        assert_eq!(E164::from_code(code), None, "{code}");
    }
}

#[test]
fn digit_strings_of_up_to_five_digits_have_distinct_codes() {
    let mut codes = std::collections::HashSet::new();
    for len in 1..=5 {
        for value in 0..10_u32.pow(len) {
            let digits = format!("{value:0width$}", width = len as usize);
            let held = number(&digits);
            assert!(codes.insert(held.code()), "{digits}");
            assert_eq!(&*held.digits(), digits);
            assert_eq!(held.is_international(), !digits.starts_with('0'));
        }
    }
}

#[test]
fn from_digits_takes_ascii_digits_only() {
    for text in
        ["", "+1", " 1", "1 ", "1-2", "1a", "1234567890123456", "\u{661}\u{662}", "\u{FF11}\u{FF12}", "1\0", "-1"]
    {
        assert_eq!(E164::from_digits(text), None, "{text:?}");
    }
}

#[test]
fn number_and_optional_number_fit_in_one_word() {
    assert_eq!(size_of::<E164>(), 8);
    assert_eq!(size_of::<Option<E164>>(), 8);
    assert_eq!(size_of::<Caller>(), 16);
    assert_eq!(size_of::<DialPlan>(), 24);
}

#[test]
fn plus_form_has_a_plus_unless_the_number_begins_with_zero() {
    assert_eq!(&*number("15551234567").to_plus_form(), "+15551234567");
    assert_eq!(&*number("999999999999999").to_plus_form(), "+999999999999999");
    assert_eq!(&*number("0911").to_plus_form(), "0911");
    assert_eq!(format!("{:>6}|{:<6}", number("12").digits(), number("12").to_plus_form()), "    12|+12   ");
}

// Masks

#[test]
fn debug_and_display_show_three_and_two_digits_at_most() {
    for (digits, shown) in [
        ("15551234567", "+155******67"),
        ("999999999999999", "+999**********99"),
        ("12345678", "+123***78"),
        ("1234567", "+*******"),
        ("1", "+*"),
        ("0301234567", "030*****67"),
        ("0911", "****"),
    ] {
        let held = number(digits);
        assert_eq!(held.to_string(), shown);
        assert_eq!(format!("{held:?}"), format!("E164({shown})"));
        assert_eq!(format!("{:?}", held.to_plus_form()), format!("Digits({shown})"));
        assert_eq!(format!("{:?}", Caller::Number(held)), format!("Number(E164({shown}))"));
        assert_eq!(held.digits().to_string(), digits);
    }
    assert_eq!(format!("{:>14}", number("15551234567")), "  +155******67");
}

#[test]
fn errors_and_plans_print_readable_text() {
    use NumberError::{BadDialPlan, Impossible, UnknownRegion};
    let own = [Empty, TooLong, NotANumber, NotInternational, Withheld, Decimals, Several];
    for error in own.into_iter().chain([BadDialPlan, Impossible, UnknownRegion]) {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
        let _: &dyn std::error::Error = &error;
    }
    assert_eq!(
        format!("{:?}", germany()),
        r#"DialPlan { country_code: "49", national_prefix: "0", international_prefix: "00", national_lengths: [], region: None }"#
    );
}

// Dial plans

#[test]
fn a_plan_has_a_country_code_and_two_different_short_prefixes() {
    for (country_code, national, international) in
        [("1", "", ""), ("49", "0", "00"), ("358", "12345", "54321"), ("39", "", "00")]
    {
        let plan = plan(country_code, national, international);
        assert_eq!(plan.country_code(), country_code);
        assert_eq!(plan.national_prefix(), national);
        assert_eq!(plan.international_prefix(), international);
    }
    for (country_code, national, international) in [
        ("", "0", "00"),
        ("0", "0", "00"),
        ("04", "0", "00"),
        ("1234", "0", "00"),
        ("+1", "1", "011"),
        ("4x", "0", "00"),
        ("49", "123456", "00"),
        ("49", "0", "000000"),
        ("49", "0 ", "00"),
        ("49", "0", "0\u{660}"),
        ("49", "00", "00"),
    ] {
        let refused = DialPlan::new(country_code, national, international);
        assert_eq!(refused, Err(NumberError::BadDialPlan), "{country_code:?} {national:?} {international:?}");
    }
    assert_eq!(DialPlan::default(), DialPlan::NONE);
    assert_eq!(DialPlan::NONE.country_code(), "");
}

#[test]
fn plan_none_reads_prefixes_as_international_and_holds_zeros() {
    check(
        &DialPlan::NONE,
        &[
            ("+15551234567", Ok("15551234567")),
            ("15551234567", Ok("15551234567")),
            ("0015551234567", Ok("15551234567")),
            ("01115551234567", Ok("15551234567")),
            ("02079460958", Ok("02079460958")),
            ("911", Ok("911")),
            ("1", Ok("1")),
            ("0", Ok("0")),
            ("00", Ok("00")),
            ("011", Ok("011")),
            ("000", Ok("000")),
            ("0000000000", Err(Withheld)),
            ("0110123456", Ok("0110123456")),
            ("123456789012345", Ok("123456789012345")),
            ("00123456789012345", Ok("123456789012345")),
            ("1234567890123456", Err(TooLong)),
            ("001234567890123456", Err(TooLong)),
            ("0234567890123456", Err(TooLong)),
            ("9".repeat(5000).as_str(), Err(TooLong)),
        ],
    );
}

#[test]
fn north_american_forms_give_one_number() {
    check(
        &us(),
        &[
            ("+15551234567", Ok("15551234567")),
            ("15551234567", Ok("15551234567")),
            ("5551234567", Ok("15551234567")),
            ("1 (555) 123-4567", Ok("15551234567")),
            ("(555) 123-4567", Ok("15551234567")),
            ("555.123.4567", Ok("15551234567")),
            ("011 1 555 123 4567", Ok("15551234567")),
            ("00 1 555 123 4567", Ok("15551234567")),
            ("011 49 30 901820", Ok("4930901820")),
            ("0049 30 901820", Ok("4930901820")),
            // As trunks send it: no national number is that long.
            ("442079460958", Ok("442079460958")),
            ("4917112345678", Ok("4917112345678")),
            ("911", Ok("911")),
            ("0", Ok("0")),
            ("12345", Ok("12345")),
            ("262966", Ok("262966")),
            ("0301234567", Ok("0301234567")),
            ("1 055 123 4567", Err(NotANumber)),
            ("011 0 555 123", Err(NotANumber)),
            ("011 1234567890123456", Err(TooLong)),
        ],
    );
}

#[test]
fn german_forms_give_one_number() {
    check(
        &germany(),
        &[
            ("+4930901820", Ok("4930901820")),
            ("004930901820", Ok("4930901820")),
            ("4930901820", Ok("4930901820")),
            ("030901820", Ok("4930901820")),
            ("(030) 90 18 20", Ok("4930901820")),
            ("030/90-1820", Ok("4930901820")),
            ("+49 (0)30 901820", Ok("4930901820")),
            ("0049 (0) 30 901820", Ok("4930901820")),
            ("49(0)30 901820", Ok("4930901820")),
            // 011 starts a German area code and is not a prefix.
            ("0115 551234567", Ok("49115551234567")),
            ("112", Ok("112")),
            ("110", Ok("110")),
            ("011833", Ok("011833")),
            ("11833", Ok("11833")),
            ("30901820", Ok("4930901820")),
            ("000 301 234", Err(NotANumber)),
            ("0000000000", Err(Withheld)),
            ("0301234567890123", Err(TooLong)),
        ],
    );
}

#[test]
fn italian_zeros_belong_to_the_number() {
    check(
        &italy(),
        &[
            ("+390612345678", Ok("390612345678")),
            ("0612345678", Ok("390612345678")),
            ("00390612345678", Ok("390612345678")),
            ("390612345678", Ok("390612345678")),
            ("+39 (0)6 1234 5678", Ok("390612345678")),
            // Turin.
            ("011 5551234", Ok("390115551234")),
            // A mobile number that begins with the digits of the country code.
            ("392 1234567", Ok("393921234567")),
            ("393921234567", Ok("393921234567")),
            ("0015551234567", Ok("15551234567")),
            ("118", Ok("118")),
            ("0000000000", Err(Withheld)),
        ],
    );
}

#[test]
fn plans_differ_and_each_reads_its_own_forms() {
    for (plan, text, digits) in [
        (plan("44", "0", "00"), "020 7946 0958", "442079460958"),
        (plan("44", "0", "00"), "999", "999"),
        (plan("7", "8", "810"), "8 (495) 123-45-67", "74951234567"),
        (plan("7", "8", "810"), "810 49 30 901820", "4930901820"),
        (plan("7", "8", "810"), "701 123 45 67", "77011234567"),
        (plan("7", "8", "810"), "7 701 123 45 67", "77011234567"),
        (plan("36", "06", "00"), "06 1 234 5678", "3612345678"),
        (plan("61", "0", "0011"), "0011 44 20 7946 0958", "442079460958"),
        (plan("61", "0", "0011"), "00 44 20 7946 0958", "442079460958"),
        (plan("61", "0", "0011"), "02 5550 1234", "61255501234"),
        // Eight national digits, or ten with the country code; both may begin with it.
        (plan("45", "", "00"), "45 12 34 56", "4545123456"),
        (plan("45", "", "00"), "45 45 12 34 56", "4545123456"),
        (plan("65", "", "001"), "6512 3456", "6565123456"),
        (plan("65", "", "001"), "001 49 30 901820", "4930901820"),
        // Six national digits after three of a country code; four digits are a short code.
        (plan("298", "", "00"), "201234", "298201234"),
        (plan("298", "", "00"), "298 201234", "298201234"),
        (plan("298", "", "00"), "1870", "1870"),
    ] {
        check(&plan, &[(text, Ok(digits))]);
    }
}

// Writing

#[test]
fn separators_and_invisible_marks_are_ignored() {
    for text in [
        " +1 555 123 4567 ",
        "\t+1\t555\t123\t4567\r\n",
        "+1-555-123-4567",
        "+1.555.123.4567",
        "+1/555/123/4567",
        "(+1) (555) 123 4567",
        "+1\u{A0}555\u{202F}123\u{2009}4567",
        "+1\u{2010}555\u{2011}123\u{2012}4567",
        "+1\u{2013}555\u{2014}123\u{2015}4567",
        "\u{202A}+15551234567\u{202C}",
        "\u{2066}+1555\u{200B}1234567\u{2069}",
        "\u{200E}+1555123\u{200F}4567",
        "\u{FEFF}+15551234567",
        "\u{202D}tel:+1-555-123-4567\u{202C}",
    ] {
        check(&DialPlan::NONE, &[(text, Ok("15551234567"))]);
        assert_eq!(E164::parse_international(text).ok(), (!text.contains("tel")).then(|| number("15551234567")));
    }
}

#[test]
fn decimal_number_of_a_spreadsheet_is_the_whole_number_or_an_error() {
    let rows = [
        ("12125550143.0", Ok("12125550143")),
        (" 12125550143.0 ", Ok("12125550143")),
        ("12125550143.00", Ok("12125550143")),
        ("442079460958.0", Ok("442079460958")),
        ("sip:12125550143.0@example.com", Ok("12125550143")),
        // A decimal number has neither a plus nor a leading zero: this may be an extension.
        ("+12125550143.0", Err(Decimals)),
        ("+12125550143.00", Err(Decimals)),
        ("0012125550143.0", Err(Decimals)),
        ("0.0", Err(Decimals)),
        ("12125550143.5", Err(Decimals)),
        ("+12125550143.5", Err(Decimals)),
        ("1.21256E+10", Err(NotANumber)),
        // Points between groups of digits.
        ("1.212.555.0143", Ok("12125550143")),
        ("+49.30.901820", Ok("4930901820")),
        ("1 212.555.01.4.3", Ok("12125550143")),
        ("+1 212 5550143.0", Ok("121255501430")),
    ];
    check(&DialPlan::NONE, &rows);
    check(&us(), &[("2125550143.0", Ok("12125550143")), ("0301234.0", Err(Decimals))]);
    check(&germany(), &[("4915112345678.0", Ok("4915112345678")), ("015112345678.0", Err(Decimals))]);
    assert_eq!(E164::parse_international("+12125550143.0"), Err(Decimals));
}

#[test]
fn second_number_behind_a_slash_is_an_error_and_an_area_code_is_not() {
    let slashes = [
        ("555-0143/0144", Err(Several)),
        ("555-0143 / 0144", Err(Several)),
        ("+12125550143/0144", Err(Several)),
        ("(212) 555-0143/44", Err(Several)),
        ("011 44 2079460958/59", Err(Several)),
        ("212/555-0143", Ok("12125550143")),
        ("1-212/5550143", Ok("12125550143")),
        ("1/212/555/0143", Ok("12125550143")),
        ("+1 212/555-0143", Ok("12125550143")),
    ];
    check(&us(), &slashes);
    let slashes = [
        ("030/901820", Ok("4930901820")),
        ("030 / 90 18 20", Ok("4930901820")),
        ("035456/123", Ok("4935456123")),
        ("+49 35456/1234", Ok("49354561234")),
        ("0049 35456 / 1234", Ok("49354561234")),
        ("030901820/21", Err(Several)),
        ("0049 30901820/21", Err(Several)),
        ("+49 30 901820/21", Err(Several)),
    ];
    check(&germany(), &slashes);
}

#[test]
fn a_bracketed_zero_is_dropped_right_behind_the_country_code_only() {
    check(
        &DialPlan::NONE,
        &[
            ("+44 (0)20 7946 0958", Ok("442079460958")),
            ("+44(0)2079460958", Ok("442079460958")),
            ("+44 ( 0 ) 20 7946 0958", Ok("442079460958")),
            ("0044 (0)20 7946 0958", Ok("442079460958")),
            ("011 44 (0)20 7946 0958", Ok("442079460958")),
            ("+358 (0)9 123 4567", Ok("35891234567")),
            ("tel:+44-(0)20-7946-0958", Ok("442079460958")),
            ("+44 20 (0)7946 0958", Ok("4420079460958")),
            ("+44 (020) 7946 0958", Ok("4402079460958")),
            ("+39 (0)6 1234 5678", Ok("390612345678")),
            ("(0)20 7946 0958", Ok("02079460958")),
            ("+12345678901234 (0)", Ok("123456789012340")),
            ("+44 (0)1234567890123", Ok("441234567890123")),
            ("+44 (0)12345678901234", Err(TooLong)),
            ("+(0)44 20", Err(NotANumber)),
        ],
    );
}

#[test]
fn tel_uris_are_read_with_their_context() {
    check(
        &germany(),
        &[
            ("tel:+15551234567", Ok("15551234567")),
            ("TEL:+1-555-123-4567", Ok("15551234567")),
            ("tel:+15551234567;ext=123", Ok("15551234567")),
            ("tel:+15551234567;isub=12:34;ext=5", Ok("15551234567")),
            ("tel:+15551234567?subject=x", Ok("15551234567")),
            ("<tel:+15551234567>;tag=9", Ok("15551234567")),
            ("tel:030901820", Ok("4930901820")),
            ("tel:030901820;phone-context=example.com", Ok("4930901820")),
            ("tel:030901820;phone-context=+49", Ok("4930901820")),
            ("tel:112;phone-context=+49", Ok("112")),
            ("tel:911;phone-context=+1", Ok("911")),
            ("tel:555-123-4567;phone-context=+1", Ok("15551234567")),
            ("tel:1-555-123-4567;phone-context=+1", Ok("15551234567")),
            ("tel:123-4567;ext=1;Phone-Context=%2B1-555", Ok("15551234567")),
            ("tel:020-7946-0958;phone-context=+44", Ok("442079460958")),
            ("tel:0612345678;phone-context=+39", Ok("390612345678")),
            ("tel:+442079460958;phone-context=+1", Ok("442079460958")),
            ("tel:0044123456;phone-context=+33", Err(NotANumber)),
            ("tel:1234567;phone-context=+049", Err(NotANumber)),
            ("tel:1234567;phone-context=+123456789", Err(TooLong)),
            ("tel:", Err(Empty)),
            ("tel:*31#", Err(NotANumber)),
            ("tel:12AB;phone-context=+1", Err(NotANumber)),
            ("tel:tel:+15551234567", Err(NotANumber)),
        ],
    );
}

#[test]
fn sip_uris_and_headers_are_read_by_their_user_part() {
    check(
        &us(),
        &[
            ("sip:+15551234567@10.0.0.1", Ok("15551234567")),
            ("SIPS:+15551234567@example.com:5061", Ok("15551234567")),
            ("sip:5551234567@10.0.0.1:5060;user=phone;transport=udp", Ok("15551234567")),
            ("sip:+15551234567;npdi@example.com", Ok("15551234567")),
            ("sip:+15551234567;rn=+15559999999;npdi@example.com;user=phone", Ok("15551234567")),
            ("sip:+15551234567:secret@example.com", Ok("15551234567")),
            ("sip:+15551234567;npdi:se;cret@example.com", Ok("15551234567")),
            ("sip:%2B15551234567@example.com", Ok("15551234567")),
            ("sip:%2b1%28555%291234567@example.com", Ok("15551234567")),
            ("sip:+1-555-123-4567@example.com?Subject=call%20me&Priority=urgent", Ok("15551234567")),
            ("sip:123-4567;phone-context=+1-555@example.com;user=phone", Ok("15551234567")),
            ("sip:+15551234567", Ok("15551234567")),
            ("sip:+15551234567;user=phone", Ok("15551234567")),
            ("sip:%2B15551234567:5060", Ok("15551234567")),
            ("+15551234567@10.0.0.1", Ok("15551234567")),
            ("+15551234567;user=phone", Ok("15551234567")),
            ("<+15551234567>", Ok("15551234567")),
            ("\"Alice\" <+15551234567>", Ok("15551234567")),
            ("Alice <sip:+15551234567@example.com>", Ok("15551234567")),
            ("\"Alice \\\"x\\\" <3\" <sip:+15551234567@host;user=phone>;tag=1", Ok("15551234567")),
            ("\"a\\\\\"  <sip:+15551234567@host>", Ok("15551234567")),
            ("\"15550000000\" <sip:+15551234567@host>", Ok("15551234567")),
            ("15550000000 <sip:+15551234567@host>", Ok("15551234567")),
            // A name in quotes that looks like an address.
            ("Ann \"<sip:+15550000000@x>\" <sip:+15551234567@host>", Ok("15551234567")),
            ("Ann \"\\\"<+15550000000>\" <sip:+15551234567@host>", Ok("15551234567")),
            ("sip:+15551234567@host;x=\"<sip:+15550000000@x>\"", Ok("15551234567")),
            ("Ann \"<sip:+15551234567@x>", Err(NotANumber)),
            ("\"Anonymous\" <sip:+15551234567@host>", Ok("15551234567")),
            ("<sip:+15551234567@host>, <tel:+15550000000>", Ok("15551234567")),
            ("sip:10.0.0.1", Err(NotANumber)),
            ("sip:10.0.0.1:5060;transport=udp", Err(NotANumber)),
            ("sip:alice@example.com", Err(NotANumber)),
            ("sip:@example.com", Err(Empty)),
            ("sip:+1555%@example.com", Err(NotANumber)),
            ("sip:+1555%2@example.com", Err(NotANumber)),
            ("sip:+1555%C2%A01234567@example.com", Err(NotANumber)),
            ("sip:%252B15551234567@example.com", Err(NotANumber)),
            ("\"15551234567\"", Err(NotANumber)),
            ("\"15551234567", Err(NotANumber)),
            ("\"Alice\" sip:+15551234567@host", Err(NotANumber)),
            ("\"Alice\" <sip:+15551234567@host", Err(NotANumber)),
            ("Alice <sip:+15551234567@host", Err(NotANumber)),
            ("+15551234567;+15550000000", Err(NotANumber)),
            ("mailto:5551234567@example.com", Err(NotANumber)),
            ("%2B15551234567", Ok("15551234567")),
            ("%2b1555123%20", Ok("1555123")),
            ("1555%2B", Err(NotANumber)),
        ],
    );
}

#[test]
fn text_that_is_not_a_number_is_an_error() {
    check(
        &DialPlan::NONE,
        &[
            ("", Err(Empty)),
            (" \t\r\n", Err(Empty)),
            ("-", Err(Empty)),
            ("()", Err(Empty)),
            ("\"\" <>", Err(Empty)),
            ("<>", Err(Empty)),
            ("0000000000", Err(Withheld)),
            ("0", Ok("0")),
            ("sip:0000@gw.example.com", Err(Withheld)),
            ("tel:0000;phone-context=+49", Err(Withheld)),
            ("tel:000000;phone-context=+49", Err(Withheld)),
            ("tel:0000000;phone-context=+1212", Err(Withheld)),
            ("tel:266696687;phone-context=+1", Err(Withheld)),
            ("+266696687", Err(Withheld)),
            ("+7 378 742 833 3", Ok("73787428333")),
            ("+7 378 742 833", Err(Withheld)),
            ("tel:+86282452253", Err(Withheld)),
            ("+2562533", Err(Withheld)),
            ("+8656696", Err(Withheld)),
            ("+1 212\u{AD}555\u{AD}0143", Ok("12125550143")),
            ("+", Err(NotANumber)),
            ("++15551234567", Err(NotANumber)),
            ("+1+5551234567", Err(NotANumber)),
            ("15551234567+", Err(NotANumber)),
            ("00+15551234567", Err(NotANumber)),
            ("+05551234567", Err(NotANumber)),
            ("+0", Err(NotANumber)),
            ("+1234567890123456", Err(TooLong)),
            ("1-800-FLOWERS", Err(NotANumber)),
            ("*31#5551234567", Err(NotANumber)),
            ("5551234567,,123", Err(NotANumber)),
            ("+15551234567\0", Err(NotANumber)),
            ("\u{FF0B}15551234567", Err(NotANumber)),
            ("+\u{FF11}\u{FF12}\u{FF13}", Err(NotANumber)),
            ("+\u{661}\u{662}\u{663}", Err(NotANumber)),
            ("😀", Err(NotANumber)),
            ("si", Err(NotANumber)),
            ("té:+15551234567", Err(NotANumber)),
        ],
    );
}

#[test]
fn the_international_form_requires_a_plus() {
    for (text, expected) in [
        ("+15551234567", Ok("15551234567")),
        (" +1 (555) 123-4567 ", Ok("15551234567")),
        ("+44 (0)20 7946 0958", Ok("442079460958")),
        ("+1", Ok("1")),
        ("+999999999999999", Ok("999999999999999")),
        ("15551234567", Err(NotInternational)),
        ("0015551234567", Err(NotInternational)),
        ("", Err(Empty)),
        ("+", Err(NotANumber)),
        ("+05551234567", Err(NotANumber)),
        ("+1234567890123456", Err(TooLong)),
        ("+266696687", Err(Withheld)),
        ("+266-696-687", Err(Withheld)),
        ("tel:+15551234567", Err(NotANumber)),
        ("+1555x1234567", Err(NotANumber)),
    ] {
        let digits = E164::parse_international(text).map(E164::digits);
        assert_eq!(digits.as_deref().map_err(|error| *error), expected, "{text:?}");
    }
}

// Callers

#[test]
fn withheld_callers_are_values() {
    for text in [
        "",
        "  ",
        "\"\"",
        "<>",
        "\"\" <>",
        "-",
        "anonymous",
        "Anonymous",
        "ANONYMOUS ",
        "restricted",
        "unavailable",
        "Unknown",
        "private",
        "withheld",
        "0000000000",
        "0000",
        "\"anonymous\" <sip:0000000000@example.com>",
        "+266696687",
        "+7378742833",
        "+86282452253",
        "sip:+2562533@example.com",
        "+8656696",
        "266696687",
        "sip:266696687@example.com",
        "00266696687",
        "2562533",
        "8656696",
        "86282452253",
        "tel:0000;phone-context=+49",
        "Blocked",
        "<unknown>",
        "\"Anonymous\"",
        "\"Anonymous\" <sip:trunk@10.0.0.1>",
        "Anonymous <sip:10.0.0.1>",
        "anonymous@anonymous.invalid",
        "sip:anonymous@anonymous.invalid",
        "sip:c8oqz84zk7z@anonymous.invalid",
        "sips:thisis@ANONYMOUS.INVALID.:5061;lr",
        "sip:+15551234567@anonymous.invalid",
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=8f3",
        "<sip:anonymous@10.0.0.1:5060;user=phone>",
        "sip:%61nonymous@example.com",
        "sip:Restricted;npdi@example.com",
        "sip:unavailable@unknown.invalid",
        "sip:@10.0.0.1",
        "tel:anonymous",
    ] {
        for plan in plans() {
            assert_eq!(Caller::parse(text, &plan), Caller::Withheld, "{text:?} under {plan:?}");
        }
    }
    assert_eq!(Caller::Withheld.number(), None);
}

#[test]
fn unusable_callers_are_values() {
    for text in [
        "alice",
        "alice@example.com",
        "sip:alice@example.com",
        "\"Alice\" <sip:alice@example.com>",
        "\"15551234567\"",
        "sip:10.0.0.1",
        "+05551234567",
        "+",
        "+1234567890123456",
        "1234567890123456789012345",
        "anonymouse",
        "anonymou",
        "\"Anonymous",
        "Anonymous <sip:+1555",
        "*67",
    ] {
        for plan in plans() {
            assert_eq!(Caller::parse(text, &plan), Caller::Unusable, "{text:?} under {plan:?}");
        }
    }
    assert_eq!(Caller::Unusable.number(), None);
}

#[test]
fn a_number_behind_an_anonymous_display_name_counts() {
    let caller = Caller::parse("\"Anonymous\" <sip:+15551234567@trunk.example>", &DialPlan::NONE);
    assert_eq!(caller.number(), Some(number("15551234567")));
}

// Properties

fn any_plan() -> impl Strategy<Value = DialPlan> {
    let known = prop::sample::select(plans());
    let made = ("[1-9][0-9]{0,2}", "[0-9]{0,5}", "[0-9]{0,5}")
        .prop_filter_map("prefixes differ", |(country, national, international)| {
            DialPlan::new(&country, &national, &international).ok()
        });
    prop_oneof![known, made]
}

/// Texts made of the pieces that the parser looks for, in any order.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[0-9]{0,6}",
        4 => prop::sample::select(vec![
            "+", "(0)", "(", ")", "00", "011", "\"", "\\", "<", ">", ";", "=", "?", "@", ":", "%", "%2B", "%2", "%C3",
            "sip:", "sips:", "TEL:", "phone-context=", ";phone-context=+", ";ext=", "anonymous", "anonymous.invalid",
            " ", "\t", "\r\n", "\u{A0}", "\u{2011}", "\u{202A}", "\u{200B}", "é", "😀", "\0", "[::1]", ",", "*", "#",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_digit_string_comes_back(digits in "[0-9]{1,15}") {
        let held = number(&digits);
        prop_assert_eq!(&*held.digits(), &*digits);
        prop_assert!(held.code() < 1 << 50);
        prop_assert_eq!(E164::from_code(held.code()), Some(held));
    }

    #[test]
    fn every_code_is_rejected_or_has_digits_that_lead_back(code in 0_u64..1 << 51) {
        if let Some(held) = E164::from_code(code) {
            prop_assert_eq!(held.code(), code);
            prop_assert_eq!(E164::from_digits(&held.digits()), Some(held));
        } else {
            prop_assert!(code == 0 || code >= 1_111_111_111_111_111);
        }
    }

    #[test]
    fn different_digits_have_different_codes(a in "0{0,3}[0-9]{1,12}", b in "0{0,3}[0-9]{1,12}") {
        prop_assert_eq!(number(&a) == number(&b), a == b);
    }

    #[test]
    fn the_plus_form_means_the_same_under_every_plan(digits in "[1-9][0-9]{0,14}", plan in any_plan()) {
        let held = number(&digits);
        let plus = held.to_plus_form();
        prop_assert_eq!(E164::parse(&plus, &plan), Ok(held));
        prop_assert_eq!(E164::parse_international(&plus), Ok(held));
        prop_assert_eq!(E164::parse(&format!("tel:{plus}"), &plan), Ok(held));
        let header = format!("\"{digits}\" <sip:{plus};npdi@192.0.2.7:5060;user=phone>;tag={digits}");
        prop_assert_eq!(Caller::parse(&header, &plan), Caller::Number(held));
    }

    #[test]
    fn separators_change_nothing(
        digits in "[0-9]{1,18}",
        between in prop::collection::vec("[- \t\u{A0}\u{2011}\u{200E}]{0,2}|[./]-", 19),
        plus in any::<bool>(),
        plan in any_plan(),
    ) {
        let plain = format!("{}{digits}", if plus { "+" } else { "" });
        let spread: String = plain.chars().zip(&between).flat_map(|(c, gap)| [gap.clone(), c.to_string()]).collect();
        prop_assert_eq!(E164::parse(&spread, &plan), E164::parse(&plain, &plan));
    }

    /// A point or a slash never adds digits to a number, and never joins two numbers of more than an area code.
    #[test]
    fn decimals_and_alternatives_never_become_digits(
        digits in "[1-9][0-9]{8,14}",
        rest in "\\.0|\\.00|\\.[1-9]| ?/ ?[0-9]{1,4}",
        plus in any::<bool>(),
        plan in any_plan(),
    ) {
        let whole = format!("{}{digits}", if plus { "+" } else { "" });
        let read = E164::parse(&format!("{whole}{rest}"), &plan);
        prop_assert!(read == E164::parse(&whole, &plan) && !plus || matches!(read, Err(Decimals | Several)));
    }

    #[test]
    fn what_a_plan_reads_it_reads_again_from_the_plus_form(digits in "[0-9]{1,18}", plan in any_plan()) {
        if let Ok(held) = E164::parse(&digits, &plan)
            && held.is_international()
        {
            prop_assert_eq!(E164::parse(&held.to_plus_form(), &plan), Ok(held));
        }
    }

    #[test]
    fn a_caller_is_a_number_only_where_parse_says_so(text in nasty(), plan in any_plan()) {
        let read = E164::parse(&text, &plan);
        match Caller::parse(&text, &plan) {
            Caller::Number(held) => prop_assert_eq!(read, Ok(held)),
            Caller::Unusable => prop_assert!(read.is_err()),
            Caller::Withheld => prop_assert!(read.is_err() || text.to_ascii_lowercase().contains("anonymous.invalid")),
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), plan in any_plan()) {
        let _ = (E164::parse(&text, &plan), E164::parse_international(&text), E164::from_digits(&text));
        let _ = (Caller::parse(&text, &plan), DialPlan::new(&text, &text, &text));
    }

    #[test]
    fn debug_and_display_never_hold_the_number(digits in "[0-9]{1,15}") {
        let held = number(&digits);
        for shown in [
            held.to_string(),
            format!("{held:#?}"),
            format!("{:?}", held.digits()),
            format!("{:?}", Caller::Number(held)).replace("E164", ""),
        ] {
            let shown = shown.replace("E164", "");
            prop_assert!(!shown.contains(&digits));
            let in_clear = shown.bytes().filter(u8::is_ascii_digit).count();
            prop_assert_eq!(in_clear, if digits.len() >= 8 { 5 } else { 0 });
        }
    }
}

// Words on a keypad without their `+`

/// A trunk that sends no `+` sends `266696687` for a withheld caller. Read as a national number, it would be the contact of
/// all of them.
#[test]
fn look_alike_without_plus_is_a_number_only_if_the_plan_knows_its_length() {
    check(
        &us(),
        &[
            ("266696687", Err(Withheld)),
            ("+266696687", Err(Withheld)),
            // 737 is an area code.
            ("7378742833", Ok("17378742833")),
            ("+7378742833", Err(Withheld)),
        ],
    );
    let seven = plan("999", "8", "00").with_national_lengths(&[7]).unwrap();
    check(&seven, &[("8656696", Ok("9998656696")), ("2562533", Ok("9992562533")), ("266696687", Err(Withheld))]);
    check(&plan("7", "8", "810"), &[("8656696", Err(Withheld))]);
}

// Lengths of national numbers

#[test]
fn plan_with_lengths_strips_a_prefix_only_if_the_rest_is_as_long() {
    let with = |plan: DialPlan, lengths: &[usize]| plan.with_national_lengths(lengths).unwrap();
    check(
        &with(plan("91", "0", "00"), &[10]),
        &[
            ("9123456789", Ok("919123456789")),
            ("919123456789", Ok("919123456789")),
            ("09123456789", Ok("919123456789")),
            ("0912345678", Ok("0912345678")),
            ("12125550143", Ok("12125550143")),
            ("112", Ok("112")),
        ],
    );
    check(
        &with(plan("7", "8", "810"), &[10]),
        &[
            ("8121234567", Ok("78121234567")),
            ("8005553535", Ok("78005553535")),
            ("88005553535", Ok("78005553535")),
            ("78005553535", Ok("78005553535")),
            ("810 49 30 901820", Ok("4930901820")),
        ],
    );
    // A private plan: numbers of four digits, which are not short codes.
    check(
        &with(plan("999", "9", "00"), &[4]),
        &[("1234", Ok("9991234")), ("91234", Ok("9991234")), ("911", Ok("911"))],
    );
    check(&with(plan("43", "0", "00"), &[5, 10]), &[("014000", Ok("4314000")), ("01400", Ok("01400"))]);
}

#[test]
fn lengths_are_from_1_to_15_and_need_a_country_code() {
    let lengths = |plan: DialPlan, lengths: &[usize]| {
        plan.with_national_lengths(lengths).map(|plan| plan.national_lengths().collect::<Vec<_>>())
    };
    assert_eq!(lengths(germany(), &[11, 10, 10]), Ok(vec![10, 11]));
    assert_eq!(lengths(germany(), &[1, 15]), Ok(vec![1, 15]));
    assert_eq!(lengths(germany(), &[]), Ok(vec![]));
    assert_eq!(lengths(germany(), &[0]), Err(NumberError::BadDialPlan));
    assert_eq!(lengths(germany(), &[16]), Err(NumberError::BadDialPlan));
    assert_eq!(lengths(germany(), &[usize::MAX]), Err(NumberError::BadDialPlan));
    assert_eq!(lengths(DialPlan::NONE, &[10]), Err(NumberError::BadDialPlan));
}
