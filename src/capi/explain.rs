//! Explains a decision as JSON: times in milliseconds, agents by id and name, and no phone numbers.

use crate::decision::{Candidate, Saw, SourceCall, Step, Trace};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, Plan};
use serde_json::{Value, json};

/// Returns the explanation of a decision: each line of the rule that was tried, and what it found.
pub(super) fn explanation(plan: &Plan, trace: &Trace) -> Value {
    let Trace { decision, steps } = trace;
    let environment = steps.iter().find_map(|step| match step.saw {
        Saw::Number { environment } => environment,
        _ => None,
    });
    let agents = Agents { plan, environment };
    json!({
        "decision": decision.route.name(),
        "agent": decision.route.agent().map(|agent| agents.agent(agent)),
        "reason": decision.reason.name(),
        "generation": decision.generation,
        "steps": steps.iter().map(|step| agents.step(step)).collect::<Vec<_>>(),
    })
}

struct Agents<'a> {
    plan: &'a Plan,
    environment: Option<EnvironmentId>,
}

impl Agents<'_> {
    fn step(&self, step: &Step) -> Value {
        json!({
            "line": step.line.line(),
            "reason": step.line.name(),
            "applies": step.applies,
            "saw": self.saw(&step.saw),
        })
    }

    fn saw(&self, saw: &Saw) -> Value {
        match saw {
            Saw::Number { environment } => json!({ "environment_id": environment }),
            Saw::Caller { is_number } => json!({ "is_number": is_number }),
            Saw::History { call, age_millis } => json!({ "call": call.map(|call| self.call(&call, *age_millis)) }),
            Saw::Source { exists, callback_agents } => json!({
                "exists": exists,
                "callback_agents": callback_agents.iter().map(|agent| self.agent(*agent)).collect::<Vec<_>>(),
            }),
            Saw::Candidates(candidates) => json!({
                "candidates": candidates.iter().map(|candidate| self.candidate(candidate)).collect::<Vec<_>>(),
            }),
        }
    }

    fn call(&self, call: &SourceCall, age_ms: u64) -> Value {
        json!({
            "source_agent": self.agent(call.agent),
            "called_at_ms": call.at.millis(),
            "outcome": call.outcome.name(),
            "age_ms": age_ms,
        })
    }

    fn candidate(&self, candidate: &Candidate) -> Value {
        let Candidate { agent, remains, lookback } = candidate;
        json!({ "agent": self.agent(*agent), "remains": remains, "lookback_seconds": lookback.secs() })
    }

    /// Returns an agent's id and name. The name is null if the agent was deleted.
    fn agent(&self, id: AgentId) -> Value {
        let agent = self.environment.and_then(|environment| self.plan.agent(environment, id));
        json!({ "id": id, "name": agent.map(AgentView::name) })
    }
}
