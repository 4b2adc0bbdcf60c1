//! The changes to the statistics that a group of commands makes.

use crate::plan::Plan;
use crate::slot::{EnvironmentSlot, TallySlot};
use crate::tally::{Answered, Count, Counted, Delta, Tally, Totals};
use crate::time::Day;
use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

/// The number of days after a decision's own day on which it can still be reported answered. The service remembers
/// reported decisions for so long, so that a second report changes nothing.
pub const ANSWERABLE_DAYS: u32 = 2;

/// The number of old answers that each new answer removes. It is more than one, so that old answers do not pile up.
const FORGET: usize = 4;

/// A report that a decision's call was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerReport {
    /// The decision.
    pub answered: Answered,
    /// The tally that the decision counted for.
    pub tally: TallySlot,
    /// The day on which the report arrived.
    pub today: Day,
}

/// The totals and answers that differ from the durable ones once the group is durable.
pub(super) struct PendingTotals<'a> {
    totals: &'a RwLock<Totals>,
    counts: HashMap<(EnvironmentSlot, Day, Counted), Count, ahash::RandomState>,
    answered: BTreeSet<Answered>,
    forgotten: BTreeSet<Answered>,
}

impl<'a> PendingTotals<'a> {
    pub(super) fn new(totals: &'a RwLock<Totals>) -> Self {
        Self { totals, counts: HashMap::default(), answered: BTreeSet::new(), forgotten: BTreeSet::new() }
    }

    /// Adds counts of received calls.
    pub(super) fn add_counts(&mut self, plan: &Plan, deltas: &[Delta]) {
        for Delta { slot, day, received } in deltas {
            self.add(plan, *slot, *day, Count { received: *received, answered: 0 });
        }
    }

    /// Records an answer, unless it was reported before.
    pub(super) fn answer(&mut self, plan: &Plan, report: &AnswerReport) {
        let AnswerReport { answered, tally, today } = *report;
        let last = today.minus(ANSWERABLE_DAYS);
        self.forgotten.extend(self.read(|totals| totals.answered_before(last, FORGET)));
        // An answer this old may have been removed already, so each repeated report would count again.
        if answered.day < last || self.read(|totals| totals.is_answered(answered)) || !self.answered.insert(answered) {
            return;
        }
        if plan.tally_pair(tally, answered.day).is_some_and(|(_, pair)| pair.is_some()) {
            self.add(plan, tally, answered.day, Count { received: 0, answered: 1 });
        }
    }

    fn add(&mut self, plan: &Plan, slot: TallySlot, day: Day, more: Count) {
        let Some((environment, pair)) = plan.tally_pair(slot, day) else { return };
        let counted = pair.map_or(Counted::Unmatched, |(agent, source)| Counted::Callbacks { agent, source });
        let held = self.read(|totals| totals.count(environment, day, counted));
        let count = self.counts.entry((environment, day, counted)).or_insert(held);
        *count = count.plus(more);
    }

    /// Returns the tallies and answers to write, and the answers to remove, for the store.
    pub(super) fn entries(&self) -> (Vec<Tally>, Vec<Answered>, Vec<Answered>) {
        (self.tallies().collect(), self.answered.iter().copied().collect(), self.forgotten.iter().copied().collect())
    }

    /// Writes the changes into the shared totals.
    pub(super) fn apply(&self) {
        if self.counts.is_empty() && self.answered.is_empty() && self.forgotten.is_empty() {
            return;
        }
        let mut totals = self.totals.write().unwrap_or_else(PoisonError::into_inner);
        self.tallies().for_each(|tally| totals.set(tally));
        self.answered.iter().for_each(|answered| totals.add_answered(*answered));
        self.forgotten.iter().for_each(|answered| totals.forget(*answered));
    }

    fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.counts.iter().map(|(&(environment, day, counted), &count)| Tally { environment, day, counted, count })
    }

    fn read<T>(&self, look: impl FnOnce(&Totals) -> T) -> T {
        look(&self.totals.read().unwrap_or_else(PoisonError::into_inner))
    }
}
