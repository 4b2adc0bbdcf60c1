//! Why nothing, or nothing more, could be imported.

use dialback::ServiceError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an import could not run to its end. Lines before it that were acknowledged are in; importing the file again is safe.
#[derive(Debug)]
pub(crate) enum ImportError {
    /// The file cannot be opened or read.
    Read { path: PathBuf, error: io::Error },
    /// The file for rejected lines, or the output, cannot be written.
    Write { path: Option<PathBuf>, error: io::Error },
    /// There should be a header, but there is no line or a broken one.
    NoHeader(&'static str),
    /// A column that `--map`, `--only` or the format names is not there.
    NoSuchColumn { column: String, headings: Option<Vec<String>> },
    /// Nothing says where a field comes from.
    Unmapped { field: &'static str, headings: Option<Vec<String>> },
    /// There is no environment.
    NoEnvironment,
    /// There are several, and none was named.
    WhichEnvironment(Vec<String>),
    /// There is none, or more than one, of that name or id.
    UnknownEnvironment(String),
    /// The service has stopped taking changes.
    Service(ServiceError),
    /// The operating system has no random numbers for new ids.
    Random,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write { path: Some(path), error } => write!(f, "cannot write {}: {error}", path.display()),
            Self::Write { path: None, error } => write!(f, "cannot write the output: {error}"),
            Self::NoHeader(why) => write!(f, "the file has no header: {why}; see --no-header and --format"),
            Self::NoSuchColumn { column, headings } => {
                write!(f, "there is no column {column}")?;
                write_headings(f, headings.as_deref())
            }
            Self::Unmapped { field, headings } => {
                write!(f, "nothing says where `{field}` comes from: add --map {field}=COLUMN")?;
                if *field == "agent" {
                    f.write_str(", or --map agent==NAME where one agent placed all the calls")?;
                }
                write_headings(f, headings.as_deref())
            }
            Self::NoEnvironment => f.write_str("there is no environment: create one first, or add --create-missing"),
            Self::WhichEnvironment(names) => {
                write!(f, "there are several environments: add --environment with one of {}", names.join(", "))
            }
            Self::UnknownEnvironment(name) => {
                write!(f, "there is not exactly one environment of the name or id `{}`", name.escape_debug())
            }
            Self::Service(error) => error.fmt(f),
            Self::Random => f.write_str("the operating system gives no random numbers for new ids"),
        }
    }
}

fn write_headings(f: &mut fmt::Formatter<'_>, headings: Option<&[String]>) -> fmt::Result {
    match headings {
        Some([]) => f.write_str("; without a header columns are named by number, from 1"),
        Some(headings) => write!(f, "; the columns are {}", headings.join(", ")),
        None => f.write_str("; the first line does not look like a header, see --no-header"),
    }
}

impl std::error::Error for ImportError {}

impl From<ServiceError> for ImportError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}
