//! Finds the column of each field, once for all lines of a file.

use super::format::{Format, FormatFilter, Headings};
use super::map::{Detail, Field, Map, Only, Source};
use crate::import::error::ImportError;
use crate::import::file::json::{Path, Spelling};
use crate::import::file::record::{Form, Record};
use crate::import::report::rejection::{Quoted, Rejection};
use std::ops::RangeInclusive;

/// The layout of the lines of a file.
#[derive(Debug)]
pub(in crate::import) struct Layout {
    /// Distinguished by the number of columns, and tried in this order.
    shapes: Vec<Shape>,
    /// Whether more columns than the header has are accepted if they are blank. Spreadsheets write such columns.
    accepts_blanks: bool,
    /// The numbers of columns, and the column, from 1, that is ambiguous in lines with so many.
    ambiguous: Vec<(RangeInclusive<usize>, usize)>,
}

/// The fields of lines that have a certain number of columns.
#[derive(Debug)]
pub(in crate::import) struct Shape {
    columns: RangeInclusive<usize>,
    cells: [Option<Cell>; Field::ALL.len()],
    details: Vec<(Detail, Cell)>,
    /// The fields that each record must have, if only with an empty value. A JSON object may lack what others have.
    demanded: Vec<Field>,
    only: Vec<Filter>,
    /// The columns by which the format knows calls to contacts.
    of_format: Option<(Vec<usize>, FormatFilter)>,
}

/// A column that must hold a value.
#[derive(Debug)]
struct Filter {
    column: usize,
    /// The column, as an error message names it.
    label: String,
    value: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Cell {
    /// The columns that may hold the field. The first one with a value counts.
    Columns(Vec<usize>),
    /// The columns that may hold the field. Only one of them may have a value.
    OneOf(Vec<usize>),
    Constant(String),
}

/// The user's options, before a header is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Wanted<'a> {
    pub(in crate::import) format: Option<Format>,
    pub(in crate::import) maps: &'a [Map],
    pub(in crate::import) only: &'a [Only],
}

/// The largest number of headings, and the longest heading, in an error message.
const MOST_LISTED: usize = 60;
const LONGEST_LISTED: usize = 60;

const NO_CALL: &str = "the first JSON object is not a call of this format: if it holds a list of calls, write each one \
on a line, for example with `jq -c '.calls[]'`";

/// The fields that each call must have.
const NEEDED: [Field; 4] = [Field::From, Field::To, Field::At, Field::Agent];

/// The fields that decide the outcome of a call. Without them it would have another outcome, and nobody would know.
const EVIDENCE: [Field; 3] = [Field::Status, Field::Answered, Field::Voicemail];

impl Layout {
    /// Returns the layout of a file whose first line is `header`.
    pub(in crate::import) fn with_header(wanted: Wanted<'_>, header: &Record) -> Result<Self, ImportError> {
        let names: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let least = names.iter().rposition(|name| !name.is_empty()).map_or(1, |last| last + 1);
        let shape = wanted.shape(least..=names.len(), &names)?;
        if shape.columns().any(|at| names.get(at).is_some_and(|name| looks_like_value(name))) {
            return Err(ImportError::NoHeader("the first line is a call"));
        }
        if let Some(error) = shape.several() {
            return Err(error);
        }
        Ok(Self { shapes: vec![shape], accepts_blanks: true, ambiguous: Vec::new() })
    }

    /// Returns the layout of JSON objects, and the path of each of its columns. Each object has its own fields, so there
    /// is a column for each path that may hold one. `first` has the paths of the first object, if it could be read: a
    /// file whose first object lacks a needed field, or is no call of the format, is refused.
    pub(in crate::import) fn of_json(
        wanted: Wanted<'_>,
        first: Option<&[String]>,
    ) -> Result<(Self, Vec<Path>), ImportError> {
        let first: Option<Vec<_>> = first.map(|first| first.iter().map(String::as_str).collect());
        let paths = wanted.paths(first.as_deref())?;
        let names: Vec<_> = paths.iter().map(|path| path.text.as_str()).collect();
        let unmapped = |field| match &first {
            Some(first) => ImportError::Unmapped { field, headings: known(first) },
            None => ImportError::Unmapped { field, headings: known(&names) },
        };
        let shape = wanted.shape(names.len()..=names.len(), &names).map_err(|error| match error {
            ImportError::Unmapped { field, .. } => unmapped(field),
            error => error,
        })?;
        if let Some(first) = first.as_deref() {
            if let Some(field) = wanted.lacking(first) {
                return Err(unmapped(field.name()));
            }
            wanted.check_first(first)?;
        }
        Ok((Self { shapes: vec![shape], accepts_blanks: false, ambiguous: Vec::new() }, paths))
    }

