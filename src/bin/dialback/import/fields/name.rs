//! Reads the names of agents.

use super::spreadsheet;
use regex::Regex;
use std::sync::LazyLock;

/// The characters that are not visible by themselves: format characters, such as marks of direction, and those that a
/// program shows nothing for, such as spaces without width and joiners.
static INVISIBLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]").expect("a valid pattern"));

/// Returns the name in a value of a record.
pub(in crate::import) fn of_text(text: &str) -> &str {
    trim(spreadsheet::without_formula(trim(text)))
}

/// Returns the name without white space and invisible characters around it. Programs add them unseen: the mark of a
/// file's byte order, the space without width of a web page, the marks of direction of a spreadsheet.
pub(in crate::import) fn trim(name: &str) -> &str {
    let is_visible = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_graphic);
    let bytes = name.as_bytes();
    if is_visible(bytes.first()) && is_visible(bytes.last()) {
        return name;
    }
    name.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Returns whether a character of the name is not visible, or a space other than the usual one. Such a name looks like
/// another one.
pub(in crate::import) fn has_invisible(name: &str) -> bool {
    let is_odd_space = |c: char| c.is_whitespace() && c != ' ';
    !name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && name.chars().any(|c| is_odd_space(c) || is_invisible(c))
}

/// Returns whether the text is how programs write that there is no value, or a truth value: no name of an agent.
pub(in crate::import) fn is_no_name(text: &str) -> bool {
    let values =
        ["true", "false", "nan", "nat", "none", "null", "nil", "undefined", "n/a", "na", "<na>", "-", "--", "?"];
    let marked = ["(null)", "[null]", "<null>", "#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#num!", "#null!"];
    values.iter().chain(&marked).any(|word| text.eq_ignore_ascii_case(word))
}

/// A character of Braille without dots. Unicode counts it as visible.
const NO_DOTS: char = '\u{2800}';

fn is_invisible(c: char) -> bool {
    c.is_control() || c == NO_DOTS || (!c.is_ascii() && INVISIBLE.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_around_a_name_are_removed() {
        for invisible in [
            "\u{200B}",
            "\u{FEFF}",
            "\u{200C}",
            "\u{200D}",
            "\u{2060}",
            "\u{AD}",
            "\u{200E}",
            "\u{202A}",
            "\u{FE0F}",
            "\u{A0}",
            "\u{3000}",
            "\u{2028}",
            "\0",
            "\u{1B}",
            "\u{E0020}",
            "\u{3164}",
            " \u{200B}\t",
        ] {
            for text in ["{}sales", "sales{}", "{}sales{}", "{}=\"sales\"", "=\"{}sales\"{}"] {
                assert_eq!(of_text(&text.replace("{}", invisible)), "sales", "{text:?} {invisible:?}");
            }
            assert_eq!(of_text(invisible), "");
        }
        for name in ["", "s", "a b", "Ünal", "販売", "مبيعات", "👍", "-", "\u{301}a"] {
            assert_eq!(of_text(name), name);
        }
    }

    #[test]
    fn words_for_no_value_are_no_names() {
        for text in
            ["NULL", "(null)", "[NULL]", "<NA>", "NaT", "-", "#REF!", "#N/A", "#DIV/0!", "#NUM!", "NA", "?", "True"]
        {
            assert!(is_no_name(text), "{text}");
        }
        for text in ["sales", "(sales)", "a-b", "nulls", "??"] {
            assert!(!is_no_name(text), "{text}");
        }
    }

    #[test]
    fn invisible_characters_in_a_name_are_found() {
        for name in
            ["sa\u{200B}les", "sa\u{AD}les", "a\nb", "a\u{85}b", "👩\u{200D}💻", "a\u{2066}b", "a\u{A0}b", "a\u{2800}b"]
        {
            assert!(has_invisible(name), "{name:?}");
        }
        for name in ["", "a b", "Ünal", "販売", "e\u{301}"] {
            assert!(!has_invisible(name), "{name:?}");
        }
    }
}
