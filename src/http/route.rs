//! `GET /route`: which agent takes this call?

use super::auth::{Asker, Reach};
use super::error::Refusal;
use super::explain::{Explanation, explanation};
use super::form::{QueryForm, Wrong};
use super::loading::Routing;
use super::openapi::{example, schema};
use super::reply::Data;
use super::room::USUAL;
use super::{Api, calls, plain, read, reply, time_text};
use crate::address::Destination;
use crate::decision::{Decision, Reason, Route, Saw, Step, Trace};
use crate::decision_id::Sealed;
use crate::engine::Routed;
use crate::id::{AgentId, EnvironmentId};
use crate::metrics::Stopwatch;
use crate::number::{Caller, E164};
use crate::plan::{EnvironmentView, NumberView, Plan};
use crate::slot::TallySlot;
use crate::time::Timestamp;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A decision as the API shows it.
#[derive(Serialize, ToSchema)]
pub(super) struct Decided {
    #[schema(schema_with = schema::decision)]
    decision: &'static str,
    /// Who takes the call; null where nobody does.
    #[schema(required, value_type = Option<Uuid>)]
    agent_id: Option<AgentId>,
    #[schema(schema_with = schema::reason)]
    reason: &'static str,
    /// Who placed the last call to this contact, where there is one.
    #[schema(required, value_type = Option<Uuid>)]
    source_agent_id: Option<AgentId>,
    /// When that was.
    #[schema(required, format = DateTime)]
    called_at: Option<String>,
}

/// A decision, under which what becomes of the call can be told.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    #[serde(flatten)]
    decided: Decided,
    /// Where that agent is reached, where the daemon was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_address: Option<String>,
    /// Under which it is told that the call connected.
    decision_id: Uuid,
    #[serde(flatten)]
    #[schema(value_type = Explanation)]
    explanation: Option<Explanation>,
}

/// Who calls whom, and when.
pub(super) struct Question {
    pub(super) dialed: E164,
    pub(super) caller: Caller,
    pub(super) at: Timestamp,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// The number of ours that was called.
    #[param(format = "phone-number", example = json!(example::DIALED))]
    dialed: String,
    /// Whatever the trunk says of the caller.
    #[param(example = json!(example::CONTACT))]
    caller: Option<String>,
    /// The moment to decide for; without it now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Whether to say which lines of the rule were tried, and what each saw.
    #[param(default = false)]
    explain: Option<bool>,
    /// JSON or plain text, for clients that cannot set `Accept`.
    #[param(schema_with = schema::format)]
    format: Option<String>,
}

/// Where does this call go?
///
/// A number that the asker may not see is answered like one that there is not.
#[utoipa::path(
    get, path = "/api/v1/route", tag = "calls", operation_id = "route", params(Asked),
    responses((
        status = 200,
        description = "The decision; as plain text, where that is preferred, the agent's address alone: its id where it has none, nothing \
            where the call is unrouted",
        content(
            (Data<Answer> = "application/json", example = json!({
                "success": true,
                "data": {
                    "decision": "callback", "agent_id": example::CALLBACK, "reason": "MATCHED",
                    "source_agent_id": example::SOURCE, "called_at": example::CALLED_AT,
                    "decision_id": example::DECISION,
                },
            })),
            (String = "text/plain"),
        ),
    )),
    security(("environment" = []), ("gateway" = []), ("operator" = [])),
)]
pub(super) async fn decide(
    _: Routing,
    Asker { reach, is_operator }: Asker,
    State(api): State<Api>,
    plain::IsPreferred(is_plain): plain::IsPreferred,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    // One plan says who may see the number, how the caller's is written, and where the call goes.
    let plan = api.service.plan();
    let home = calls::dial_plan(&plan, reach);
    let dialed = form.required("dialed", |value| read::number(&Value::from(plus(value)?), &home));
    // Whatever a trunk sends, and no caller at all too: the call has to go somewhere.
    let caller = form.optional("caller", |value| plus(value).map(Cow::into_owned)).unwrap_or_default();
    let at = form.optional("at", |value| read::moment(&offset(value)?));
    let explain = form.optional("explain", read::flag).unwrap_or(false);
    let is_text = form.optional("format", read::is_text);
    let dialed = form.finish(|| dialed)?;
    let now = api.now();
    // Who explains, asks about another time or operates has a question; who does not has a call.
    let is_call = !explain && at.is_none() && !is_operator;
    let at = at.unwrap_or(now);

    let visible = plan.dialed(dialed).map(NumberView::environment).filter(|environment| reach.covers(*environment));
    let there = visible.map_or(home, |environment| calls::dial_plan(&plan, Reach::One(environment)));
    let question = Question { dialed, caller: Caller::parse(&caller, &there), at };
    let environment = visible.or(reach.environment());
    let asked = Ask { reach, is_call, explain, is_text: is_text.unwrap_or(is_plain), visible, now };
    if !explain {
        return Ok(answer(&api, &plan, &question, &asked));
    }
    // An explanation is a question, not a call: it may wait for its turn, a call never does.
    let tenant = environment.unwrap_or(EnvironmentId::SYSTEM);
    let explained = async {
        let room = api.rooms.take(tenant, 2 * USUAL).await;
        let here = api.clone();
        room.hold(api.work.run(tenant, move || answer(&here, &plan, &question, &asked)).await)
    };
    tokio::time::timeout(api.limits.patience, explained).await.map_err(|_| Refusal::too_slow())
}

