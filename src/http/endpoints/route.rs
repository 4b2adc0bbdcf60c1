//! `GET /route`: decides which agent takes a call.

use super::calls;
use crate::decision::{Decision, Reason, Route, Saw, Step, Trace};
use crate::http::Api;
use crate::http::middleware::answer_budget::USUAL;
use crate::http::middleware::loading::Routing;
use crate::http::openapi::{example, schema};
use crate::http::request::auth::{Asker, Reach};
use crate::http::request::form::{QueryForm, Wrong};
use crate::http::request::{accept, read};
use crate::http::response::error::Refusal;
use crate::http::response::explain::{Explanation, explanation};
use crate::http::response::known_call::CallBehind;
use crate::http::response::reply::Data;
use crate::http::response::{reply, time_text};
use crate::id::{AgentId, EnvironmentId};
use crate::inbound::Arrival;
use crate::metrics::Stopwatch;
use crate::number::{Attestation, Caller, E164};
use crate::plan::{EnvironmentView, Plan};
use crate::record::RecordedDoor;
use crate::service::KnownCall;
use crate::time::Timestamp;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A decision as the API shows it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Decided {
    #[schema(schema_with = schema::decision)]
    decision: &'static str,
    /// The agent that takes the call; null if the call is unrouted.
    #[schema(required, value_type = Option<Uuid>)]
    agent_id: Option<AgentId>,
    #[schema(schema_with = schema::reason)]
    reason: &'static str,
    /// The agent that placed the last call to this contact; null if there is none.
    #[schema(required, value_type = Option<Uuid>)]
    source_agent_id: Option<AgentId>,
    /// When that call was placed.
    #[schema(required, format = DateTime)]
    called_at: Option<String>,
}

/// A decision with its id, by which the result of the call is reported.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Answered {
    #[serde(flatten)]
    decided: Decided,
    /// The last call to this contact, if the rule got as far as a call; else null.
    #[schema(required)]
    call: Option<CallBehind>,
    /// The address of that agent, if the daemon has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_address: Option<String>,
    /// The id for `POST /routes/{decision_id}/answered`.
    decision_id: Uuid,
    #[serde(flatten)]
    #[schema(value_type = Explanation)]
    explanation: Option<Explanation>,
}

