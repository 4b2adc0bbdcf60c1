//! Finds the column of each field, once for all lines of a file.

use super::error::ImportError;
use super::format::Format;
use super::map::{Field, Map, Only, Source};
use super::rejection::Rejection;
use csv::ByteRecord;
use std::ops::RangeInclusive;

/// The layout of the lines of a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// Distinguished by the number of columns, and tried in this order.
    shapes: Vec<Shape>,
}

/// The fields of lines that have a certain number of columns.
#[derive(Debug)]
pub(super) struct Shape {
    columns: RangeInclusive<usize>,
    cells: [Option<Cell>; Field::ALL.len()],
    only: Vec<(usize, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Cell {
    Column(usize),
    Constant(String),
}

/// The user's options, before a header is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) format: Option<Format>,
    pub(super) maps: &'a [Map],
    pub(super) only: &'a [Only],
}

/// The fields that each call must have.
const NEEDED: [Field; 4] = [Field::From, Field::To, Field::At, Field::Agent];

impl Layout {
    /// Returns the layout of a file whose first line is `header`.
    pub(super) fn with_header(wanted: Wanted<'_>, header: &ByteRecord) -> Result<Self, ImportError> {
        let names: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        Ok(Self { shapes: vec![wanted.shape(names.len()..=names.len(), &names)?] })
    }

    /// Returns the layout of a file without a header.
    pub(super) fn without_header(wanted: Wanted<'_>) -> Result<Self, ImportError> {
        let known = wanted.format.map(Format::headings).unwrap_or_default();
        if known.is_empty() {
            return Ok(Self { shapes: vec![wanted.shape(1..=usize::MAX, &[])?] });
        }
        let shape = |headings: super::format::Headings| wanted.shape(headings.columns, headings.names);
        Ok(Self { shapes: known.into_iter().map(shape).collect::<Result<_, _>>()? })
    }

    /// Returns the fields of this record, by its number of columns.
    pub(super) fn shape(&self, record: &ByteRecord) -> Result<&Shape, Rejection> {
        let found = record.len();
        self.shapes.iter().find(|shape| shape.columns.contains(&found)).ok_or_else(|| {
            let all: Vec<_> = self.shapes.iter().map(|shape| range(&shape.columns)).collect();
            Rejection::Columns { found, expected: all.join(" or ") }
        })
    }
}

impl Shape {
    /// Returns the trimmed text of a field, or an empty text if no column holds it.
    pub(super) fn text<'a>(&'a self, record: &'a ByteRecord, field: Field) -> Result<&'a str, Rejection> {
        match &self.cells[field as usize] {
            None => Ok(""),
            Some(Cell::Constant(text)) => Ok(text),
            Some(Cell::Column(at)) => {
                let bytes = record.get(*at).unwrap_or_default();
                std::str::from_utf8(bytes).map(str::trim).map_err(|_| Rejection::NotText(field))
            }
        }
    }

    /// Returns whether a column holds the time of the answer.
    pub(super) fn knows_answered(&self) -> bool {
        self.cells[Field::Answered as usize].is_some()
    }

    /// Returns whether the line passes each `--only` filter.
    pub(super) fn is_wanted(&self, record: &ByteRecord) -> bool {
        let holds = |at: usize, value: &str| {
            record.get(at).is_some_and(|cell| cell.trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
        };
        self.only.iter().all(|(at, value)| holds(*at, value))
    }
}

impl Wanted<'_> {
    fn shape(&self, columns: RangeInclusive<usize>, names: &[&str]) -> Result<Shape, ImportError> {
        let mut cells = [const { None }; Field::ALL.len()];
        for field in Field::ALL {
            cells[field as usize] = self.cell(field, names)?;
        }
        let missing = NEEDED.into_iter().find(|field| cells[*field as usize].is_none());
        if let Some(field) = missing {
            return Err(ImportError::Unmapped { field: field.name(), headings: known(names) });
        }
        let mut only = Vec::new();
        for Only { column, value } in self.only {
            only.push((column_of(column, names)?, value.clone()));
        }
        if let Some((heading, value)) = self.format.and_then(Format::only) {
            only.push((find(names, heading)?, value.to_owned()));
        }
        let highest = cells.iter().flatten().filter_map(Cell::column).chain(only.iter().map(|(at, _)| *at)).max();
        let least = highest.map_or(1, |at| at + 1).max(*columns.start());
        if least > *columns.end() {
            return Err(ImportError::NoSuchColumn { column: least.to_string(), headings: known(names) });
        }
        Ok(Shape { columns: least..=*columns.end(), cells, only })
    }

