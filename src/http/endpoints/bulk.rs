//! `POST /calls/bulk`: any number of calls, one JSON object a line, in bounded memory.

use super::calls::{self, Reported};
use crate::engine::Applied;
use crate::event::{Call, Event};
use crate::http::Api;
use crate::http::middleware::body_budget::{FREE, Room};
use crate::http::middleware::work::pause;
use crate::http::openapi::example;
use crate::http::request::auth::Reach;
use crate::http::request::body::{media_type, next_chunk, refuse_coding};
use crate::http::request::collected::grown;
use crate::http::request::form::{Form, QueryForm};
use crate::http::request::json::{context_of, parse_line};
use crate::http::request::read;
use crate::http::request::unknown::Unknown;
use crate::http::response::error::Refusal;
use crate::http::response::reply;
use crate::id::EnvironmentId;
use crate::plan::Plan;
use crate::service::{Recording, ServiceError};
use crate::time::Timestamp;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use memchr::{memchr, memrchr};
use serde::Serialize;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Sleep;
use utoipa::{IntoParams, ToSchema};

/// The number of calls that are submitted together. One sync covers them.
const GROUP: usize = 4096;

/// The bytes of ids and contexts at which a group is submitted before it is full.
const GROUP_BYTES: usize = 256 << 10;

/// The maximum number of groups that wait for the store. Meanwhile the body is not read further.
const IN_FLIGHT: usize = 4;

/// A body of which no data has arrived for this long is waited for with no calls in memory.
const STALLED: Duration = Duration::from_millis(100);

/// The number of lines after which other tenants get their turn: half a millisecond, as a line takes half a microsecond.
const SLICE: u64 = 1024;

/// The maximum number of errors in the report. Further errors are only counted.
const MAX_ERRORS: usize = 100;

/// The first bytes of a text in UTF-8 that some programs write. They are not part of the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The first bytes of data that gzip (RFC 1952, section 2.3.1), zstd (RFC 8878, section 3.1.1), xz or bzip2 has compressed.
/// None of them has a line end.
const COMPRESSED: [&[u8]; 4] = [b"\x1F\x8B", b"\x28\xB5\x2F\xFD", b"\xFD7zXZ\0", b"BZh"];

/// The length of the longest of them.
const LONGEST_MARK: usize = 6;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// Whether the result has `unchanged`, `erased`, `uncounted` and `testing`.
    #[param(default = false)]
    details: Option<bool>,
}

/// The result of a bulk upload.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::http) struct Report {
    accepted: u64,
    rejected: u64,
    /// The first hundred errors, by line.
    #[schema(max_items = 100)]
    errors: Vec<LineError>,
    #[serde(flatten)]
    #[schema(value_type = Details)]
    details: Option<Details>,
}

/// More counts; present only if the request has `details=true`.
#[derive(Default, Serialize, ToSchema)]
struct Details {
    /// Accepted calls that changed nothing: they were known, or the contact has a later call.
    #[schema(required = false)]
    unchanged: u64,
    /// Accepted calls that were not recorded, because the contact has been erased.
    #[schema(required = false)]
    erased: u64,
    /// Accepted calls with a status that does not count: see `counts_from` of the environment.
    #[schema(required = false)]
    uncounted: u64,
    /// Accepted test calls, which are not recorded.
    #[schema(required = false)]
    testing: u64,
}

/// A line that was rejected.
#[derive(Serialize, ToSchema)]
struct LineError {
    /// The number of the line, from 1.
    #[schema(minimum = 1)]
    line: u64,
    message: String,
}

