//! `POST /calls/bulk`: as many calls as there are, one JSON object a line, in bounded memory.

use super::auth::Reach;
use super::body::{media_type, next_chunk};
use super::error::Refusal;
use super::form::Form;
use super::openapi::example;
use super::work::pause;
use super::{Api, calls, reply};
use crate::event::Event;
use crate::service::Recording;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::VecDeque;
use std::future::Future;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// Calls that are handed in together.
const GROUP: usize = 1000;

/// Groups that may wait for the store; the body is not read further meanwhile.
const IN_FLIGHT: usize = 4;

/// Lines that are read before others have their turn.
const SLICE: u64 = 256;

/// Errors that are told; the rest is only counted.
const MAX_ERRORS: usize = 100;

/// What became of the lines.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Report {
    accepted: u64,
    rejected: u64,
    /// The first hundred.
    #[schema(max_items = 100)]
    errors: Vec<LineError>,
}

/// A line that was refused.
#[derive(Serialize, ToSchema)]
struct LineError {
    /// From 1.
    #[schema(minimum = 1)]
    line: u64,
    message: String,
}

/// Each line stands for itself: a bad one is counted and told, the others go in. Where the store fails or the body breaks off,
/// what was durable by then stays recorded, and sending all of it again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/calls/bulk", tag = "calls", operation_id = "recordCalls",
    request_body(
        description = "Calls as `POST /calls` takes them, one JSON object a line; any number of lines",
        content((serde_json::Value = "application/x-ndjson", example = json!(example::bulk()))),
    ),
    responses((status = 200, description = "What became of the lines", body = Report, example = json!(
        {"accepted": 1, "rejected": 1, "errors": [{"line": 2, "message": "The line is not valid JSON"}]}
    ))),
    security(("environment" = []), ("gateway" = [])),
)]
pub(super) async fn record(reach: Reach, State(api): State<Api>, request: Request) -> Result<Response, Refusal> {
    let known = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"];
    if !media_type(request.headers()).is_some_and(|found| known.contains(&found.as_str())) {
        return Err(Refusal::media_type("The body must be application/x-ndjson"));
    }
    let mut upload = Upload::new(&api, reach);
    let mut lines = Lines::new(api.limits.body_bytes);
    let mut body = request.into_body();
    while let Some(chunk) = within(&api, next_chunk(&mut body)).await.map_err(|slow| upload.gone_slow(slow))? {
        let mut rest = &chunk?[..];
        while let Some(line) = lines.next(&mut rest) {
            upload.line(line).await?;
        }
    }
    if let Some(line) = lines.last() {
        upload.line(line).await?;
    }
    let mut report = upload.finish().await?;
    report.errors.sort_by_key(|error| error.line);
    report.errors.truncate(MAX_ERRORS);
    Ok(reply::json(StatusCode::OK, &report))
}

/// Calls that were handed in together: their lines, themselves, and what becomes of them.
struct Group {
    lines: Vec<u64>,
    calls: Vec<Event>,
    answer: oneshot::Receiver<Recording>,
}

/// The calls that have been read and not acknowledged yet, and the outcome so far.
struct Upload<'a> {
    api: &'a Api,
    reach: Reach,
    line: u64,
    group: Vec<Event>,
    lines: Vec<u64>,
    in_flight: VecDeque<Group>,
    report: Report,
}

impl<'a> Upload<'a> {
    fn new(api: &'a Api, reach: Reach) -> Self {
        Self {
            api,
            reach,
            line: 0,
            group: Vec::new(),
            lines: Vec::new(),
            in_flight: VecDeque::new(),
            report: Report::default(),
        }
    }

    async fn line(&mut self, line: Result<&[u8], Refusal>) -> Result<(), Refusal> {
        self.line += 1;
        if self.line.is_multiple_of(SLICE) {
            pause().await;
        }
        match line.and_then(|line| self.read(line)) {
            Ok(None) => {}
            Ok(Some(event)) => {
                self.group.push(event);
                self.lines.push(self.line);
            }
            Err(refusal) => self.report.reject(self.line, &refusal),
        }
        if self.group.len() >= GROUP { self.submit().await } else { Ok(()) }
    }

