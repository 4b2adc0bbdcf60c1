//! Why a call went where it went, as the API shows it: agents by identity and name, and no number.

use super::narrative::Narrative;
use super::time_text;
use crate::decision::{Candidate, Saw, SourceCall, Step, Trace};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::Plan;
use crate::time::Timestamp;
use serde::Serialize;

/// What led to a decision.
#[derive(Serialize)]
pub(super) struct Explanation {
    /// For whoever has to know at once: where the call goes, and why.
    summary: String,
    /// Who takes the call.
    agent: Option<ShownAgent>,
    /// The moment that the decision is about.
    at: String,
    steps: Vec<ShownStep>,
    /// Of the plan that was read.
    generation: u64,
}

/// A line of the rule that was tried.
#[derive(Serialize)]
struct ShownStep {
    line: u8,
    reason: &'static str,
    applies: bool,
    /// What the line saw, in a sentence.
    text: String,
    saw: Shown,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Number { environment_id: Option<EnvironmentId> },
    Caller { is_number: bool },
    History { call: Option<ShownCall> },
    Source { exists: bool, callback_agents: Vec<ShownAgent> },
    Candidates { candidates: Vec<ShownCandidate> },
}

#[derive(Serialize)]
struct ShownCall {
    source_agent: ShownAgent,
    called_at: String,
    status: &'static str,
    age_seconds: u64,
}

#[derive(Serialize)]
struct ShownAgent {
    id: AgentId,
    /// `None`: deleted since.
    name: Option<String>,
}

#[derive(Serialize)]
struct ShownCandidate {
    #[serde(flatten)]
    agent: ShownAgent,
    remains: bool,
    lookback_days: u32,
}

/// What led to a decision, with the names that its agents have in the plan.
pub(super) fn explanation(plan: &Plan, trace: Trace, at: Timestamp) -> Explanation {
    let Trace { decision, steps } = trace;
    let environment = steps.iter().find_map(|step| match step.saw {
        Saw::Number { environment } => environment,
        _ => None,
    });
    let agents = Agents { plan, environment };
    let narrative = Narrative::new(plan, environment, at);
    let show = |step: Step| ShownStep {
        line: step.line.line(),
        reason: step.line.name(),
        applies: step.applies,
        text: narrative.step(&step),
        saw: agents.saw(step.saw),
    };
    Explanation {
        summary: narrative.summary(&decision),
        agent: decision.route.agent().map(|agent| agents.agent(agent)),
        at: time_text::render(at),
        steps: steps.into_iter().map(show).collect(),
        generation: decision.generation,
    }
}

struct Agents<'a> {
    plan: &'a Plan,
    environment: Option<EnvironmentId>,
}

impl Agents<'_> {
    fn saw(&self, saw: Saw) -> Shown {
        match saw {
            Saw::Number { environment } => Shown::Number { environment_id: environment },
            Saw::Caller { is_number } => Shown::Caller { is_number },
            Saw::History { call, age_millis } => Shown::History { call: call.map(|call| self.call(call, age_millis)) },
            Saw::Source { exists, callback_agents } => Shown::Source {
                exists,
                callback_agents: callback_agents.into_iter().map(|agent| self.agent(agent)).collect(),
            },
            Saw::Candidates(candidates) => Shown::Candidates {
                candidates: candidates.into_iter().map(|candidate| self.candidate(candidate)).collect(),
            },
        }
    }

    fn call(&self, call: SourceCall, age_millis: u64) -> ShownCall {
        ShownCall {
            source_agent: self.agent(call.agent),
            called_at: time_text::render(call.at),
            status: call.outcome.name(),
            age_seconds: age_millis / 1000,
        }
    }

    fn agent(&self, id: AgentId) -> ShownAgent {
        let agent = self.environment.and_then(|environment| self.plan.agent(environment, id));
        ShownAgent { id, name: agent.map(|agent| agent.name().to_owned()) }
    }

    fn candidate(&self, candidate: Candidate) -> ShownCandidate {
        let Candidate { agent, remains, lookback } = candidate;
        ShownCandidate { agent: self.agent(agent), remains, lookback_days: lookback.days() }
    }
}
