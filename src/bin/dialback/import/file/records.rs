//! Reads the records of a file: values with delimiters, a JSON object on each line, or a JSON list.

use super::elements::Elements;
use super::json::{self, Picker};
use super::lines::{Line, Lines};
use super::record::Record;
use super::source::{Kind, unreadable};
use super::table::Table;
use crate::import::columns::layout::{Layout, Shape, Wanted};
use crate::import::error::ImportError;
use crate::import::options::Options;
use crate::import::report::rejection::Rejection;
use std::io::{self, Read};

/// The records of a file.
pub(in crate::import) enum Records<R> {
    Table(Table<R>),
    JsonLines { lines: Lines<R>, objects: Objects },
    JsonList { elements: Elements<R>, objects: Objects },
}

/// One record of a file.
pub(in crate::import) struct Entry<'a> {
    /// The number of the line on which it begins, from 1.
    pub(in crate::import) number: u64,
    /// The record as it is in the file. The beginning, if it is too long: then [`Records::rest`] has the rest.
    pub(in crate::import) bytes: &'a [u8],
    /// The values and their fields, or why the record is broken. `None` if the options skip it.
    pub(in crate::import) read: Result<Option<(&'a Record, &'a Shape)>, Rejection>,
}

impl<R: Read> Records<R> {
    /// Reads the beginning of the file. Calls `keep` with each line before the first record that must be there for the
    /// file to be read in the same way.
    pub(in crate::import) fn open(
        options: &Options,
        kind: Kind,
        source: R,
        keep: &mut dyn FnMut(&[u8]) -> Result<(), ImportError>,
    ) -> Result<Self, ImportError> {
        let unreadable = unreadable(&options.file);
        if kind == Kind::Table {
            return Table::open(options, source, keep).map(Self::Table);
        }
        if options.skip_lines > 0 {
            return Err(ImportError::NotRecords("the file is JSON, and has no lines to skip: remove --skip-lines"));
        }
        if kind == Kind::JsonList {
            let mut elements = Elements::new(source);
            let first = elements.peek().map_err(&unreadable)?;
            let objects = Objects::new(options, first)?;
            return Ok(Self::JsonList { elements, objects });
        }
        let mut lines = Lines::new(source, None).map_err(&unreadable)?;
        let first = lines.peek().map_err(&unreadable)?;
        if first.is_some_and(|first| matches!(first.trim_ascii_end().last(), Some(b'{' | b'[' | b','))) {
            return Err(ImportError::NotRecords(SPREAD));
        }
        let objects = Objects::new(options, first)?;
        Ok(Self::JsonLines { lines, objects })
    }

    /// Returns the number of bytes up to the end of the last record.
    pub(in crate::import) fn position(&self) -> u64 {
        match self {
            Self::Table(table) => table.position(),
            Self::JsonLines { lines, .. } => lines.position(),
            Self::JsonList { elements, .. } => elements.position(),
        }
    }

    /// Returns how many lines the last record has, which begins on this line. In JSON, a record counts as one.
    pub(in crate::import) fn lines_since(&self, number: u64) -> u64 {
        match self {
            Self::Table(table) => table.line_number().saturating_sub(number).max(1),
            Self::JsonLines { .. } | Self::JsonList { .. } => 1,
        }
    }

    /// Returns the next piece of a record that was too long, in order, and `None` at its end.
    pub(in crate::import) fn rest(&mut self) -> io::Result<Option<&[u8]>> {
        match self {
            Self::Table(table) => table.rest(),
            Self::JsonLines { lines, .. } => lines.rest(),
            Self::JsonList { elements, .. } => elements.rest(),
        }
    }

    /// Returns the next record.
    pub(in crate::import) fn next(&mut self) -> io::Result<Option<Entry<'_>>> {
        let (number, bytes, read) = match self {
            Self::Table(table) => match table.next()? {
                Some(next) => next,
                None => return Ok(None),
            },
            Self::JsonLines { lines, objects } => match lines.next()? {
                Some(line) => objects.read(line),
                None => return Ok(None),
            },
            Self::JsonList { elements, objects } => match elements.next()? {
                Some(line) => objects.read(line),
                None => return Ok(None),
            },
        };
        let read = read.and_then(|(record, shape)| Ok(shape.is_wanted(record)?.then_some((record, shape))));
        Ok(Some(Entry { number, bytes, read }))
    }
}