    /// Returns the layout of a file without a header.
    pub(in crate::import) fn without_header(wanted: Wanted<'_>) -> Result<Self, ImportError> {
        let format = wanted.format;
        let known = format.map(Format::headings).unwrap_or_default();
        if known.is_empty() {
            let shapes = vec![wanted.shape(1..=usize::MAX, &[])?];
            return Ok(Self { shapes, accepts_blanks: false, ambiguous: Vec::new() });
        }
        let ambiguous = known.iter().filter_map(Headings::ambiguous).collect();
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
            _ => Ok(Self { shapes, accepts_blanks: false, ambiguous }),
        }
    }

    /// Returns the fields of this record, by its number of columns.
    pub(in crate::import) fn shape(&self, record: &Record) -> Result<&Shape, Rejection> {
        let found = record.len();
        let fits = |shape: &&Shape| {
            let most = *shape.columns.end();
            let blank = || (most..found).all(|at| record.get(at).is_some_and(|value| value.trim_ascii().is_empty()));
            shape.columns.contains(&found) || (self.accepts_blanks && found > most && blank())
        };
        self.shapes.iter().find(fits).ok_or_else(|| {
            match self.ambiguous.iter().find(|(columns, _)| columns.contains(&found)) {
                Some((_, column)) => Rejection::WhichColumn { found, column: *column },
                None => Rejection::Columns { found, expected: ranges(&self.shapes) },
            }
        })
    }

    /// Returns the numbers of columns that lines may have.
    pub(in crate::import) fn widths(&self) -> Vec<RangeInclusive<usize>> {
        self.shapes.iter().map(|shape| shape.columns.clone()).collect()
    }
}

impl Shape {
    /// Returns the trimmed text of a field, or an empty text if no column holds it.
    pub(in crate::import) fn text<'a>(&'a self, record: &'a Record, field: Field) -> Result<&'a str, Rejection> {
        match &self.cells[field as usize] {
            None => Ok(""),
            Some(Cell::Constant(text)) => Ok(text),
            Some(cell @ (Cell::Columns(columns) | Cell::OneOf(columns))) => {
                let label = || format!("`{}`", field.name());
                let bytes = value(record, columns, label)?.unwrap_or_default();
                if matches!(cell, Cell::OneOf(_)) && values(record, columns) > 1 {
                    return Err(Rejection::Repeated(label()));
                }
                std::str::from_utf8(bytes).map(str::trim).map_err(|_| Rejection::NotText(field))
            }
        }
    }

