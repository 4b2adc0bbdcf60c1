//! `POST /calls`: an outbound call was placed, or its status changed.

use super::auth::Reach;
use super::error::Refusal;
use super::form::Form;
use super::openapi::{example, schema};
use super::reply::Message;
use super::{Api, read, reply};
use crate::engine::Applied;
use crate::event::{Call, Direction, Event};
use crate::id::AgentId;
use crate::number::DialPlan;
use crate::plan::{NumberView, Plan};
use crate::service::MAX_SKEW_MILLIS;
use crate::time::Timestamp;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::ToSchema;

/// A report about an outbound call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
pub(super) struct NewCall {
    /// The outbound agent that placed it.
    #[schema(value_type = Uuid)]
    agent_id: AgentId,
    /// A number of ours.
    #[schema(schema_with = schema::any_number)]
    from: String,
    /// The contact.
    #[schema(schema_with = schema::any_number)]
    to: String,
    /// When it was placed: from 2020 on, and at most a day ahead.
    #[schema(schema_with = schema::moment)]
    started_at: String,
    #[schema(schema_with = schema::any_outcome)]
    status: String,
}

/// An outbound call was placed, or its status changed. Safe to send twice and in any order.
///
/// A late report of a call from before the contact's erasure is acknowledged and not recorded.
#[utoipa::path(
    post, path = "/api/v1/calls", tag = "calls", operation_id = "recordCall",
    request_body(content = NewCall, example = json!({
        "agent_id": example::SOURCE, "from": example::DIALED, "to": example::CONTACT,
        "started_at": "2026-06-01T11:00:00Z", "status": "no-answer",
    })),
    responses(
        (status = 202, description = "Durable", body = Message<'static>, example = json!(
            {"success": true, "message": "Call recorded"}
        )),
        (status = 404, description = "`NUMBER_NOT_FOUND`: `from` is none of ours; `AGENT_NOT_FOUND`"),
        (status = 409, description = "`CONTACT_ERASED`: the contact was erased together with a call dated in the future, and this \
                                      call is dated before that one"),
        (status = 422, description = "`INVALID_AGENT_DIRECTION`: it is no outbound agent"),
        (status = 409, description = "`QUOTA_EXCEEDED`: the environment holds as many contacts as it may, others may add more"),
        (status = 503, description = "`HISTORY_FULL`: no new contact can be held, of no environment"),
    ),
    security(("environment" = []), ("gateway" = [])),
)]
pub(super) async fn record(reach: Reach, State(api): State<Api>, form: Form) -> Result<Response, Refusal> {
    let call = call(form, &api.service.plan(), reach, api.now())?;
    let recording = api.submit(vec![Event::Call(call)]).await.map_err(|_| Refusal::internal())?;
    for applied in recording? {
        settle(&api.service.plan(), &call, applied?)?;
    }
    Ok(reply::message(StatusCode::ACCEPTED, "Call recorded"))
}

/// Refuses a call that was not recorded, unless it is the late report of a call from before an erasure.
///
/// # Errors
/// What is unknown by now, where the configuration changed while the call was handed in.
pub(super) fn settle(plan: &Plan, call: &Call, applied: Applied) -> Result<(), Refusal> {
    match applied {
        Applied::Ignored if plan.agent(call.environment, call.agent).is_none() => Err(Refusal::agent_not_found()),
        Applied::Ignored if plan.call_slots(call).is_none() => Err(Refusal::number_not_found()),
        _ => Ok(()),
    }
}

/// Reads a call. Its environment is the one that holds the number it was placed from.
pub(super) fn call(mut form: Form, plan: &Plan, reach: Reach, now: Timestamp) -> Result<Call, Refusal> {
    let home = dial_plan(plan, reach);
    let from = form.required("from", |value| read::number(value, &home));
    let holder = from.and_then(|from| plan.dialed(from)).map(NumberView::environment);
    let holder = holder.filter(|environment| reach.covers(*environment));
    let there = holder.map_or(home, |environment| dial_plan(plan, Reach::One(environment)));
    let to = form.required("to", |value| read::number(value, &there));
    let agent = form.required("agent_id", |value| Ok(AgentId::parse(read::text(value)?)));
    let at = form.required("started_at", |value| match read::moment(value)? {
        at if at < Timestamp::EARLIEST => Err("must not lie before 2020".into()),
        at if at > now.plus_millis(MAX_SKEW_MILLIS) => Err("must not lie more than a day ahead".into()),
        at => Ok(at),
    });
    let outcome = form.required("status", read::outcome);
    let (agent, from, to, at, outcome) = form.finish(|| Some((agent?, from?, to?, at?, outcome?)))?;

    let environment = holder.ok_or_else(Refusal::number_not_found)?;
    let agent = agent.and_then(|id| plan.agent(environment, id)).ok_or_else(Refusal::agent_not_found)?;
    if agent.direction() != Direction::Outbound {
        return Err(Refusal::not_outbound());
    }
    Ok(Call { environment, agent: agent.id(), from, to, at, outcome })
}

/// How numbers are read before it is known whose they are.
pub(super) fn dial_plan(plan: &Plan, reach: Reach) -> DialPlan {
    match reach {
        Reach::One(environment) => plan.environment(environment).map(|environment| *environment.dial_plan()),
        Reach::Every => None,
    }
    .unwrap_or(DialPlan::NONE)
}
