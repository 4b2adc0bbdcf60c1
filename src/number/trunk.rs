//! Prefixes that `libphonenumber` removes after a country code, although only national forms should have them.

use super::country_code::country_code_len;

/// Returns whether the library may read `digits`, which follow a `+`, as another number than these digits. If not, it
/// reads them as they are.
///
/// After the country code, the library looks only for the country's `nationalPrefixForParsing`, whichever region it is
/// called with. For each country code, [`prefixes`] has a prefix of each text in which that pattern finds a prefix. The
/// tests below prove this with the automaton of each pattern.
#[inline]
pub(crate) fn can_follow(digits: &[u8]) -> bool {
    let (country, rest) = digits.split_at(country_code_len(digits).min(digits.len()));
    prefixes(country).iter().any(|prefix| rest.starts_with(prefix))
}

/// The prefixes after this country code. Countries without a line have the prefix 0, or none: then no number in
/// service begins with 0, or, as in Italy, the library keeps it.
fn prefixes(country: &[u8]) -> &'static [&'static [u8]] {
    match country {
        b"1" | b"692" => &[b"1"],
        b"7" | b"993" => &[b"8"],
        // No country has the code 999, so the library reads no number there.
        b"39" | b"225" | b"242" | b"999" => &[],
        b"44" => &[b"0", b"1800"],
        // Argentina: an area code and 15 become 9 and the area code.
        b"54" => &[b"0", b"11", b"2", b"3"],
        b"55" => &[b"0", b"90"],
        b"61" => &[b"0", b"183"],
        b"86" => &[b"0", b"11", b"12", b"179"],
        // Madagascar: seven digits get the area code 20.
        b"261" => &[b"0", b"2", b"4", b"5", b"6", b"7", b"8", b"9"],
        b"298" => &[b"10"],
        b"352" => &[b"15"],
        b"370" | b"375" => &[b"0", b"8"],
        b"378" => &[b"8", b"9"],
        b"423" => &[b"0", b"1001"],
        b"506" => &[b"19"],
        // Norfolk Island: five digits get another digit.
        b"672" => &[b"0", b"1", b"2", b"5", b"8"],
        _ => &[b"0"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::{Anchored, dfa::Automaton, dfa::dense, util::start::Config, util::syntax};
    use rlibphonenumber::PHONE_NUMBER_UTIL;
    use rlibphonenumber::interfaces::AsOriginal;

    fn automaton(pattern: &str) -> dense::DFA<Vec<u32>> {
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        dense::Builder::new().syntax(syntax).build(pattern).expect("an automaton")
    }

    /// Texts after a country code that are to be tried: all of four digits.
    fn beginnings() -> impl Iterator<Item = String> {
        (0..10_000).map(|digits| format!("{digits:04}"))
    }

    /// Whether the automaton finds nothing, or only the empty text, in each text that begins with `beginning`.
    fn finds_no_prefix(automaton: &dense::DFA<Vec<u32>>, beginning: &str) -> bool {
        let mut state = automaton.start_state(&Config::new().anchored(Anchored::Yes)).expect("a start");
        for (place, byte) in beginning.bytes().enumerate() {
            state = automaton.next_state(state, byte);
            // A match is reported one byte late. The first one is the empty text.
            if automaton.is_match_state(state) && place > 0 {
                return false;
            }
            if automaton.is_dead_state(state) {
                return true;
            }
        }
        false
    }

    /// The library changes a `+` form only where `nationalPrefixForParsing` of the country code's main region finds a
    /// text that is not empty. Where this crate skips the library, the automaton of that pattern is dead.
    #[test]
    fn plus_form_that_skips_the_library_has_no_prefix_for_the_library_to_remove() {
        let util = PHONE_NUMBER_UTIL.as_original();
        let (mut codes, mut proven, mut open) = (0, 0, Vec::new());
        for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
            let country = PHONE_NUMBER_UTIL.get_region_for_country_code(code).expect("a main region");
            let metadata = util.get_metadata_for_region_or_calling_code(code, country).expect("metadata");
            assert_eq!(country_code_len(format!("{code}00").as_bytes()), code.to_string().len(), "{code}");
            codes += 1;
            let pattern = metadata.national_prefix_for_parsing().original_base();
            if pattern.is_empty() {
                continue;
            }
            let automaton = automaton(pattern);
            for beginning in beginnings() {
                if can_follow(format!("{code}{beginning}").as_bytes()) {
                    continue;
                }
                proven += 1;
                if !finds_no_prefix(&automaton, &beginning) {
                    open.push(format!("+{code} {beginning}"));
                }
            }
        }
        assert!(open.is_empty(), "{} of {proven}: {:?}", open.len(), &open[..open.len().min(20)]);
        assert!(codes > 200 && proven > 500_000, "{codes} codes, {proven} beginnings");
    }

    /// Canary: the walk must be able to find a prefix.
    #[test]
    fn walk_finds_the_prefix_of_a_pattern() {
        let automaton = automaton("0|1800");
        assert!(!finds_no_prefix(&automaton, "0123") && !finds_no_prefix(&automaton, "1800"));
        assert!(finds_no_prefix(&automaton, "1234") && finds_no_prefix(&automaton, "1801"));
    }
}
