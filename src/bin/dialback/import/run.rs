//! `dialback import`: loads call records from a CSV file. An export is recognized here, and the library restores it.
//!
//! The calling thread reads and parses the lines and submits them to the service in batches. A call counts once it is
//! durable. A line that is rejected is reported by its number. No phone number is printed.

use super::attempts::Attempts;
use super::error::ImportError;
use super::layout::{Layout, Wanted};
use super::lines::{Line, Lines};
use super::options::Options;
use super::pipeline::Pipeline;
use super::reading::Reading;
use super::record::Splitter;
use super::rejection::Rejection;
use super::report::ImportReport;
use super::roster::Roster;
use super::source::{Source, unreadable};
use super::summary::Summary;
use super::tenant;
use csv::ByteRecord;
use dialback::{Call, Service, Timestamp};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

/// The number of lines between two progress updates.
const LOOK_EVERY: u64 = 1024;

/// Imports a file. Writes the summary to `out` and rejected lines to `err`. Draws progress on standard error.
///
/// All accepted calls are durable when this returns. A file can be imported again: known calls change nothing.
///
/// # Errors
/// The reason why the import could not complete. Rejected lines are not an error: see [`Summary::is_complete`].
pub(crate) fn run(
    options: &Options,
    source: Source,
    service: &Service,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Summary, ImportError> {
    let started = Instant::now();
    let Source { reader, size } = source;
    let mut report = ImportReport::new(err, options.json, options.progress, size);
    if let Some(path) = &options.reject_file {
        refuse_same_file(&options.file, path)?;
        report.keep_rejected(path)?;
    }
    let imported = Import::begin(options, service, now, Box::new(reader))?.run(&mut report);
    // On an error too, the progress bar must disappear before the error is printed.
    report.finish()?;
    let summary = Summary { elapsed: started.elapsed(), ..imported? };
    let written = if options.json { writeln!(out, "{}", summary.to_json()) } else { writeln!(out, "{summary}") };
    written.map_err(|error| ImportError::Write { path: None, error })?;
    Ok(summary)
}

/// Returns an error if the reject file is the input file, because writing it would destroy the input.
fn refuse_same_file(file: &Path, rejected: &Path) -> Result<(), ImportError> {
    match (file.canonicalize(), rejected.canonicalize()) {
        (Ok(file), Ok(rejected)) if file == rejected => {
            let error = io::Error::other("it is the file to import: choose another --reject-file");
            Err(ImportError::Write { path: Some(rejected), error })
        }
        _ => Ok(()),
    }
}

/// Returns the options that determine the columns.
fn wanted(options: &Options) -> Wanted<'_> {
    Wanted { format: options.format, maps: &options.map, only: &options.only }
}

/// Returns whether the first record is a header, although files of the format have none.
fn is_header(options: &Options, first: &ByteRecord) -> bool {
    !options.no_header && options.format.is_some_and(|format| format.is_header(first))
}

/// A running import.
struct Import<'a> {
    options: &'a Options,
    now: Timestamp,
    lines: Lines<Box<dyn Read>>,
    splitter: Splitter,
    reading: Reading,
    attempts: Attempts,
    pipeline: Pipeline<'a>,
    records: u64,
    skipped: u64,
}

impl<'a> Import<'a> {
    fn begin(
        options: &'a Options,
        service: &'a Service,
        now: Timestamp,
        source: Box<dyn Read>,
    ) -> Result<Self, ImportError> {
        let lines = Lines::new(source, options.delimiter).map_err(unreadable(&options.file))?;
        let environment = tenant::find(service, options.environment.as_deref(), options.create_missing, now)?;
        let plan = service.plan();
        let view = plan.environment(environment).ok_or(ImportError::NoEnvironment)?;
        let roster = Roster::new(&plan, view, options.create_missing);
        let reading = Reading::new(environment, roster, options, now);
        let attempts = Attempts::new(Reading::are_final(options));
        let splitter = Splitter::new(options.delimiter);
        let pipeline = Pipeline::new(service);
        Ok(Self { options, now, lines, splitter, reading, attempts, pipeline, records: 0, skipped: 0 })
    }

