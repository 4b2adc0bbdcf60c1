//! Finds the column of each field, once for all lines of a file.

use super::error::ImportError;
use super::format::{Format, FormatFilter, Headings};
use super::map::{Field, Map, Only, Source};
use super::rejection::Rejection;
use csv::ByteRecord;
use std::ops::RangeInclusive;

/// The layout of the lines of a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// Distinguished by the number of columns, and tried in this order.
    shapes: Vec<Shape>,
    format: Option<Format>,
}

/// The fields of lines that have a certain number of columns.
#[derive(Debug)]
pub(super) struct Shape {
    columns: RangeInclusive<usize>,
    cells: [Option<Cell>; Field::ALL.len()],
    only: Vec<(usize, String)>,
    /// The column by which the format knows calls.
    of_format: Option<(usize, FormatFilter)>,
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
        Ok(Self { shapes: vec![wanted.shape(names.len()..=names.len(), &names)?], format: wanted.format })
    }

    /// Returns the layout of a file without a header.
    pub(super) fn without_header(wanted: Wanted<'_>) -> Result<Self, ImportError> {
        let format = wanted.format;
        let known = format.map(Format::headings).unwrap_or_default();
        if known.is_empty() {
            return Ok(Self { shapes: vec![wanted.shape(1..=usize::MAX, &[])?], format });
        }
        let (mut shapes, mut refused) = (Vec::new(), None);
        for Headings { columns, names } in known {
            match wanted.shape(columns, &names) {
                Ok(shape) => shapes.push(shape),
                // Lines of another number of columns may have the column.
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if shapes.is_empty() => Err(error),
            _ => Ok(Self { shapes, format }),
        }
    }

    /// Returns the fields of this record, by its number of columns.
    pub(super) fn shape(&self, record: &ByteRecord) -> Result<&Shape, Rejection> {
        let found = record.len();
        self.shapes.iter().find(|shape| shape.columns.contains(&found)).ok_or_else(|| {
            if let Some(column) = self.format.and_then(|format| format.ambiguous_column(found)) {
                return Rejection::WhichColumn { found, column };
            }
            Rejection::Columns { found, expected: ranges(&self.shapes) }
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

    /// Returns whether a column or a fixed text holds the field.
    pub(super) fn knows(&self, field: Field) -> bool {
        self.cells[field as usize].is_some()
    }

    /// Returns whether the line passes each `--only` filter.
    pub(super) fn is_wanted(&self, record: &ByteRecord) -> bool {
        let holds = |at: usize, value: &str| {
            record.get(at).is_some_and(|cell| cell.trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
        };
        let is_call = |(at, filter): &(usize, FormatFilter)| record.get(*at).is_some_and(|cell| filter.accepts(cell));
        self.only.iter().all(|(at, value)| holds(*at, value)) && self.of_format.iter().all(is_call)
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
        let of_format = self.filter(names)?;
        let filters = only.iter().map(|(at, _)| *at).chain(of_format.map(|(at, _)| at));
        let highest = cells.iter().flatten().filter_map(Cell::column).chain(filters).max();
        let least = highest.map_or(1, |at| at + 1).max(*columns.start());
        if least > *columns.end() {
            return Err(ImportError::NoSuchColumn { column: least.to_string(), headings: known(names) });
        }
        Ok(Shape { columns: least..=*columns.end(), cells, only, of_format })
    }

    /// Returns the format's own filter and its column. A file without the column needs an `--only` of the user.
    fn filter(&self, names: &[&str]) -> Result<Option<(usize, FormatFilter)>, ImportError> {
        let Some(filter) = self.format.and_then(Format::only) else { return Ok(None) };
        match filter.column(names) {
            Some(at) => Ok(Some((at, filter))),
            None if !self.only.is_empty() => Ok(None),
            None => Err(ImportError::NoDirection { column: filter.headings[0], headings: known(names) }),
        }
    }

    /// Returns the source of a field: the last `--map` that names it, else the format's column, else the column with
    /// the field's name.
    fn cell(&self, field: Field, names: &[&str]) -> Result<Option<Cell>, ImportError> {
        let mapped = self.maps.iter().flat_map(Map::entries).filter(|(known, _)| *known == field).last();
        match (mapped, self.format) {
            (Some((_, Source::Constant(text))), _) => Ok(Some(Cell::Constant(text.trim().to_owned()))),
            (Some((_, column)), _) => column_of(column, names).map(|at| Some(Cell::Column(at))),
            (None, Some(format)) => {
                let at = format.column(field, names);
                if at.is_none() && format.requires(field) {
                    return Err(ImportError::Unmapped { field: field.name(), headings: known(names) });
                }
                Ok(at.map(Cell::Column))
            }
            (None, None) if !field.is_found_by_name() => Ok(None),
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

/// Returns the numbers of columns of the shapes for an error message, such as `13 to 15 or 16`.
fn ranges(shapes: &[Shape]) -> String {
    let mut ranges: Vec<_> = shapes.iter().map(|shape| shape.columns.clone()).collect();
    ranges.sort_unstable_by_key(|columns| *columns.start());
    let mut joined: Vec<RangeInclusive<usize>> = Vec::new();
    for columns in ranges {
        match joined.last_mut() {
            Some(last) if *last.end() + 1 == *columns.start() => *last = *last.start()..=*columns.end(),
            _ => joined.push(columns),
        }
    }
    joined.iter().map(range).collect::<Vec<_>>().join(" or ")
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
        assert_eq!(cells(&layout, 0), ["2", "1", "3", "-", "-", "0", "-", "-", "-"]);
        assert_eq!(layout.shapes[0].columns, 5..=5);
    }

    #[test]
    fn map_overrides_single_columns_of_a_format() {
        let maps: Vec<Map> = ["agent=userfield,at=11", "agent==bot"].map(|map| map.parse().unwrap()).into();
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps)).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "10", "-", "-", "=bot", "14", "-", "-"]);
        assert_eq!(ranges(&layout.shapes), "16 to 21");
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps[..1])).unwrap();
        assert_eq!(ranges(&layout.shapes), "18 or 21", "a line must have the column");
        let error = layout.shape(&ByteRecord::from(vec![""; 17])).unwrap_err();
        assert_eq!(error, Rejection::WhichColumn { found: 17, column: 17 });
        let error = layout.shape(&ByteRecord::from(vec![""; 16])).unwrap_err();
        assert_eq!(error, Rejection::Columns { found: 16, expected: "18 or 21".into() });
    }

    #[test]
    fn freeswitch_layout_follows_from_the_number_of_columns() {
        let layout = Layout::without_header(wanted(Some(Format::Freeswitch), &[])).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "4", "-", "-", "12", "9", "5", "-"]);
        assert_eq!(cells(&layout, 1), ["2", "3", "5", "-", "-", "13", "10", "6", "-"]);
        assert_eq!(cells(&layout, 3), ["1", "2", "9", "-", "-", "0", "14", "10", "-"], "template `asterisk`");
        assert_eq!(ranges(&layout.shapes), "13 to 18 or 20");
        assert!(layout.shape(&ByteRecord::from(vec![""; 19])).is_err());
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

    #[test]
    fn format_without_its_direction_needs_a_filter() {
        let header = ByteRecord::from(vec!["from", "to", "start_time", "status"]);
        let maps = ["agent==bot".parse().unwrap()];
        let error = Layout::with_header(wanted(Some(Format::Twilio), &maps), &header).unwrap_err();
        assert!(matches!(error, ImportError::NoDirection { column: "direction", .. }), "{error}");
        let only = ["status=completed".parse().unwrap()];
        let wanted = Wanted { only: &only, ..wanted(Some(Format::Twilio), &maps) };
        assert!(Layout::with_header(wanted, &header).is_ok());
    }
}
