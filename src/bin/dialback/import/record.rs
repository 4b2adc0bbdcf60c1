//! Splits a record into its values.

use csv::{ByteRecord, ReaderBuilder, Terminator};
use std::io::{self, Read};

/// Splits records one by one, without an allocation for each.
pub(super) struct Splitter {
    reader: csv::Reader<Feed>,
    record: ByteRecord,
}

/// The next record for the parser.
#[derive(Default)]
struct Feed {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = (&self.bytes[self.at..]).read(into)?;
        self.at += n;
        Ok(n)
    }
}

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Self {
        let mut builder = ReaderBuilder::new();
        // The caller has already separated line ends from line breaks in values.
        builder.delimiter(delimiter).terminator(Terminator::Any(b'\n')).has_headers(false).flexible(true);
        Self { reader: builder.from_reader(Feed::default()), record: ByteRecord::new() }
    }

    /// Returns the values of one record, which must have no line end.
    pub(super) fn split(&mut self, line: &[u8]) -> &ByteRecord {
        let feed = self.reader.get_mut();
        feed.bytes.clear();
        feed.bytes.extend_from_slice(line);
        feed.bytes.push(b'\n');
        feed.at = 0;
        // Reading from memory cannot fail, and a flexible parser of bytes has no other errors.
        if self.reader.read_byte_record(&mut self.record).is_err() {
            self.record.clear();
        }
        &self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_one_by_one() {
        let mut splitter = Splitter::new(b';');
        let long = "x".repeat(100_000);
        for (line, expected) in [
            ("a;b;c", vec!["a", "b", "c"]),
            ("\"a\n;\"\"b\";;c ", vec!["a\n;\"b", "", "c "]),
            ("\"the \"man\"\";1", vec!["the man\"\"", "1"]),
            ("a\rb", vec!["a\rb"]),
            (long.as_str(), vec![long.as_str()]),
            ("last", vec!["last"]),
        ] {
            let record = splitter.split(line.as_bytes());
            assert_eq!(record.iter().collect::<Vec<_>>(), expected.iter().map(|v| v.as_bytes()).collect::<Vec<_>>());
        }
    }
}