/// What is asked beside the question.
struct Ask {
    reach: Reach,
    is_call: bool,
    explain: bool,
    is_text: bool,
    /// Whose number was dialed, where the asker may see it.
    visible: Option<EnvironmentId>,
    now: Timestamp,
}

fn answer(api: &Api, plan: &Plan, question: &Question, asked: &Ask) -> Response {
    let &Ask { reach, is_call, explain, is_text, visible, now } = asked;
    let &Question { dialed, at, .. } = question;
    let (mut trace, tally) = match () {
        () if visible.is_none() => (nowhere(api, plan, explain), None),
        () if is_call => route(api, plan, question),
        () => (ask(api, plan, question, explain), None),
    };
    let unmatched = || plan.unmatched_tally(visible.or(reach.environment())?);
    let decision_id =
        api.decisions.seal(&Sealed { day: now.day(), tally: tally.or_else(unmatched), is_counted: tally.is_some() });
    trace.decision.generation = generation(plan, reach);
    let destination = visible.zip(trace.decision.route.agent()).map(|(environment, agent)| Destination {
        environment,
        agent,
        dialed,
    });
    if is_text {
        return plain::text(destination.map(|to| api.addresses.of_or_id(&to)).unwrap_or_default());
    }
    let agent_address = destination.and_then(|to| api.addresses.of(&to));
    let decided = trace.decision.into();
    let explanation = explain.then(|| explanation(plan, trace, at));
    plain::varying(reply::data(Answer { decided, agent_address, decision_id, explanation }))
}

fn ask(api: &Api, plan: &Plan, question: &Question, explain: bool) -> Trace {
    let &Question { dialed, caller, at } = question;
    if explain {
        explain_on(api, plan, question)
    } else {
        let begun = Stopwatch::start();
        let decision = api.service.resolve_on(plan, dialed, caller, at);
        api.requests.decisions.record(begun.nanos());
        Trace { decision, steps: Vec::new() }
    }
}

/// The decision about a number that the asker does not see. One way for those that there are and those that there are not, so that
/// the time tells no more than the answer: foreign numbers took a quarter of a microsecond less.
fn nowhere(api: &Api, plan: &Plan, explain: bool) -> Trace {
    let begun = Stopwatch::start();
    let trace = nobody(plan.generation());
    if !explain {
        api.service.metrics().count(&trace.decision);
        api.requests.decisions.record(begun.nanos());
    }
    trace
}

/// The decision of a call that is there to be routed, and where it was counted.
fn route(api: &Api, plan: &Plan, question: &Question) -> (Trace, Option<TallySlot>) {
    let &Question { dialed, caller, at } = question;
    let begun = Stopwatch::start();
    let Routed { decision, tally } = api.service.route_on(plan, dialed, caller, at);
    api.requests.decisions.record(begun.nanos());
    (Trace { decision, steps: Vec::new() }, tally)
}

/// Which configuration decided, in the asker's count: how many all environments had is nothing for one of them.
pub(super) fn generation(plan: &Plan, reach: Reach) -> u64 {
    match reach {
        Reach::One(environment) => plan.environment(environment).map_or(0, EnvironmentView::revision),
        Reach::Every => plan.generation(),
    }
}

/// The decision on this plan, with what led to it.
pub(super) fn explain_on(api: &Api, plan: &Plan, question: &Question) -> Trace {
    api.service.explain_on(plan, question.dialed, question.caller, question.at)
}

/// What the engine says of a number that is in no plan.
pub(super) fn nobody(generation: u64) -> Trace {
    let reason = Reason::UnknownNumber;
    let step = Step { line: reason, applies: true, saw: Saw::Number { environment: None } };
    Trace { decision: Decision { route: Route::Unrouted, reason, call: None, generation }, steps: vec![step] }
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        Self {
            decision: decision.route.name(),
            agent_id: decision.route.agent(),
            reason: decision.reason.name(),
            source_agent_id: decision.call.map(|call| call.agent),
            called_at: decision.call.map(|call| time_text::render(call.at)),
        }
    }
}

/// In a query `+` means a space, and hardly anybody who writes a number into one knows. A space in front of a digit, where a
/// number or the user part of a URI begins, was a `+`; but in front of a zero it was a space, since no country code is one.
fn plus(value: &Value) -> Result<Cow<'_, str>, Wrong> {
    let text = read::text(value)?;
    if !text.contains(' ') {
        return Ok(text.into());
    }
    let mut fixed = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let begins = fixed.is_empty() || fixed.ends_with([':', '<']);
        let was_plus = char == ' ' && begins && matches!(rest.peek(), Some('1'..='9'));
        fixed.push(if was_plus { '+' } else { char });
    }
    Ok(fixed.into())
}

/// Likewise the `+` of a time's offset.
fn offset(value: &Value) -> Result<Value, Wrong> {
    let text = read::text(value)?;
    let offset = text.split_once(['T', 't']).map(|(date, time)| format!("{date}T{}", time.replace(' ', "+")));
    Ok(offset.unwrap_or_else(|| text.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_that_became_a_space_is_a_plus_again() {
        for (text, fixed) in [
            (" 15551234567", "+15551234567"),
            ("sip: 15551234567@host", "sip:+15551234567@host"),
            ("\"A B\" <sip: 1555@host>", "\"A B\" <sip:+1555@host>"),
            ("030 901820", "030 901820"),
            (" 030 901820", " 030 901820"),
            ("sip: 0049301@host", "sip: 0049301@host"),
            (" anonymous", " anonymous"),
            ("", ""),
        ] {
            assert_eq!(plus(&Value::from(text)).unwrap(), fixed);
        }
    }
}
