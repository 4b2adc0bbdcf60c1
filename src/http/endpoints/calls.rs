//! `POST /calls`: reports an outbound call, or a new status of one. `GET /calls/{call_id}` shows a call with an id.

use crate::engine::Applied;
use crate::event::{Call, CallId, Context, Details, Direction, Event, Update};
use crate::http::Api;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Reach, Tenant};
use crate::http::request::form::Form;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::known_call::DetailedCall;
use crate::http::response::reply::{self, Data, Message};
use crate::http::response::time_text;
use crate::id::{AgentId, EnvironmentId};
use crate::number::{DialPlan, E164};
use crate::plan::{NumberView, Plan};
use crate::service::{MAX_SKEW_MILLIS, Service, ServiceError};
use crate::time::Timestamp;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

/// A report about an outbound call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct NewCall {
    /// The outbound agent that placed the call.
    #[schema(value_type = Uuid)]
    agent_id: AgentId,
    /// The environment's number from which the call was placed.
    #[schema(schema_with = schema::any_number)]
    from: String,
    /// The number of the contact that was called.
    #[schema(schema_with = schema::any_number)]
    to: String,
    /// When the call was placed: not before 2020, and at most a day in the future.
    #[schema(schema_with = schema::moment)]
    started_at: String,
    #[schema(schema_with = schema::any_outcome)]
    status: String,
    /// Whether the call is a test. A test call is checked and acknowledged, and never enters the history.
    #[schema(default = false)]
    is_testing: Option<bool>,
    /// Your id of the call, unique in the environment.
    #[schema(schema_with = schema::call_id_or_null)]
    call_id: Option<String>,
    /// The context of the call. It is kept as it is written, and shown where the contact calls back. At most 4096 bytes.
    #[schema(value_type = Option<Object>)]
    context: Option<serde_json::Value>,
}

/// A later report about a call, by its id alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) struct CallUpdate {
    #[schema(schema_with = schema::call_id)]
    call_id: String,
    /// The number from which the call was placed. A gateway token has to name it.
    #[schema(schema_with = schema::any_number)]
    from: Option<String>,
    #[schema(schema_with = schema::any_outcome)]
    status: String,
    /// Replaces the context of the call.
    #[schema(value_type = Option<Object>)]
    context: Option<serde_json::Value>,
}

/// A report about a call.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(in crate::http) enum CallReport {
    New(NewCall),
    Update(CallUpdate),
}

