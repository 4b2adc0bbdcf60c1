//! The rule: nine lines, of which the first that applies decides.
//!
//! One function serves the fast path and the explanation: it is generic over an [`Observer`], which is nothing on the
//! fast path.

use super::known::{Known, KnownNumber, LastKnown};
use crate::decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step};
use crate::plan::{AgentEntry, Feed, NumberEntry, Plan};
use crate::slot::{AgentSlot, TallySlot};
use crate::time::{Lookback, Timestamp};

/// Watches the rule at work. `what` is only called by an observer that keeps it.
pub(super) trait Observer {
    fn saw(&mut self, line: Reason, applies: bool, what: impl FnOnce() -> Saw);

    /// Where the call counts, as far as it is known; the last word holds.
    fn counts(&mut self, _tally: impl FnOnce() -> Option<TallySlot>) {}
}

impl Observer for () {
    fn saw(&mut self, _: Reason, _: bool, _: impl FnOnce() -> Saw) {}
}

impl Observer for Vec<Step> {
    fn saw(&mut self, line: Reason, applies: bool, what: impl FnOnce() -> Saw) {
        self.push(Step { line, applies, saw: what() });
    }
}

/// Notes where the call counts, and nothing else.
impl Observer for Option<TallySlot> {
    fn saw(&mut self, _: Reason, _: bool, _: impl FnOnce() -> Saw) {}

    fn counts(&mut self, tally: impl FnOnce() -> Option<TallySlot>) {
        *self = tally();
    }
}

#[inline(always)]
pub(super) fn decide(plan: &Plan, known: &Known<'_>, now: Timestamp, observer: &mut impl Observer) -> Decision {
    let decide = |route, reason, call| Decision { route, reason, call, generation: plan.generation() };

    let number = known.number;
    observer.saw(Reason::UnknownNumber, number.is_none(), || Saw::Number {
        environment: number.map(|number| plan.environment_id(number.entry.environment)),
    });
    let Some(number) = number else {
        return decide(Route::Unrouted, Reason::UnknownNumber, None);
    };
    observer.counts(|| number.entry.unmatched);
    let default = |reason, call| decide(default_route(plan, number.entry), reason, call);

    let is_number = known.contact.is_some();
    observer.saw(Reason::AnonymousCaller, !is_number, || Saw::Caller { is_number });
    if !is_number {
        return default(Reason::AnonymousCaller, None);
    }

    let call = known.last.map(|last| last.call);
    let age_millis = call.map_or(0, |call| now.millis_since(call.at));
    observer.saw(Reason::NoHistory, call.is_none(), || Saw::History { call, age_millis });
    let Some(LastKnown { call: placed, source }) = known.last else {
        return default(Reason::NoHistory, None);
    };

    let candidates = source.callback_agents.as_slice();
    observer.saw(Reason::NoCallbackAgent, candidates.is_empty(), || Saw::Source {
        exists: source.exists,
        callback_agents: candidates
            .iter()
            .filter_map(|feed| plan.agent_entry(feed.agent))
            .map(|agent| agent.id)
            .collect(),
    });
    if candidates.is_empty() {
        return default(Reason::NoCallbackAgent, call);
    }

    let tried = Tried { plan, number, placed, age_millis };
    let (reason, best) = tried.best_of(candidates);
    tried.show(candidates, reason, best.map(|(agent, _)| agent), observer);
    match best {
        Some((agent, tally)) => {
            observer.counts(|| Some(tally));
            decide(Route::Callback(agent.id), reason, call)
        }
        None => default(reason, call),
    }
}

fn default_route(plan: &Plan, number: &NumberEntry) -> Route {
    match number.default_agent.and_then(|slot| plan.agent_entry(slot)) {
        Some(agent) => Route::Default(agent.id),
        None => Route::Unrouted,
    }
}

/// Lines 5 to 8: what a candidate has to get past, in order.
struct Tried<'a> {
    plan: &'a Plan,
    number: KnownNumber<'a>,
    placed: SourceCall,
    age_millis: u64,
}

/// The lines that sort candidates out, in order, and the one for what remains.
const LINES: [Reason; 5] = [
    Reason::NumberNotOwned,
    Reason::CallbackAgentUnpublished,
    Reason::OutcomeNotEligible,
    Reason::Expired,
    Reason::Matched,
];

