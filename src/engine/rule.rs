//! The rule: nine lines. The first line that applies decides.
//!
//! One function serves both decisions and explanations: it is generic over an [`Observer`], which does nothing in a
//! decision.

use super::known::{Known, LastKnown};
use super::noted::{Examined, MAX_EXAMINED};
use crate::decision::{Candidate, Decision, Reason, Route, Saw, Step};
use crate::outcome::Outcome;
use crate::plan::{AgentEntry, Feed, Feeds, NumberEntry, Plan};
use crate::slot::TallySlot;
use crate::time::{Lookback, Timestamp};

/// Observes the evaluation of the rule. Only an observer that keeps the facts calls `what`.
pub(super) trait Observer {
    fn saw(&mut self, line: Reason, applies: bool, what: impl FnOnce() -> Saw);

    /// Sets the tally that counts the call. A later call of this function replaces the tally.
    fn counts(&mut self, _tally: impl FnOnce() -> Option<TallySlot>) {}

    /// Receives whether the source agent exists, and the number of its callback agents.
    fn source(&mut self, _what: impl FnOnce() -> (bool, usize)) {}

    /// Receives a bounded number of the candidates, with the one that takes the call.
    fn tried(&mut self, _each: impl FnOnce(&mut dyn FnMut(Examined))) {}
}

impl Observer for () {
    fn saw(&mut self, _: Reason, _: bool, _: impl FnOnce() -> Saw) {}
}

impl Observer for Vec<Step> {
    fn saw(&mut self, line: Reason, applies: bool, what: impl FnOnce() -> Saw) {
        self.push(Step { line, applies, saw: what() });
    }
}

/// Keeps the tally that counts the call, and nothing else.
impl Observer for Option<TallySlot> {
    fn saw(&mut self, _: Reason, _: bool, _: impl FnOnce() -> Saw) {}

    fn counts(&mut self, tally: impl FnOnce() -> Option<TallySlot>) {
        *self = tally();
    }
}

#[inline(always)]
pub(super) fn decide(plan: &Plan, known: &Known<'_>, now: Timestamp, observer: &mut impl Observer) -> Decision {
    let decide = |route, reason, last: Option<LastKnown<'_>>| Decision {
        route,
        reason,
        call: last.map(LastKnown::call),
        generation: plan.generation(),
    };

    let number = known.number;
    observer.saw(Reason::UnknownNumber, number.is_none(), || Saw::Number {
        environment: number.map(|number| plan.environment_id(number.environment)),
    });
    let Some(number) = number else {
        return decide(Route::Unrouted, Reason::UnknownNumber, None);
    };
    observer.counts(|| number.unmatched);
    let default = |reason, last| decide(default_route(plan, number), reason, last);

    let is_number = known.is_number;
    observer.saw(Reason::AnonymousCaller, !is_number, || Saw::Caller { is_number });
    if !is_number {
        return default(Reason::AnonymousCaller, None);
    }

    let age_millis = known.last.map_or(0, |last| now.millis_since(last.at));
    observer.saw(Reason::NoHistory, known.last.is_none(), || Saw::History {
        call: known.last.map(LastKnown::call),
        age_millis,
    });
    let Some(last) = known.last else {
        return default(Reason::NoHistory, None);
    };

    let candidates = &last.source.callback_agents;
    observer.source(|| (last.source.exists, candidates.iter().count()));
    observer.saw(Reason::NoCallbackAgent, candidates.first.is_none(), || Saw::Source {
        exists: last.source.exists,
        callback_agents: candidates.iter().map(|feed| plan.named_agent(feed.agent).id).collect(),
    });
    let Some(first) = candidates.first else {
        return default(Reason::NoCallbackAgent, Some(last));
    };

    let tried = Tried { plan, number, outcome: last.outcome, age_millis };
    let (reason, taker) = tried.best_of(first, &candidates.others);
    tried.show(candidates, reason, taker.map(|(agent, _)| agent), observer);
    observer.tried(|see| tried.examine(candidates, taker, see));
    match taker {
        Some((agent, tally)) => {
            observer.counts(|| Some(tally));
            decide(Route::Callback(agent.id), reason, Some(last))
        }
        None => default(reason, Some(last)),
    }
}

#[inline(always)]
fn default_route(plan: &Plan, number: &NumberEntry) -> Route {
    number.default_agent.map_or(Route::Unrouted, |slot| Route::Default(plan.named_agent(slot).id))
}

/// The facts that lines 5 to 8 compare with each candidate.
#[derive(Clone, Copy)]
struct Tried<'a> {
    plan: &'a Plan,
    number: &'a NumberEntry,
    outcome: Outcome,
    age_millis: u64,
}