/// Reports an outbound call, or a new status of one. Reports may be repeated and may arrive in any order.
///
/// After the first report with a `call_id`, later ones may have only `call_id` and `status`, and a new `context`. A
/// late report of a call from before the contact's erasure is acknowledged but not recorded. So is a report with a
/// status that does not count (`counts_from` of the environment), but with a `call_id` or a `context` its call is known
/// all the same.
#[utoipa::path(
    post, path = "/api/v1/calls", tag = "calls", operation_id = "recordCall",
    request_body(content = CallReport, examples(
        ("call" = (value = json!({
            "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": "no-answer",
        }))),
        ("test" = (value = json!({
            "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": "no-answer", "is_testing": true,
        }))),
        ("with_context" = (value = json!({
            "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": "no-answer",
            "call_id": example::CALL, "context": {"order": 7},
        }))),
        ("update" = (value = json!({"call_id": example::CALL, "status": "no-answer"}))),
    )),
    responses(
        (status = 202, description = "The report is durable, does not count, or is about a test call", body = Message<'static>, examples(
            ("call" = (value = json!({"success": true, "message": "Call recorded"}))),
            ("test" = (value = json!({"success": true, "message": "Test call acknowledged"}))),
            ("with_context" = (value = json!({"success": true, "message": "Call recorded"}))),
            ("update" = (value = json!({"success": true, "message": "Call recorded"}))),
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`: `from` is not a number of the environment; `AGENT_NOT_FOUND`; `CALL_NOT_FOUND`: no \
                                      call has the id of an update"),
        (status = 409, description = "`CONTACT_ERASED`: the contact was erased together with a call dated in the future, and this \
                                      call is dated before that one; `QUOTA_EXCEEDED`: the environment has reached its \
                                      limit of contacts, or of contexts; `CALL_ID_REUSED`: the call with this id has another \
                                      agent, number or contact"),
        (status = 422, description = "`INVALID_AGENT_DIRECTION`: the agent is not outbound"),
        (status = 501, description = "`NOT_STORED`: the service keeps no ids and contexts"),
        (status = 503, description = "`HISTORY_FULL`: the history accepts no new contact of any environment"),
    ),
    security(("environment" = []), ("gateway" = [])),
)]
pub(in crate::http) async fn record(reach: Reach, State(api): State<Api>, form: Form) -> Result<Response, Refusal> {
    let Reported { event, is_testing } = reported(form, &api.service().plan(), reach, api.now())?;
    if is_testing {
        return Ok(reply::message(StatusCode::ACCEPTED, "Test call acknowledged"));
    }
    let call = event.call().copied();
    let recording = api.submit(vec![event]).await.map_err(|_| Refusal::internal())?;
    let mut message = "Call recorded";
    for applied in recording? {
        let applied = applied?;
        settle(&api.service().plan(), call.as_ref(), applied)?;
        if applied == Applied::Uncounted {
            message = "Call acknowledged; with this status it does not count";
        }
    }
    Ok(reply::message(StatusCode::ACCEPTED, message))
}

/// Returns the call with this id: its parties, its status and its context.
#[utoipa::path(
    get, path = "/api/v1/calls/{call_id}", tag = "calls", operation_id = "showCall",
    params(("call_id" = String, Path, description = "The id under which the call was reported", example = json!(example::CALL))),
    responses(
        (status = 200, description = "The call", body = Data<DetailedCall>, example = json!({
            "success": true,
            "data": {
                "call_id": example::CALL, "status": "no-answer", "called_at": example::CALLED_AT, "from": example::DIALED,
                "to": example::CONTACT, "source_agent_id": example::SOURCE, "context": {"order": 7},
                "context_at": example::CREATED_AT,
            },
        })),
        (status = 404, description = "`CALL_NOT_FOUND`: no call of the environment has this id, or its contact was erased"),
        (status = 501, description = "`NOT_STORED`: the service keeps no data on disk"),
    ),
    security(("environment" = [])),
)]
pub(in crate::http) async fn show(
    Tenant(environment): Tenant,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = path.ok().and_then(|Path(text)| CallId::new(&text)).ok_or_else(Refusal::call_not_found)?;
    let call = read_stored(&api, environment, move |service| service.known_call(environment, &id)).await?;
    Ok(reply::data(DetailedCall::from(call.ok_or_else(Refusal::call_not_found)?)))
}

/// Reads calls with ids and contexts from the store.
///
/// # Errors
/// They cannot be read, or not in time.
pub(in crate::http) async fn read_stored<T: Send + 'static>(
    api: &Api,
    tenant: EnvironmentId,
    read: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, Refusal> {
    api.read_stored(tenant, read).await?.map_err(|error| {
        if error == ServiceError::CallsNotKept {
            return error.into();
        }
        api.stored_reads.fail();
        tracing::error!(%error, "the calls with ids and contexts cannot be read");
        Refusal::internal()
    })
}

/// Rejects a call that was not recorded, unless it is a late report of a call from before an erasure.
///
/// # Errors
/// If the agent or the number has been deleted since the call was submitted.
pub(in crate::http) fn settle(plan: &Plan, call: Option<&Call>, applied: Applied) -> Result<(), Refusal> {
    match (applied, call) {
        (Applied::Ignored, Some(call)) if plan.agent(call.environment, call.agent).is_none() => {
            Err(Refusal::agent_not_found())
        }
        (Applied::Ignored, Some(call)) if plan.call_slots(call).is_none() => Err(Refusal::number_not_found()),
        _ => Ok(()),
    }
}

/// The event of a report.
pub(in crate::http) struct Reported {
    pub(in crate::http) event: Event,
    /// Whether the call is a test, which must not be recorded.
    pub(in crate::http) is_testing: bool,
}

/// Reads a report of a call. The call belongs to the environment that holds the number in `from`.
pub(in crate::http) fn reported(
    mut form: Form,
    plan: &Plan,
    reach: Reach,
    now: Timestamp,
) -> Result<Reported, Refusal> {
    let home = dial_plan(plan, reach);
    let is_update = form.has("call_id") && !["agent_id", "to", "started_at"].iter().any(|field| form.has(field));
    let id = form.optional("call_id", read::call_id);
    let context = form.context();
    if is_update {
        return update(form, plan, reach, id, context);
    }
    let from = form.required("from", |value| read::number(value, &home));
    let holder = from.and_then(|from| plan.dialed(from)).map(NumberView::environment);
    let holder = holder.filter(|environment| reach.covers(*environment));
    let there = holder.map_or(home, |environment| dial_plan(plan, Reach::One(environment)));
    let to = form.required("to", |value| read::number_to_store(value, &there));
    let agent = form.required("agent_id", |value| Ok(read::text(value)?.parse::<AgentId>().ok()));
    let at = form.required("started_at", |value| match read::moment(value)? {
        at if at < Timestamp::EARLIEST => Err("must not lie before 2020".into()),
        at if at > now.plus_millis(MAX_SKEW_MILLIS) => Err("must not lie more than a day ahead".into()),
        at => Ok(at),
    });
    let outcome = form.required("status", read::outcome);
    let is_testing = form.optional("is_testing", read::boolean).unwrap_or(false);
    let (agent, from, to, at, outcome) = form.finish(|| Some((agent?, from?, to?, at?, outcome?)))?;

    let environment = holder.ok_or_else(Refusal::number_not_found)?;
    let agent = agent.and_then(|id| plan.agent(environment, id)).ok_or_else(Refusal::agent_not_found)?;
    if agent.direction() != Some(Direction::Outbound) {
        return Err(Refusal::not_outbound());
    }
    let call = Call { environment, agent: agent.id(), from, to, at, outcome };
    Ok(Reported { event: Event::reported(call, Details { id, context }), is_testing })
}

/// Reads a report that names its call by the id alone. A gateway token serves all environments, so it also names the number
/// that the call was placed from.
fn update(
    mut form: Form,
    plan: &Plan,
    reach: Reach,
    id: Option<CallId>,
    context: Option<Context>,
) -> Result<Reported, Refusal> {
    let home = dial_plan(plan, reach);
    let from = match reach {
        Reach::One(_) => form.optional("from", |value| read::number(value, &home)),
        Reach::Every => form.required("from", |value| read::number(value, &home)),
    };
    let outcome = form.required("status", read::outcome);
    let is_testing = form.optional("is_testing", read::boolean).unwrap_or(false);
    let (id, outcome) = form.finish(|| Some((id?, outcome?)))?;
    let holder = || from.and_then(|from| plan.dialed(from)).map(NumberView::environment);
    let environment = reach.environment().or_else(holder).ok_or_else(Refusal::number_not_found)?;
    Ok(Reported { event: Event::Update(Box::new(Update { environment, id, from, outcome, context })), is_testing })
}

/// The fields of a call that is written without escapes, as most programs write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainCall<'a> {
    agent_id: &'a str,
    from: &'a str,
    to: &'a str,
    started_at: &'a str,
    status: &'a str,
}

/// Reads a call from a line of JSON, without an allocation for its fields. Returns `None` for a line that [`reported`] may
/// reject or may read in another way: read it with a form.
pub(in crate::http) fn plain_call(line: &[u8], plan: &Plan, reach: Reach, now: Timestamp) -> Option<Call> {
    let PlainCall { agent_id, from, to, started_at, status } = serde_json::from_slice(line).ok()?;
    let from = E164::parse(from, &dial_plan(plan, reach)).ok()?;
    let environment = plan.dialed(from).map(NumberView::environment).filter(|holder| reach.covers(*holder))?;
    let to = E164::parse_to_store(to, plan.environment(environment)?.dial_plan()).ok()?;
    let agent = plan.agent(environment, agent_id.parse().ok()?)?;
    let at = time_text::parse(started_at)?;
    let is_in_time = at >= Timestamp::EARLIEST && at <= now.plus_millis(MAX_SKEW_MILLIS);
    let outcome = status.parse().ok()?;
    let call = Call { environment, agent: agent.id(), from, to, at, outcome };
    (is_in_time && agent.direction() == Some(Direction::Outbound)).then_some(call)
}

/// Returns the dial plan for reading a number before its environment is known.
pub(in crate::http) fn dial_plan(plan: &Plan, reach: Reach) -> DialPlan {
    match reach {
        Reach::One(environment) => plan.environment(environment).map(|environment| *environment.dial_plan()),
        Reach::Every => None,
    }
    .unwrap_or(DialPlan::NONE)
}
