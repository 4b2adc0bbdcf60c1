//! `dialback import`: loads call records from a CSV file. An export is recognized here, and the library restores it.
//!
//! The calling thread reads and parses the lines and submits them to the service in batches. A call counts once it is
//! durable. A line that is rejected is reported by its number. No phone number is printed.

use super::attempts::Attempts;
use super::error::ImportError;
use super::options::Options;
use super::pipeline::Pipeline;
use super::reading::Reading;
use super::records::{Entry, Records};
use super::rejection::Rejection;
use super::report::ImportReport;
use super::roster::Roster;
use super::source::{Source, unreadable};
use super::summary::Summary;
use super::tenant;
use dialback::{Call, Service, Timestamp};
use std::io::{self, BufReader, Read, Write};
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
    let Source { reader, size, kind } = source;
    let mut report = ImportReport::new(err, options.json, options.progress, size);
    if let Some(path) = &options.reject_file {
        refuse_same_file(&options.file, path)?;
        report.keep_rejected(path)?;
    }
    let records = Records::open(options, kind, reader, &mut |line| report.keep_header(line))?;
    let imported = Import::begin(options, service, now, records)?.run(&mut report);
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

/// A running import.
struct Import<'a> {
    options: &'a Options,
    now: Timestamp,
    records: Records<BufReader<Box<dyn Read>>>,
    reading: Reading,
    attempts: Attempts,
    pipeline: Pipeline<'a>,
    /// The number of records read.
    count: u64,
    skipped: u64,
}

impl<'a> Import<'a> {
    fn begin(
        options: &'a Options,
        service: &'a Service,
        now: Timestamp,
        records: Records<BufReader<Box<dyn Read>>>,
    ) -> Result<Self, ImportError> {
        let environment = tenant::find(service, options.environment.as_deref(), options.create_missing, now)?;
        let plan = service.plan();
        let view = plan.environment(environment).ok_or(ImportError::NoEnvironment)?;
        let roster = Roster::new(&plan, view, options.create_missing);
        let reading = Reading::new(environment, roster, options, now);
        let attempts = Attempts::new(Reading::are_final(options));
        let pipeline = Pipeline::new(service);
        Ok(Self { options, now, records, reading, attempts, pipeline, count: 0, skipped: 0 })
    }

    fn run(mut self, report: &mut ImportReport<'_>) -> Result<Summary, ImportError> {
        let unreadable = unreadable(&self.options.file);
        while let Some(Entry { number, bytes, read }) = self.records.next().map_err(&unreadable)? {
            self.count += 1;
            let taken = match read {
                Ok(Some((record, shape))) => self.reading.call(record, shape)?,
                Ok(None) => Ok(None),
                Err(rejection) => Err(rejection),
            };
            match taken {
                Ok(Some(call)) => {
                    if let Some((line, call)) = self.attempts.add(number, call) {
                        self.push(line, call, report)?;
                    }
                }
                Ok(None) => self.skipped += 1,
                Err(rejection) => {
                    report.reject(number, bytes, &rejection)?;
                    while let Some(piece) = self.records.rest().map_err(&unreadable)? {
                        report.keep_rest(piece)?;
                    }
                }
            }
            if self.count.is_multiple_of(LOOK_EVERY) {
                report.progress(self.records.position(), self.count)?;
            }
        }
        while let Some((line, call)) = self.attempts.next() {
            self.push(line, call, report)?;
        }
        self.send(report)?;
        self.pipeline.finish()?;
        self.report_refused(report)?;
        Ok(self.summary(report.rejected))
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
