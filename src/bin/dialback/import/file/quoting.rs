//! The state of a value between its delimiters: inside quotes or not.
//!
//! One reader finds the end of a record by these rules, and another one splits the record into values. Both use this
//! state, so they cannot disagree.
//!
//! White space between a delimiter and a quote does not belong to the value. Two quotes in a quoted value stand for
//! one.

/// The position in a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Quoting {
    /// At the beginning of a value, or in the white space before it.
    Begin,
    /// In a value without quotes around it.
    Plain,
    /// In a quoted value.
    Quoted,
    /// After a quote in a quoted value: the value's end, or the first of two quotes that stand for one.
    Quote,
    /// In the white space after a quoted value.
    Closed,
    /// In text after a quoted value. A program wrote quotes in a value without doubling them.
    Malformed,
}

impl Quoting {
    /// Returns the state after a byte, which is no line end.
    #[inline]
    pub(in crate::import) const fn next(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Begin,
            (Self::Begin | Self::Quote, b'"') => Self::Quoted,
            (Self::Begin, b' ' | b'\t') => Self::Begin,
            (Self::Quote | Self::Closed, b' ' | b'\t' | b'\r') => Self::Closed,
            (Self::Quote | Self::Closed | Self::Malformed, _) => Self::Malformed,
            (Self::Begin | Self::Plain, _) => Self::Plain,
        }
    }

    /// Returns the state after a byte, which is no line end, if the program does not double quotes. Then a quote inside a
    /// quoted value ends the value only before a delimiter or a line end.
    pub(in crate::import) const fn next_undoubled(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quote | Self::Closed, b'"') => Self::Quote,
            (Self::Quote | Self::Closed, byte) if byte != delimiter && !matches!(byte, b' ' | b'\t' | b'\r') => {
                Self::Quoted
            }
            (state, byte) => state.next(byte, delimiter),
        }
    }
}