/// The numbers and the time to decide for.
pub(in crate::http) struct Question {
    pub(in crate::http) dialed: E164,
    pub(in crate::http) caller: Caller,
    pub(in crate::http) at: Timestamp,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: a form is read field by field")]
struct Asked {
    /// The environment's number that was called.
    #[param(format = "phone-number", example = json!(example::DIALED))]
    dialed: String,
    /// The caller as the trunk sends it.
    #[param(example = json!(example::CONTACT))]
    caller: Option<String>,
    /// The attestation of the caller's number: `A`, `B` or `C`. Missing: the `verstat` in the caller's URI. Only for
    /// environments that require an attestation.
    #[param(example = json!("A"))]
    attestation: Option<String>,
    /// The time to decide for. Missing: now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Whether the response explains which lines of the rule were evaluated, and which facts they examined.
    #[param(default = false)]
    explain: Option<bool>,
    /// The response format, for clients that cannot set `Accept`.
    #[param(schema_with = schema::format)]
    format: Option<String>,
}

/// Decides which agent takes a call.
///
/// A number that the token may not see gets the same response as a nonexistent one.
#[utoipa::path(
    get, path = "/api/v1/route", tag = "calls", operation_id = "route", params(Asked),
    responses((
        status = 200,
        description = "The decision. As plain text: only the agent's address, its id if it has no address, or nothing if the \
            call is unrouted",
        content(
            (Data<Answered> = "application/json", example = json!({
                "success": true,
                "data": {
                    "decision": "callback", "agent_id": example::CALLBACK, "reason": "MATCHED",
                    "source_agent_id": example::SOURCE, "called_at": example::CALLED_AT,
                    "call": {
                        "call_id": example::CALL, "status": "no-answer", "called_at": example::CALLED_AT,
                        "from": example::DIALED, "context": {"order": 7},
                    },
                    "decision_id": example::DECISION,
                },
            })),
            (String = "text/plain"),
        ),
    )),
    security(("environment" = []), ("gateway" = []), ("operator" = [])),
)]
pub(in crate::http) async fn decide(
    _: Routing,
    token: Asker,
    State(api): State<Api>,
    accept::PrefersText(is_plain): accept::PrefersText,
    QueryForm(mut form): QueryForm,
) -> Result<Response, Refusal> {
    let Asker { reach, is_operator } = token;
    // One plan determines whether the number is visible, how the caller's number is read, and where the call goes.
    let plan = api.service().plan();
    let home = calls::dial_plan(&plan, reach);
    let dialed = form.required("dialed", |value| read::number(&Value::from(plus(value)?), &home));
    // A missing or malformed caller is no error, because the call has to be routed anyway.
    let caller = form.optional("caller", |value| plus(value).map(Cow::into_owned)).unwrap_or_default();
    let attestation = form.optional("attestation", |value| Ok(read::text(value)?.to_owned()));
    let at = form.optional("at", |value| read::moment(&offset(value)?));
    let explain = form.optional("explain", read::flag).unwrap_or(false);
    let is_text = form.optional("format", read::is_text);
    let dialed = form.finish(|| dialed)?;
    let now = api.now();
    // A request with `explain` or `at`, or from an operator, is a query. Any other request routes a call, which is counted.
    let is_call = !explain && at.is_none() && !is_operator;
    let at = at.unwrap_or(now);

    let arrival = Arrival::at(&plan, dialed).seen_by(|environment| reach.covers(environment));
    let visible = arrival.environment();
    let caller = match attestation {
        _ if visible.is_none() => Caller::parse(&caller, &home),
        None => arrival.caller(&caller),
        Some(level) => arrival.attested(Caller::parse(&caller, &arrival.dial_plan()), || Attestation::named(&level)),
    };
    let question = Question { dialed, caller, at };
    let environment = visible.or(reach.environment());
    let asked = Ask { token, is_call, explain, is_text: is_text.unwrap_or(is_plain), visible, now };
    if !explain {
        let decided = decide_on(&api, &plan, &question, &asked);
        let known = known_in_time(&api, &plan, &question, &asked, &decided.0).await;
        return Ok(answer(&api, &plan, &question, &asked, decided, known.as_ref()));
    }
    // An explanation is a query, so it may wait for its turn. A call never waits.
    let tenant = environment.unwrap_or(EnvironmentId::SYSTEM);
    let explained = async {
        let reservation = api.answer_budget.reserve(tenant, 2 * USUAL).await;
        let (here, of_plan) = (api.clone(), Arc::clone(&plan));
        let decide = move || (decide_on(&here, &of_plan, &question, &asked), question, asked);
        let (decided, question, asked) = api.work.run(tenant, decide).await;
        // Not in a slice: a disk that hangs would occupy a thread that all tenants need.
        let known = known_in_time(&api, &plan, &question, &asked, &decided.0).await;
        let here = api.clone();
        let answer = move || answer(&here, &plan, &question, &asked, decided, known.as_ref());
        reservation.hold(api.work.run(tenant, answer).await)
    };
    tokio::time::timeout(api.limits.patience, explained).await.map_err(|_| Refusal::too_slow())
}

/// The circumstances of a request, besides its question.
struct Ask {
    token: Asker,
    is_call: bool,
    explain: bool,
    is_text: bool,
    /// The environment of the dialed number, if the token may see it.
    visible: Option<EnvironmentId>,
    now: Timestamp,
}

/// Decides. Returns the decision, explained if it was asked for, and its id.
fn decide_on(api: &Api, plan: &Plan, question: &Question, asked: &Ask) -> (Trace, Uuid) {
    let &Ask { token: Asker { reach, .. }, is_call, explain, visible, now, .. } = asked;
    let unrecorded = |trace| (trace, api.inbound.identity(plan, visible.or(reach.environment()), None, now));
    match () {
        () if visible.is_none() => unrecorded(nowhere(api, plan, explain)),
        () if is_call => route(api, &Arrival::known(plan, question.dialed, visible), question),
        () => unrecorded(ask(api, plan, question, explain)),
    }
}

