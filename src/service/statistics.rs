//! How many calls came back, and how many of them were taken: counting, reading and reporting.

use super::carrier::Done;
use super::command::Command;
use super::{Report, Service, ServiceError};
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
    /// The calls that each callback agent took for each source, by source and callback agent. Either may be gone by now.
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
    /// How many.
    pub count: Count,
}

impl Service {
    /// Decides where a call goes that is there to be routed, and counts it. [`resolve`](Self::resolve) answers the same and
    /// counts nothing in the statistics: a question is no call.
    ///
    /// # Cost
    /// That of `resolve` and an addition to a counter of the thread's own shard. The count is durable within a second or
    /// so; what a crash loses of the statistics is that.
    pub fn route(&self, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        self.route_on(&self.plan(), dialed, caller, now)
    }

    /// The same on a plan that the caller holds.
    pub fn route_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        self.engine.route_on(plan, dialed, caller, now)
    }

    /// Makes durable what has been counted so far; `done` is told when it is part of [`statistics`](Self::statistics). Returns
    /// at once.
    pub fn submit_counts(&self, done: impl FnOnce(Result<(), ServiceError>) + Send + 'static) {
        self.carry(Box::new(done));
    }

    /// The durable statistics of an environment: what is told here is never taken back. What was counted within the last second
    /// may be missing; see [`submit_counts`](Self::submit_counts).
    pub fn statistics(&self, environment: EnvironmentId, days: &RangeInclusive<Day>) -> Statistics {
        let plan = self.plan();
        let Some(slot) = plan.environment_slot(environment) else { return Statistics::default() };
        let mut unmatched = 0;
        let mut callbacks = BTreeMap::<_, Count>::new();
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        for (tally, count) in book.tallies(slot, days) {
            match tally {
                Counted::Unmatched => unmatched += count.received,
                Counted::Callbacks { agent, source } => {
                    // The plan that is read may be older than the book.
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

    /// Hands in the report that a decision's call connected; `done` is told once that is durable. However often it is reported, it
    /// counts once. Returns at once.
    pub fn submit_answer(&self, report: Report, done: impl FnOnce(Result<(), ServiceError>) + Send + 'static) {
        self.send(Command::Answer { report, done: Box::new(done) });
    }

    fn carry(&self, done: Done) {
        self.carrier.as_ref().expect("taken only when dropped").ask(done);
    }

    /// As [`EventStore::secret`](crate::store::EventStore::secret).
    pub fn secret(&self) -> Option<[u8; 16]> {
        self.secret
    }
}