    fn run(mut self, report: &mut ImportReport<'_>) -> Result<Summary, ImportError> {
        // A layout without a header may lack a column that a header has.
        let mut layout = self.layout(report);
        while let Some(Line { number, bytes, broken }) = self.lines.next().map_err(unreadable(&self.options.file))? {
            self.records += 1;
            let taken = if let Some(rejection) = broken {
                Err(rejection)
            } else {
                let record = self.splitter.split(bytes);
                let is_first = self.records == 1;
                if is_first && is_header(self.options, record) {
                    layout = Layout::with_header(wanted(self.options), record);
                    report.keep_header(bytes)?;
                    continue;
                }
                let layout = match layout {
                    Ok(ref layout) => layout,
                    Err(error) => return Err(error),
                };
                match layout.shape(record) {
                    Ok(shape) if shape.is_wanted(record) => self.reading.call(record, shape)?,
                    Ok(_) => Ok(None),
                    Err(rejection) => Err(rejection),
                }
            };
            match taken {
                Ok(Some(call)) => {
                    if let Some((line, call)) = self.attempts.add(number, call) {
                        self.push(line, call, report)?;
                    }
                }
                Ok(None) => self.skipped += 1,
                Err(rejection) => report.reject(number, bytes, &rejection)?,
            }
            if self.records.is_multiple_of(LOOK_EVERY) {
                report.progress(self.lines.position(), self.records)?;
            }
        }
        layout?;
        while let Some((line, call)) = self.attempts.next() {
            self.push(line, call, report)?;
        }
        self.send(report)?;
        self.pipeline.finish()?;
        self.report_refused(report)?;
        Ok(self.summary(report.rejected))
    }

    fn layout(&mut self, report: &mut ImportReport<'_>) -> Result<Layout, ImportError> {
        let wanted = wanted(self.options);
        let headless = self.options.no_header || wanted.format.is_some_and(|format| !format.writes_header());
        if headless {
            return Layout::without_header(wanted);
        }
        match self.lines.next().map_err(unreadable(&self.options.file))? {
            None => Err(ImportError::NoHeader("the file is empty")),
            Some(Line { broken: Some(_), .. }) => Err(ImportError::NoHeader("the first line is broken")),
            Some(Line { bytes, broken: None, .. }) => {
                report.keep_header(bytes)?;
                Layout::with_header(wanted, self.splitter.split(bytes))
            }
        }
    }

    fn push(&mut self, line: u64, call: Call, report: &mut ImportReport<'_>) -> Result<(), ImportError> {
        if self.pipeline.push(line, call) { self.send(report) } else { Ok(()) }
    }

    fn send(&mut self, report: &mut ImportReport<'_>) -> Result<(), ImportError> {
        let changes = self.reading.roster.additions();
        self.pipeline.send(self.reading.environment, changes, self.now)?;
        self.report_refused(report)
    }

    /// Reports lines that the service rejected. Their text is no longer in memory, so it cannot go into the reject
    /// file.
    fn report_refused(&mut self, report: &mut ImportReport<'_>) -> Result<(), ImportError> {
        for (line, why) in self.pipeline.refused.drain(..) {
            report.reject(line, &[], &Rejection::Refused(why))?;
        }
        Ok(())
    }

    fn summary(&self, rejected: u64) -> Summary {
        let tally = self.pipeline.tally;
        Summary {
            accepted: tally.recorded + tally.unchanged + tally.erased,
            unchanged: tally.unchanged,
            erased: tally.erased,
            rejected,
            skipped: self.skipped,
            created_numbers: self.reading.roster.created_numbers,
            created_agents: self.reading.roster.created_agents,
            ..Summary::default()
        }
    }
}
