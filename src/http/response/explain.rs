//! The explanation of a decision in the API: agents by id and name, and no phone number.

use super::actor::ShownActor;
use super::narrative::{Amounts, HOUR, MAX_NAMED, Narrative};
use super::time_text;
use crate::decision::{Candidate, Saw, SourceCall, Step, Trace};
use crate::http::openapi::schema;
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{EnvironmentView, Plan};
use crate::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The explanation of a decision; present only if the request asks for it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Explanation {
    /// A short text: which agent takes the call, and why.
    #[schema(required = false)]
    summary: String,
    /// The agent that takes the call.
    agent: Option<ShownAgent>,
    /// The time for which the decision was made.
    #[schema(schema_with = schema::moment, required = false)]
    at: String,
    /// The lines of the rule that were evaluated, in order.
    #[schema(required = false)]
    steps: Vec<ShownStep>,
    /// The version of the configuration that decided.
    #[schema(required = false)]
    generation: u64,
    /// The last change of the environment's configuration, if it was made in the hour before the call, or after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    last_change: Option<LastChange>,
}

/// The last change of a configuration that decisions may depend on.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LastChange {
    #[schema(schema_with = schema::moment)]
    changed_at: String,
    actor: ShownActor<'static>,
    /// A sentence about the change: how long before the call, or after it, and by which actor.
    text: String,
}

/// A line of the rule that was evaluated.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownStep {
    #[schema(minimum = 1, maximum = 9)]
    line: u8,
    #[schema(schema_with = schema::reason)]
    reason: &'static str,
    applies: bool,
    /// A sentence about the facts that the line examined.
    text: String,
    saw: Shown,
}

/// The facts that a line examined.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Shown {
    Number {
        #[schema(required, value_type = Option<Uuid>)]
        environment_id: Option<EnvironmentId>,
    },
    Caller {
        is_number: bool,
    },
    History {
        #[schema(required)]
        call: Option<ShownCall>,
    },
    Source {
        exists: bool,
        /// The first twenty callback agents.
        callback_agents: Vec<ShownAgent>,
        /// How many more callback agents there are.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        more: Option<usize>,
    },
    Candidates {
        /// The first twenty candidates.
        candidates: Vec<ShownCandidate>,
        /// How many more candidates there are.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(required = false)]
        more: Option<usize>,
    },
}

/// The last outbound call to the caller.
#[derive(Serialize, ToSchema)]
struct ShownCall {
    source_agent: ShownAgent,
    #[schema(schema_with = schema::moment)]
    called_at: String,
    #[schema(schema_with = schema::outcome)]
    status: &'static str,
    age_seconds: u64,
}

/// An agent, by id and name.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownAgent {
    #[schema(value_type = Uuid)]
    id: AgentId,
    /// The name, or null if the agent has been deleted.
    #[schema(required)]
    name: Option<String>,
}

/// A callback agent that was considered for the call.
#[derive(Serialize, ToSchema)]
struct ShownCandidate {
    #[serde(flatten)]
    agent: ShownAgent,
    remains: bool,
    /// The look-back in days, rounded down.
    lookback_days: u32,
    lookback_seconds: u32,
}

impl ShownAgent {
    pub(in crate::http) fn named(id: AgentId, name: Option<String>) -> Self {
        Self { id, name }
    }
}

impl Explanation {
    /// Returns the explanation of a decision on a plan that was never in force.
    pub(in crate::http) fn without_last_change(self) -> Self {
        Self { last_change: None, ..self }
    }
}

/// Builds the explanation of a decision, with the names that the agents have in the plan.
pub(in crate::http) fn explanation(plan: &Plan, trace: Trace, at: Timestamp, sees_operators: bool) -> Explanation {
    let Trace { decision, steps } = trace;
    let environment = steps.iter().find_map(|step| match step.saw {
        Saw::Number { environment } => environment,
        _ => None,
    });
    let narrative = Narrative::new(plan, environment, at);
    let show = |step: Step| {
        let amounts = Amounts::of(&step);
        shown_step(&narrative, step, amounts)
    };
    Explanation {
        summary: narrative.summary(&decision),
        agent: decision.route.agent().map(|agent| Agents(&narrative).agent(agent)),
        at: time_text::render(at),
        steps: steps.into_iter().map(show).collect(),
        generation: decision.generation,
        last_change: environment.and_then(|id| last_change(plan.environment(id)?, &narrative, sees_operators)),
    }
}

/// Returns a line that was tried. `amounts` counts also the agents that its lists leave out.
pub(in crate::http) fn shown_step(narrative: &Narrative<'_>, step: Step, amounts: Amounts) -> ShownStep {
    ShownStep {
        line: step.line.line(),
        reason: step.line.name(),
        applies: step.applies,
        text: narrative.step(&step, amounts),
        saw: Agents(narrative).saw(step.saw, amounts.all()),
    }
}

/// Returns the last change, unless it was made long before the call.
fn last_change(tenant: EnvironmentView<'_>, narrative: &Narrative<'_>, sees_operators: bool) -> Option<LastChange> {
    let change = tenant.last_change()?;
    let shown = ShownActor::new(&change.actor, sees_operators);
    let text = narrative.change(change.at, &shown.text(), HOUR)?;
    Some(LastChange { changed_at: time_text::render(change.at), actor: shown.into_owned(), text })
}

struct Agents<'a>(&'a Narrative<'a>);

impl Agents<'_> {
    fn saw(&self, saw: Saw, all: usize) -> Shown {
        let more = |listed: usize| Some(all.saturating_sub(listed.min(MAX_NAMED))).filter(|more| *more > 0);
        match saw {
            Saw::Number { environment } => Shown::Number { environment_id: environment },
            Saw::Caller { is_number } => Shown::Caller { is_number },
            Saw::History { call, age_millis } => Shown::History { call: call.map(|call| self.call(call, age_millis)) },
            Saw::Source { exists, callback_agents } => Shown::Source {
                exists,
                more: more(callback_agents.len()),
                callback_agents: callback_agents.into_iter().take(MAX_NAMED).map(|agent| self.agent(agent)).collect(),
            },
            Saw::Candidates(candidates) => Shown::Candidates {
                more: more(candidates.len()),
                candidates: candidates.into_iter().take(MAX_NAMED).map(|one| self.candidate(one)).collect(),
            },
        }
    }

    fn call(&self, call: SourceCall, age_millis: u64) -> ShownCall {
        ShownCall {
            source_agent: self.agent(call.agent),
            called_at: time_text::render(call.at),
            status: call.outcome.public_name(),
            age_seconds: age_millis / 1000,
        }
    }

    fn agent(&self, id: AgentId) -> ShownAgent {
        ShownAgent::named(id, self.0.name_of(id).map(str::to_owned))
    }

    fn candidate(&self, candidate: Candidate) -> ShownCandidate {
        let Candidate { agent, remains, lookback } = candidate;
        let (lookback_days, lookback_seconds) = (lookback.days(), lookback.secs());
        ShownCandidate { agent: self.agent(agent), remains, lookback_days, lookback_seconds }
    }
}
