//! Reads digits from a text in one pass. It knows separators and percent escapes, but no dial plan.

use super::NumberError;

/// The digits of a text, and how they were written.
pub(super) struct Scan {
    digits: [u8; Scan::ROOM],
    /// The number of digits in the text. If it exceeds [`Scan::ROOM`], the digits beyond are not stored.
    len: usize,
    /// Whether a `+` precedes the first digit.
    pub(super) plus: bool,
    /// The index of the digit that stands in the first `(0)`.
    pub(super) bracketed_zero: Option<usize>,
}

impl Scan {
    /// Room for 15 digits, a prefix of 5 and a bracketed zero, rounded up.
    pub(super) const ROOM: usize = 24;

    /// Reads all of `text`, and decodes percent escapes if `escaped`.
    ///
    /// # Errors
    /// `NotANumber` for anything but digits, separators and one leading `+`; `Empty` if there are only separators.
    pub(super) fn of(text: &str, escaped: bool) -> Result<Scan, NumberError> {
        let mut found = Scan { digits: [0; Scan::ROOM], len: 0, plus: false, bracketed_zero: None };
        let mut opened_at = None;
        for c in unescape(text, escaped) {
            match c {
                '0'..='9' => {
                    if let Some(place) = found.digits.get_mut(found.len) {
                        *place = u8::try_from(c).unwrap_or(b'0');
                    }
                    found.len += 1;
                }
                '+' if found.len == 0 && !found.plus => found.plus = true,
                '(' => opened_at = Some(found.len),
                ')' => {
                    let zero =
                        opened_at.take().filter(|&at| at + 1 == found.len && found.digits.get(at) == Some(&b'0'));
                    found.bracketed_zero = found.bracketed_zero.or(zero);
                }
                c if is_separator(c) => {}
                _ => return Err(NumberError::NotANumber),
            }
        }
        match (found.len, found.plus) {
            (0, false) => Err(NumberError::Empty),
            (0, true) => Err(NumberError::NotANumber),
            _ => Ok(found),
        }
    }

    /// Returns the digits as ASCII.
    ///
    /// # Errors
    /// `TooLong` if there are more digits than a number with any prefix can have.
    pub(super) fn digits(&self) -> Result<&[u8], NumberError> {
        self.digits.get(..self.len).ok_or(NumberError::TooLong)
    }
}

/// Returns the characters of `text`. If `escaped`, percent escapes of ASCII characters are decoded. Other escapes
/// become U+FFFD, which is not part of any number or word.
pub(super) fn unescape(text: &str, escaped: bool) -> impl Iterator<Item = char> {
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        if c != '%' || !escaped {
            return Some(c);
        }
        let mut hex = || rest.next()?.to_digit(16);
        let byte = hex().zip(hex()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        Some(byte.filter(u8::is_ascii).map_or(char::REPLACEMENT_CHARACTER, char::from))
    })
}

/// Returns `text` without white space and invisible marks at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Returns whether people or programs write this character between digits (RFC 3966, section 5.1.1, and the
/// substitutes of word processors).
fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '-' | '.' | '/' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{2010}'..='\u{2015}' | '\u{202F}'
            | '\u{2212}'
    ) || is_invisible(c)
}

/// Returns whether this is a soft hyphen, or a zero-width or direction mark. Address books and web pages put them around
/// numbers.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'
            | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
    )
}
