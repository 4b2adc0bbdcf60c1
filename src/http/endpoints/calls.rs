//! `POST /calls`: reports an outbound call, or a new status of one.

use crate::engine::Applied;
use crate::event::{Call, Direction, Event};
use crate::http::Api;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::Reach;
use crate::http::request::form::Form;
use crate::http::request::read;
use crate::http::response::error::Refusal;
use crate::http::response::reply::{self, Message};
use crate::http::response::time_text;
use crate::id::AgentId;
use crate::number::{DialPlan, E164};
use crate::plan::{NumberView, Plan};
use crate::service::MAX_SKEW_MILLIS;
use crate::time::Timestamp;
use axum::extract::State;
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
}

/// Reports an outbound call, or a new status of one. Reports may be repeated and may arrive in any order.
///
/// A late report of a call from before the contact's erasure is acknowledged but not recorded.
#[utoipa::path(
    post, path = "/api/v1/calls", tag = "calls", operation_id = "recordCall",
    request_body(content = NewCall, examples(
        ("call" = (value = json!({
            "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": "no-answer",
        }))),
        ("test" = (value = json!({
            "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": "no-answer", "is_testing": true,
        }))),
    )),
    responses(
        (status = 202, description = "The report is durable, or it is about a test call", body = Message<'static>, examples(
            ("call" = (value = json!({"success": true, "message": "Call recorded"}))),
            ("test" = (value = json!({"success": true, "message": "Test call acknowledged"}))),
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`: `from` is not a number of the environment; `AGENT_NOT_FOUND`"),
        (status = 409, description = "`CONTACT_ERASED`: the contact was erased together with a call dated in the future, and this \
                                      call is dated before that one; `QUOTA_EXCEEDED`: the environment has reached its \
                                      limit of contacts"),
        (status = 422, description = "`INVALID_AGENT_DIRECTION`: the agent is not outbound"),
        (status = 503, description = "`HISTORY_FULL`: the history accepts no new contact of any environment"),
    ),
    security(("environment" = []), ("gateway" = [])),
)]
pub(in crate::http) async fn record(reach: Reach, State(api): State<Api>, form: Form) -> Result<Response, Refusal> {
    let Reported { call, is_testing } = reported(form, &api.service().plan(), reach, api.now())?;
    if is_testing {
        return Ok(reply::message(StatusCode::ACCEPTED, "Test call acknowledged"));
    }
    let recording = api.submit(vec![Event::Call(call)]).await.map_err(|_| Refusal::internal())?;
    for applied in recording? {
        settle(&api.service().plan(), &call, applied?)?;
    }
    Ok(reply::message(StatusCode::ACCEPTED, "Call recorded"))
}

/// Rejects a call that was not recorded, unless it is a late report of a call from before an erasure.
///
/// # Errors
/// If the agent or the number has been deleted since the call was submitted.
pub(in crate::http) fn settle(plan: &Plan, call: &Call, applied: Applied) -> Result<(), Refusal> {
    match applied {
        Applied::Ignored if plan.agent(call.environment, call.agent).is_none() => Err(Refusal::agent_not_found()),
        Applied::Ignored if plan.call_slots(call).is_none() => Err(Refusal::number_not_found()),
        _ => Ok(()),
    }
}

/// A call of a report.
pub(in crate::http) struct Reported {
    pub(in crate::http) call: Call,
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
    Ok(Reported { call: Call { environment, agent: agent.id(), from, to, at, outcome }, is_testing })
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
