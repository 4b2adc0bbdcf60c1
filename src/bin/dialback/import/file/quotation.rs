//! The reading of a value by a program that does not double the quotes in it.

/// The state of the values of a record in which a quote was not doubled. Quotes inside a value begin and end quotations,
/// as a person reads them: `"he said "hi" and "see you""`.
///
/// * A quote behind white space, an opening bracket, a delimiter or a line end begins a quotation, also inside another one.
///   The next quote of another kind ends it.
/// * Outside of quotations, a quote behind a digit stands for inches or seconds, as in `5" pipe`.
/// * Any other quote ends the value if a delimiter or a line end follows it.
///
/// The first quote in a value ends it before a delimiter or a line end, whatever is before the quote.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Quotation {
    place: Place,
    /// Whether the value has a quote inside.
    has_inner: bool,
    /// The number of quotations that are open.
    depth: u32,
    /// The byte before the next one.
    before: u8,
}

/// The position in a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Begin,
    /// In a value without quotes around it.
    Plain,
    Quoted,
    /// After a quote that ends the value if a delimiter or a line end follows.
    Quote,
}

impl Quotation {
    /// The state after the first quote that is not doubled in a value. `before` has the bytes of the value before the
    /// text that follows this quote, as far as they are known. `None` if the value has several lines and the quote is
    /// behind a delimiter or a line end: then it is more likely that it opens a value, and that the quote before it is
    /// one too many.
    pub(in crate::import) fn begin(before: &[u8], delimiter: u8, is_first_line: bool) -> Option<Self> {
        let before_quote = before.iter().rposition(|byte| *byte == b'"').and_then(|quote| quote.checked_sub(1));
        let before = before_quote.map_or(b' ', |at| before[at]);
        let depth = u32::from(before == b'"' || begins_quotation(before, delimiter));
        let opens = before == delimiter || matches!(before, b'\n' | b'\r');
        (is_first_line || !opens).then_some(Self { place: Place::Quoted, has_inner: true, depth, before: b'"' })
    }

    /// Adds a byte, which is no line end.
    pub(in crate::import) fn add(&mut self, byte: u8, delimiter: u8) {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r');
        match self.place {
            Place::Quote if byte == delimiter => *self = Self::at_begin(delimiter),
            Place::Quote if is_space || byte == b'"' => {}
            Place::Quote => (self.place, self.has_inner) = (Place::Quoted, true),
            Place::Quoted if byte == b'"' => self.add_quote(delimiter),
            Place::Quoted => {}
            Place::Begin | Place::Plain if byte == delimiter => self.place = Place::Begin,
            Place::Begin if byte == b'"' => (self.place, self.has_inner, self.depth) = (Place::Quoted, false, 0),
            Place::Begin if is_space => {}
            Place::Begin | Place::Plain => self.place = Place::Plain,
        }
        self.before = byte;
    }

    fn add_quote(&mut self, delimiter: u8) {
        let begins = begins_quotation(self.before, delimiter);
        if !self.has_inner {
            // Not certain before the next byte. If text follows, this quote was inside the value.
            (self.place, self.depth) = (Place::Quote, u32::from(begins || self.before == b'"'));
        } else if begins {
            self.depth = self.depth.saturating_add(1);
        } else if self.depth > 0 {
            self.depth -= 1;
        } else if !self.before.is_ascii_digit() {
            self.place = Place::Quote;
        }
    }

    /// Returns whether a value is open at a line end here.
    pub(in crate::import) fn is_in_value(self) -> bool {
        self.place == Place::Quoted
    }

    /// Adds a line end at which the record does not end.
    pub(in crate::import) fn go_to_next_line(&mut self) {
        self.before = b'\n';
        if self.place != Place::Quoted {
            *self = Self::at_begin(b'\n');
        }
    }

    const fn at_begin(before: u8) -> Self {
        Self { place: Place::Begin, has_inner: false, depth: 0, before }
    }
}

/// Returns whether a quote behind this byte begins a quotation.
fn begins_quotation(before: u8, delimiter: u8) -> bool {
    before.is_ascii_whitespace()
        || before == delimiter
        || matches!(before, b'(' | b'[' | b'{' | b'<' | b'\'' | b':' | b'=' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ends_behind_its_quotations() {
        for (before, rest, is_in_value) in [
            // The quotation is closed, and the value is not.
            ("he said \"", "hi\"", true),
            ("he said \"", "hi\"\"", false),
            ("he said \"", "hi\" and left\"", false),
            ("he said \"", "hi\" and \"", true),
            ("he said \"", "hi\" (\"", true),
            ("\"", "hi\" he said\"", false),
            ("5\"", " pipe\"", false),
            ("12\"", " x 24\" x 6\"", true),
            ("12\"", " x 24\" x 6\" pipe\"", false),
            ("5\"", " pipe, \"the long one\"", true),
            ("5\"", " pipe, \"the long one\"\"", false),
            // The values after it.
            ("Bob \"", "B\" Smith\",\"100\",\"x\"", false),
            ("Bob \"", "B\" Smith\",\"100\",\"x", true),
            ("Bob \"", "B\" Smith\",100", false),
            ("Bob \"", "B\" Smith\", \"a \"", false),
            ("Bob \"", "B\" Smith\", \"a \"b\"", true),
        ] {
            let mut quotation = Quotation::begin(before.as_bytes(), b',', true).expect("in a text");
            rest.bytes().for_each(|byte| quotation.add(byte, b','));
            assert_eq!(quotation.is_in_value(), is_in_value, "{before}{rest}");
        }
    }

    #[test]
    fn quote_that_opens_a_value_begins_no_quotation() {
        for before in ["\"a\nb,\"", "\"a\n\"", "\"a\r\n\""] {
            assert!(Quotation::begin(before.as_bytes(), b',', false).is_none(), "{before:?}");
        }
        assert!(Quotation::begin(b"\"a\nb \"", b',', false).is_some());
    }

    #[test]
    fn quotation_may_span_lines() {
        let mut quotation = Quotation::begin(b"he said \"", b',', true).expect("in a text");
        for line in ["hi", "x,\"y\",z", "bye\" and left"] {
            line.bytes().for_each(|byte| quotation.add(byte, b','));
            assert!(quotation.is_in_value(), "{line}");
            quotation.go_to_next_line();
        }
        b"home\"".iter().for_each(|byte| quotation.add(*byte, b','));
        assert!(!quotation.is_in_value());
    }
}