    /// Returns the source of a field: the last `--map` that names it, else the format's column, else the column with
    /// the field's name.
    fn cell(&self, field: Field, names: &[&str]) -> Result<Option<Cell>, ImportError> {
        let mapped = self.maps.iter().flat_map(Map::entries).filter(|(known, _)| *known == field).last();
        match (mapped, self.format) {
            (Some((_, Source::Constant(text))), _) => Ok(Some(Cell::Constant(text.trim().to_owned()))),
            (Some((_, column)), _) => column_of(column, names).map(|at| Some(Cell::Column(at))),
            (None, Some(format)) => {
                let at = format.heading(field).map(|heading| find(names, heading)).transpose()?;
                Ok(at.map(Cell::Column))
            }
            (None, None) => {
                let also = match field {
                    Field::At => Some("started_at"),
                    Field::Agent => Some("agent_id"),
                    _ => None,
                };
                let mut own = std::iter::once(field.name()).chain(also);
                Ok(own.find_map(|name| place(names, name)).map(Cell::Column))
            }
        }
    }
}

impl Cell {
    fn column(&self) -> Option<usize> {
        match self {
            Self::Column(at) => Some(*at),
            Self::Constant(_) => None,
        }
    }
}

fn column_of(source: &Source, names: &[&str]) -> Result<usize, ImportError> {
    match source {
        Source::Named(name) => find(names, name),
        Source::Numbered(number) => Ok(number - 1),
        Source::Constant(_) => unreachable!("a constant is not a column"),
    }
}

fn find(names: &[&str], name: &str) -> Result<usize, ImportError> {
    place(names, name).ok_or_else(|| ImportError::NoSuchColumn { column: format!("`{name}`"), headings: known(names) })
}

/// Returns the column with this heading, or the only one that differs just in case.
fn place(names: &[&str], name: &str) -> Option<usize> {
    let mut alike = (0..names.len()).filter(|at| names[*at].eq_ignore_ascii_case(name));
    names.iter().position(|heading| *heading == name).or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

/// Returns the headings for an error message. `None` if they may be a call, because then the file has no header.
fn known(names: &[&str]) -> Option<Vec<String>> {
    let look_like_headings = names.iter().all(|name| name.chars().filter(char::is_ascii_digit).count() < 5);
    look_like_headings.then(|| names.iter().map(|name| name.escape_debug().to_string()).collect())
}

fn range(columns: &RangeInclusive<usize>) -> String {
    match (*columns.start(), *columns.end()) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(format: Option<Format>, maps: &[Map]) -> Wanted<'_> {
        Wanted { format, maps, only: &[] }
    }

    /// Returns the source of each field, or `-` if it has none.
    fn cells(layout: &Layout, shape: usize) -> Vec<String> {
        let show = |cell: &Option<Cell>| match cell {
            None => "-".to_owned(),
            Some(Cell::Column(at)) => at.to_string(),
            Some(Cell::Constant(text)) => format!("={text}"),
        };
        layout.shapes[shape].cells.iter().map(show).collect()
    }

    #[test]
    fn columns_without_map_are_found_by_field_name() {
        let header = ByteRecord::from(vec!["agent_id", "To", " from ", "started_at", "x"]);
        let layout = Layout::with_header(wanted(None, &[]), &header).unwrap();
        assert_eq!(cells(&layout, 0), ["2", "1", "3", "0", "-", "-"]);
        assert_eq!(layout.shapes[0].columns, 5..=5);
    }

    #[test]
    fn map_overrides_single_columns_of_a_format() {
        let maps: Vec<Map> = ["agent=userfield,at=11", "agent==bot"].map(|map| map.parse().unwrap()).into();
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps)).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "10", "=bot", "14", "-"]);
        assert_eq!(layout.shapes[0].columns, 16..=21);
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps[..1])).unwrap();
        assert_eq!(layout.shapes[0].columns, 18..=21, "a line must have the column");
    }

    #[test]
    fn freeswitch_layout_follows_from_the_number_of_columns() {
        let layout = Layout::without_header(wanted(Some(Format::Freeswitch), &[])).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "4", "12", "9", "5"]);
        assert_eq!(cells(&layout, 1), ["2", "3", "5", "13", "10", "6"]);
        assert!(layout.shape(&ByteRecord::from(vec![""; 17])).is_err());
    }

    #[test]
    fn missing_column_is_named_in_the_error() {
        let header = ByteRecord::from(vec!["method", "time", "src_user", "dst_user", "sip_code"]);
        let error = Layout::with_header(wanted(Some(Format::Kamailio), &[]), &header).unwrap_err();
        assert!(matches!(error, ImportError::Unmapped { field: "agent", .. }), "{error}");
        let maps = ["agent=bot".parse().unwrap()];
        let error = Layout::with_header(wanted(None, &maps), &header).unwrap_err();
        assert!(matches!(error, ImportError::Unmapped { .. } | ImportError::NoSuchColumn { .. }), "{error}");
        let no_header = ByteRecord::from(vec!["15550100", "15550101"]);
        let error = Layout::with_header(wanted(None, &[]), &no_header).unwrap_err();
        assert!(!error.to_string().contains("5550"), "{error}");
    }

    #[test]
    fn numbered_columns_work_without_header() {
        let maps = ["from=1,to=2,at=3,agent==bot".parse().unwrap()];
        let layout = Layout::without_header(wanted(None, &maps)).unwrap();
        assert!(layout.shape(&ByteRecord::from(vec!["", ""])).is_err());
        assert!(layout.shape(&ByteRecord::from(vec!["", "", ""])).is_ok());
        assert!(layout.shape(&ByteRecord::from(vec!["", "", "", ""])).is_ok());
    }
}