    /// The line's call; a blank line has none.
    fn read(&self, line: &[u8]) -> Result<Option<Event>, Refusal> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let value = serde_json::from_slice(line).map_err(|_| Refusal::malformed_json("The line is not valid JSON"))?;
        let plan = self.api.service.plan();
        let call = calls::call(Form::new(value)?, &plan, self.reach, self.api.now())?;
        Ok(Some(Event::Call(call)))
    }

    async fn submit(&mut self) -> Result<(), Refusal> {
        if self.in_flight.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        let calls = std::mem::take(&mut self.group);
        let answer = self.api.submit(calls.clone());
        self.in_flight.push_back(Group { lines: std::mem::take(&mut self.lines), calls, answer });
        // A body that is always ready must not keep the thread from others.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Waits for the group that has waited longest.
    async fn settle(&mut self) -> Result<(), Refusal> {
        let Some(Group { lines, calls, answer }) = self.in_flight.pop_front() else { return Ok(()) };
        let recorded = self.report.accepted;
        let unknown = |_| {
            let message = format!(
                "The store has not confirmed all calls in time; {recorded} were recorded, and others may be later. Repeat the request"
            );
            Refusal::outcome_unknown().saying(message)
        };
        let recording = within(self.api, answer).await.map_err(unknown)?.map_err(|_| Refusal::internal())?;
        let recording = recording.map_err(|error| {
            Refusal::from(error).saying(format!("The store cannot be written; {recorded} calls were recorded before"))
        })?;
        let plan = self.api.service.plan();
        for ((line, event), applied) in lines.into_iter().zip(&calls).zip(recording) {
            let Event::Call(call) = event else { continue };
            match applied.map_err(Refusal::from).and_then(|applied| calls::settle(&plan, call, applied)) {
                Ok(()) => self.report.accepted += 1,
                Err(refusal) => self.report.reject(line, &refusal),
            }
        }
        Ok(())
    }

    /// What the client is told that does not send more: calls that it sent before may be recorded.
    fn gone_slow(&self, nothing_recorded: Refusal) -> Refusal {
        let handed_in = self.report.accepted > 0 || !self.in_flight.is_empty();
        if !handed_in {
            return nothing_recorded;
        }
        let message = "The body did not arrive in time; calls of its first lines are recorded. Repeat the request";
        Refusal::outcome_unknown().saying(message)
    }

    async fn finish(mut self) -> Result<Report, Refusal> {
        if !self.group.is_empty() {
            self.submit().await?;
        }
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        Ok(self.report)
    }
}

impl Report {
    /// Notes the error while there may still be an earlier one among those that are to be told.
    fn reject(&mut self, line: u64, refusal: &Refusal) {
        self.rejected += 1;
        // A line is refused when it is read or, rarely, groups later when it is applied.
        if self.errors.len() < 2 * MAX_ERRORS {
            self.errors.push(LineError { line, message: refusal.line() });
        }
    }
}

/// Chunks of a body, cut into lines. Holds one line at most, and none that is longer than allowed.
struct Lines {
    held: Vec<u8>,
    /// What was held has been given out.
    given: bool,
    /// The rest of a line that is too long is still to come.
    skipping: bool,
    max: usize,
}

impl Lines {
    fn new(max: usize) -> Self {
        Self { held: Vec::new(), given: false, skipping: false, max }
    }

    /// The next whole line of what is held and of `chunk`, which loses it; `None` where `chunk` is used up.
    fn next<'a, 'b: 'a>(&'a mut self, chunk: &mut &'b [u8]) -> Option<Result<&'a [u8], Refusal>> {
        if std::mem::take(&mut self.given) {
            self.held.clear();
        }
        let Some(end) = chunk.iter().position(|byte| *byte == b'\n') else {
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

    /// What stands behind the last line break, if anything does.
    fn last(&mut self) -> Option<Result<&[u8], Refusal>> {
        if std::mem::take(&mut self.given) {
            self.held.clear();
        }
        (self.skipping || !self.held.is_empty()).then(|| self.whole())
    }

    fn hold(&mut self, part: &[u8]) {
        if self.skipping || self.held.len() + part.len() > self.max {
            self.skipping = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(part);
        }
    }

    fn whole(&mut self) -> Result<&[u8], Refusal> {
        if std::mem::take(&mut self.skipping) { Err(Refusal::too_large(self.max)) } else { Ok(&self.held) }
    }
}

async fn within<T>(api: &Api, step: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(api.limits.patience, step).await.map_err(|_| Refusal::too_slow())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of `text` when it arrives in chunks of `size`; `None` for a line that is too long.
    fn cut(text: &[u8], size: usize, max: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(max);
        let mut all = Vec::new();
        for chunk in text.chunks(size) {
            let mut rest = chunk;
            while let Some(line) = lines.next(&mut rest) {
                all.push(line.ok().map(<[u8]>::to_vec));
            }
        }
        all.extend(lines.last().map(|line| line.ok().map(<[u8]>::to_vec)));
        all
    }

    #[test]
    fn lines_are_the_same_however_the_body_arrives() {
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