/// Records many calls.
///
/// Each line is independent: a rejected line is counted and reported, and the other lines are recorded. If the store fails or the
/// body is cut short, the calls that are durable by then stay recorded. Repeating the whole upload is safe.
#[utoipa::path(
    post, path = "/api/v1/calls/bulk", tag = "calls", operation_id = "recordCalls", params(Asked),
    request_body(
            description = "Calls in the form of `POST /calls`, one JSON object a line; any number of lines",
        content((serde_json::Value = "application/x-ndjson", example = json!(example::bulk()))),
    ),
    responses((status = 200, description = "The result by line", body = Report, example = json!(
        {"accepted": 1, "rejected": 1, "errors": [{"line": 2, "message": "The line is not valid JSON"}]}
    ))),
    security(("environment" = []), ("gateway" = [])),
)]
pub(in crate::http) async fn record(
    reach: Reach,
    State(api): State<Api>,
    QueryForm(mut form): QueryForm,
    request: Request,
) -> Result<Response, Refusal> {
    let has_details = form.optional("details", read::flag).unwrap_or(false);
    form.finish(|| Some(()))?;
    let known = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"];
    if !media_type(request.headers()).is_some_and(|found| known.contains(&found.as_str())) {
        return Err(Refusal::media_type("The body must be application/x-ndjson"));
    }
    refuse_coding(request.headers())?;
    let mut upload = Upload::new(&api, reach, Unknown::of(request.extensions()));
    let mut lines = Lines::new(api.limits.body_bytes);
    let mut body = request.into_body();
    let mut start = Vec::with_capacity(LONGEST_MARK);
    while let Some(chunk) = upload.next_chunk(&mut body).await? {
        refuse_compressed(&mut start, &chunk)?;
        upload.look();
        upload.make_room(lines.capacity_with(&chunk)).await?;
        let mut rest = &chunk[..];
        while let Some(line) = lines.next(&mut rest) {
            upload.line(line).await?;
        }
    }
    if let Some(line) = lines.last() {
        upload.line(line).await?;
    }
    upload.flush().await?;
    let mut report = std::mem::take(&mut upload.report);
    report.details = has_details.then_some(upload.details);
    Ok(reply::json(StatusCode::OK, &report))
}

/// Calls that were submitted together, with their line numbers and the receiver of their result.
struct Group {
    lines: Vec<u64>,
    /// The calls; `None` for a report by id alone.
    calls: Vec<Option<Call>>,
    /// The bytes of the ids and contexts.
    bytes: usize,
    answer: oneshot::Receiver<Recording>,
}

/// The state of an upload: the calls that are not acknowledged yet, and the report so far.
struct Upload<'a> {
    api: &'a Api,
    reach: Reach,
    unknown: Unknown,
    /// The plan and the time by which lines are read. No older than the data of the line.
    plan: Arc<Plan>,
    now: Timestamp,
    line: u64,
    group: Vec<Event>,
    lines: Vec<u64>,
    /// The bytes of the ids and contexts in `group`.
    group_bytes: usize,
    in_flight: VecDeque<Group>,
    report: Report,
    details: Details,
    /// The memory of the unfinished line, and its reservation together with that of the calls in `group`.
    line_bytes: usize,
    room: Room,
    /// When a long unfinished line has to be complete, so that a client cannot hold its memory by sending a byte now and
    /// then.
    line_end: Option<Pin<Box<Sleep>>>,
}

impl<'a> Upload<'a> {
    fn new(api: &'a Api, reach: Reach, unknown: Unknown) -> Self {
        Self {
            api,
            reach,
            unknown,
            plan: api.service().plan(),
            now: api.now(),
            line: 0,
            group: Vec::new(),
            lines: Vec::new(),
            group_bytes: 0,
            in_flight: VecDeque::new(),
            report: Report::default(),
            details: Details::default(),
            line_bytes: 0,
            room: Room::default(),
            line_end: None,
        }
    }

    /// Takes the present plan and time for the next lines.
    fn look(&mut self) {
        (self.plan, self.now) = (self.api.service().plan(), self.api.now());
    }

