//! `dialback import`: loads call records from a file. An export is recognized here, and the library restores it.
//!
//! The calling thread reads and parses the lines and submits them to the destination in batches. A call counts once it
//! is durable. A line that is rejected is reported by its number. No phone number is printed.

use super::attempts::Attempts;
use super::columns::map::Field;
use super::destination::pipeline::Pipeline;
use super::destination::place;
use super::destination::roster::{Allowance, Roster};
use super::destination::{Origin, Results, Tenant};
use super::error::{ImportError, Stored};
use super::fields::reading::Reading;
use super::file::records::{Entry, Records};
use super::file::source::{Source, unreadable};
use super::options::Options;
use super::report::preview::{DryRun, Preview};
use super::report::rejection::Rejection;
use super::report::span::Span;
use super::report::summary::Summary;
use super::report::{ImportReport, Manner};
use crate::data::DataOptions;
use dialback::{Call, Details, Timestamp};
use std::fmt::Display;
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
    data: &DataOptions,
    source: Source,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Summary, ImportError> {
    let started = Instant::now();
    let Source { reader, size, kind, is_certain } = source;
    let Options { json, progress, show_rejected, .. } = *options;
    let mut report = ImportReport::new(err, Manner { json, progress, most_of_a_reason: show_rejected }, size);
    if let Some(path) = &options.reject_file {
        refuse_same_file(&options.file, path)?;
        report.keep_rejected(path)?;
    }
    let mut records = Records::open(options, kind, reader, &mut |line| report.keep_header(line))?;
    let (destination, tenant) = place::open(options, data, now)?;
    let mut import = Import::new(options, now, tenant, Pipeline::new(destination));
    let read = import.read(&mut records, &mut report);
    // On an error too, the progress bar must disappear before the error is printed.
    report.end_progress();
    read.map_err(|error| import.midway(error, is_certain))?;
    let mut summary = import.summary(report.rejected);
    summary.reasons = report.finish().map_err(|error| import.midway(error, is_certain))?.rows();
    summary.elapsed = started.elapsed();
    if !options.dry_run {
        write(out, json, &summary, Summary::to_json).map_err(|error| import.midway(error, is_certain))?;
        return Ok(summary);
    }
    let too_many = import.too_many_new(options.create_at_most);
    let dry_run = import.dry_run(summary);
    write(out, json, &dry_run, DryRun::to_json)?;
    too_many.map_or(Ok(dry_run.summary), Err)
}

fn write<T: Display>(
    out: &mut dyn Write,
    json: bool,
    result: &T,
    to_json: impl Fn(&T) -> serde_json::Value,
) -> Result<(), ImportError> {
    let written = if json { writeln!(out, "{}", to_json(result)) } else { writeln!(out, "{result}") };
    written.map_err(|error| ImportError::Write { path: None, error })
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
    about: About,
    reading: Reading,
    attempts: Attempts,
    pipeline: Pipeline<'a>,
    preview: Preview,
    summary: Summary,
    /// The number of records that have been read.
    records: u64,
}

/// The environment, as a dry run describes it.
struct About {
    environment: String,
    creates_environment: bool,
    has_quotas: bool,
    knows_foreign: bool,
    numbers: usize,
}

impl About {
    fn of(tenant: &Tenant) -> Self {
        let Tenant { id, name, is_new, has_quotas, plan, is_foreign } = tenant;
        let numbers = plan.environment(*id).map_or(0, |environment| environment.numbers().count());
        let (environment, knows_foreign) = (name.clone(), is_foreign.is_some());
        Self { environment, creates_environment: *is_new, has_quotas: *has_quotas, knows_foreign, numbers }
    }
}

impl<'a> Import<'a> {
    fn new(options: &'a Options, now: Timestamp, tenant: Tenant, pipeline: Pipeline<'a>) -> Self {
        let about = About::of(&tenant);
        let quota = |limit| if tenant.has_quotas { usize::MAX } else { limit };
        let allowance = Allowance {
            create_missing: options.create_missing,
            at_most: (!options.dry_run).then_some(options.create_at_most),
            max_agents: quota(options.max_agents),
            max_numbers: quota(options.max_numbers),
        };
        let reading = Reading::new(tenant.id, Roster::new(tenant, allowance), options, now);
        let attempts = Attempts::new(Reading::are_final(options));
        let (preview, summary) = (Preview::default(), Summary::default());
        Self { options, now, about, reading, attempts, pipeline, preview, summary, records: 0 }
    }

    fn read(
        &mut self,
        records: &mut Records<BufReader<Box<dyn Read>>>,
        report: &mut ImportReport<'_>,
    ) -> Result<(), ImportError> {
        let unreadable = unreadable(&self.options.file);
        while let Some(entry) = records.next().map_err(&unreadable)? {
            self.records += 1;
            let (number, bytes) = (entry.number, entry.bytes);
            match self.call(entry)? {
                Ok(Some((call, details))) => self.take(number, bytes, (call, details), report)?,
                Ok(None) => self.summary.skipped += 1,
                Err(rejection) => {
                    report.keep(bytes, &rejection)?;
                    while let Some(piece) = records.rest().map_err(&unreadable)? {
                        report.keep_rest(piece)?;
                    }
                    report.note(number, &rejection.of_lines(records.lines_since(number)))?;
                }
            }
            if self.records.is_multiple_of(LOOK_EVERY) {
                report.progress(records.position(), self.records)?;
            }
        }
        while let Some((origin, call)) = self.attempts.next() {
            self.submit(origin, call, report)?;
        }
        self.pipeline.finish(&mut self.reading.roster)?;
        self.note_results(report)
    }

