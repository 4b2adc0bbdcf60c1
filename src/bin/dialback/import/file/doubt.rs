//! The end of a record whose quotes contradict each other.

use super::quoting::Quoting;

/// The state of a record in which text follows the quote that closes a value. Either a quote before it was never closed,
/// or a program wrote quotes inside a value without doubling them, so it is not known which line ends are inside a value.
/// The record ends where all of these agree that no value is open, so that no line of a value is read as a record:
///
/// * the reading of most programs: the value goes on without quotes, up to the next delimiter;
/// * the reading of a program that does not double quotes: the value ends at a quote before a delimiter or a line end;
/// * the number of quotes: each one has its partner.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Doubt {
    undoubled: Quoting,
    /// Whether a quote has no partner.
    is_odd: bool,
}

impl Doubt {
    /// The state after the first byte behind a closed value.
    pub(in crate::import) const BEGIN: Self = Self { undoubled: Quoting::Quoted, is_odd: false };

    /// Adds a byte, which is no line end.
    pub(in crate::import) fn add(&mut self, byte: u8, delimiter: u8) {
        self.undoubled = self.undoubled.next_undoubled(byte, delimiter);
        self.is_odd ^= byte == b'"';
    }

    /// Returns whether the record ends at a line end here. `usual` is the state of the usual reading. `fits` returns
    /// whether the line is a whole record, which is asked if a quote has no partner, as in `5" pipe`.
    pub(in crate::import) fn ends(self, usual: Quoting, fits: impl FnOnce() -> bool) -> bool {
        let is_open = usual == Quoting::Quoted || self.undoubled == Quoting::Quoted;
        !is_open && (!self.is_odd || fits())
    }

    /// Adds a line end at which the record does not end. Returns the state of the usual reading.
    pub(in crate::import) fn go_to_next_line(&mut self, usual: Quoting) -> Quoting {
        let at_next = |state| if state == Quoting::Quoted { state } else { Quoting::Begin };
        self.undoubled = at_next(self.undoubled);
        at_next(usual)
    }
}

/// Returns the number of columns of a line, if it does not depend on how its quotes are read.
pub(in crate::import) fn certain_columns(line: &[u8], delimiter: u8) -> Option<usize> {
    let columns = |next: fn(Quoting, u8, u8) -> Quoting| {
        let (mut state, mut columns) = (Quoting::Begin, 1);
        for byte in line {
            state = next(state, *byte, delimiter);
            columns += usize::from(*byte == delimiter && state == Quoting::Begin);
        }
        columns
    };
    let usual = columns(Quoting::next);
    Some(usual).filter(|usual| *usual == columns(Quoting::next_undoubled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_columns_is_certain_if_both_readings_have_as_many() {
        for (line, expected) in [
            ("\"5\" pipe\",b,c", Some(3)),
            ("\"the \"man\"\",\"b\",c", Some(3)),
            ("\"said \"yes\", c", Some(2)),
            ("\"a\" b, c\",d,e", None),
            ("\"a \"b, c\" d\",x", None),
            ("a,b", Some(2)),
        ] {
            assert_eq!(certain_columns(line.as_bytes(), b','), expected, "{line}");
        }
    }
}
