//! The values of one record.

use super::quoting::Quoting;
use memchr::memchr;

/// The values of a record, in the order of the columns.
#[derive(Clone, Default, Debug)]
pub(in crate::import) struct Record {
    text: Vec<u8>,
    values: Vec<Value>,
    is_malformed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    /// The end of the value in `text`. It begins where the one before it ends.
    end: usize,
    form: Form,
}

/// The form in which a value was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum Form {
    /// Without quotes. Databases write a missing value as `NULL` or `\N` in this form.
    Plain,
    Quoted,
    /// Quotes inside the value are not doubled, so its text is not certain.
    Malformed,
    /// A JSON object or list where a text or number was expected, or the reverse.
    Nested,
    /// Given more than once in a JSON object.
    Repeated,
    /// The JSON object does not have it.
    Missing,
}

impl Record {
    pub(in crate::import) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the text of a value.
    pub(in crate::import) fn get(&self, at: usize) -> Option<&[u8]> {
        let Value { end, .. } = *self.values.get(at)?;
        let begin = at.checked_sub(1).map_or(0, |before| self.values[before].end);
        Some(&self.text[begin..end])
    }

    pub(in crate::import) fn form(&self, at: usize) -> Option<Form> {
        self.values.get(at).map(|value| value.form)
    }

    /// Returns whether a value has quotes that are not doubled.
    pub(in crate::import) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    pub(in crate::import) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub(in crate::import) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.is_malformed = false;
    }

    pub(in crate::import) fn push(&mut self, text: &[u8], form: Form) {
        self.text.extend_from_slice(text);
        self.end(form);
    }

    fn end(&mut self, form: Form) {
        self.values.push(Value { end: self.text.len(), form });
    }
}

impl From<Vec<&str>> for Record {
    fn from(values: Vec<&str>) -> Self {
        let mut record = Self::default();
        for value in values {
            record.push(value.as_bytes(), Form::Plain);
        }
        record
    }
}

/// The largest number of values in a record. Spreadsheets have no more columns.
const MOST_VALUES: usize = 16_384;

/// Splits lines into values, without an allocation for each.
pub(in crate::import) struct Splitter {
    delimiter: u8,
    record: Record,
}

impl Splitter {
    pub(in crate::import) fn new(delimiter: u8) -> Self {
        Self { delimiter, record: Record::default() }
    }

    /// Returns the values of one record, which must have no line end. Values beyond a large number of them are left
    /// out.
    pub(in crate::import) fn split(&mut self, line: &[u8]) -> &Record {
        let Self { delimiter, record } = self;
        record.clear();
        let (mut state, mut begin, mut form) = (Quoting::Begin, 0, Form::Plain);
        let mut rest = line;
        while record.len() < MOST_VALUES {
            let run = match state {
                Quoting::Quoted => memchr(b'"', rest).unwrap_or(rest.len()),
                Quoting::Plain => memchr(*delimiter, rest).unwrap_or(rest.len()),
                _ => 0,
            };
            record.text.extend_from_slice(&rest[..run]);
            let Some((&byte, after)) = rest[run..].split_first() else {
                record.end(form);
                break;
            };
            rest = after;
            let next = state.next(byte, *delimiter);
            match (state, next) {
                (Quoting::Quoted, Quoting::Quote) | (_, Quoting::Closed) => {}
                (_, Quoting::Begin) if byte == *delimiter => {
                    record.end(form);
                    (begin, form) = (record.text.len(), Form::Plain);
                }
                (Quoting::Begin, Quoting::Quoted) => {
                    // The white space before the quote.
                    record.text.truncate(begin);
                    form = Form::Quoted;
                }
                (_, next) => {
                    if next == Quoting::Malformed {
                        form = Form::Malformed;
                        record.is_malformed = true;
                    }
                    record.text.push(byte);
                }
            }
            state = next;
        }
        record
    }
}

/// Returns the values of a line of CSV with commas. `None` if quotes inside a value are not doubled.
pub(crate) fn values_of_line(line: &str) -> Option<Vec<String>> {
    let mut splitter = Splitter::new(b',');
    let record = splitter.split(line.as_bytes());
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    (!record.is_malformed()).then(|| record.iter().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str, delimiter: u8) -> Vec<(String, Form)> {
        let mut splitter = Splitter::new(delimiter);
        let record = splitter.split(line.as_bytes());
        let text = |at| String::from_utf8_lossy(record.get(at).expect("a value")).into_owned();
        (0..record.len()).map(|at| (text(at), record.form(at).expect("a value"))).collect()
    }

    #[test]
    fn values_end_at_delimiters_outside_quotes() {
        let (long, most) = ("x".repeat(100_000), ";".repeat(100_000));
        for (line, expected) in [
            ("a;b;c", vec!["a", "b", "c"]),
            ("\"a\n;\"\"b\";;c ", vec!["a\n;\"b", "", "c "]),
            ("a\rb", vec!["a\rb"]),
            ("", vec![""]),
            (most.as_str(), vec![""; MOST_VALUES]),
            (";", vec!["", ""]),
            ("5\" pipe;\"\"", vec!["5\" pipe", ""]),
            (long.as_str(), vec![long.as_str()]),
            ("last", vec!["last"]),
        ] {
            let read: Vec<_> = split(line, b';').into_iter().map(|(text, _)| text).collect();
            assert_eq!(read, expected, "{line:?}");
        }
    }

    #[test]
    fn white_space_around_a_quoted_value_is_removed() {
        let expected = [("u2", Form::Quoted), ("a, b", Form::Quoted), (" c ", Form::Plain)];
        let expected = expected.map(|(text, form)| (text.to_owned(), form));
        assert_eq!(split("\"u2\" ,\t \"a, b\", c ", b','), expected);
    }

    #[test]
    fn quotes_that_are_not_doubled_mark_only_their_own_value() {
        let forms: Vec<_> = split(r#""the "man"",1,"Bob \"B\"","x""#, b',').into_iter().map(|(_, form)| form).collect();
        assert_eq!(forms, [Form::Malformed, Form::Plain, Form::Malformed, Form::Quoted]);
    }
}
