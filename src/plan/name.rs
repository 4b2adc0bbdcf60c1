//! Names that people take for the same.

/// Returns whether the names are equal without regard to the case of letters, and to white space around and between words.
/// Allocates nothing.
pub(super) fn is_like(one: &str, other: &str) -> bool {
    folded(one).eq(folded(other))
}

/// Returns the words of the name in one case, with one space before each.
///
/// The way through upper case joins letters that only differ in lower case, such as `σ` and `ς`, and `ß` and `ss`.
fn folded(name: &str) -> impl Iterator<Item = char> {
    let fold = |word| std::iter::once(' ').chain(str::chars(word).flat_map(char::to_uppercase));
    name.split_whitespace().flat_map(fold).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_without_regard_to_case_and_white_space() {
        for (one, other) in [
            ("Clinic", "clinic"),
            ("Clinic", " Clinic\u{a0}"),
            ("North  Clinic", "north\tCLINIC"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("οδος", "οδοσ"),
            ("ЁЛКА", "ёлка"),
        ] {
            assert!(is_like(one, other) && is_like(other, one), "{one} {other}");
        }
        for (one, other) in [("Clinic", "Clinics"), ("Clinic 1", "Clinic 2"), ("ab", "a b"), ("", "a"), ("é", "e")] {
            assert!(!is_like(one, other) && !is_like(other, one), "{one} {other}");
        }
    }
}
