//! Reads the records of a file of values with delimiters.

use super::doubt::has_certain_columns;
use super::lines::{Line, Lines};
use super::record::{Record, Splitter};
use super::source::unreadable;
use crate::import::columns::layout::{Layout, Shape, Wanted};
use crate::import::error::ImportError;
use crate::import::options::Options;
use crate::import::report::rejection::Rejection;
use std::io::{self, Read};

/// The delimiters that are recognized, with their names in messages.
const DELIMITERS: [(u8, &str); 4] = [(b',', "`,`"), (b';', "`;`"), (b'\t', "`tab`"), (b'|', "`|`")];

/// The records of a file, and the layout of their values.
pub(in crate::import) struct Table<R> {
    lines: Lines<R>,
    delimiter: u8,
    splitter: Splitter,
    layout: Layout,
}

impl<R: Read> Table<R> {
    /// Reads the lines before the first record, and finds the delimiter and the columns. Calls `keep` with each line
    /// that must be there for the file to be read in the same way.
    pub(in crate::import) fn open(
        options: &Options,
        source: R,
        keep: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<Self, ImportError> {
        let unreadable = unreadable(&options.file);
        let mut lines = Lines::new(source, Some(b',')).map_err(&unreadable)?;
        for _ in 0..options.skip_lines {
            keep(lines.line().map_err(&unreadable)?.unwrap_or_default())?;
        }
        let mut named = options.delimiter;
        while let Some(first) = lines.peek().map_err(&unreadable)? {
            let delimiter = separator(first);
            if delimiter.is_none() && !is_comment(first) {
                break;
            }
            named = named.or(delimiter);
            keep(lines.line().map_err(&unreadable)?.unwrap_or_default())?;
        }
        // A statement often breaks the rules of quotes.
        if lines.peek_broken().map_err(&unreadable)?.is_some_and(is_sql) {
            return Err(ImportError::NotRecords(SQL));
        }
        let mut first = First { options, lines: &mut lines };
        let has_header = first.is_header(named)?;
        let (delimiter, layout) = if has_header { first.header(named)? } else { first.record(named)? };
        lines.set_delimiter(delimiter);
        lines.set_widths(layout.widths());
        if has_header && let Some(Line { bytes, .. }) = lines.next().map_err(&unreadable)? {
            keep(bytes)?;
        }
        Ok(Self { lines, delimiter, splitter: Splitter::new(delimiter), layout })
    }

    pub(in crate::import) fn position(&self) -> u64 {
        self.lines.position()
    }

    /// Returns the number of the line after the last record.
    pub(in crate::import) fn line_number(&self) -> u64 {
        self.lines.line_number()
    }

    /// Returns the next piece of a record that was too long.
    pub(in crate::import) fn rest(&mut self) -> io::Result<Option<&[u8]>> {
        self.lines.rest()
    }

    /// Returns the next record, and its values if it is not broken.
    #[expect(clippy::type_complexity, reason = "used once")]
    pub(in crate::import) fn next(&mut self) -> io::Result<Option<(u64, &[u8], Result<(&Record, &Shape), Rejection>)>> {
        let Some(Line { number, bytes, broken, is_last }) = self.lines.next()? else { return Ok(None) };
        if let Some(rejection) = broken {
            return Ok(Some((number, bytes, Err(rejection))));
        }
        let record = self.splitter.split(bytes);
        let read = match self.layout.shape(record) {
            _ if is_sql(bytes) => Err(Rejection::Sql),
            _ if record.is_malformed() && !has_certain_columns(bytes, self.delimiter) => {
                Err(Rejection::UncertainColumns)
            }
            Ok(shape) if is_last && shape.depends_on_end(record) => Err(Rejection::MayBeCut),
            Ok(shape) => Ok((record, shape)),
            Err(rejection) => Err(rejection),
        };
        Ok(Some((number, bytes, read)))
    }
}

/// The beginning of a file, of which nothing is taken.
struct First<'a, R> {
    options: &'a Options,
    lines: &'a mut Lines<R>,
}

