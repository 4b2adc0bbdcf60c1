//! `dialback export`, and the restore of an export by `dialback import`.

use super::remote::Remote;
use crate::data::DataOptions;
use crate::failure::{Failure, in_part};
use crate::new_file::NewFile;
use crate::{data, out};
use dialback::store;
use serde_json::Value;
use std::io::{self, BufRead, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The additional text of `--help`.
const LONG_HELP: &str = "\
The export has one JSON object a line: the configurations, the last call of each pair, and the
erasures. It is a consistent snapshot, also while a daemon runs. It contains all phone numbers
except erased ones, so only its own user can read the file. An incomplete export has no last
line, and `dialback import` rejects it.

Examples:
  dialback export backup.ndjson
  dialback export | gzip > backup.ndjson.gz
  dialback import backup.ndjson --data new-directory";

#[derive(Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct ExportOptions {
    /// The file. It appears when the export is complete. `-` writes to standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
    /// Skip damaged records, and report how many damaged ranges were skipped. Not possible while a daemon runs
    #[arg(long)]
    salvage: bool,
    #[command(flatten)]
    data: DataOptions,
}

pub(crate) fn run(options: &ExportOptions, json: bool) -> Result<ExitCode, Failure> {
    if !options.data.data.exists() {
        return Err(Failure::no_directory(&options.data.data));
    }
    let last = if options.file == Path::new("-") {
        let mut out = Tail::of(stdout());
        export(options, &mut out)?;
        out.last_line()?
    } else {
        if options.file.is_file() && !options.overwrite {
            let path = options.file.display();
            return Err(Failure::new(format!("{path} exists: name another file, or add --overwrite")));
        }
        to_file(&options.file, |file| export(options, file))?
    };
    let exported = &last["end"];
    // The message goes to standard error if the export itself goes to standard output.
    let said = if json { writeln!(stderr(), "{exported}") } else { writeln!(stderr(), "exported: {}", said(exported)) };
    // If standard error is closed, the exit code still reports the result.
    let _ = said;
    Ok(if exported["passed_over"] == 0 { ExitCode::SUCCESS } else { in_part() })
}

/// Creates a data directory from an export.
pub(crate) fn restore(data: &Path, source: impl BufRead, json: bool) -> Result<ExitCode, Failure> {
    let restored = serde_json::to_value(store::restore(data, source)?).expect("numbers");
    if json {
        out::exact(format_args!("{restored}"))?;
    } else {
        out::line(format_args!("imported: {}", said(&restored)))?;
    }
    Ok(if restored["passed_over"] == 0 { ExitCode::SUCCESS } else { in_part() })
}

fn said(exported: &Value) -> String {
    let Value::Object(counts) = exported else { return String::new() };
    let count =
        |(what, many): (&String, &Value)| many.as_u64().map(|many| format!("{many} {}", what.replace('_', " ")));
    counts.iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

fn export(options: &ExportOptions, out: &mut dyn Write) -> Result<(), Failure> {
    let data = &options.data.data;
    match Remote::or_opened(data, || data::unless_held(data::open_store(data)))? {
        Ok(store) => Ok(store.exporter().export(out, options.salvage).map(|_| ())?),
        Err(_) if options.salvage => {
            Err(Failure::new("a daemon holds the data directory: stop it before you use --salvage"))
        }
        Err(remote) => remote.stream("/export", out),
    }
}

fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<Value, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut out = Tail::of(NewFile::create(path).map_err(failed)?);
    write(&mut out)?;
    let last = out.last_line()?;
    out.inner.finish().map_err(failed)?;
    Ok(last)
}

/// A writer that keeps the end of the output, which shows whether the export is complete.
struct Tail<W> {
    inner: W,
    end: Vec<u8>,
}

/// More bytes than the last line has.
const END: usize = 1024;

impl<W: Write> Tail<W> {
    fn of(inner: W) -> Self {
        Self { inner, end: Vec::new() }
    }

    fn last_line(&mut self) -> Result<Value, Failure> {
        self.inner.flush().map_err(|error| Failure::new(format!("cannot write the output: {error}")))?;
        let line = self.end.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
        let line: Option<Value> = line.and_then(|line| serde_json::from_slice(line).ok());
        line.filter(|line| line["end"].is_object())
            .ok_or_else(|| Failure::new("the export is incomplete: its last line is missing"))
    }
}

impl<W: Write> Write for Tail<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.end.extend_from_slice(&bytes[..written]);
        let too_much = self.end.len().saturating_sub(END);
        self.end.drain(..too_much);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
