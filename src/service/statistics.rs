//! Statistics of callbacks: counting routed calls, reporting answers, and reading the totals.

use super::command::Command;
use super::statistics_flusher::Done;
use super::{AnswerReport, Service, ServiceError};
use crate::engine::Routed;
use crate::id::{AgentId, EnvironmentId};
use crate::number::{Caller, E164};
use crate::plan::Plan;
use crate::tally::{Count, Counted};
use crate::time::{Day, Timestamp};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::PoisonError;

/// An environment's statistics over some days.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// The number of calls for each source agent and callback agent, in that order. Both agents may have been removed
    /// since.
    pub callbacks: Vec<Callbacks>,
    /// Calls to numbers of callback agents that no callback agent took.
    pub unmatched: u64,
}

/// The calls that a callback agent took for a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callbacks {
    /// The source agent.
    pub source: AgentId,
    /// The callback agent.
    pub agent: AgentId,
    /// The number of calls.
    pub count: Count,
}

impl Service {
    /// Decides where a call to be routed goes, and counts it. [`resolve`](Self::resolve) makes the same decision
    /// without counting it, for questions about a call.
    ///
    /// # Cost
    /// The cost of `resolve`, and one addition to a counter of the thread's own shard. The count becomes durable about
    /// a second later; a crash loses the counts of that second.
    pub fn route(&self, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        self.route_on(&self.plan(), dialed, caller, now)
    }

    /// Decides where a call to be routed goes by the given plan, and counts it. See [`route`](Self::route).
    pub fn route_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        self.engine.route_on(plan, dialed, caller, now)
    }

    /// Makes all counts so far durable, and returns at once. `done` is called when they are part of
    /// [`statistics`](Self::statistics).
    pub fn submit_counts(&self, done: impl FnOnce(Result<(), ServiceError>) + Send + 'static) {
        self.add_counts(Box::new(done));
    }

    /// Returns the durable statistics of an environment. They never decrease. Counts of the last second may be missing;
    /// see [`submit_counts`](Self::submit_counts).
    pub fn statistics(&self, environment: EnvironmentId, days: &RangeInclusive<Day>) -> Statistics {
        let plan = self.plan();
        let Some(slot) = plan.environment_slot(environment) else { return Statistics::default() };
        let mut unmatched = 0;
        let mut callbacks = BTreeMap::<_, Count>::new();
        let totals = self.totals.read().unwrap_or_else(PoisonError::into_inner);
        for (tally, count) in totals.tallies(slot, days) {
            match tally {
                Counted::Unmatched => unmatched += count.received,
                Counted::Callbacks { agent, source } => {
                    // This plan may be older than the totals.
                    let id = |slot| plan.agent_entry(slot).map(|agent| agent.id);
                    let Some(pair) = id(source).zip(id(agent)) else { continue };
                    let sum = callbacks.entry(pair).or_default();
                    *sum = sum.plus(count);
                }
            }
        }
        let callbacks = callbacks.into_iter().map(|((source, agent), count)| Callbacks { source, agent, count });
        Statistics { callbacks: callbacks.collect(), unmatched }
    }

    /// Submits a report that a decision's call was answered, and returns at once. `done` is called when the report is
    /// durable. A repeated report counts only once.
    pub fn submit_answer(&self, report: AnswerReport, done: impl FnOnce(Result<(), ServiceError>) + Send + 'static) {
        self.send(Command::RecordAnswer { report, done: Box::new(done) });
    }

    fn add_counts(&self, done: Done) {
        self.statistics_flusher.as_ref().expect("taken only when dropped").flush(done);
    }

    /// Returns the store's secret; see [`EventStore::secret`](crate::store::EventStore::secret).
    pub fn secret(&self) -> Option<[u8; 16]> {
        self.secret
    }
}
