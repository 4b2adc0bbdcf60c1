//! Reports rejected lines and progress while an import runs.

use super::error::ImportError;
use super::rejection::Rejection;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The interval of progress lines if no progress bar can be drawn.
const EVERY: Duration = Duration::from_secs(5);

pub(super) struct ImportReport<'a> {
    err: &'a mut dyn Write,
    json: bool,
    bar: ProgressBar,
    /// Whether progress is printed as lines, because there is no terminal for a progress bar.
    lines_instead: bool,
    size: Option<u64>,
    started: Instant,
    said: Instant,
    repairs: Option<Repairs>,
    pub(super) rejected: u64,
}

/// The file for rejected lines.
struct Repairs {
    path: PathBuf,
    file: BufWriter<File>,
    /// Whether the last line is written, but not its end.
    is_open: bool,
}

impl<'a> ImportReport<'a> {
    /// Creates a report on a file of `size` bytes, if the size is known.
    pub(super) fn new(err: &'a mut dyn Write, json: bool, progress: bool, size: Option<u64>) -> Self {
        let bar = if progress && !json {
            ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr_with_hz(8)).with_style(style(size))
        } else {
            ProgressBar::hidden()
        };
        let lines_instead = progress && !json && bar.is_hidden();
        let now = Instant::now();
        Self { err, json, bar, lines_instead, size, started: now, said: now, repairs: None, rejected: 0 }
    }

    /// Writes rejected lines unchanged to `path`. Only the user can read that file, because it contains whole phone
    /// numbers.
    pub(super) fn keep_rejected(&mut self, path: &Path) -> Result<(), ImportError> {
        let mut new = OpenOptions::new();
        new.write(true).create(true).truncate(true).mode(0o600);
        let file = new.open(path).map_err(|error| unwritable(path, error))?;
        self.repairs = Some(Repairs { path: path.to_owned(), file: BufWriter::new(file), is_open: false });
        Ok(())
    }

    /// Writes the header, or another line before the first record, before the rejected lines.
    pub(super) fn keep_header(&mut self, line: &[u8]) -> Result<(), ImportError> {
        self.repairs.as_mut().map_or(Ok(()), |repairs| repairs.keep(line))
    }

    /// Reports a rejected line. The reject file gets its bytes, if there are any.
    pub(super) fn reject(&mut self, number: u64, bytes: &[u8], why: &Rejection) -> Result<(), ImportError> {
        self.rejected += 1;
        self.say(number, why)?;
        self.repairs.as_mut().filter(|_| !bytes.is_empty()).map_or(Ok(()), |repairs| repairs.keep(bytes))
    }

    /// Keeps the next piece of the rejected line, which is too long for one.
    pub(super) fn keep_rest(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.repairs.as_mut().map_or(Ok(()), |repairs| repairs.keep_rest(piece))
    }

    fn say(&mut self, number: u64, why: &dyn fmt::Display) -> Result<(), ImportError> {
        // The line is written in one call, because standard error is not buffered.
        let line = if self.json {
            format!("{}\n", serde_json::json!({ "line": number, "message": why.to_string() }))
        } else {
            format!("line {number}: {why}\n")
        };
        let Self { err, bar, .. } = self;
        let written = bar.suspend(|| err.write_all(line.as_bytes()));
        written.map_err(|error| ImportError::Write { path: None, error })
    }

    /// Reports how far the file has been read.
    pub(super) fn progress(&mut self, position: u64, lines: u64) -> Result<(), ImportError> {
        let rate = HumanCount(rate(lines, self.started.elapsed()));
        if !self.lines_instead {
            self.bar.set_position(position);
            self.bar.set_message(format!("{} lines, {rate}/s", HumanCount(lines)));
            return Ok(());
        }
        if self.said.elapsed() < EVERY {
            return Ok(());
        }
        self.said = Instant::now();
        let lines = HumanCount(lines);
        let written = match self.size.filter(|size| *size > 0) {
            Some(size) => writeln!(self.err, "{lines} lines ({} %), {rate}/s", position.saturating_mul(100) / size),
            None => writeln!(self.err, "{lines} lines, {rate}/s"),
        };
        written.map_err(|error| ImportError::Write { path: None, error })
    }

    /// Reports that the file has been read completely.
    pub(super) fn finish(&mut self) -> Result<(), ImportError> {
        self.bar.finish_and_clear();
        self.repairs.as_mut().map_or(Ok(()), Repairs::flush)
    }
}

impl Repairs {
    fn keep(&mut self, line: &[u8]) -> Result<(), ImportError> {
        self.end_line()?;
        self.is_open = true;
        self.keep_rest(line)
    }

    fn keep_rest(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.file.write_all(piece).map_err(|error| unwritable(&self.path, error))
    }

    fn end_line(&mut self) -> Result<(), ImportError> {
        if std::mem::take(&mut self.is_open) { self.keep_rest(b"\n") } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        self.end_line()?;
        self.file.flush().map_err(|error| unwritable(&self.path, error))
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> ImportError {
    ImportError::Write { path: Some(path.to_owned()), error }
}

fn rate(lines: u64, elapsed: Duration) -> u64 {
    u64::try_from(u128::from(lines) * 1000 / elapsed.as_millis().max(1)).unwrap_or(u64::MAX)
}

fn style(size: Option<u64>) -> ProgressStyle {
    let template = match size {
        Some(_) => "{bar:24} {percent:>3} %  {msg}  {eta} left",
        None => "{spinner} {bytes}  {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