/// The lines that reject candidates, in order, and the line for a candidate that remains.
const LINES: [Reason; 5] = [
    Reason::NumberNotOwned,
    Reason::CallbackAgentUnpublished,
    Reason::OutcomeNotEligible,
    Reason::Expired,
    Reason::Matched,
];

impl<'a> Tried<'a> {
    /// Returns the first candidate that passes every line. The candidates are in the order of their configuration, the
    /// last one first. If no candidate passes, returns the line that rejected the last remaining candidates.
    #[inline(always)]
    fn best_of(&self, first: Feed, others: &[Feed]) -> (Reason, Option<Taker<'a>>) {
        match self.try_one(first) {
            (Reason::Matched, agent) => (Reason::Matched, Some((agent, first.tally))),
            (line, _) if others.is_empty() => (line, None),
            (line, _) => self.best_of_others(line, others),
        }
    }

    /// Continues with the second candidate, which few sources have.
    #[inline(never)]
    fn best_of_others(self, mut furthest: Reason, others: &[Feed]) -> (Reason, Option<Taker<'a>>) {
        for feed in others {
            let (line, agent) = self.try_one(*feed);
            if line == Reason::Matched {
                return (line, Some((agent, feed.tally)));
            }
            furthest = furthest.max(line);
        }
        (furthest, None)
    }

    /// Returns the candidate, and the line that rejects it, or [`Reason::Matched`] if none does.
    #[inline(always)]
    fn try_one(&self, feed: Feed) -> (Reason, &'a AgentEntry) {
        let agent = self.plan.named_agent(feed.agent);
        let line = match agent.callback {
            Some(_) if !self.number.owners.contains(&feed.agent) => Reason::NumberNotOwned,
            Some(_) if !agent.published => Reason::CallbackAgentUnpublished,
            Some(role) if !role.outcomes.contains(self.outcome) => Reason::OutcomeNotEligible,
            Some(_) if !self.lookback(agent).covers_millis(self.age_millis) => Reason::Expired,
            Some(_) => Reason::Matched,
            None => Reason::NumberNotOwned,
        };
        (line, agent)
    }

    #[inline(always)]
    fn lookback(&self, agent: &AgentEntry) -> Lookback {
        let own = agent.callback.and_then(|role| role.lookback);
        own.unwrap_or_else(|| self.plan.lookback(self.number.environment))
    }

    /// Passes the first candidates to `see`, and the taker also if it comes later.
    fn examine(&self, candidates: &Feeds, taker: Option<Taker<'_>>, see: &mut dyn FnMut(Examined)) {
        let mut is_taker_seen = false;
        for feed in candidates.iter().take(MAX_EXAMINED) {
            let (reached, agent) = self.try_one(*feed);
            is_taker_seen |= reached == Reason::Matched;
            see(Examined { agent: agent.id, reached, lookback: self.lookback(agent) });
        }
        if let Some((agent, _)) = taker.filter(|_| !is_taker_seen) {
            see(Examined { agent: agent.id, reached: Reason::Matched, lookback: self.lookback(agent) });
        }
    }

    /// Reports each line that was tried, with the candidates that had passed the lines before it.
    #[inline(always)]
    fn show(&self, candidates: &Feeds, reason: Reason, winner: Option<&AgentEntry>, observer: &mut impl Observer) {
        for line in LINES.into_iter().take_while(|line| *line <= reason) {
            observer.saw(line, line == reason, || {
                let tried = candidates.iter().map(|feed| self.try_one(*feed));
                let candidate = |(reached, agent): (Reason, &AgentEntry)| {
                    let wins = winner.is_some_and(|winner| winner.id == agent.id);
                    let remains = if line == Reason::Matched { wins } else { reached > line };
                    Candidate { agent: agent.id, remains, lookback: self.lookback(agent) }
                };
                Saw::Candidates(tried.filter(|(reached, _)| *reached >= line).map(candidate).collect())
            });
        }
    }
}

/// The agent that gets a callback, and the tally that counts it.
type Taker<'a> = (&'a AgentEntry, TallySlot);

#[cfg(test)]
mod tests {
    use crate::event::{Call, Change, Direction, Event};
    use crate::number::{Caller, DialPlan, E164};
    use crate::outcome::Outcome;
    use crate::time::{Lookback, Timestamp};
    use crate::{AgentId, Engine, EnvironmentId, NumberId, Reason};

    #[test]
    fn a_call_by_an_agent_of_a_later_plan_counts_as_no_history() {
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
        assert_eq!(engine.apply(&Event::Call(call)), Ok(crate::Applied::Recorded));
        let ask = |plan: &crate::Plan| engine.resolve_on(plan, ours, Caller::Number(contact), at);
        assert_eq!(ask(&engine.plan()).reason, Reason::NoCallbackAgent);
        let decision = ask(&before);
        assert_eq!((decision.reason, decision.call), (Reason::NoHistory, None));
    }
}