    /// Converts a record. Returns `None` if the record is not wanted.
    fn call(&mut self, entry: Entry<'_>) -> Result<Result<Option<(Call, Details)>, Rejection>, ImportError> {
        let (record, shape) = match entry.read {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Ok(None)),
            Err(rejection) => return Ok(Err(rejection)),
        };
        let call = self.reading.call(record, shape)?;
        if let (true, Ok(Some((call, _)))) = (self.options.dry_run, &call) {
            let text = |field| shape.text(record, field).unwrap_or_default();
            self.preview.add((self.records, entry.number), call, text(Field::Agent), text(Field::Status));
        }
        Ok(call)
    }

    /// Submits a call, unless it waits for other records of the call.
    fn take(
        &mut self,
        line: u64,
        bytes: &[u8],
        (call, details): (Call, Details),
        report: &mut ImportReport<'_>,
    ) -> Result<(), ImportError> {
        let text = if self.options.reject_file.is_some() { bytes.into() } else { Box::default() };
        let origin = Origin { record: self.records, line, at: call.at, text, details };
        if let Some((origin, call)) = self.attempts.add(origin, call) {
            self.submit(origin, call, report)?;
        }
        while let Some((origin, call)) = self.attempts.next_overdue() {
            self.submit(origin, call, report)?;
        }
        Ok(())
    }

    /// Adds a call to the batch. A dry run only counts it.
    fn submit(&mut self, origin: Origin, call: Call, report: &mut ImportReport<'_>) -> Result<(), ImportError> {
        if self.options.dry_run {
            self.summary.accepted += 1;
            self.summary.span.add(call.at, self.now);
            self.preview.settle(origin.record, &call, &self.reading.roster);
            return Ok(());
        }
        if self.pipeline.push(origin, call) {
            self.pipeline.send(&mut self.reading.roster)?;
            self.note_results(report)?;
        }
        Ok(())
    }

    /// Counts the results that have arrived, and reports the lines that the destination rejected.
    fn note_results(&mut self, report: &mut ImportReport<'_>) -> Result<(), ImportError> {
        let results = self.pipeline.results();
        self.count(&results);
        for (Origin { line, text, .. }, why) in &results.refused {
            report.keep(text, why)?;
            report.note(*line, why)?;
        }
        Ok(())
    }

    fn count(&mut self, results: &Results) {
        self.summary.accepted += results.recorded + results.unchanged;
        self.summary.unchanged += results.unchanged;
        self.summary.erased += results.erased;
        self.summary.uncounted += results.uncounted;
        self.summary.span.add_all(results.span);
    }

    /// Adds to an error what is stored. `is_certain` is whether the text that was read is that of the file.
    fn midway(&mut self, error: ImportError, is_certain: bool) -> ImportError {
        let Some(made) = self.pipeline.settle() else { return error };
        let results = self.pipeline.results();
        self.count(&results);
        let is_certain = is_certain || !matches!(error, ImportError::Read { .. });
        let stored = Stored { made, calls: self.summary.accepted, is_certain };
        ImportError::Midway { error: Box::new(error), stored }
    }

    fn summary(&self, rejected: u64) -> Summary {
        let Roster { created_numbers, created_agents, .. } = self.reading.roster;
        // No call needs the agents that are still queued. A dry run creates nothing, and shows what it would create.
        let queued = if self.options.dry_run { 0 } else { self.reading.roster.queued().agents.len() as u64 };
        let created_agents = created_agents - queued;
        let span = if self.summary.accepted > 0 { self.summary.span } else { Span::default() };
        Summary { rejected, created_numbers, created_agents, span, ..self.summary.clone() }
    }

    /// Returns the error that the import would end with after a dry run that counted too many new entities.
    fn too_many_new(&self, limit: u64) -> Option<ImportError> {
        let Roster { created_numbers, created_agents, .. } = self.reading.roster;
        let (kind, count) =
            [("agents", created_agents), ("numbers", created_numbers)].into_iter().find(|(_, count)| *count > limit)?;
        Some(ImportError::TooManyNew { kind, limit, count: Some(count) })
    }

    fn dry_run(self, summary: Summary) -> DryRun {
        let (numbers, agents) = DryRun::shown(self.reading.roster.queued());
        let About { environment, creates_environment, has_quotas, knows_foreign, numbers: own } = self.about;
        let is_unused = own > 0 && summary.accepted > 0 && !self.reading.roster.uses_own_number;
        DryRun {
            environment,
            creates_environment,
            has_quotas,
            knows_foreign,
            unused_numbers: is_unused.then_some(own),
            reject_file: self.options.reject_file.clone(),
            zone: self.options.time_zone.name(),
            attempts: self.attempts.replaced,
            summary,
            statuses: self.reading.statuses.seen.rows(),
            preview: self.preview,
            numbers,
            agents,
        }
    }
}
