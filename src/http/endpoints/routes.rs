//! `GET /routes` and `GET /routes/{decision_id}`: the records of routed calls, as they were decided.

use crate::decision::Reason;
use crate::http::Api;
use crate::http::middleware::work::pause;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Tenant;
use crate::http::request::form::{Form, QueryForm};
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::list::write;
use crate::http::response::recorded::{ShownRecord, ShownTrace, shown, shown_trace};
use crate::http::response::reply::{self, Data, Listed};
use crate::id::{AgentId, EnvironmentId};
use crate::number::{DialPlan, E164};
use crate::record::DecisionRecord;
use crate::service::Service;
use crate::store::{RecordPage, RecordPlace, RecordQuery, StoreError, StoredRecord};
use crate::time::Timestamp;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The most records of a page.
const MAX_ENTRIES: usize = 100;
/// The size in bytes at which a page ends.
const MAX_PAGE: usize = 512 << 10;
/// The most parts that a request reads: about 8,000 records.
const MAX_PARTS: usize = 64;
/// The number of stored bytes after which a request reads no further part.
const MAX_READ: usize = 8 << 20;
/// The most damaged records that a page names.
const MAX_DAMAGED: usize = 100;

/// Where the list continues, and what of it is damaged.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RecordsMeta {
    /// The cursor of older records; null if there are none. A page with a cursor may have few records, or none.
    #[schema(required)]
    next_cursor: Option<String>,
    /// The decisions whose records are damaged, and so left out.
    #[schema(max_items = 100)]
    damaged: Vec<Uuid>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// Only calls of this caller.
    #[param(format = "phone-number", example = json!(example::CONTACT))]
    contact: Option<String>,
    /// Only calls to this number.
    #[param(format = "phone-number")]
    dialed: Option<String>,
    /// Only calls that this agent took.
    agent_id: Option<Uuid>,
    /// Only calls behind which is a call by this agent.
    source_agent_id: Option<Uuid>,
    #[param(schema_with = schema::reason)]
    reason: Option<String>,
    #[param(schema_with = schema::decision)]
    decision: Option<String>,
    /// Only calls from this time on.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only calls up to this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]{48}$")]
    cursor: Option<String>,
}

/// The calls that a request asks for.
struct Question {
    contact: Option<E164>,
    dialed: Option<E164>,
    agent: Option<AgentId>,
    source: Option<AgentId>,
    reason: Option<Reason>,
    decision: Option<String>,
    since: Timestamp,
}