/// Returns what is known of the call behind a decision, if the answer shows it and it can be read at once: a call never waits
/// for a disk.
async fn known_in_time(
    api: &Api,
    plan: &Arc<Plan>,
    question: &Question,
    asked: &Ask,
    trace: &Trace,
) -> Option<KnownCall> {
    let visible = asked.visible.filter(|_| !asked.is_text)?;
    let call = api.inbound.call_to_read(plan, visible, (question.dialed, question.caller), &trace.decision)?;
    api.inbound.known_call(call, api.limits.context_patience).await
}

fn answer(
    api: &Api,
    plan: &Plan,
    question: &Question,
    asked: &Ask,
    (mut trace, decision_id): (Trace, Uuid),
    known: Option<&KnownCall>,
) -> Response {
    let &Ask { token: Asker { reach, is_operator }, explain, is_text, visible, .. } = asked;
    let &Question { dialed, at, .. } = question;
    let arrival = Arrival::known(plan, dialed, visible);
    trace.decision.generation = generation(plan, reach);
    let destination = arrival.destination(&trace.decision);
    if is_text {
        return accept::text(destination.map(|to| api.inbound.addresses().of_or_id(&to)).unwrap_or_default());
    }
    let agent_address = destination.and_then(|to| api.inbound.addresses().of(&to));
    let call = trace.decision.call.map(|call| CallBehind::new(&call, dialed, known));
    let decided = trace.decision.into();
    let explanation = explain.then(|| explanation(plan, trace, at, is_operator));
    accept::varying(reply::data(Answered { decided, call, agent_address, decision_id, explanation }))
}

fn ask(api: &Api, plan: &Plan, question: &Question, explain: bool) -> Trace {
    let &Question { dialed, caller, at } = question;
    if explain {
        explain_on(api, plan, question)
    } else {
        let begun = Stopwatch::start();
        let decision = api.service().resolve_on(plan, dialed, caller, at);
        api.requests.decisions.record(begun.nanos());
        Trace { decision, steps: Vec::new() }
    }
}

/// Returns the decision about a number that is not visible. Unknown numbers and other tenants' numbers take this same path,
/// so that the response time reveals nothing: with separate paths, other tenants' numbers took a quarter of a microsecond less.
fn nowhere(api: &Api, plan: &Plan, explain: bool) -> Trace {
    let begun = Stopwatch::start();
    let trace = unknown_number(plan.generation());
    if !explain {
        api.service().metrics().count(&trace.decision);
        api.requests.decisions.record(begun.nanos());
    }
    trace
}

/// Routes a call. Returns the decision and its id.
fn route(api: &Api, arrival: &Arrival<'_>, question: &Question) -> (Trace, Uuid) {
    let &Question { caller, at, .. } = question;
    let begun = Stopwatch::start();
    let decided = api.inbound.decide(arrival, caller, at);
    api.requests.decisions.record(begun.nanos());
    let id = api.inbound.record(arrival, &decided, RecordedDoor::Http, None);
    (Trace { decision: decided.routed.decision, steps: Vec::new() }, id)
}

/// Returns the version of the configuration that decided. An environment token sees the count of its own environment only.
pub(in crate::http) fn generation(plan: &Plan, reach: Reach) -> u64 {
    match reach {
        Reach::One(environment) => plan.environment(environment).map_or(0, EnvironmentView::revision),
        Reach::Every => plan.generation(),
    }
}

/// Explains the decision on this plan.
pub(in crate::http) fn explain_on(api: &Api, plan: &Plan, question: &Question) -> Trace {
    api.service().explain_on(plan, question.dialed, question.caller, question.at)
}

/// Returns the decision of the engine about a number that is in no plan.
pub(in crate::http) fn unknown_number(generation: u64) -> Trace {
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

/// Restores a `+` that the query decoding turned into a space, because many clients do not encode it. A space before a digit,
/// where a number or the user part of a URI begins, was a `+`. Before a zero it was a space, because no country code begins
/// with zero.
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

/// Restores the `+` of a time's offset.
fn offset(value: &Value) -> Result<Value, Wrong> {
    let text = read::text(value)?;
    let offset = text.split_once(['T', 't']).map(|(date, time)| format!("{date}T{}", time.replace(' ', "+")));
    Ok(offset.unwrap_or_else(|| text.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_before_a_country_code_is_restored_to_a_plus() {
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