    /// Returns the details that the record has, with their trimmed texts.
    pub(in crate::import) fn details<'a>(
        &'a self,
        record: &'a Record,
    ) -> impl Iterator<Item = Result<(&'a Detail, &'a str), Rejection>> {
        self.details.iter().filter_map(|(detail, cell)| {
            let text = match cell {
                Cell::Constant(text) => Ok(text.as_str()),
                Cell::Columns(columns) | Cell::OneOf(columns) => {
                    let label = || format!("`{}`", detail.name());
                    let read = |bytes| {
                        let text = std::str::from_utf8(bytes).map(str::trim);
                        text.map_err(|_| Rejection::Detail(label(), "is not UTF-8"))
                    };
                    value(record, columns, label).and_then(|bytes| read(bytes.unwrap_or_default()))
                }
            };
            match text {
                Ok("") => None,
                Ok(text) => Some(Ok((detail, text))),
                Err(rejection) => Some(Err(rejection)),
            }
        })
    }

    /// Returns a field that the record lacks and must have.
    pub(in crate::import) fn lacking(&self, record: &Record) -> Option<Field> {
        self.demanded.iter().copied().find(|field| !self.has(record, *field))
    }

    /// Returns whether a column of this record, or a fixed text, holds the field. In JSON, an object may lack a field that
    /// others have.
    pub(in crate::import) fn has(&self, record: &Record, field: Field) -> bool {
        match &self.cells[field as usize] {
            None => false,
            Some(Cell::Constant(_)) => true,
            Some(Cell::Columns(columns) | Cell::OneOf(columns)) => {
                columns.iter().any(|at| record.form(*at) != Some(Form::Missing))
            }
        }
    }

    /// Returns whether the line passes each `--only` filter, and that of the format. A value that the format does not know
    /// is a rejection, unless an `--only` names it.
    pub(in crate::import) fn is_wanted(&self, record: &Record) -> Result<bool, Rejection> {
        for Filter { column, label, value } in &self.only {
            let found = certain(record, *column, || label.clone())?;
            if !found.trim_ascii().eq_ignore_ascii_case(value.as_bytes()) {
                return Ok(false);
            }
        }
        let Some((columns, filter)) = &self.of_format else { return Ok(true) };
        let heading = filter.headings[0];
        let Some(found) = value(record, columns, || format!("`{heading}`"))? else {
            // A JSON object without the field needs an `--only` of the user, as a table without the column does.
            return if self.only.is_empty() { Err(Rejection::Missing(heading)) } else { Ok(true) };
        };
        let is_named = || self.only.iter().any(|only| columns.contains(&only.column)).then_some(true);
        let unknown = || Rejection::Direction(heading, Quoted::new(String::from_utf8_lossy(found).trim()));
        filter.is_outbound(found).or_else(is_named).ok_or_else(unknown)
    }

    /// Returns whether the call depends on the last value of the record, and the end of that value is not certain.
    pub(in crate::import) fn depends_on_end(&self, record: &Record) -> bool {
        let last = record.len() - 1;
        record.form(last) == Some(Form::Plain) && self.columns().any(|at| at == last)
    }

    /// Returns the error for a field of which the header has several names.
    fn several(&self) -> Option<ImportError> {
        Field::ALL.into_iter().find_map(|field| match &self.cells[field as usize] {
            Some(Cell::OneOf(columns)) if columns.len() > 1 => {
                let mut columns: Vec<_> = columns.iter().map(|at| at + 1).collect();
                columns.sort_unstable();
                Some(ImportError::WhichColumn { field: field.name(), columns })
            }
            _ => None,
        })
    }

    /// Returns the columns that calls depend on.
    fn columns(&self) -> impl Iterator<Item = usize> {
        let of_format = self.of_format.iter().flat_map(|(columns, _)| columns);
        let filters = self.only.iter().map(|filter| &filter.column).chain(of_format);
        let details = self.details.iter().map(|(_, cell)| cell);
        self.cells.iter().flatten().chain(details).flat_map(Cell::columns).chain(filters).copied()
    }
}

/// Returns the first value of these columns that is not empty. An empty one if there is none, or `None` if the record
/// has none of the columns.
fn value<'a>(record: &'a Record, columns: &[usize], label: impl Fn() -> String) -> Result<Option<&'a [u8]>, Rejection> {
    let mut found = None;
    for at in columns.iter().copied().filter(|at| record.form(*at) != Some(Form::Missing)) {
        let value = certain(record, at, &label)?;
        if has_value(record, at) {
            return Ok(Some(value));
        }
        found = Some(&b""[..]);
    }
    Ok(found)
}

/// Returns how many of these columns have a value.
fn values(record: &Record, columns: &[usize]) -> usize {
    columns.iter().filter(|at| record.form(**at) != Some(Form::Missing) && has_value(record, **at)).count()
}

/// Returns whether the text of a column is a value. Databases write `NULL` or `\N` if there is none.
fn has_value(record: &Record, at: usize) -> bool {
    let form = record.form(at);
    let text = record.get(at).unwrap_or_default().trim_ascii();
    let is_null = form == Some(Form::Plain) && matches!(text, b"NULL" | b"\\N");
    !is_null && (!text.is_empty() || matches!(form, Some(Form::Nested | Form::Repeated)))
}

