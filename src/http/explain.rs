//! The steps of a decision as the API shows them: agents by identity and name, and no number.

use super::time_text;
use crate::decision::{Candidate, Saw, SourceCall, Step};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::Plan;
use serde::Serialize;

/// A line of the rule that was tried.
#[derive(Serialize)]
pub(super) struct ShownStep {
    line: u8,
    reason: &'static str,
    applies: bool,
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

/// The steps, with the names that their agents have in the plan.
pub(super) fn show(plan: &Plan, steps: Vec<Step>) -> Vec<ShownStep> {
    let environment = steps.iter().find_map(|step| match step.saw {
        Saw::Number { environment } => environment,
        _ => None,
    });
    let agents = Agents { plan, environment };
    let show = |step: Step| ShownStep {
        line: step.line.line(),
        reason: step.line.name(),
        applies: step.applies,
        saw: agents.saw(step.saw),
    };
    steps.into_iter().map(show).collect()
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