    async fn line(&mut self, line: Result<&[u8], Refusal>) -> Result<(), Refusal> {
        self.line += 1;
        if self.line.is_multiple_of(SLICE) {
            pause().await;
            self.look();
        }
        let line = match line {
            Ok(line) if self.line == 1 => Ok(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)),
            line => line,
        };
        match line.and_then(|line| self.read(line)) {
            Ok(None) => {}
            Ok(Some(event)) => {
                self.group_bytes += event.detail_bytes();
                self.group.push(event);
                self.lines.push(self.line);
            }
            Err(refusal) => self.report.reject(self.line, &refusal),
        }
        let is_full = self.group.len() >= GROUP || self.group_bytes >= GROUP_BYTES;
        if is_full { self.submit().await } else { Ok(()) }
    }

    /// Reads the call of a line. A blank line has none. A test call is counted and returns none.
    fn read(&mut self, line: &[u8]) -> Result<Option<Event>, Refusal> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let (plan, now) = (&self.plan, self.now);
        if let Some(call) = calls::plain_call(line, plan, self.reach, now) {
            return Ok(Some(Event::Call(call)));
        }
        let value = parse_line(line)?;
        let context = context_of(line, &value);
        let form = Form::new(value)?.with_context(context).with_unknown(self.unknown.clone());
        let Reported { event, is_testing } = calls::reported(form, plan, self.reach, now)?;
        if is_testing {
            self.report.accepted += 1;
            self.details.testing += 1;
        }
        Ok((!is_testing).then_some(event))
    }

    async fn submit(&mut self) -> Result<(), Refusal> {
        if self.in_flight.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        let events = std::mem::take(&mut self.group);
        let calls = events.iter().map(|event| event.call().copied()).collect();
        let (lines, bytes) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.group_bytes));
        let answer = self.api.submit(events);
        self.in_flight.push_back(Group { lines, calls, bytes, answer });
        // A body that is always ready must not keep the thread busy.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Settles the oldest groups in flight as far as the store has confirmed them.
    fn settle_confirmed(&mut self) -> Result<(), Refusal> {
        while let Some(mut oldest) = self.in_flight.pop_front() {
            match oldest.answer.try_recv() {
                Ok(recording) => self.settle_as(oldest, recording)?,
                Err(TryRecvError::Closed) => return Err(Refusal::internal()),
                Err(TryRecvError::Empty) => {
                    self.in_flight.push_front(oldest);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for the oldest group that is in flight.
    async fn settle(&mut self) -> Result<(), Refusal> {
        let Some(mut oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let recorded = self.report.accepted;
        let unknown = |_| {
            let message = format!(
                "The store did not confirm all calls in time; {recorded} are recorded, and others may be recorded later. Repeat the \
                 upload"
            );
            Refusal::outcome_unknown().saying(message)
        };
        let recording = within(self.api, &mut oldest.answer).await.map_err(unknown)?;
        self.settle_as(oldest, recording.map_err(|_| Refusal::internal())?)
    }

    /// Counts the calls of a group by the result that the store has reported.
    fn settle_as(&mut self, group: Group, recording: Recording) -> Result<(), Refusal> {
        let Group { lines, calls, .. } = group;
        let recording = recording.map_err(|error| self.failed(error, lines.last().copied().unwrap_or_default()))?;
        let plan = self.api.service().plan();
        for ((line, call), applied) in lines.into_iter().zip(&calls).zip(recording) {
            let settled = |applied| calls::settle(&plan, call.as_ref(), applied).map(|()| applied);
            match applied.map_err(Refusal::from).and_then(settled) {
                Ok(applied) => self.accept(applied),
                Err(refusal) => self.report.reject(line, &refusal),
            }
        }
        Ok(())
    }

    /// Returns the error of an upload whose calls up to a line the service has not acknowledged.
    fn failed(&self, error: ServiceError, last_line: u64) -> Refusal {
        let recorded = self.report.accepted;
        let message = match &error {
            ServiceError::NotReplicated => format!(
                "The calls up to line {last_line} of this upload are durable on this node, but the fleet's stream did \
                 not acknowledge them in time; the node sends them to the other nodes later. Repeat the upload for the \
                 calls after them"
            ),
            ServiceError::NotDurable(_) => format!(
                "The store cannot be written; {recorded} calls were recorded before it failed. Repeat the upload later"
            ),
            ServiceError::Stalled => format!(
                "The store does not respond and too many changes wait for it; {recorded} calls were recorded before. \
                 Repeat the upload later"
            ),
            _ => return Refusal::from(error),
        };
        Refusal::from(error).saying(message)
    }

    /// Counts an accepted call by its effect.
    fn accept(&mut self, applied: Applied) {
        self.report.accepted += 1;
        match applied {
            Applied::Recorded => {}
            Applied::Ignored => self.details.erased += 1,
            Applied::Uncounted => self.details.uncounted += 1,
            _ => self.details.unchanged += 1,
        }
    }

    /// Returns the next data of the body. If the client has sent none for a while, first records all calls so far, so that
    /// an upload that does not go on holds none of them in memory.
    async fn next_chunk(&mut self, body: &mut Body) -> Result<Option<Bytes>, Refusal> {
        self.settle_confirmed()?;
        let patience = self.api.limits.patience;
        let mut next = tokio::time::timeout(STALLED.min(patience), next_chunk(body)).await;
        if next.is_err() {
            self.flush().await?;
            // Only the line is left, so the room does not grow.
            let _ = self.resize_room();
            next = tokio::time::timeout(patience.saturating_sub(STALLED), next_chunk(body)).await;
        }
        match next {
            Ok(next) if !self.is_line_late().await => next.transpose(),
            _ => {
                self.flush().await?;
                Err(self.timed_out(Refusal::too_slow()))
            }
        }
    }

    /// Returns whether a long line should have been complete by now.
    async fn is_line_late(&mut self) -> bool {
        let Some(end) = &mut self.line_end else { return false };
        poll_fn(|context| Poll::Ready(end.as_mut().poll(context).is_ready())).await
    }

    /// Begins to wait for the end of a line when it becomes long, and stops when it is not.
    fn watch_line(&mut self) {
        if self.line_bytes <= FREE {
            self.line_end = None;
        } else if self.line_end.is_none() {
            self.line_end = Some(Box::pin(tokio::time::sleep(self.api.limits.patience)));
        }
    }

    /// Reserves memory for an unfinished line of this size.
    async fn make_room(&mut self, line_bytes: usize) -> Result<(), Refusal> {
        self.line_bytes = line_bytes;
        self.watch_line();
        if self.resize_room() {
            return Ok(());
        }
        // Calls that have been read hold memory only until they are recorded.
        self.flush().await?;
        if self.resize_room() {
            return Ok(());
        }
        let recorded = self.report.accepted;
        Err(self.api.body_budget.refuse().saying(format!(
            "Too much memory is in use for request bodies; {recorded} calls were recorded before. Repeat the upload later"
        )))
    }

    fn resize_room(&mut self) -> bool {
        let calls = self.group.capacity() * size_of::<Event>() + self.lines.capacity() * size_of::<u64>();
        let details = self.group_bytes + self.in_flight.iter().map(|group| group.bytes).sum::<usize>();
        let tenant = self.reach.environment().unwrap_or(EnvironmentId::SYSTEM);
        self.api.body_budget.resize(&mut self.room, tenant, self.line_bytes + calls + details)
    }

    /// Returns the error for a client that sends no more data in time. If calls were submitted before, the error says so.
    fn timed_out(&self, nothing_recorded: Refusal) -> Refusal {
        let handed_in = self.report.accepted > 0 || !self.in_flight.is_empty();
        if !handed_in {
            return nothing_recorded;
        }
        let message = "The body did not arrive in time; calls from its first lines may be recorded. Repeat the upload";
        Refusal::outcome_unknown().saying(message)
    }

    /// Submits all calls so far and waits until they are recorded.
    async fn flush(&mut self) -> Result<(), Refusal> {
        if !self.group.is_empty() {
            self.submit().await?;
        }
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }
}

/// Adds the next chunk of a body to its first bytes, of which `start` holds those that have arrived.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE` if the body is compressed, though no header says so.
fn refuse_compressed(start: &mut Vec<u8>, chunk: &[u8]) -> Result<(), Refusal> {
    if start.len() == LONGEST_MARK {
        return Ok(());
    }
    start.extend(chunk.iter().take(LONGEST_MARK - start.len()));
    if COMPRESSED.iter().any(|mark| start.starts_with(mark)) { Err(Refusal::compressed()) } else { Ok(()) }
}

impl Report {
    /// Counts a rejected line, and keeps its error if it is among the first by line. A line is rejected when it is read, or
    /// later when it is applied.
    fn reject(&mut self, line: u64, refusal: &Refusal) {
        self.rejected += 1;
        let place = self.errors.partition_point(|error| error.line < line);
        if place < MAX_ERRORS {
            self.errors.insert(place, LineError { line, message: refusal.line() });
            self.errors.truncate(MAX_ERRORS);
        }
    }
}

/// Splits the chunks of a body into lines. It holds at most one line, and no more than `max` bytes of it.
struct Lines {
    /// The beginning of a line whose end has not arrived.
    held: Vec<u8>,
    /// `held` has been returned as a line and is no longer needed.
    given: bool,
    /// The current line is too long; the rest of it is skipped.
    skipping: bool,
    max: usize,
}

impl Lines {
    fn new(max: usize) -> Self {
        Self { held: Vec::new(), given: false, skipping: false, max }
    }

    /// Returns the greatest capacity of the buffer while `chunk` is read.
    fn capacity_with(&mut self, chunk: &[u8]) -> usize {
        self.forget_given();
        let held = self.held.len();
        // The buffer takes the text up to the first line end, if a line has begun before, and the text after the last one.
        let needed = match (memchr(b'\n', chunk), memrchr(b'\n', chunk)) {
            (Some(first), Some(last)) => {
                let joined = if held == 0 { 0 } else { held + first };
                joined.max(chunk.len() - last - 1)
            }
            _ => held + chunk.len(),
        };
        grown(self.held.capacity(), needed.min(self.max), self.max)
    }

    /// Empties the buffer if its line has been returned. Short lines use the same memory again.
    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            if self.held.capacity() > FREE {
                self.held = Vec::new();
            }
            self.held.clear();
        }
    }

    /// Returns the next whole line and removes it from `chunk`. Returns `None` if `chunk` contains no further line end.
    fn next<'a, 'b: 'a>(&'a mut self, chunk: &mut &'b [u8]) -> Option<Result<&'a [u8], Refusal>> {
        self.forget_given();
        let Some(end) = memchr(b'\n', chunk) else {
            self.hold(chunk);
            *chunk = &[];
            return None;
        };
        let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
        *chunk = rest;
        if self.held.is_empty() && !self.skipping && line.len() <= self.max {
            return Some(Ok(line));
        }
        self.hold(line);
        self.given = true;
        Some(self.whole())
    }

    /// Returns the text after the last line end, if any.
    fn last(&mut self) -> Option<Result<&[u8], Refusal>> {
        self.forget_given();
        (self.skipping || !self.held.is_empty()).then(|| self.whole())
    }

    fn hold(&mut self, part: &[u8]) {
        if self.skipping || self.held.len() + part.len() > self.max {
            self.skipping = true;
            self.held = Vec::new();
        } else {
            let capacity = grown(self.held.capacity(), self.held.len() + part.len(), self.max);
            self.held.reserve_exact(capacity - self.held.len());
            self.held.extend_from_slice(part);
        }
    }

    fn whole(&mut self) -> Result<&[u8], Refusal> {
        if std::mem::take(&mut self.skipping) {
            return Err(Refusal::too_large(self.max).saying(format!("The line has more than {} bytes", self.max)));
        }
        Ok(&self.held)
    }
}

async fn within<T>(api: &Api, step: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(api.limits.patience, step).await.map_err(|_| Refusal::too_slow())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of `text` when it arrives in chunks of `size` bytes. `None` is a line that is too long.
    fn cut(text: &[u8], size: usize, max: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(max);
        let mut all = Vec::new();
        for chunk in text.chunks(size) {
            let capacity = lines.capacity_with(chunk);
            let mut rest = chunk;
            while let Some(line) = lines.next(&mut rest) {
                all.push(line.ok().map(<[u8]>::to_vec));
            }
            assert!(lines.held.capacity() <= capacity, "the memory was announced");
        }
        all.extend(lines.last().map(|line| line.ok().map(<[u8]>::to_vec)));
        all
    }

    #[test]
    fn lines_do_not_depend_on_the_chunks_of_the_body() {
        let text = b"one\n\ntwo two\nmuch too long, this one\nthree\r\n12345678\nend";
        let lines: Vec<_> =
            text.split(|byte| *byte == b'\n').map(|line| (line.len() <= 8).then(|| line.to_vec())).collect();
        for size in 1..=text.len() {
            assert_eq!(cut(text, size, 8), lines, "in chunks of {size}");
        }
        assert_eq!(cut(b"a\n", 1, 8), [Some(b"a".to_vec())]);
        assert_eq!(cut(b"", 1, 8), []);
    }
}