impl<R: Read> First<'_, R> {
    /// Returns whether the first line is a header. Files of some formats have one only if a database wrote them.
    fn is_header(&mut self, named: Option<u8>) -> Result<bool, ImportError> {
        match self.options.format {
            _ if self.options.no_header => Ok(false),
            Some(format) if !format.writes_header() => {
                for (delimiter, _) in candidates(named) {
                    if self.split(delimiter)?.is_some_and(|first| format.is_header(&first)) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Returns the layout of a file without a header. The first record decides about the delimiter.
    fn record(mut self, named: Option<u8>) -> Result<(u8, Layout), ImportError> {
        let layout = Layout::without_header(wanted(self.options))?;
        let mut fitting = Vec::new();
        for (delimiter, name) in candidates(named) {
            if self.split(delimiter)?.is_some_and(|record| layout.shape(&record).is_ok()) {
                fitting.push((delimiter, name));
            }
        }
        match fitting[..] {
            [] => Ok((named.unwrap_or(b','), layout)),
            [(delimiter, _)] => Ok((delimiter, layout)),
            _ => Err(ImportError::WhichDelimiter(fitting.into_iter().map(|(_, name)| name).collect())),
        }
    }

    /// Returns the layout of a file with a header. The delimiter is the one that makes columns of all fields.
    fn header(mut self, named: Option<u8>) -> Result<(u8, Layout), ImportError> {
        let (mut fitting, mut failed) = (Vec::new(), None);
        for (delimiter, name) in candidates(named) {
            let Some(record) = self.split(delimiter)? else { continue };
            match Layout::with_header(wanted(self.options), &record) {
                Ok(layout) => fitting.push((delimiter, name, layout)),
                // The error of the delimiter with the most columns says the most.
                Err(error) if failed.as_ref().is_none_or(|(columns, _)| *columns < record.len()) => {
                    failed = Some((record.len(), error));
                }
                Err(_) => {}
            }
        }
        if fitting.len() > 1 {
            return Err(ImportError::WhichDelimiter(fitting.into_iter().map(|(_, name, _)| name).collect()));
        }
        if let Some((delimiter, _, layout)) = fitting.pop() {
            return Ok((delimiter, layout));
        }
        Err(match failed {
            Some((_, error)) => error,
            None if self.lines.next().map_err(unreadable(&self.options.file))?.is_none() => {
                ImportError::NoHeader("the file is empty")
            }
            None => ImportError::NoHeader("the first line is broken"),
        })
    }

    fn split(&mut self, delimiter: u8) -> Result<Option<Record>, ImportError> {
        self.lines.set_delimiter(delimiter);
        let first = self.lines.peek().map_err(unreadable(&self.options.file))?;
        Ok(first.map(|first| Splitter::new(delimiter).split(first).clone()))
    }
}

fn wanted(options: &Options) -> Wanted<'_> {
    Wanted { format: options.format, maps: &options.map, only: &options.only }
}

fn candidates(named: Option<u8>) -> impl Iterator<Item = (u8, &'static str)> {
    let one = named.map(|delimiter| (delimiter, ""));
    let all = DELIMITERS.into_iter().filter(move |_| named.is_none());
    one.into_iter().chain(all)
}

/// Returns the delimiter of a line `sep=;`, which spreadsheets write before the header.
fn separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, delimiter) = line.split_at_checked(4)?;
    match delimiter {
        [delimiter] if name.eq_ignore_ascii_case(b"sep=") => Some(*delimiter),
        // The tab was trimmed.
        [] if name.eq_ignore_ascii_case(b"sep=") => Some(b'\t'),
        _ => None,
    }
}

/// Returns whether a line before the first record is a comment: `# text`. A value such as `#12` or `#sales` is none.
fn is_comment(line: &[u8]) -> bool {
    line.strip_prefix(b"#").is_some_and(|text| text.first().is_none_or(u8::is_ascii_whitespace))
}

const SQL: &str = "the file has SQL statements in place of records: write the table as text with a header, for example \
with `mysql -B` or `psql --csv`, or use FreeSWITCH's template `example`";

/// Returns whether a line is SQL, as FreeSWITCH's template `sql` and dumps of databases have it.
fn is_sql(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 6] = [b"INSERT INTO ", b"LOCK TABLES ", b"CREATE TABLE ", b"DROP TABLE ", b"-- ", b"/*!"];
    let line = line.trim_ascii_start();
    // Nearly all records begin with a digit, a plus or a quote.
    if line.first().is_none_or(|first| !first.is_ascii_alphabetic() && !matches!(first, b'-' | b'/')) {
        return false;
    }
    BEGINNINGS
        .iter()
        .any(|beginning| line.get(..beginning.len()).is_some_and(|line| line.eq_ignore_ascii_case(beginning)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separator_line_is_recognized() {
        for (line, expected) in [
            ("sep=;", Some(b';')),
            ("SEP=,", Some(b',')),
            ("\"sep=|\"", Some(b'|')),
            ("sep=\t", Some(b'\t')),
            ("sep=;;", None),
            ("separator", None),
            ("sep", None),
        ] {
            assert_eq!(separator(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn comment_is_a_number_sign_before_a_space() {
        assert!(is_comment(b"# accountcode,src") && is_comment(b"#"));
        assert!(!is_comment(b"#12,+1") && !is_comment(b"#sales,+1") && !is_comment(b"\"#a\"") && !is_comment(b"#,x"));
    }

    #[test]
    fn sql_is_recognized() {
        assert!(
            is_sql(b"INSERT INTO cdr VALUES (") && is_sql(b" insert into `acc` values") && is_sql(b"-- MySQL dump")
        );
        assert!(!is_sql(b"\"INSERT INTO x\"") && !is_sql(b"--,1") && !is_sql(b""));
    }
}
