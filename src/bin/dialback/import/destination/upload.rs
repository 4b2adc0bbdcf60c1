//! Uploads a batch of calls to a daemon.

use super::{Batch, Origin, Results};
use crate::commands::remote::Remote;
use crate::failure::Failure;
use crate::import::report::rejection::Rejection;
use crate::import::report::span;
use dialback::{Call, Details, DialPlan, E164, Timestamp};
use serde::Deserialize;
use std::collections::HashSet;

/// The path of uploads, with all counts in the answer.
const PATH: &str = "/calls/bulk?details=true";

/// The number of errors that an answer lists.
const MAX_ERRORS: usize = 100;

/// The bytes that a line usually takes.
const LINE: usize = 180;

/// The answer to an upload.
#[derive(Deserialize)]
struct Report {
    accepted: u64,
    rejected: u64,
    unchanged: u64,
    erased: u64,
    // An older daemon has no such field.
    #[serde(default)]
    uncounted: u64,
    errors: Vec<LineError>,
}

#[derive(Deserialize)]
struct LineError {
    line: usize,
    message: String,
}

/// Uploads a batch. Returns its results when its calls are durable.
///
/// # Errors
/// The daemon cannot be reached, or its store fails. Some calls of the batch may be durable then.
pub(in crate::import) fn upload(
    remote: &Remote,
    plan: &DialPlan,
    batch: Batch,
    now: Timestamp,
) -> Result<Results, Failure> {
    let (batch, refused) = readable(plan, batch);
    let mut results = Results { refused, ..Results::default() };
    if batch.calls.is_empty() {
        return Ok(results);
    }
    let report = send(remote, &batch.calls, &batch.origins)?;
    results.unchanged = report.unchanged;
    results.erased = report.erased;
    results.uncounted = report.uncounted;
    results.recorded = report.accepted.saturating_sub(report.unchanged + report.erased + report.uncounted);
    let mut listed = report.errors.len() as u64;
    let mut next = report.errors.last().map_or(0, |error| error.line);
    results.note(&batch.origins, report.errors);
    // The answer lists the first errors only. The lines after them are sent again, a few at a time, to learn why they
    // were rejected. Calls that were recorded are known by now and change nothing. A context replaces a later one of its
    // call, so with contexts all lines are sent again.
    let has_contexts = listed < report.rejected && batch.origins.iter().any(|origin| origin.details.context.is_some());
    while (listed < report.rejected || has_contexts) && next < batch.calls.len() {
        let end = batch.calls.len().min(next + MAX_ERRORS);
        let errors = send(remote, &batch.calls[next..end], &batch.origins[next..end])?.errors;
        listed += errors.len() as u64;
        results.note(&batch.origins[next..end], errors);
        next = end;
    }
    // Lines that the daemon accepted at the second attempt.
    results.recorded += report.rejected.saturating_sub(listed);
    let refused: HashSet<u64> = results.refused.iter().map(|(origin, _)| origin.record).collect();
    for origin in batch.origins.iter().filter(|origin| !refused.contains(&origin.record)) {
        results.span.add(origin.at, now);
    }
    Ok(results)
}

fn send(remote: &Remote, calls: &[Call], origins: &[Origin]) -> Result<Report, Failure> {
    let mut body = Vec::with_capacity(calls.len() * LINE);
    for (call, origin) in calls.iter().zip(origins) {
        write_call(&mut body, call, &origin.details);
    }
    remote.upload(PATH, &body)?.read()
}

/// Appends the line of a call. The parts are copied, because formatting takes longer than all else here.
fn write_call(body: &mut Vec<u8>, call: &Call, details: &Details) {
    let Call { agent, from, to, at, outcome, .. } = call;
    let mut id = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::from_u128(agent.as_u128()).as_hyphenated().encode_lower(&mut id);
    for part in [r#"{"agent_id":""#, id, r#"","from":""#, &from.to_plus_form(), r#"","to":""#, &to.to_plus_form()] {
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(br#"","started_at":""#);
    span::write(body, *at);
    for part in [r#"","status":""#, outcome.name(), "\""] {
        body.extend_from_slice(part.as_bytes());
    }
    if let Some(id) = &details.id {
        body.extend_from_slice(format!(r#","call_id":{}"#, serde_json::Value::from(id.as_str())).as_bytes());
    }
    if let Some(context) = &details.context {
        body.extend_from_slice(br#","context":"#);
        body.extend_from_slice(context.as_str().as_bytes());
    }
    body.extend_from_slice(b"}\n");
}

/// Separates the calls whose contact the daemon would read as another number. All forms with a `+` are read back, so
/// these are numbers with a leading zero.
fn readable(plan: &DialPlan, batch: Batch) -> (Batch, Vec<(Origin, Rejection)>) {
    let is_read_back = |number: E164| E164::parse(&number.to_plus_form(), plan) == Ok(number);
    let must_be_checked = |number: E164| !number.is_international() || plan.region().is_some();
    let is_readable = |call: &Call| !must_be_checked(call.to) || is_read_back(call.to);
    if batch.calls.iter().all(is_readable) {
        return (batch, Vec::new());
    }
    let (mut rest, mut refused) = (Batch::default(), Vec::new());
    for (call, origin) in batch.calls.into_iter().zip(batch.origins) {
        if is_readable(&call) {
            rest.calls.push(call);
            rest.origins.push(origin);
        } else {
            let why = "`to` has no form in which a daemon reads it as the same number: stop the daemon to import it";
            refused.push((origin, Rejection::Refused(why.into())));
        }
    }
    (rest, refused)
}

impl Results {
    /// Adds the results of another batch.
    pub(in crate::import) fn add(&mut self, mut more: Self) {
        self.recorded += more.recorded;
        self.unchanged += more.unchanged;
        self.erased += more.erased;
        self.uncounted += more.uncounted;
        self.span.add_all(more.span);
        self.refused.append(&mut more.refused);
    }

    /// Notes errors of the API by the records of their lines.
    fn note(&mut self, origins: &[Origin], errors: Vec<LineError>) {
        for LineError { line, message } in errors {
            let origin = line.checked_sub(1).and_then(|place| origins.get(place));
            self.refused.extend(origin.map(|origin| (origin.clone(), Rejection::Refused(message))));
        }
    }
}