/// Returns the value of a column. A value that can be read in several ways is a rejection.
fn certain(record: &Record, at: usize, label: impl Fn() -> String) -> Result<&[u8], Rejection> {
    match record.form(at) {
        Some(Form::Malformed) => Err(Rejection::Quotes(label())),
        Some(Form::Nested) => Err(Rejection::NotAValue(label())),
        Some(Form::Repeated) => Err(Rejection::Repeated(label())),
        Some(Form::Plain | Form::Quoted | Form::Missing) | None => Ok(record.get(at).unwrap_or_default()),
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
            let at = column_of(column, names)?;
            only.push(Filter { column: at, label: label(column), value: value.clone() });
        }
        let demanded = EVIDENCE.into_iter().filter(|field| self.demands(*field)).collect();
        if let Some(name) = Map::repeated_detail(self.maps) {
            return Err(ImportError::MappedTwice(name));
        }
        let mut details = Vec::new();
        for (detail, source) in self.maps.iter().flat_map(Map::details) {
            details.push((detail.clone(), mapped_cell(&detail.name(), source, names)?));
        }
        let mut shape = Shape { columns, cells, details, demanded, only, of_format: self.filter(names)? };
        let least = shape.columns().max().map_or(1, |at| at + 1).max(*shape.columns.start());
        if least > *shape.columns.end() {
            return Err(ImportError::NoSuchColumn { column: least.to_string(), headings: known(names) });
        }
        shape.columns = least..=*shape.columns.end();
        Ok(shape)
    }

    /// Returns whether each record must have the field: the format needs it, or the user has named its column.
    fn demands(&self, field: Field) -> bool {
        self.is_mapped(field) || self.format.is_some_and(|format| format.requires(field))
    }

    fn is_mapped(&self, field: Field) -> bool {
        self.maps.iter().flat_map(Map::entries).any(|(known, _)| known == field)
    }

    /// Returns the format's own filter and its columns. A file without one needs an `--only` of the user.
    fn filter(&self, names: &[&str]) -> Result<Option<(Vec<usize>, FormatFilter)>, ImportError> {
        let Some(filter) = self.format.and_then(Format::only) else { return Ok(None) };
        match place_all(names, filter.headings)? {
            mut columns if !columns.is_empty() => {
                columns.extend(place_all(names, filter.kinds)?);
                Ok(Some((columns, filter)))
            }
            _ if !self.only.is_empty() => Ok(None),
            _ => Err(ImportError::NoDirection { column: filter.headings[0], headings: known(names) }),
        }
    }

    /// Returns the paths that may hold a field in JSON objects. The error lists those of the first object.
    fn paths(&self, first: Option<&[&str]>) -> Result<Vec<Path>, ImportError> {
        let mut paths: Vec<Path> = Vec::new();
        let mut add = |text: &str, spelling| {
            if !paths.iter().any(|known| known.text == text) {
                paths.push(Path { text: text.to_owned(), spelling });
            }
        };
        let mapped = self.maps.iter().flat_map(Map::entries).map(|(_, source)| source);
        let details = self.maps.iter().flat_map(Map::details).map(|(_, source)| source);
        for source in mapped.chain(details).chain(self.only.iter().map(|only| &only.column)) {
            match source {
                Source::Named(path) => add(path, Spelling::Named),
                Source::Numbered(number) => {
                    let headings = first.map(|first| first.iter().map(|path| (*path).to_owned()).collect());
                    return Err(ImportError::NoSuchColumn { column: number.to_string(), headings });
                }
                Source::Constant(_) | Source::Quoted(_) => {}
            }
        }
        if let Some(format) = self.format {
            let fields = Field::ALL.into_iter().flat_map(|field| format.alternatives(field));
            let filter = format.only().into_iter().flat_map(FormatFilter::all_headings);
            fields.copied().chain(filter).for_each(|heading| add(heading, Spelling::Letters));
        } else {
            Field::ALL.into_iter().flat_map(own_names).for_each(|name| add(name, Spelling::Case));
        }
        Ok(paths)
    }

    /// Returns a field that each call must have, if neither an option nor the first object's `paths` hold it.
    fn lacking(&self, paths: &[&str]) -> Option<Field> {
        let has = |name: &str| paths.iter().any(|path| path.eq_ignore_ascii_case(name));
        let is_lacking =
            |field: &Field| self.format.is_none() && !self.is_mapped(*field) && !own_names(*field).any(has);
        NEEDED.into_iter().find(is_lacking)
    }

    /// Refuses a first object that is no call of the format: an object around the list of calls has neither a party nor a
    /// direction, and no line of such a file would be a call.
    fn check_first(&self, paths: &[&str]) -> Result<(), ImportError> {
        let Some(format) = self.format else { return Ok(()) };
        let has = |wanted: &str, spelling: Spelling| paths.iter().any(|path| spelling.is_same(wanted, path));
        let is_mapped = |(field, source): (Field, &Source)| match (field, source) {
            (Field::From | Field::To, Source::Named(path)) => has(path, Spelling::Named),
            _ => false,
        };
        let mut headings = [Field::From, Field::To].into_iter().flat_map(|field| format.alternatives(field));
        let has_party = headings.any(|heading| has(heading, Spelling::Letters))
            || self.maps.iter().flat_map(Map::entries).any(is_mapped);
        let filter = format.only();
        let has_direction =
            filter.is_some_and(|filter| filter.all_headings().any(|heading| has(heading, Spelling::Letters)));
        match filter {
            _ if !has_party && !has_direction => Err(ImportError::NotRecords(NO_CALL)),
            Some(filter) if !has_direction && self.only.is_empty() => {
                Err(ImportError::NoDirection { column: filter.headings[0], headings: self::known(paths) })
            }
            _ => Ok(()),
        }
    }

    /// Returns the source of a field: the last `--map` that names it, else the format's column, else the column with
    /// the field's name.
    fn cell(&self, field: Field, names: &[&str]) -> Result<Option<Cell>, ImportError> {
        let mapped = self.maps.iter().flat_map(Map::entries).filter(|(known, _)| *known == field).last();
        match (mapped, self.format) {
            (Some((_, source)), _) => mapped_cell(field.name(), source, names).map(Some),
            (None, Some(format)) => {
                let columns = place_all(names, format.alternatives(field))?;
                if columns.is_empty() && format.requires(field) {
                    return Err(ImportError::Unmapped { field: field.name(), headings: known(names) });
                }
                Ok(Cell::of(columns))
            }
            (None, None) => {
                let mut columns = Vec::new();
                for name in own_names(field) {
                    columns.extend(place(names, name, Spelling::Case)?);
                }
                Ok((!columns.is_empty()).then_some(Cell::OneOf(columns)))
            }
        }
    }
}

