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
    /// `NotANumber` for anything but digits, separators and one leading `+`; `Empty` if there are only separators;
    /// `Decimals` and `Several` for separators that no single number has.
    pub(super) fn of(text: &str, escaped: bool) -> Result<Scan, NumberError> {
        let mut found = Scan { digits: [0; Scan::ROOM], len: 0, plus: false, bracketed_zero: None };
        let mut opened_at = None;
        let mut gaps = Gaps::default();
        for c in unescape(text, escaped) {
            gaps.see(c, found.len);
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
            _ => found.without_decimals(&gaps)?.single(&gaps),
        }
    }

    /// Returns the number without the `.0` of a decimal number. Spreadsheets and data frames write a column of numbers
    /// with a gap as decimal numbers: `12125550143.0`.
    ///
    /// # Errors
    /// `Decimals` if the digit after the only point is another one, or if the digits before it are not those of a
    /// decimal number: `+` and leading zeros are lost in one, so `.0` may be an extension.
    fn without_decimals(mut self, gaps: &Gaps) -> Result<Scan, NumberError> {
        let (Some(at), 1, 1) = (gaps.point, gaps.points, gaps.all) else { return Ok(self) };
        match self.digits.get(at..self.len) {
            Some([b'0'] | [b'0', b'0']) if !self.plus && self.digits[0] != b'0' => {
                self.len = at;
                Ok(self)
            }
            Some([_] | [b'0', b'0']) => Err(NumberError::Decimals),
            _ => Ok(self),
        }
    }

    /// Returns the number if a slash separates its area code, as in `030/901820`.
    ///
    /// # Errors
    /// `Several` if more digits than an area code has precede the only slash: `555-0143/0144`.
    fn single(self, gaps: &Gaps) -> Result<Scan, NumberError> {
        let (Some(at), 1) = (gaps.slash, gaps.slashes) else { return Ok(self) };
        let longest = match self.digits.get(..at) {
            _ if self.plus => LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
            Some([b'0', b'1', b'1', ..]) => 3 + LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
            Some([b'0', b'0', ..]) => 2 + LONGEST_COUNTRY_CODE + LONGEST_AREA_CODE,
            Some([b'0', ..]) => 2 + LONGEST_AREA_CODE,
            _ => 1 + LONGEST_AREA_CODE,
        };
        if at > longest { Err(NumberError::Several) } else { Ok(self) }
    }

    /// Returns the digits as ASCII.
    ///
    /// # Errors
    /// `TooLong` if there are more digits than a number with any prefix can have.
    pub(super) fn digits(&self) -> Result<&[u8], NumberError> {
        self.digits.get(..self.len).ok_or(NumberError::TooLong)
    }
}

const LONGEST_COUNTRY_CODE: usize = 3;
/// The number of digits of the longest area codes, without the prefix 0: those of German villages.
const LONGEST_AREA_CODE: usize = 5;

/// The separators between the digits of a text.
#[derive(Default)]
struct Gaps {
    /// The separators since the last digit.
    open: Option<Gap>,
    /// The number of places with separators.
    all: usize,
    /// The number of places with a single point, and the number of digits before the last one.
    points: usize,
    point: Option<usize>,
    /// The number of places with a single slash, and the number of digits before the last one.
    slashes: usize,
    slash: Option<usize>,
}

#[derive(Clone, Copy)]
enum Gap {
    Point,
    /// A slash, with or without spaces.
    Slash,
    Other,
}

impl Gaps {
    /// Notes a character that `before` digits precede.
    fn see(&mut self, c: char, before: usize) {
        if !c.is_ascii_digit() {
            self.open = match (self.open, c) {
                (open, c) if is_invisible(c) => open,
                (None, '.') => Some(Gap::Point),
                (None | Some(Gap::Other), '/') | (Some(Gap::Slash), ' ') => Some(Gap::Slash),
                _ => Some(Gap::Other),
            };
            return;
        }
        let Some(gap) = self.open.take().filter(|_| before > 0) else { return };
        self.all += 1;
        match gap {
            Gap::Point => (self.points, self.point) = (self.points + 1, Some(before)),
            Gap::Slash => (self.slashes, self.slash) = (self.slashes + 1, Some(before)),
            Gap::Other => {}
        }
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