impl<'a> Tried<'a> {
    /// The reason, and the agent where there is one: the first candidate past every line, since candidates stand with
    /// the role that was configured last first. Without one, the line at which the last candidates dropped out.
    fn best_of(&self, candidates: &[Feed]) -> (Reason, Option<(&'a AgentEntry, TallySlot)>) {
        let mut furthest = 0;
        for feed in candidates {
            let (passed, agent) = self.lines_passed(feed.agent);
            if LINES[passed] == Reason::Matched {
                return (Reason::Matched, agent.map(|agent| (agent, feed.tally)));
            }
            furthest = furthest.max(passed);
        }
        (LINES[furthest], None)
    }

    /// How many of the lines the candidate gets past.
    fn lines_passed(&self, slot: AgentSlot) -> (usize, Option<&'a AgentEntry>) {
        let Some(agent) = self.plan.agent_entry(slot) else { return (0, None) };
        let Some(role) = agent.callback else { return (0, None) };
        let past = [
            self.number.entry.owners.contains(&slot),
            agent.published,
            role.outcomes.contains(self.placed.outcome),
            self.lookback(agent).covers_millis(self.age_millis),
        ];
        (past.iter().take_while(|past| **past).count(), Some(agent))
    }

    fn lookback(&self, agent: &AgentEntry) -> Lookback {
        let own = agent.callback.and_then(|role| role.lookback);
        own.unwrap_or(self.number.lookback)
    }

    /// Shows each line that was tried with the candidates that had come so far.
    fn show(&self, candidates: &[Feed], reason: Reason, winner: Option<&AgentEntry>, observer: &mut impl Observer) {
        for (place, line) in LINES.into_iter().enumerate().take_while(|(_, line)| *line <= reason) {
            observer.saw(line, line == reason, || {
                let passed = candidates.iter().map(|feed| self.lines_passed(feed.agent));
                let seen = passed.filter(|(passed, _)| *passed >= place);
                let candidate = |(passed, agent): (usize, Option<&AgentEntry>)| {
                    let agent = agent?;
                    let wins = winner.is_some_and(|winner| winner.id == agent.id);
                    let remains = if line == Reason::Matched { wins } else { passed > place };
                    Some(Candidate { agent: agent.id, remains, lookback: self.lookback(agent) })
                };
                Saw::Candidates(seen.filter_map(candidate).collect())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{Call, Change, Direction, Event};
    use crate::number::{Caller, DialPlan, E164};
    use crate::outcome::Outcome;
    use crate::time::{Lookback, Timestamp};
    use crate::{AgentId, Engine, EnvironmentId, NumberId, Reason};

    #[test]
    fn a_call_of_an_agent_that_the_plan_does_not_know_yet_is_no_history() {
        let number = |digits| E164::from_digits(digits).expect("digits");
        let (ours, contact, at) = (number("12125550100"), number("12125550143"), Timestamp::from_secs(1_800_000_000));
        let (environment, agent) = (EnvironmentId::from_u128(1), AgentId::from_u128(1));
        let (name, direction) = (String::new(), Direction::Outbound);
        let engine = Engine::new();
        let settings =
            Change::EnvironmentSet { name: name.clone(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
        let added = Change::NumberAdded { id: NumberId::from_u128(1), number: ours };
        let created = |id| Change::AgentCreated { id, name: name.clone(), label: None, direction };
        let first = vec![settings, added, created(AgentId::from_u128(2))];
        engine.configure(environment, at, first).expect("a configuration");
        let before = engine.plan();

        engine.configure(environment, at, vec![created(agent)]).expect("a configuration");
        let call = Call { environment, agent, from: ours, to: contact, at, outcome: Outcome::Busy };
        engine.apply(&Event::Call(call)).expect("there is room");
        let ask = |plan: &crate::Plan| engine.resolve_on(plan, ours, Caller::Number(contact), at);
        assert_eq!(ask(&engine.plan()).reason, Reason::NoCallbackAgent);
        let decision = ask(&before);
        assert_eq!((decision.reason, decision.call), (Reason::NoHistory, None));
    }
}
