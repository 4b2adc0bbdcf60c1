//! Prints answers of the API: as JSON for programs, and as tables for people.

use crate::failure::Failure;
use crate::out;
use serde_json::Value;

/// A column: its heading, and its text for a row.
pub(crate) type Column<'a> = (&'a str, &'a dyn Fn(&Value) -> String);

/// The text of a column that has none.
const NOTHING: &str = "-";

/// Prints rows: one line each, or one JSON list.
pub(crate) fn list(columns: &[Column<'_>], rows: &[Value], json: bool) -> Result<(), Failure> {
    if json {
        return out::exact(format_args!("{}", Value::from(rows)));
    }
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let texts = rows.iter().map(|row| columns.iter().map(|(_, text)| out::printable(&text(row))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(headings).chain(texts).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        out::line(format_args!("{}", padded.join("  ").trim_end()))?;
    }
    Ok(())
}

/// Prints one row: a line for each column, or one JSON object.
pub(crate) fn one(columns: &[Column<'_>], row: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::exact(format_args!("{row}"));
    }
    let width = columns.iter().map(|(heading, _)| heading.chars().count()).max().unwrap_or(0);
    for (heading, text) in columns {
        out::line(format_args!("{:width$}  {}", heading.to_lowercase(), text(row)))?;
    }
    Ok(())
}

/// Prints what was done: the message of the API, or its whole answer as JSON.
pub(crate) fn done(answer: &Value, json: bool) -> Result<(), Failure> {
    warn(answer);
    let message = answer["message"].as_str().unwrap_or("done");
    if json { out::exact(format_args!("{answer}")) } else { out::line(format_args!("{message}")) }
}

/// Prints the warnings of an answer on standard error.
pub(crate) fn warn(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out::note(format_args!("warning: {warning}"));
    }
}

/// Returns the text of a field.
pub(crate) fn text(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns texts as one text.
pub(crate) fn joined(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { NOTHING.to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_each_kind_are_texts() {
        let row = json!({ "name": "Ann", "count": 3, "none": null });
        assert_eq!(["name", "count", "none", "missing"].map(|field| text(&row, field)), ["Ann", "3", "-", "-"]);
        assert_eq!(joined(["a".to_owned(), "b".to_owned()].into_iter()), "a, b");
        assert_eq!(joined(std::iter::empty()), "-");
    }
}
