//! Any text from a trunk is read without a panic. The result converts back and is shown masked.
#![no_main]

use dialback::{Caller, DialPlan, E164};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (text, country, national, international) = input;
    let own = DialPlan::new(country, national, international).unwrap_or_default();
    let germany = DialPlan::new("49", "0", "00").expect("a dial plan");
    let america = DialPlan::new("1", "1", "011").expect("a dial plan");
    for plan in [own, germany, america, DialPlan::NONE] {
        let read = E164::parse(text, &plan);
        let caller = Caller::parse(text, &plan);
        let Ok(number) = read else {
            assert_eq!(caller.number(), None, "a caller is a number where the text is one");
            continue;
        };
        // An address at anonymous.invalid is withheld, whatever its user part is.
        assert!(matches!(caller, Caller::Withheld) || caller == Caller::Number(number));
        check(number);
        if number.is_international() && number.digits().len() > 6 {
            assert_eq!(
                E164::parse(&number.to_plus_form(), &plan),
                Ok(number),
                "the plus form reads back under every plan"
            );
        }
    }
    for region in ["AR", "BR", "DE", "GB", "IT", "JP", "RU", "US", country] {
        let Ok(plan) = DialPlan::of_region(region) else { continue };
        let caller = Caller::parse(text, &plan);
        let Ok(number) = E164::parse(text, &plan) else {
            assert_eq!(caller.number(), None, "a caller is a number where the text is one");
            continue;
        };
        assert!(matches!(caller, Caller::Withheld) || caller == Caller::Number(number));
        check(number);
        let stored = plan.check(number);
        assert!(stored.is_ok() || number.digits().len() > 6, "short codes may be stored");
        for earlier in [own, plan, DialPlan::NONE] {
            if let Some(meant) = plan.reread(number, &earlier) {
                assert!(meant != number && plan.reread(meant, &earlier).is_none(), "one step is enough");
                assert_eq!(E164::parse(&meant.to_plus_form(), &plan), Ok(meant), "a caller finds what was moved");
            }
        }
        let plain = text.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        if plain && !text[1..].contains(['0', '1', '8', '9']) && !text.starts_with("+54") && !text.starts_with("+261") {
            assert_eq!(&*number.to_plus_form(), text, "no trunk prefix is in these digits");
        }
    }
    if let Ok(number) = E164::parse_international(text) {
        assert_eq!(E164::parse(text, &own), Ok(number), "what is international is so under every plan");
    }
});

fn check(number: E164) {
    let digits = number.digits();
    assert!((1..=E164::MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(E164::from_digits(&digits), Some(number));
    assert_eq!(E164::from_code(number.code()), Some(number));
    assert!(number.code() < 1 << 50);
    for shown in
        [format!("{number}"), format!("{number:?}"), format!("{:?}", Caller::Number(number)), format!("{digits:?}")]
    {
        let stars = shown.bytes().filter(|byte| *byte == b'*').count();
        assert!(stars >= digits.len().saturating_sub(5).min(digits.len()), "{} digits, {stars} stars", digits.len());
        let run = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|run| *run > 3).count();
        // The only long run of digits is in the type's own name.
        assert!(run <= usize::from(shown.contains("E164")) && !shown.contains(&*digits) || digits.len() < 4);
    }
}