/// Reads the values of JSON objects.
pub(in crate::import) struct Objects {
    picker: Picker,
    layout: Layout,
}

impl Objects {
    /// Finds the paths of the fields in the options, or in the first object.
    fn new(options: &Options, first: Option<&[u8]>) -> Result<Self, ImportError> {
        let wanted = Wanted { format: options.format, maps: &options.map, only: &options.only };
        let first = first.and_then(json::paths);
        let (layout, paths) = Layout::of_json(wanted, first.as_deref())?;
        Ok(Self { picker: Picker::new(paths), layout })
    }

    fn read<'a>(&'a mut self, line: Line<'a>) -> (u64, &'a [u8], Result<(&'a Record, &'a Shape), Rejection>) {
        let Line { number, bytes, broken, .. } = line;
        let read = broken.map_or(Ok(()), Err).and_then(|()| {
            let record = self.picker.pick(bytes)?;
            Ok((record, self.layout.shape(record)?))
        });
        (number, bytes, read)
    }
}

const SPREAD: &str = "the file is one JSON object over several lines: write a list of the calls, or one call on each \
line, for example with `jq -c '.calls[]'`";

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;
    use crate::import::columns::map::Field;
    use clap::Parser;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    /// Writes a file and reads its records. Returns for each its line, and its fields or why it is rejected.
    fn read(bytes: &[u8], options: &[&str]) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        read_each(bytes, options, &mut |Entry { number, read, .. }| {
            let fields = read.map(|found| {
                found.map(|(record, shape)| {
                    let fields = [Field::From, Field::To, Field::At, Field::Agent, Field::Status];
                    fields.map(|field| shape.text(record, field).unwrap_or_else(|why| panic!("{why}"))).join(" ")
                })
            });
            seen.push(match fields {
                Ok(Some(fields)) => format!("{number}: {fields}"),
                Ok(None) => format!("{number}: skipped"),
                Err(rejection) => format!("{number}! {rejection}"),
            });
        })?;
        Ok(seen)
    }

    /// Calls `each` with each record. Returns the lines that were kept from before the first one.
    fn read_each(bytes: &[u8], options: &[&str], each: &mut dyn FnMut(Entry<'_>)) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let path = file.path().to_str().expect("UTF-8");
        let command = Command::try_parse_from([&["import", path][..], options].concat()).expect("valid options");
        let mut kept = Vec::new();
        let mut keep = |line: &[u8]| {
            kept.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        };
        let shown = |error: ImportError| error.to_string();
        let Source { reader, kind, .. } = Source::open(&command.options.file).map_err(shown)?;
        let mut records = Records::open(&command.options, kind, reader, &mut keep).map_err(shown)?;
        while let Some(entry) = records.next().map_err(|error| error.to_string())? {
            each(entry);
        }
        Ok(kept)
    }

    fn expect(text: &str, options: &[&str], expected: &[&str]) {
        let read = read(text.as_bytes(), options).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(read, expected, "{text:?}");
    }

    fn expect_refusal(text: &str, options: &[&str], words: &str) {
        let error = read(text.as_bytes(), options).expect_err(text);
        assert!(error.contains(words), "{text:?}: {error}");
    }

    const MAP: [&str; 2] = ["--map", "from=1,to=2,at=3,agent=4"];

    #[test]
    fn delimiters_are_recognized() {
        for d in [",", ";", "\t", "|"] {
            let header = ["from", "to", "at", "agent", "status"].join(d);
            let row = ["1", "2", "3", "a", "busy"].join(d);
            expect(&format!("{header}\n{row}\n"), &[], &["2: 1 2 3 a busy"]);
            let numbered = [&MAP[..], &["--no-header"]].concat();
            expect(&format!("{row}\n"), &numbered, &["1: 1 2 3 a "]);
        }
        expect("from;\"to, x\";at;agent;to\n1;2;3;4;5\n", &[], &["2: 1 5 3 4 "]);
        expect("from:to:at:agent\n1:2:3:4\n", &["--delimiter", ":"], &["2: 1 2 3 4 "]);
        expect_refusal("from:to:at:agent\n1:2:3:4\n", &[], "no column holds `from`");
        expect_refusal("a,b,c,d;e;f;g\n", &MAP, "add --delimiter with one of `,`, `;`");
        expect("1,2,3,4;5;6;7\n", &[&MAP[..], &["--no-header", "--delimiter", ","]].concat(), &["1: 1 2 3 4;5;6;7 "]);
    }

    #[test]
    fn lines_before_the_header_are_skipped_and_kept() {
        expect("sep=;\nfrom;to;at;agent\n1;2,;3;4\n", &[], &["3: 1 2, 3 4 "]);
        expect("\"sep=|\"\r\n1|2|3|4\r\n", &[&MAP[..], &["--no-header"]].concat(), &["2: 1 2 3 4 "]);
        expect("# from,to\n\n#\nfrom,to,at,agent\n1,2,3,4\n", &[], &["5: 1 2 3 4 "]);
        let title = "Calls, \"of\n\nfrom,to,at,agent\n1,2,3,4\n";
        expect(title, &["--skip-lines", "2"], &["4: 1 2 3 4 "]);
        let kept = read_each(title.as_bytes(), &["--skip-lines", "2"], &mut |_| {}).expect("readable");
        assert_eq!(kept, ["Calls, \"of", "", "from,to,at,agent"]);
        expect("#1,2,3,4\n", &[&MAP[..], &["--no-header"]].concat(), &["1: #1 2 3 4 "]);
        expect_refusal("a\n", &["--skip-lines", "9"], "the file is empty");
    }

    #[test]
    fn first_line_that_is_a_call_is_not_taken_for_a_header() {
        let calls = "+12125550100,+12125550143,2026-11-20T12:00:00Z,sales\n";
        expect_refusal(calls, &MAP, "the first line is a call): add --no-header");
        expect_refusal(calls, &[], "see --no-header");
        expect_refusal("100,200,5,x\n", &MAP, "the first line is a call");
        expect("a1,b,c 2026,d\n1,2,3,4\n", &MAP, &["2: 1 2 3 4 "]);
    }

    #[test]
    fn repeated_heading_is_refused_if_it_is_needed() {
        let same = "the columns 2 and 5 have the same heading";
        expect_refusal("from,to,at,agent,to\n1,2,3,4,5\n", &[], same);
        expect_refusal("from,x,at,agent,x\n1,2,3,4,5\n", &["--map", "to=x"], same);
        expect_refusal("from,X,at,agent,x\n1,2,3,4,5\n", &["--map", "to=2", "--only", "y=1"], "no column `y`");
        expect_refusal("from,To,at,agent,TO\n1,2,3,4,5\n", &[], same);
        expect("from,to,at,agent,x,x\n1,2,3,4,5,6\n", &[], &["2: 1 2 3 4 "]);
        expect("from,to,at,agent,to\n1,2,3,4,5\n", &["--map", "to=5"], &["2: 1 5 3 4 "]);
    }

    #[test]
    fn text_in_quotes_that_is_a_heading_is_refused() {
        let text = "from,to,at,Agent Name\n1,2,3,4\n";
        expect_refusal(text, &["--map", "agent=\"Agent Name\""], "`Agent Name` is a heading of the file");
        expect(text, &["--map", "agent=Agent Name"], &["2: 1 2 3 4 "]);
        expect(text, &["--map", "agent==\"Agent Name\""], &["2: 1 2 3 Agent Name "]);
        expect(text, &["--map", "agent=\"Agent\""], &["2: 1 2 3 Agent "]);
    }

    #[test]
    fn single_heading_is_answered_with_the_options_that_help() {
        expect_refusal(
            "Calls\nfrom,to,at,agent\n1,2,3,4\n",
            &[],
            "the only column is Calls: see --delimiter, and --skip",
        );
    }

    #[test]
    fn blank_columns_after_the_last_heading_may_be_missing_or_added() {
        expect("from,to,at,agent\n1,2,3,4,\n1,2,3,4,, ,\n", &[], &["2: 1 2 3 4 ", "3: 1 2 3 4 "]);
        expect("from,to,at,agent,,\n1,2,3,4\n1,2,3,4,,\n", &[], &["2: 1 2 3 4 ", "3: 1 2 3 4 "]);
        let four = "2! the line has 5 columns, but 4 are expected";
        expect("from,to,at,agent\n1,2,3,4,5\n", &[], &[four]);
        expect("from,to,at,agent\n1,2,3\n", &[], &["2! the line has 3 columns, but 4 are expected"]);
    }

    #[test]
    fn null_without_quotes_is_empty() {
        let header = "from,to,at,agent,status\n";
        expect(&format!("{header}1,2,3,NULL,\\N\n1,2,3,\"NULL\",null\n"), &[], &["2: 1 2 3  ", "3: 1 2 3 NULL null"]);
    }

    #[test]
    fn white_space_before_a_quote_does_not_belong_to_the_value() {
        expect("\"from\", \"to, x\" ,at,agent\n1, \"2, 3\",4,5\n", &["--map", "to=2"], &["2: 1 2, 3 4 5 "]);
    }

    #[test]
    fn table_of_a_database_may_have_a_header_and_any_delimiter() {
        let text = "calldate,clid,src,dst,disposition,accountcode\n\
            2025-07-01 12:00:00,x,+15550100100,+447700900001,BUSY,sales\n";
        let call = "+15550100100 +447700900001 2025-07-01 12:00:00 sales BUSY";
        for delimiter in [",", ";", "\t", "|"] {
            expect(&text.replace(',', delimiter), &["--format", "asterisk"], &[&format!("2: {call}")]);
        }
        let master = format!("sales,+15550100100,+447700900001{},2025-07-01 12:00:00,,,,,BUSY,\n", ",x".repeat(6));
        expect(&master, &["--format", "asterisk"], &[&format!("1: {call}")]);
    }

    #[test]
    fn sql_is_refused() {
        let call = "INSERT INTO cdr VALUES (\"Sales\",\"1\",\"2\",\"d\",\"2026-11-20 12:00:00\",\"\",\"\",\"1\",\"1\",\"N\",\"u\",\"v\", \"sales\");\n";
        expect_refusal(call, &["--format", "freeswitch"], "the file has SQL statements");
        expect_refusal("-- MySQL dump\nLOCK TABLES `acc` WRITE;\n", &["--format", "kamailio"], "SQL statements");
        let row = "\"S\",\"1\",\"2\",\"d\",\"4\",\"5\",\"6\",\"1\",\"1\",\"N\",\"u\",\"v\",\"sales\"\n";
        let statement = call.replace(" \"sales\");", "sales);");
        let read = read(format!("{row}{statement}{row}").as_bytes(), &["--format", "freeswitch"]).expect("readable");
        assert_eq!(read, ["1: 1 2 4 sales N", "2! the line is an SQL statement", "3: 1 2 4 sales N"]);
    }

    #[test]
    fn last_value_that_may_be_cut_is_held_back() {
        let cut =
            "2! the last line has no line end, so its last value may be cut short: add a line end if it is complete";
        expect("from,at,agent,to\n1,2,3,+1212", &[], &[cut]);
        expect("from,to,at,agent\n1,2,3,4", &["--only", "4=4", "--map", "agent==a"], &[cut]);
        expect("from,at,agent,to\n1,2,3,\"+1212\"", &[], &["2: 1 +1212 2 3 "]);
        expect("from,to,at,agent,x\n1,2,3,4,5", &[], &["2: 1 2 3 4 "]);
        expect("from,to,at,agent\n1,2,3,4\n", &[], &["2: 1 2 3 4 "]);
        expect("{\"from\":1,\"to\":2,\"at\":3,\"agent\":4}", &[], &["1: 1 2 3 4 "]);
    }

    #[test]
    fn carriage_returns_alone_end_the_lines_of_old_macs() {
        expect("from,to,at,agent\r1,2,3,4\r5,6,7,8\r", &[], &["2: 1 2 3 4 ", "3: 5 6 7 8 "]);
    }

    #[test]
    fn json_is_read_from_lines_and_lists() {
        let one = r#"{"from": {"n": "+1"}, "to": 2, "at": 3, "agent": "a", "status": null, "x": [{"to": 9}]}"#;
        let map = ["--map", "from=from.n"];
        expect(&format!("{one}\n\n{one}\r\n{{}}\n"), &map, &["1: +1 2 3 a ", "3: +1 2 3 a ", "4:     "]);
        expect(&format!("[{one},\n {one}\n]\n"), &map, &["1: +1 2 3 a ", "2: +1 2 3 a "]);
        expect(&format!("\u{FEFF}[\n{one}]"), &map, &["2: +1 2 3 a "]);
        expect(
            &format!("{one}\n{{\"to\": 1\n[]\n"),
            &map,
            &["1: +1 2 3 a ", "2! the record is not a JSON object", "3! the record is not a JSON object"],
        );
        expect(
            &format!("[{one}, {one}"),
            &map,
            &["1: +1 2 3 a ", "1: +1 2 3 a ", "1! the file ends before the end of its JSON"],
        );
        let only = ["--map", "from=from.n", "--only", "to=3"];
        expect(&format!("{one}\n"), &only, &["1: skipped"]);
    }

    #[test]
    fn json_without_the_fields_is_refused() {
        let one = r#"{"customer": {"number": "+1"}, "to": 2, "startedAt": 3}"#;
        expect_refusal(one, &[], "no column holds `from`: add --map from=COLUMN");
        expect_refusal(one, &[], "customer.number, startedAt, to");
        expect_refusal(one, &["--map", "from=1"], "there is no column 1");
        expect_refusal("{\n\"calls\": [\n", &[], "jq -c '.calls[]'");
        expect_refusal("[{}]", &["--skip-lines", "1"], "remove --skip-lines");
        expect_refusal("[{\"from\":1,\"to\":2,\"at\":3,\"agent\":4}{}]", &[], "its JSON list is broken on line 1");
    }

    #[test]
    fn json_value_that_is_not_certain_is_rejected() {
        for (value, why) in [
            ("{}", "`agent`: the JSON value there is not a text or a number"),
            ("1, \"agent\": 2", "`agent`: the JSON object has this field twice"),
            ("1, \"Agent\": 1", "`agent`: the JSON object has this field twice"),
            ("1, \"agent_id\": 1", "`agent`: the JSON object has this field twice"),
            ("1, \"agent_id\": {}", "`agent`: the JSON object has this field twice"),
        ] {
            let object = format!("{{\"from\":1,\"to\":2,\"at\":3,\"agent\":{value}}}\n");
            read_each(object.as_bytes(), &[], &mut |Entry { read, .. }| {
                let (record, shape) = read.expect("not broken").expect("wanted");
                assert_eq!(
                    shape.text(record, Field::Agent).map_err(|rejection| rejection.to_string()),
                    Err(why.into())
                );
            })
            .expect("readable");
        }
    }

    #[test]
    fn value_with_quotes_that_are_not_doubled_is_rejected_if_it_is_needed() {
        let text = "from,to,at,agent,x\n1,2,3,\"the \"man\"\",5\n1,2,3,4,\"the \"man\"\"\n";
        let mut agents = Vec::new();
        read_each(text.as_bytes(), &[], &mut |Entry { read, .. }| {
            let (record, shape) = read.expect("not broken").expect("wanted");
            agents.push(shape.text(record, Field::Agent).map(str::to_owned).map_err(|why| why.to_string()));
        })
        .expect("readable");
        assert_eq!(agents, [Err("`agent`: a quote inside the value is not doubled".to_owned()), Ok("4".to_owned())]);
        let only = [&["--only", "x=1"][..]].concat();
        let read = read(text.as_bytes(), &only).expect("readable");
        assert_eq!(read, ["2: skipped", "3! `x`: a quote inside the value is not doubled"]);
    }

    proptest! {
        /// Any text in any column: each call has the values that were written, and there is no other call.
        #[test]
        fn call_has_the_values_that_were_written_or_is_rejected(
            rows in vec(vec("[ab\",; \t\r\n1|+NUL\\\\]{0,10}", 5), 1..8),
            delimiter in prop::sample::select(b",;\t|".to_vec()),
            always in any::<bool>(),
        ) {
            let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(style).from_writer(Vec::new());
            writer.write_record(["x", "from", "to", "at", "agent"]).expect("written");
            for row in &rows {
                writer.write_record(row).expect("written");
            }
            let text = writer.into_inner().expect("written");
            let mut read = Vec::new();
            read_each(&text, &[], &mut |Entry { number, read: found, .. }| {
                let found = found.map(|found| {
                    let (record, shape) = found.expect("wanted");
                    [Field::From, Field::To, Field::At, Field::Agent].map(|field| {
                        shape.text(record, field).unwrap_or_else(|why| panic!("line {number}: {why}")).to_owned()
                    })
                });
                read.push(found.expect("well-formed"));
            })
            .expect("readable");
            let quoted = |c: char| matches!(c, '"' | '\n' | '\r') || c == char::from(delimiter);
            let missing = |value: &str| !always && !value.contains(quoted) && matches!(value.trim(), "NULL" | "\\N");
            let shown = |value: &String| if missing(value) { String::new() } else { value.trim().to_owned() };
            let expected: Vec<[String; 4]> = rows.iter().map(|row| std::array::from_fn(|at| shown(&row[at + 1]))).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