/// Lists routed calls, newest first: where each one went, and why.
///
/// A page has at most a hundred calls. A request examines a limited number of records, so a page may end earlier.
#[utoipa::path(
    get, path = "/api/v1/routes", tag = "calls", operation_id = "listRoutes", params(Asked),
    responses(
        (status = 200, description = "A page of routed calls", body = Listed<Vec<ShownRecord>, RecordsMeta>, example = json!({
            "success": true, "data": [example::record()], "meta": {"next_cursor": null, "damaged": []},
        })),
        (status = 500, description = "`RECORD_DAMAGED`: the records cannot be read"),
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time"),
        (status = 501, description = "`NOT_STORED`: the service keeps no records of routed calls"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn list(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let (question, before) = read_question(&api, environment, &mut form);
    form.finish(|| Some(()))?;
    flush(&api).await?;
    let mut page =
        Page { question, before, entries: 0, out: br#"{"success":true,"data":["#.to_vec(), meta: RecordsMeta::new() };
    let is_rest = page.fill(&api, environment).await?;
    page.meta.next_cursor = is_rest.then(|| write_cursor(page.before));
    let Page { mut out, meta, .. } = page;
    out.extend_from_slice(br#"],"meta":"#);
    write(&mut out, &meta);
    out.push(b'}');
    Ok(reply::json_text(StatusCode::OK, out))
}

/// Shows a routed call with the lines of the rule that were tried, as it was decided: with the names that the agents had, also
/// if they were deleted since.
#[utoipa::path(
    get, path = "/api/v1/routes/{decision}", tag = "calls", operation_id = "showRoute",
    params(("decision" = Uuid, Path, description = "The `decision_id` that `GET /route` returned", example = json!(example::DECISION))),
    responses(
        (status = 200, description = "The routed call", body = Data<ShownTrace>, example = json!({
            "success": true,
            "data": example::traced_record(),
        })),
        (status = 404, description = "`DECISION_NOT_FOUND`: there is no record of this id in this environment, or no longer"),
        (status = 500, description = "`RECORD_DAMAGED`: the record cannot be read"),
        (status = 503, description = "`TIMEOUT`: the disk did not answer in time"),
        (status = 501, description = "`NOT_STORED`: the service keeps no records of routed calls"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = path.ok().and_then(|Path(text)| Uuid::try_parse(&text).ok()).ok_or_else(Refusal::decision_not_found)?;
    flush(&api).await?;
    let found = read_stored(&api, environment, move |service| service.record_of(environment, id.as_u128())).await?;
    let stored = found.ok_or_else(Refusal::decision_not_found)?;
    let Some(record) = &stored.content else {
        api.service().record_counts().count_damaged(1);
        return Err(Refusal::record_damaged());
    };
    Ok(reply::data(shown_trace(environment, &stored, record)))
}

/// Waits until each call that was routed before this request can be read. Fails if the service keeps no records.
async fn flush(api: &Api) -> Result<(), Refusal> {
    if !api.service().has_records() {
        return Err(Refusal::no_records());
    }
    let (done, answer) = oneshot::channel();
    api.service().submit_records(|| {
        let _ = done.send(());
    });
    answer.await.map_err(|_| Refusal::internal())
}

/// Reads records.
async fn read_stored<T: Send + 'static>(
    api: &Api,
    tenant: EnvironmentId,
    read: impl FnOnce(&Service) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    api.read_stored(tenant, read).await?.map_err(|error| {
        tracing::error!(%error, "the records of routed calls cannot be read");
        api.service().record_counts().count_damaged(1);
        Refusal::record_damaged()
    })
}

/// Reads the question, and the place before which the list begins.
fn read_question(api: &Api, environment: EnvironmentId, form: &mut Form) -> (Question, RecordPlace) {
    let plan = api.service().plan();
    let dial_plan = plan.environment(environment).map_or(DialPlan::NONE, |held| *held.dial_plan());
    let mut number = |name| form.optional(name, |value| read::number(value, &dial_plan));
    let (contact, dialed) = (number("contact"), number("dialed"));
    let agent = form.optional("agent_id", read::uuid);
    let source = form.optional("source_agent_id", read::uuid);
    let reason = form.optional("reason", |value| read::text(value)?.parse().map_err(|_| "must be a reason".into()));
    let decision = form.optional("decision", |value| match read::text(value)? {
        named @ ("callback" | "default" | "unrouted") => Ok(named.to_owned()),
        _ => Err("must be callback, default or unrouted".into()),
    });
    let since = form.optional("since", read::moment).unwrap_or(Timestamp::from_millis(0));
    let until = form.optional("until", read::moment);
    let cursor = form.optional("cursor", |value| {
        read_cursor(read::text(value)?).ok_or_else(|| "must be the next_cursor of an earlier answer".into())
    });
    let until = until.map_or(RecordPlace::LAST, |at: Timestamp| RecordPlace { at: at.plus_millis(1), id: 0 });
    let question = Question { contact, dialed, agent, source, reason, decision, since };
    (question, cursor.map_or(until, |cursor: RecordPlace| cursor.min(until)))
}

impl Question {
    fn means(&self, record: &DecisionRecord, shown: &ShownRecord) -> bool {
        let source = record.call.as_ref().map(|call| call.source.id);
        let agent = record.agent.as_ref().map(|agent| agent.id);
        self.dialed.is_none_or(|dialed| dialed == record.dialed)
            && self.agent.is_none_or(|wanted| agent == Some(wanted))
            && self.source.is_none_or(|wanted| source == Some(wanted))
            && self.reason.is_none_or(|reason| reason == record.reason)
            && self.decision.as_deref().is_none_or(|decision| decision == shown.decision())
    }
}

impl RecordsMeta {
    fn new() -> Self {
        Self { next_cursor: None, damaged: Vec::new() }
    }
}

/// A page in progress.
struct Page {
    question: Question,
    /// The list goes on before this place.
    before: RecordPlace,
    entries: usize,
    out: Vec<u8>,
    meta: RecordsMeta,
}

impl Page {
    /// Reads records until the page is full, or until the request has read enough. Returns whether older records are left.
    async fn fill(&mut self, api: &Api, environment: EnvironmentId) -> Result<bool, Refusal> {
        let mut read = 0;
        for _ in 0..MAX_PARTS {
            let Question { contact, since, .. } = self.question;
            let before = self.before;
            let query = move |environment| RecordQuery { environment, contact, since, before };
            let part = read_stored(api, environment, move |service| service.records_of(environment, query)).await?;
            let RecordPage { records, bytes, rest } = part;
            for stored in &records {
                if self.is_full() {
                    return Ok(true);
                }
                self.add(api, stored);
            }
            let Some(rest) = rest else { return Ok(false) };
            self.before = rest;
            read += bytes;
            if self.is_full() || read >= MAX_READ {
                break;
            }
            pause().await;
        }
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.entries >= MAX_ENTRIES || self.out.len() >= MAX_PAGE || self.meta.damaged.len() >= MAX_DAMAGED
    }

    fn add(&mut self, api: &Api, stored: &StoredRecord) {
        self.before = stored.place;
        let Some(record) = &stored.content else {
            api.service().record_counts().count_damaged(1);
            self.meta.damaged.push(Uuid::from_u128(stored.place.id));
            return;
        };
        let shown = shown(stored, record);
        if self.question.means(record, &shown) {
            if self.entries > 0 {
                self.out.push(b',');
            }
            self.entries += 1;
            write(&mut self.out, &shown);
        }
    }
}

/// Returns a place as text. It reveals nothing: it is the time and the id of a record that the page before showed or passed.
fn write_cursor(RecordPlace { at, id }: RecordPlace) -> String {
    format!("{:016x}{id:032x}", at.millis())
}

fn read_cursor(text: &str) -> Option<RecordPlace> {
    let is_hex = text.len() == 48 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (at, id) = text.split_at_checked(16).filter(|_| is_hex)?;
    let at = Timestamp::from_millis(u64::from_str_radix(at, 16).ok()?);
    Some(RecordPlace { at, id: u128::from_str_radix(id, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_reads_back_and_other_texts_do_not() {
        for (at, id) in [(0, 0), (1_780_315_200_000, u128::MAX), (u64::MAX, 7)] {
            let place = RecordPlace { at: Timestamp::from_millis(at), id };
            assert_eq!(read_cursor(&write_cursor(place)), Some(place));
        }
        for text in ["", "7", &"g".repeat(48), &"+".repeat(48), &"A".repeat(48), &"é".repeat(24)] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }
}
