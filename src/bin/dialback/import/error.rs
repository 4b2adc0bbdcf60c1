//! The errors that end an import.

use super::destination::Made;
use crate::failure::Failure;
use dialback::ServiceError;
use dialback::store::StoreError;
use indicatif::HumanCount;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The reason why an import could not complete.
#[derive(Debug)]
pub(crate) enum ImportError {
    /// The file cannot be opened or read.
    Read { path: PathBuf, error: io::Error },
    /// The file for rejected lines or the output cannot be written.
    Write { path: Option<PathBuf>, error: io::Error },
    /// The header line is missing or broken.
    NoHeader(&'static str),
    /// The file is of a kind that cannot be read. The text says which, and what to do.
    NotRecords(&'static str),
    /// Several delimiters fit the first line.
    WhichDelimiter(Vec<&'static str>),
    /// Several columns have the heading of a field.
    RepeatedHeading { heading: String, columns: Vec<usize> },
    /// Several columns have a name of the field.
    WhichColumn { field: &'static str, columns: Vec<usize> },
    /// A fixed text in quotes is also a heading.
    HeadingOrText { field: String, text: String },
    /// Two `--map` name a column of this detail.
    MappedTwice(String),
    /// A column that `--map`, `--only` or the format names does not exist.
    NoSuchColumn { column: String, headings: Option<Vec<String>> },
    /// No column is known for a field.
    Unmapped { field: &'static str, headings: Option<Vec<String>> },
    /// The format distinguishes calls to contacts by a column that does not exist.
    NoDirection { column: &'static str, headings: Option<Vec<String>> },
    /// There is no environment.
    NoEnvironment,
    /// There are several environments, and none was named.
    WhichEnvironment(Vec<String>),
    /// There is no environment, or more than one, with this name or id.
    UnknownEnvironment(String),
    /// The records name more new agents or numbers than the import may create. A dry run knows how many.
    TooManyNew { kind: &'static str, limit: u64, count: Option<u64> },
    /// Another process holds the data directory.
    InUse(PathBuf),
    /// The service no longer accepts changes.
    Service(ServiceError),
    /// The data directory or the daemon cannot be used.
    Failed(Failure),
    /// The import ended after its first calls or entities had been submitted.
    Midway { error: Box<ImportError>, stored: Stored },
    /// The operating system provides no random bytes for new ids.
    Random,
}

/// What an import had stored when it ended with an error.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(in crate::import) made: Made,
    /// The number of calls that are known to be durable.
    pub(in crate::import) calls: u64,
    /// Whether the text of these calls is that of the file. A compressed text is certain after its whole file was checked.
    pub(in crate::import) is_certain: bool,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } if path == Path::new("-") => write!(f, "cannot read standard input: {error}"),
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write { path: Some(path), error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::Write { path: None, error } => write!(f, "cannot write the output: {error}"),
            Self::NoHeader(why) => write!(f, "the file has no header ({why}): add --no-header or --format"),
            Self::NotRecords(what) => f.write_str(what),
            Self::WhichDelimiter(fitting) => {
                write!(f, "the delimiter is not certain: add --delimiter with one of {}", fitting.join(", "))
            }
            Self::RepeatedHeading { heading, columns } => {
                let columns: Vec<_> = columns.iter().map(usize::to_string).collect();
                write!(
                    f,
                    "the columns {} have the same heading `{}`: name one by its number, with --map",
                    columns.join(" and "),
                    heading.escape_debug()
                )
            }
            Self::WhichColumn { field, columns } => {
                let columns: Vec<_> = columns.iter().map(usize::to_string).collect();
                write!(f, "the columns {} may hold `{field}`: add --map {field}=COLUMN", columns.join(" and "))
            }
            Self::MappedTwice(name) => write!(f, "--map names the column of `{name}` twice: name it once"),
            Self::HeadingOrText { field, text } => write!(
                f,
                "`{0}` is a heading of the file: add --map {field}={0}, or the column's number, for the column, \
                 or --map {field}=={0} for this text in all calls",
                text.escape_debug()
            ),
            Self::NoSuchColumn { column, headings } => {
                write!(f, "there is no column {column}")?;
                write_headings(f, headings.as_deref())
            }
            Self::Unmapped { field, headings } => {
                write!(f, "no column holds `{field}`: add --map {field}=COLUMN")?;
                if *field == "agent" {
                    f.write_str(", or --map agent==NAME if one agent placed all calls")?;
                }
                write_headings(f, headings.as_deref())
            }
            Self::NoDirection { column, headings } => {
                write!(
                    f,
                    "there is no column `{column}`, which distinguishes the calls to contacts: add --only COLUMN=VALUE"
                )?;
                write_headings(f, headings.as_deref())
            }
            Self::NoEnvironment => f.write_str("there is no environment: create one first, or add --create-missing"),
            Self::WhichEnvironment(names) => {
                write!(f, "there are several environments: add --environment with one of {}", names.join(", "))
            }
            Self::UnknownEnvironment(name) => {
                write!(
                    f,
                    "no single environment has the name or id `{}`: see `dialback environment list`, or create it with \
                     `dialback environment create`",
                    name.escape_debug()
                )
            }
            Self::TooManyNew { kind, limit, count } => write_too_many(f, kind, *limit, *count),
            Self::InUse(path) => StoreError::Locked(path.clone()).fmt(f),
            Self::Service(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Midway { error, stored } => write!(f, "{error}; {stored}"),
            Self::Random => f.write_str("the operating system provides no random bytes for new ids"),
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, calls, is_certain } = self;
        let counts = [(made.numbers, "number"), (made.agents, "agent"), (*calls, "call")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| {
            let ending = if count == 1 { "" } else { "s" };
            format!("{} {kind}{ending}", HumanCount(count))
        });
        let environment = made.environment.iter().map(|name| format!("the environment `{}`", name.escape_debug()));
        let stored: Vec<_> = environment.chain(counts).collect();
        match (stored.is_empty(), made.is_least) {
            (true, false) => f.write_str("nothing is stored")?,
            (true, true) => f.write_str("a part may be stored")?,
            (false, is_least) => {
                let least = if is_least { "at least " } else { "" };
                write!(f, "stored before this, and kept: {least}{}", stored.join(", "))?;
            }
        }
        f.write_str(if *is_certain {
            "; importing the file again is safe"
        } else {
            "; compressed text is checked only at its end, so these calls may be wrong: import from a file, which is \
             checked before anything is stored"
        })
    }
}

fn write_too_many(f: &mut fmt::Formatter<'_>, kind: &str, limit: u64, count: Option<u64>) -> fmt::Result {
    let count = count.map_or_else(|| format!("more than {limit}"), |count| count.to_string());
    let field = if kind == "agents" { "agent" } else { "from" };
    write!(
        f,
        "the file names {count} new {kind}, and --create-at-most allows {limit}: check with --dry-run that `{field}` is \
         the right column, then raise --create-at-most"
    )
}

fn write_headings(f: &mut fmt::Formatter<'_>, headings: Option<&[String]>) -> fmt::Result {
    match headings {
        Some([]) => f.write_str("; without a header, use column numbers from 1"),
        Some([heading]) => {
            write!(f, "; the only column is {heading}: see --delimiter, and --skip-lines for lines above the header")
        }
        Some(headings) => write!(f, "; the columns are {}", headings.join(", ")),
        None => f.write_str("; the first line does not look like a header: see --no-header"),
    }
}

impl std::error::Error for ImportError {}

impl From<ServiceError> for ImportError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Failed(failure) => failure,
            ImportError::InUse(path) => StoreError::Locked(path).into(),
            error => Self::new(error.to_string()),
        }
    }
}