/// Returns the source that a `--map` gives to a field or a detail.
fn mapped_cell(name: &str, source: &Source, names: &[&str]) -> Result<Cell, ImportError> {
    match source {
        Source::Quoted(text) if names.contains(&text.trim()) => {
            Err(ImportError::HeadingOrText { field: name.to_owned(), text: text.clone() })
        }
        Source::Constant(text) | Source::Quoted(text) => Ok(Cell::Constant(text.trim().to_owned())),
        column => column_of(column, names).map(|at| Cell::Columns(vec![at])),
    }
}

/// Returns the headings of a field in files of no other format.
fn own_names(field: Field) -> impl Iterator<Item = &'static str> {
    let also = match field {
        Field::At => Some("started_at"),
        Field::Agent => Some("agent_id"),
        _ => None,
    };
    let name = field.is_found_by_name().then(|| field.name());
    name.into_iter().chain(also)
}

impl Cell {
    fn of(columns: Vec<usize>) -> Option<Self> {
        (!columns.is_empty()).then_some(Self::Columns(columns))
    }

    fn columns(&self) -> &[usize] {
        match self {
            Self::Columns(columns) | Self::OneOf(columns) => columns,
            Self::Constant(_) => &[],
        }
    }
}

fn column_of(source: &Source, names: &[&str]) -> Result<usize, ImportError> {
    match source {
        Source::Named(name) => find(names, name),
        Source::Numbered(number) => Ok(number - 1),
        Source::Constant(_) | Source::Quoted(_) => unreachable!("a fixed text is not a column"),
    }
}

fn label(source: &Source) -> String {
    match source {
        Source::Named(name) => format!("`{name}`"),
        Source::Numbered(number) => format!("column {number}"),
        Source::Constant(_) | Source::Quoted(_) => String::new(),
    }
}

fn find(names: &[&str], name: &str) -> Result<usize, ImportError> {
    let none = || ImportError::NoSuchColumn { column: format!("`{name}`"), headings: known(names) };
    place(names, name, Spelling::Named)?.ok_or_else(none)
}

/// Returns the column with this heading in one of its spellings.
///
/// # Errors
/// If several columns have the heading. A heading that the user named exactly has precedence.
fn place(names: &[&str], name: &str, spelling: Spelling) -> Result<Option<usize>, ImportError> {
    let exact = all(names, |heading| spelling == Spelling::Named && heading == name);
    let found = if exact.is_empty() { all(names, |heading| spelling.is_same(name, heading)) } else { exact };
    single(&found, name)
}

