//! The end of a record whose quotes contradict each other.

use super::quotation::Quotation;
use super::quoting::Quoting;

/// The state of a record in which text follows the quote that closes a value. Either a quote before it was never closed,
/// or a program wrote quotes inside a value without doubling them, so it is not known which line ends are inside a value.
/// The record ends only where no line of a value can be read as a record. All of these must hold:
///
/// * No value is open in the reading of most programs: the value goes on without quotes, up to the next delimiter.
/// * No value is open in the reading of a program that does not double quotes: the value ends at a quote before a
///   delimiter or a line end.
/// * No value is open in the reading of a person, in which quotes inside a value begin and end [quotations](Quotation).
/// * Each quote has its partner.
/// * In one of the first two readings, the record has as many columns as a record may have. Or this is not the first
///   line, and it ends with a quote.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Doubt {
    undoubled: Quoting,
    /// The reading of a person, if it applies.
    quotation: Option<Quotation>,
    /// The number of columns in the reading without doubled quotes.
    columns: usize,
    /// Whether a quote has no partner.
    is_odd: bool,
    /// Whether the last byte, before a carriage return, is a quote.
    is_after_quote: bool,
}

impl Doubt {
    /// The state after the first byte behind a closed value, in the column of this number. `before` has the bytes of the
    /// record before it, as far as they are known.
    pub(in crate::import) fn begin(columns: usize, before: &[u8], delimiter: u8, is_first_line: bool) -> Self {
        let quotation = Quotation::begin(before, delimiter, is_first_line);
        Self { undoubled: Quoting::Quoted, quotation, columns, is_odd: false, is_after_quote: false }
    }

    /// Adds a byte, which is no line end.
    pub(in crate::import) fn add(&mut self, byte: u8, delimiter: u8) {
        self.undoubled = self.undoubled.next_undoubled(byte, delimiter);
        if let Some(quotation) = &mut self.quotation {
            quotation.add(byte, delimiter);
        }
        self.columns += usize::from(ends_column(byte, delimiter, self.undoubled));
        self.is_odd ^= byte == b'"';
        if byte != b'\r' {
            self.is_after_quote = byte == b'"';
        }
    }

    /// Returns whether the record ends at a line end here. `usual` is the state of the usual reading, and `columns` its
    /// number of columns. `fits` returns whether a record may have a number of columns, if that is known.
    pub(in crate::import) fn ends(
        self,
        usual: Quoting,
        columns: usize,
        is_first_line: bool,
        fits: impl Fn(usize) -> Option<bool>,
    ) -> bool {
        let is_in_quotation = self.quotation.is_some_and(Quotation::is_in_value);
        let is_open = usual == Quoting::Quoted || self.undoubled == Quoting::Quoted || is_in_quotation;
        let may_fit = fits(columns) != Some(false) || fits(self.columns) != Some(false);
        !is_open && !self.is_odd && (may_fit || (!is_first_line && self.is_after_quote))
    }

    /// Adds a line end at which the record does not end. Returns the state of the usual reading.
    pub(in crate::import) fn go_to_next_line(&mut self, usual: Quoting) -> Quoting {
        let at_next = |state| if state == Quoting::Quoted { state } else { Quoting::Begin };
        self.undoubled = at_next(self.undoubled);
        if let Some(quotation) = &mut self.quotation {
            quotation.go_to_next_line();
        }
        at_next(usual)
    }
}

/// Returns whether a byte ends a column, after which the reading is in `state`.
pub(in crate::import) fn ends_column(byte: u8, delimiter: u8, state: Quoting) -> bool {
    byte == delimiter && state == Quoting::Begin
}

/// Returns whether the columns of a record do not depend on how its quotes are read.
pub(in crate::import) fn has_certain_columns(record: &[u8], delimiter: u8) -> bool {
    let (mut usual, mut undoubled) = (Quoting::Begin, Quoting::Begin);
    record.iter().all(|byte| {
        usual = usual.next(*byte, delimiter);
        undoubled = undoubled.next_undoubled(*byte, delimiter);
        ends_column(*byte, delimiter, usual) == ends_column(*byte, delimiter, undoubled)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_certain_if_both_readings_have_the_same() {
        for (line, expected) in [
            ("\"5\" pipe\",b,c", true),
            ("\"the \"man\"\",\"b\",c", true),
            ("\"said \"yes\", c", true),
            ("\"a\" b, c\",d,e", false),
            ("\"a \"b, c\" d\",x", false),
            // As many columns, but not the same ones.
            ("\"a \"b, c\" d\",sales,\"q\"\",r\"", false),
            ("a,b", true),
        ] {
            assert_eq!(has_certain_columns(line.as_bytes(), b','), expected, "{line}");
        }
    }
}
