//! A file of inbound calls: CSV with a header, or a JSON object on each line.

use crate::failure::Failure;
use crate::import::values_of_line;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// The largest size of the file in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The largest number of calls.
const MOST_CALLS: usize = 100_000;

/// The fields of a call. Only the first is required.
const FIELDS: [&str; 3] = ["dialed", "caller", "at"];

/// An inbound call.
#[derive(Debug)]
pub(super) struct InboundCall {
    /// The line of the file, from 1.
    pub(super) line: usize,
    /// The call as the API reads it.
    pub(super) body: Value,
}

/// Reads the calls. `-` is standard input.
///
/// # Errors
/// The message names the line, and no value of it.
pub(super) fn read(path: &Path) -> Result<Vec<InboundCall>, Failure> {
    let named = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(stdin())
    } else {
        Box::new(File::open(path).map_err(|error| named(&error))?)
    };
    let mut text = String::new();
    source.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| named(&error))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(named(&format!("the file has more than {} MiB", MOST_BYTES >> 20)));
    }
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(|wrong| named(&wrong))
}

fn parse(text: &str) -> Result<Vec<InboundCall>, String> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let columns = if text.trim_start().starts_with('{') {
        None
    } else {
        let (_, header) = lines.next().ok_or("the file has no calls")?;
        Some(columns(header)?)
    };
    let mut calls = Vec::new();
    for (line, text) in lines {
        if calls.len() == MOST_CALLS {
            return Err(format!("the file has more than {MOST_CALLS} calls: split it"));
        }
        let body = columns.map_or_else(|| object(text), |columns| record(text, columns));
        let body = body.ok_or_else(|| format!("line {line} is not a call with the fields dialed, caller and at"))?;
        calls.push(InboundCall { line, body });
    }
    if calls.is_empty() { Err("the file has no calls".into()) } else { Ok(calls) }
}

/// Reads a JSON object. Other fields are ignored.
fn object(line: &str) -> Option<Value> {
    let Value::Object(mut fields) = serde_json::from_str(line).ok()? else { return None };
    fields.retain(|field, value| FIELDS.contains(&field.as_str()) && !value.is_null());
    fields.contains_key(FIELDS[0]).then_some(Value::Object(fields))
}

/// Returns the position of each field. Other columns are ignored.
fn columns(header: &str) -> Result<[Option<usize>; 3], String> {
    let names = values_of_line(header).unwrap_or_default();
    let columns = FIELDS.map(|field| names.iter().position(|name| name.trim().eq_ignore_ascii_case(field)));
    if columns[0].is_none() {
        return Err("the first line must be a header with the columns dialed, caller and, if you like, at".into());
    }
    Ok(columns)
}

fn record(line: &str, columns: [Option<usize>; 3]) -> Option<Value> {
    let values = values_of_line(line)?;
    let mut fields = Map::new();
    for (field, column) in FIELDS.iter().zip(columns) {
        let value = column.and_then(|column| values.get(column)).map(|value| value.trim());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.insert((*field).to_owned(), value.into());
        }
    }
    fields.contains_key(FIELDS[0]).then_some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bodies(text: &str) -> Vec<(usize, Value)> {
        parse(text).expect("calls").into_iter().map(|call| (call.line, call.body)).collect()
    }

    #[test]
    fn table_and_objects_are_read_alike() {
        let first = json!({ "dialed": "+12125550100", "caller": "\"Doe, J\" <sip:+1@x>" });
        let second = json!({ "dialed": "+12125550100", "at": "2026-06-01T12:00:00Z" });
        let table = "id,Dialed,caller,at\n1,+12125550100,\"\"\"Doe, J\"\" <sip:+1@x>\",\n\n\
                     2,+12125550100,,2026-06-01T12:00:00Z\n";
        assert_eq!(bodies(table), [(2, first.clone()), (4, second.clone())]);
        assert_eq!(bodies(&format!("{first}\n{second}\n")), [(1, first), (2, second)]);
    }

    #[test]
    fn wrong_line_is_named_without_its_values() {
        for (text, expected) in [
            ("", "no calls"),
            ("dialed\n", "no calls"),
            ("+12125550100,+12125550143\n", "header"),
            ("dialed,caller\n+12125550100,+1\n,+12125550143\n", "line 3"),
            ("{\"dialed\":\"+12125550100\"}\n{\"caller\":\"+12125550143\"}", "line 2"),
            ("{\"dialed\":\"+12125550100\"}\n[]", "line 2"),
        ] {
            let wrong = parse(text).expect_err("wrong");
            assert!(wrong.contains(expected) && !wrong.contains("555"), "{wrong}");
        }
    }

    #[test]
    fn number_of_calls_is_bounded() {
        let most = format!("dialed\n{}", "1\n".repeat(MOST_CALLS));
        assert_eq!(parse(&most).expect("calls").len(), MOST_CALLS);
        assert!(parse(&format!("{most}1\n")).expect_err("too many").contains("split it"));
    }
}
