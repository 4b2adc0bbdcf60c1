//! Explains a decision in sentences, for an operator under time pressure. The sentences contain agent names and no number.

use crate::decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, Plan};
use crate::record::DecisionRecord;
use crate::time::Timestamp;
use std::fmt::Write as _;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
pub(in crate::http) const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The maximum number of agents that a list in an explanation names. One source agent may have all inbound agents of an
/// environment as its callback agents.
pub(in crate::http) const MAX_NAMED: usize = 20;

pub(in crate::http) struct Narrative<'a> {
    names: Names<'a>,
    at: Timestamp,
}

/// Where the names of agents come from.
#[derive(Clone, Copy)]
enum Names<'a> {
    /// The names of today.
    Plan(&'a Plan, Option<EnvironmentId>),
    /// The names that a record keeps.
    Record(&'a DecisionRecord),
}

/// How many agents a line examined. A list has only the first of them.
#[derive(Clone, Copy)]
pub(in crate::http) struct Amounts {
    /// The number of agents that the line rejected.
    pub(in crate::http) out: usize,
    /// The number of other agents.
    pub(in crate::http) left: usize,
}

impl Amounts {
    pub(in crate::http) const NONE: Self = Self { out: 0, left: 0 };

    /// Returns the amounts of a step that lists all agents.
    pub(in crate::http) fn of(step: &Step) -> Self {
        match &step.saw {
            Saw::Source { callback_agents, .. } => Self { out: 0, left: callback_agents.len() },
            Saw::Candidates(candidates) => {
                let left = candidates.iter().filter(|candidate| candidate.remains).count();
                Self { out: candidates.len() - left, left }
            }
            _ => Self::NONE,
        }
    }

    pub(in crate::http) fn all(self) -> usize {
        self.out + self.left
    }
}

impl<'a> Narrative<'a> {
    pub(in crate::http) fn new(plan: &'a Plan, environment: Option<EnvironmentId>, at: Timestamp) -> Self {
        Self { names: Names::Plan(plan, environment), at }
    }

    /// Returns the narrative of a record, with the names that the agents had.
    pub(in crate::http) fn recorded(record: &'a DecisionRecord, at: Timestamp) -> Self {
        Self { names: Names::Record(record), at }
    }

    /// Returns a text that says which agent takes the call, and why.
    pub(in crate::http) fn summary(&self, decision: &Decision) -> String {
        let mut text = match decision.route {
            Route::Callback(agent) => format!("{} takes the callback: ", self.name(agent)),
            Route::Default(agent) => format!("{}, the number's default agent, takes the call: ", self.name(agent)),
            Route::Unrouted if decision.reason == Reason::UnknownNumber => "No agent takes the call: ".into(),
            Route::Unrouted => "No agent takes the call, since the number has no default agent: ".into(),
        };
        text += match decision.reason {
            Reason::UnknownNumber => "the dialed number is unknown.",
            Reason::AnonymousCaller => "the caller shows no number.",
            Reason::NoHistory => "no outbound call from the dialed number to this caller is known.",
            Reason::NoCallbackAgent => "the agent that called this contact last has no callback agent.",
            Reason::NumberNotOwned => "none of its callback agents owns the dialed number.",
            Reason::CallbackAgentUnpublished => "its callback agents for this number are not published.",
            Reason::OutcomeNotEligible => "its callback agents for this number do not accept this outcome.",
            Reason::Expired => "the last call is older than the look-back.",
            Reason::Matched => "it is the callback agent of the agent that called this contact last.",
        };
        if let Some(call) = &decision.call {
            let _ = write!(text, " {}", self.call(call));
        }
        text
    }

    /// Returns a sentence about the facts that a line of the rule examined.
    pub(in crate::http) fn step(&self, step: &Step, amounts: Amounts) -> String {
        match &step.saw {
            Saw::Number { environment: None } => "The dialed number is unknown.".into(),
            Saw::Number { environment: Some(_) } => "The dialed number is known.".into(),
            Saw::Caller { is_number: true } => "The caller shows a number.".into(),
            Saw::Caller { is_number: false } => "The caller shows no number.".into(),
            Saw::History { call: None, .. } => {
                "No outbound call from the dialed number to this caller is known.".into()
            }
            Saw::History { call: Some(call), .. } => self.call(call),
            Saw::Source { exists: false, .. } => "The agent that placed it has been deleted.".into(),
            Saw::Source { callback_agents, .. } if callback_agents.is_empty() => "It has no callback agent.".into(),
            Saw::Source { callback_agents, .. } => {
                format!("Its callback agents: {}.", self.names(callback_agents, amounts.left))
            }
            Saw::Candidates(candidates) => self.candidates(step.line, candidates, amounts),
        }
    }

    /// Returns a sentence about a change of the configuration and its actor. Returns `None` if it was made longer before the
    /// decision than this many milliseconds.
    pub(in crate::http) fn change(&self, at: Timestamp, actor: &str, longest: u64) -> Option<String> {
        if at > self.at {
            let ahead = duration(at.millis_since(self.at));
            return Some(format!("The configuration changed {ahead} after this moment, by {actor}."));
        }
        let age = self.at.millis_since(at);
        (age < longest).then(|| format!("The configuration changed {} before this call, by {actor}.", duration(age)))
    }

    /// Describes the last call, and its age at the time of the decision.
    fn call(&self, call: &SourceCall) -> String {
        let (name, outcome) = (self.name(call.agent), call.outcome.public_name());
        let age = duration(self.at.millis_since(call.at));
        if call.at > self.at {
            let ahead = duration(call.at.millis_since(self.at));
            // The history holds only the last call. The call before it is no longer known.
            return format!(
                "{name} placed the last call {ahead} after this moment, which counts as just made: {outcome}."
            );
        }
        format!("{name} placed the last call {age} before: {outcome}.")
    }

    fn candidates(&self, line: Reason, candidates: &[Candidate], amounts: Amounts) -> String {
        let pick = |remains: bool| {
            let picked = candidates.iter().filter(|candidate| candidate.remains == remains);
            picked.map(|candidate| candidate.agent).collect::<Vec<_>>()
        };
        let (out, left) = (pick(false), pick(true));
        let mut text = String::new();
        if line == Reason::Matched {
            text = self.names(&left, left.len());
            text +=
                if amounts.out == 0 { " is the only one left." } else { " is chosen: its callback role was set last." };
            return text;
        }
        let (fails, passes) = match line {
            Reason::NumberNotOwned => ("not an owner of the dialed number", "owns the dialed number"),
            Reason::CallbackAgentUnpublished => ("not published", "published"),
            Reason::OutcomeNotEligible => ("does not accept this outcome", "accepts this outcome"),
            _ => ("the call is older than the look-back", "the call is within the look-back"),
        };
        for (names, amount, what) in [(&out, amounts.out, fails), (&left, amounts.left, passes)] {
            if !names.is_empty() {
                let space = if text.is_empty() { "" } else { " " };
                let _ = write!(text, "{space}{}: {what}.", self.names(names, amount));
            }
        }
        text
    }

    /// Returns the names of the first agents of a list, and how many more there are.
    fn names(&self, agents: &[AgentId], amount: usize) -> String {
        let first = agents.iter().take(MAX_NAMED).map(|agent| self.name(*agent));
        let mut names = first.collect::<Vec<_>>().join(", ");
        let more = amount.saturating_sub(agents.len().min(MAX_NAMED));
        if more > 0 {
            let _ = write!(names, " and {more} more");
        }
        names
    }

    fn name(&self, id: AgentId) -> String {
        self.name_of(id).map_or_else(|| format!("a deleted agent ({id})"), str::to_owned)
    }

    /// Returns the name of an agent, or `None` if it was deleted.
    pub(in crate::http) fn name_of(&self, id: AgentId) -> Option<&'a str> {
        match self.names {
            Names::Plan(plan, environment) => plan.agent(environment?, id).map(AgentView::name),
            Names::Record(record) => {
                let source = record.call.as_ref().map(|call| &call.source);
                let candidates = record.candidates.iter().map(|candidate| &candidate.agent);
                let mut agents = record.agent.iter().chain(source).chain(candidates);
                agents.find(|agent| agent.id == id)?.name.as_deref()
            }
        }
    }
}

/// Returns how many items of a list are not shown.
pub(in crate::http) fn omitted(len: usize) -> Option<usize> {
    len.checked_sub(MAX_NAMED).filter(|more| *more > 0)
}

/// Formats a duration with its two largest units.
pub(in crate::http) fn duration(millis: u64) -> String {
    let (days, hours) = (millis / DAY, millis % DAY / HOUR);
    let (minutes, seconds) = (millis % HOUR / MINUTE, millis % MINUTE / SECOND);
    match () {
        () if days > 0 => format!("{days} d {hours} h"),
        () if hours > 0 => format!("{hours} h {minutes} min"),
        () if minutes > 0 => format!("{minutes} min {seconds} s"),
        () => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_shows_its_two_largest_units() {
        for (millis, text) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_600_000, "1 h 0 min"),
            (86_399_999, "23 h 59 min"),
            (30 * 86_400_000 + 1, "30 d 0 h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }
}
