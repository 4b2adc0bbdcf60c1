//! Reports rejected lines and progress while an import runs.

pub(super) mod preview;
pub(super) mod reasons;
pub(super) mod reject_file;
pub(super) mod rejection;
pub(super) mod seen;
pub(super) mod span;
pub(super) mod summary;

use crate::import::error::ImportError;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reasons::Reasons;
use reject_file::RejectFile;
use rejection::Rejection;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The interval of progress lines if no progress bar can be drawn.
const EVERY: Duration = Duration::from_secs(5);

pub(in crate::import) struct ImportReport<'a> {
    err: &'a mut dyn Write,
    json: bool,
    bar: ProgressBar,
    /// Whether progress is printed as lines, because there is no terminal for a progress bar.
    lines_instead: bool,
    size: Option<u64>,
    started: Instant,
    said: Instant,
    repairs: Option<RejectFile>,
    /// The number of lines with the same reason that are reported one by one.
    most_of_a_reason: u64,
    pub(in crate::import) rejected: u64,
    pub(in crate::import) reasons: Reasons,
}

/// How an import reports.
#[derive(Clone, Copy)]
pub(in crate::import) struct Manner {
    pub(in crate::import) json: bool,
    pub(in crate::import) progress: bool,
    /// The number of lines with the same reason that are reported one by one.
    pub(in crate::import) most_of_a_reason: u64,
}

impl<'a> ImportReport<'a> {
    /// Creates a report on a file of `size` bytes, if the size is known.
    pub(in crate::import) fn new(err: &'a mut dyn Write, manner: Manner, size: Option<u64>) -> Self {
        let Manner { json, progress, most_of_a_reason } = manner;
        let bar = if progress && !json {
            ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr_with_hz(8)).with_style(style(size))
        } else {
            ProgressBar::hidden()
        };
        let lines_instead = progress && !json && bar.is_hidden();
        let now = Instant::now();
        Self {
            err,
            json,
            bar,
            lines_instead,
            size,
            started: now,
            said: now,
            repairs: None,
            most_of_a_reason,
            rejected: 0,
            reasons: Reasons::new(),
        }
    }

    /// Writes rejected lines unchanged to `path`. A former file stays until the import has ended well.
    pub(in crate::import) fn keep_rejected(&mut self, path: &Path) -> Result<(), ImportError> {
        self.repairs = Some(RejectFile::create(path)?);
        Ok(())
    }

    /// Writes the header, or another line before the first record, before the rejected lines.
    pub(in crate::import) fn keep_header(&mut self, line: &[u8]) -> Result<(), ImportError> {
        self.repairs.as_mut().map_or(Ok(()), |repairs| repairs.keep(line))
    }

    /// Reports a rejected line. Of the lines with one reason, only the first ones are reported one by one.
    pub(in crate::import) fn note(&mut self, number: u64, why: &Rejection) -> Result<(), ImportError> {
        self.rejected += 1;
        if self.reasons.count(number, why) <= self.most_of_a_reason { self.say(number, why) } else { Ok(()) }
    }

    /// Writes the bytes of a rejected line to the reject file, if there are any.
    pub(in crate::import) fn keep(&mut self, bytes: &[u8], why: &Rejection) -> Result<(), ImportError> {
        let Some(repairs) = self.repairs.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        if *why == Rejection::MayBeCut {
            repairs.keep_cut(bytes);
            return Ok(());
        }
        repairs.keep(bytes)
    }

    /// Keeps the next piece of the rejected line, which is too long for one.
    pub(in crate::import) fn keep_rest(&mut self, piece: &[u8]) -> Result<(), ImportError> {
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
    pub(in crate::import) fn progress(&mut self, position: u64, lines: u64) -> Result<(), ImportError> {
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

    /// Removes the progress bar.
    pub(in crate::import) fn end_progress(&mut self) {
        self.bar.finish_and_clear();
    }

    /// Puts the file of rejected lines in place of a former one.
    pub(in crate::import) fn finish(self) -> Result<Reasons, ImportError> {
        self.repairs.map_or(Ok(()), RejectFile::finish)?;
        Ok(self.reasons)
    }
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
