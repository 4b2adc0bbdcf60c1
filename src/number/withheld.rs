//! Numbers and words that carriers, switches and user agents send in place of a withheld number.

use super::E164;
use super::scan;

/// Words, in any case.
const WORDS: [&str; 7] = ["anonymous", "restricted", "unavailable", "unknown", "private", "withheld", "blocked"];

/// Numbers, as the integers of their digits: words typed on a keypad. No number plan has one of them: `libphonenumber`
/// 9.0.43 finds none of them valid.
///
/// Source: Twilio's changelog of 2022-11-16, which names these words and says that their letters become digits.
const LOOK_ALIKES: [u64; 5] = [
    2_562_533,      // BLOCKED
    8_656_696,      // UNKNOWN
    266_696_687,    // ANONYMOUS
    7_378_742_833,  // RESTRICTED
    86_282_452_253, // UNAVAILABLE
];

/// `anonymous`, typed on a keypad.
#[cfg(feature = "sip")]
const ANONYMOUS: &[u8] = b"266696687";

/// Returns whether these ASCII digits stand for `anonymous`.
#[cfg(feature = "sip")]
pub(super) fn is_anonymous(digits: &[u8]) -> bool {
    digits == ANONYMOUS
}

/// Returns whether these ASCII digits, without a `+`, are those of a number that stands for a withheld caller. A few
/// countries have a national number with such digits.
pub(super) fn are_look_alike(digits: &[u8]) -> bool {
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse().is_ok_and(|code| LOOK_ALIKES.contains(&code)))
}

/// Returns whether this number stands for a withheld caller.
#[inline]
pub(super) fn is_look_alike(number: E164) -> bool {
    LOOK_ALIKES.contains(&number.code())
}

/// Returns whether these ASCII digits stand for a withheld caller: four zeros or more and nothing else, as `0000000000`
/// of some switches. Fewer may be a short code.
pub(super) fn is_only_zeros(digits: &[u8]) -> bool {
    digits.len() >= 4 && digits.iter().all(|digit| *digit == b'0')
}

/// Returns whether the text is one of the words.
pub(super) fn is_word(text: &str, escaped: bool) -> bool {
    let text = scan::trim(text);
    WORDS.iter().any(|word| scan::unescape(text, escaped).map(|c| c.to_ascii_lowercase()).eq(word.chars()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_the_words_on_a_keypad() {
        let key = |letter: char| "22233344455566677778889999".chars().nth(letter as usize - 'a' as usize);
        let typed: Vec<u64> = ["blocked", "unknown", "anonymous", "restricted", "unavailable"]
            .map(|word| word.chars().filter_map(key).collect::<String>().parse().expect("digits"))
            .into();
        assert_eq!(typed, LOOK_ALIKES);
    }
}
