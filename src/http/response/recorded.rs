//! Decision records in the API: with the names that the agents had, and the lines of the rule as they were tried.

use super::explain::{ShownAgent, ShownStep, shown_step};
use super::narrative::{Amounts, Narrative};
use super::time_text;
use crate::decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step};
use crate::http::openapi::schema;
use crate::id::EnvironmentId;
use crate::record::{DecisionRecord, RecordedAgent, RecordedCandidate};
use crate::store::{RecordPlace, StoredRecord};
use crate::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A routed call.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownRecord {
    /// The id that the response to the call had.
    decision_id: Uuid,
    /// When the call was routed.
    #[schema(schema_with = schema::moment)]
    at: String,
    /// The door through which the call came.
    #[schema(schema_with = schema::door)]
    door: &'static str,
    #[schema(schema_with = schema::number)]
    dialed: String,
    /// The caller; null if it showed no number.
    #[schema(schema_with = schema::number_or_null)]
    caller: Option<String>,
    #[schema(schema_with = schema::decision)]
    decision: &'static str,
    /// The agent that took the call; null if the call was unrouted.
    #[schema(required)]
    agent: Option<ShownAgent>,
    #[schema(schema_with = schema::reason)]
    reason: &'static str,
    /// The version of the environment's configuration that decided.
    generation: u64,
    /// The last outbound call to this caller; null if the rule found none.
    #[schema(required)]
    call: Option<ShownRecordedCall>,
    /// When the call was reported answered; null if it was not.
    #[schema(required, format = DateTime)]
    answered_at: Option<String>,
}

/// The outbound call behind a routed call.
#[derive(Serialize, ToSchema)]
struct ShownRecordedCall {
    source_agent: ShownAgent,
    #[schema(schema_with = schema::number)]
    from: String,
    #[schema(schema_with = schema::moment)]
    called_at: String,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
}

/// A routed call with the lines of the rule that were tried.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownTrace {
    #[serde(flatten)]
    record: ShownRecord,
    /// A short text: which agent took the call, and why.
    summary: String,
    /// The lines of the rule that were tried, in order.
    steps: Vec<ShownStep>,
}

impl ShownRecord {
    pub(in crate::http) fn decision(&self) -> &'static str {
        self.decision
    }
}

fn agent(agent: &RecordedAgent) -> ShownAgent {
    ShownAgent::named(agent.id, agent.name.clone())
}

/// Returns a record, without the lines of the rule.
pub(in crate::http) fn shown(stored: &StoredRecord, record: &DecisionRecord) -> ShownRecord {
    shown_decision(stored.place, stored.answered, record)
}

/// Returns the record of a decision at this place, and when its call was answered.
pub(in crate::http) fn shown_decision(
    RecordPlace { at, id }: RecordPlace,
    answered: Option<Timestamp>,
    record: &DecisionRecord,
) -> ShownRecord {
    ShownRecord {
        decision_id: Uuid::from_u128(id),
        at: time_text::render(at),
        door: record.door.name(),
        dialed: record.dialed.to_plus_form().to_string(),
        caller: record.caller.map(|caller| caller.to_plus_form().to_string()),
        decision: route(record).name(),
        agent: record.agent.as_ref().map(agent),
        reason: record.reason.name(),
        generation: record.revision,
        call: record.call.as_ref().map(|call| ShownRecordedCall {
            source_agent: agent(&call.source),
            from: call.from.to_plus_form().to_string(),
            called_at: time_text::render(call.at),
            status: call.outcome.public_name(),
        }),
        answered_at: answered.map(time_text::render),
    }
}

/// Returns a record with the lines of the rule that were tried.
pub(in crate::http) fn shown_trace(
    environment: EnvironmentId,
    stored: &StoredRecord,
    record: &DecisionRecord,
) -> ShownTrace {
    let at = stored.place.at;
    let narrative = Narrative::recorded(record, at);
    let steps = steps(environment, record, at);
    ShownTrace {
        record: shown(stored, record),
        summary: narrative.summary(&decision(record)),
        steps: steps.into_iter().map(|(step, amounts)| shown_step(&narrative, step, amounts)).collect(),
    }
}

fn route(record: &DecisionRecord) -> Route {
    match &record.agent {
        None => Route::Unrouted,
        Some(agent) if record.reason == Reason::Matched => Route::Callback(agent.id),
        Some(agent) => Route::Default(agent.id),
    }
}

fn call(record: &DecisionRecord) -> Option<SourceCall> {
    let call = record.call.as_ref()?;
    Some(SourceCall { agent: call.source.id, at: call.at, outcome: call.outcome })
}

fn decision(record: &DecisionRecord) -> Decision {
    Decision { route: route(record), reason: record.reason, call: call(record), generation: record.revision }
}

/// Returns the lines that were tried, and how many agents each one examined.
fn steps(environment: EnvironmentId, record: &DecisionRecord, at: Timestamp) -> Vec<(Step, Amounts)> {
    let lines = Reason::ALL.into_iter().take_while(|line| *line <= record.reason);
    let step = |line| {
        let (saw, amounts) = saw(environment, record, at, line);
        (Step { line, applies: line == record.reason, saw }, amounts)
    };
    lines.map(step).collect()
}

fn saw(environment: EnvironmentId, record: &DecisionRecord, at: Timestamp, line: Reason) -> (Saw, Amounts) {
    let ids = || record.candidates.iter().map(|candidate| candidate.agent.id);
    match line {
        Reason::UnknownNumber => (Saw::Number { environment: Some(environment) }, Amounts::NONE),
        Reason::AnonymousCaller => (Saw::Caller { is_number: record.caller.is_some() }, Amounts::NONE),
        Reason::NoHistory => {
            let call = call(record);
            let age_millis = call.map_or(0, |call| at.millis_since(call.at));
            (Saw::History { call, age_millis }, Amounts::NONE)
        }
        Reason::NoCallbackAgent => {
            let all = record.callback_agents as usize;
            (
                Saw::Source { exists: record.source_exists, callback_agents: ids().collect() },
                Amounts { out: 0, left: all },
            )
        }
        line => {
            let taker = record.agent.as_ref().map(|agent| agent.id);
            let tried = record.candidates.iter().filter(|candidate| candidate.reached >= line);
            let candidate = |candidate: &RecordedCandidate| Candidate {
                agent: candidate.agent.id,
                remains: if line == Reason::Matched {
                    Some(candidate.agent.id) == taker
                } else {
                    candidate.reached > line
                },
                lookback: candidate.lookback,
            };
            (Saw::Candidates(tried.map(candidate).collect()), amounts(record, line))
        }
    }
}

/// Returns how many of the examined candidates a line rejected, and how many it left.
fn amounts(record: &DecisionRecord, line: Reason) -> Amounts {
    let place = usize::from(line.line() - Reason::NumberNotOwned.line());
    let sum = |reached: &[u32]| reached.iter().map(|count| *count as usize).sum::<usize>();
    if line == Reason::Matched {
        return Amounts { out: sum(&record.reached[place..]).saturating_sub(1), left: 1 };
    }
    Amounts { out: record.reached[place] as usize, left: sum(&record.reached[place + 1..]) }
}