/// Returns the columns with these headings, in the order of the headings. `start_time`, `Start Time` and `startTime` are
/// one heading.
///
/// # Errors
/// If several columns have the first heading that the file has.
fn place_all(names: &[&str], headings: &[&str]) -> Result<Vec<usize>, ImportError> {
    let mut columns = Vec::new();
    for heading in headings {
        match place(names, heading, Spelling::Letters) {
            Ok(at) => columns.extend(at),
            Err(error) if columns.is_empty() => return Err(error),
            // The column with an earlier heading holds the field.
            Err(_) => {}
        }
    }
    Ok(columns)
}

fn all(names: &[&str], is_it: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..names.len()).filter(|at| is_it(names[*at])).collect()
}

/// Returns the only column of these.
fn single(columns: &[usize], heading: &str) -> Result<Option<usize>, ImportError> {
    match columns {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let columns = several.iter().map(|at| at + 1).collect();
            Err(ImportError::RepeatedHeading { heading: heading.to_owned(), columns })
        }
    }
}

/// Returns whether a heading is a phone number or a time, so that the line is no header.
fn looks_like_value(heading: &str) -> bool {
    let digits = heading.bytes().filter(u8::is_ascii_digit).count();
    digits >= 5 || (digits > 0 && !heading.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

/// Returns the headings for an error message. `None` if they may be a call, because then the file has no header.
fn known(names: &[&str]) -> Option<Vec<String>> {
    let look_like_headings = names.iter().all(|name| name.chars().filter(char::is_ascii_digit).count() < 5);
    look_like_headings.then(|| {
        let shown = |name: &&str| name.chars().take(LONGEST_LISTED).flat_map(char::escape_debug).collect();
        let more = (names.len() > MOST_LISTED).then(|| format!("and {} more", names.len() - MOST_LISTED));
        names.iter().take(MOST_LISTED).map(shown).chain(more).collect()
    })
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
            Some(Cell::Columns(columns) | Cell::OneOf(columns)) => {
                columns.iter().map(usize::to_string).collect::<Vec<_>>().join("/")
            }
            Some(Cell::Constant(text)) => format!("={text}"),
        };
        layout.shapes[shape].cells.iter().map(show).collect()
    }

    #[test]
    fn columns_without_map_are_found_by_field_name() {
        let header = Record::from(vec!["agent_id", "To", " from ", "started_at", "x"]);
        let layout = Layout::with_header(wanted(None, &[]), &header).unwrap();
        assert_eq!(cells(&layout, 0), ["2", "1", "3", "-", "-", "0", "-", "-", "-"]);
        assert_eq!(layout.shapes[0].columns, 5..=5);
    }

    #[test]
    fn field_with_two_headings_is_refused_unless_the_user_names_one() {
        for (headings, columns) in [
            (["from", "to", "at", "started_at", "agent"], vec![3, 4]),
            (["from", "to", "at", "Agent_ID", "agent"], vec![4, 5]),
            (["from", "From", "to", "at", "agent"], vec![1, 2]),
        ] {
            let header = Record::from(headings.to_vec());
            let error = Layout::with_header(wanted(None, &[]), &header).expect_err("two columns");
            let (ImportError::WhichColumn { columns: found, .. } | ImportError::RepeatedHeading { columns: found, .. }) =
                error
            else {
                panic!("{error}")
            };
            assert_eq!(found, columns, "{headings:?}");
            let maps: Vec<Map> = ["from=from,at=at,agent=agent"].map(|map| map.parse().unwrap()).into();
            assert!(Layout::with_header(wanted(None, &maps), &header).is_ok(), "{headings:?}");
        }
    }

    #[test]
    fn map_overrides_single_columns_of_a_format() {
        let maps: Vec<Map> = ["agent=userfield,at=11", "agent==bot"].map(|map| map.parse().unwrap()).into();
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps)).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "10", "-", "-", "=bot", "14", "-", "-"]);
        assert_eq!(ranges(&layout.shapes), "16 to 21");
        let layout = Layout::without_header(wanted(Some(Format::Asterisk), &maps[..1])).unwrap();
        assert_eq!(ranges(&layout.shapes), "18 or 21", "a line must have the column");
        let error = layout.shape(&Record::from(vec![""; 17])).unwrap_err();
        assert_eq!(error, Rejection::WhichColumn { found: 17, column: 17 });
        let error = layout.shape(&Record::from(vec![""; 16])).unwrap_err();
        assert_eq!(error, Rejection::Columns { found: 16, expected: "18 or 21".into() });
    }

    #[test]
    fn freeswitch_layout_follows_from_the_number_of_columns() {
        let layout = Layout::without_header(wanted(Some(Format::Freeswitch), &[])).unwrap();
        assert_eq!(cells(&layout, 0), ["1", "2", "4", "-", "-", "12", "9", "5", "-"]);
        assert_eq!(cells(&layout, 1), ["2", "3", "5", "-", "-", "13", "10", "6", "-"]);
        assert_eq!(cells(&layout, 3), ["1", "2", "9", "-", "-", "0", "14", "10", "-"], "template `asterisk`");
        assert_eq!(ranges(&layout.shapes), "13 to 18 or 20");
        assert!(layout.shape(&Record::from(vec![""; 19])).is_err());
    }

    #[test]
    fn missing_column_is_named_in_the_error() {
        let header = Record::from(vec!["method", "time", "src_user", "dst_user", "sip_code"]);
        let error = Layout::with_header(wanted(Some(Format::Kamailio), &[]), &header).unwrap_err();
        assert!(matches!(error, ImportError::Unmapped { field: "agent", .. }), "{error}");
        let maps = ["agent=bot".parse().unwrap()];
        let error = Layout::with_header(wanted(None, &maps), &header).unwrap_err();
        assert!(matches!(error, ImportError::Unmapped { .. } | ImportError::NoSuchColumn { .. }), "{error}");
        let no_header = Record::from(vec!["15550100", "15550101"]);
        let error = Layout::with_header(wanted(None, &[]), &no_header).unwrap_err();
        assert!(!error.to_string().contains("5550"), "{error}");
    }

    #[test]
    fn numbered_columns_work_without_header() {
        let maps = ["from=1,to=2,at=3,agent==bot".parse().unwrap()];
        let layout = Layout::without_header(wanted(None, &maps)).unwrap();
        assert!(layout.shape(&Record::from(vec!["", ""])).is_err());
        assert!(layout.shape(&Record::from(vec!["", "", ""])).is_ok());
        assert!(layout.shape(&Record::from(vec!["", "", "", ""])).is_ok());
    }

    #[test]
    fn format_without_its_direction_needs_a_filter() {
        let header = Record::from(vec!["from", "to", "start_time", "status"]);
        let maps = ["agent==bot".parse().unwrap()];
        let error = Layout::with_header(wanted(Some(Format::Twilio), &maps), &header).unwrap_err();
        assert!(matches!(error, ImportError::NoDirection { column: "direction", .. }), "{error}");
        let only = ["status=completed".parse().unwrap()];
        let wanted = Wanted { only: &only, ..wanted(Some(Format::Twilio), &maps) };
        assert!(Layout::with_header(wanted, &header).is_ok());
    }

    #[test]
    fn headings_of_platforms_are_found_in_each_spelling() {
        let console = ["Call Sid", "From", "To", "Start Time", "Status", "Direction"];
        let found = |format: Format, field, names: &[&str]| place_all(names, format.alternatives(field)).ok();
        assert_eq!(found(Format::Twilio, Field::At, &console), Some(vec![3]));
        assert_eq!(found(Format::Twilio, Field::At, &["sid", "startTime"]), Some(vec![1]));
        assert_eq!(found(Format::Twilio, Field::Agent, &console), Some(vec![]));
        assert_eq!(found(Format::Vapi, Field::To, &["Customer Phone Number", "customer.number"]), Some(vec![1, 0]));
        assert_eq!(found(Format::Vapi, Field::To, &["Phone Number", "Customer Phone Number"]), Some(vec![1]));
        assert_eq!(found(Format::Retell, Field::From, &["from", "From"]), None, "two columns of one name");
        assert_eq!(found(Format::Retell, Field::From, &["From", "FROM", "from_number"]), Some(vec![2]));
        let filter = Format::Twilio.only().expect("a filter");
        assert_eq!(place_all(&console, filter.headings).ok(), Some(vec![5]));
    }

    #[test]
    fn json_of_a_platform_has_a_column_for_each_heading() {
        let maps = ["agent==bot".parse().unwrap()];
        let first = ["type".to_owned()];
        let (layout, paths) = Layout::of_json(wanted(Some(Format::Vapi), &maps), Some(&first)).unwrap();
        let places = ["customer.number", "customer_phone_number", "customer_number"]
            .map(|heading| paths.iter().position(|path| path.text == heading).expect("a column").to_string());
        assert_eq!(cells(&layout, 0)[Field::To as usize], places.join("/"));
    }
}
