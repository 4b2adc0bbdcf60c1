//! The durable totals of the statistics, as they are read.

use super::{Answered, Count, Counted, Tally};
use crate::slot::{AgentSlot, EnvironmentSlot};
use crate::time::Day;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The durable totals by environment, day and tally. Also the decisions that were reported answered, for as long as
/// they may be reported again.
///
/// # Cost
/// About 50 bytes for each tally and day with a call, and for each answer of the last three days.
#[derive(Default, Debug)]
pub struct Totals {
    totals: BTreeMap<(EnvironmentSlot, Day, Counted), Count>,
    answered: BTreeSet<Answered>,
}

impl Totals {
    /// Returns the total of a tally on a day.
    pub fn count(&self, environment: EnvironmentSlot, day: Day, counted: Counted) -> Count {
        self.totals.get(&(environment, day, counted)).copied().unwrap_or_default()
    }

    /// Returns the environment's tallies on these days, in the order of the days.
    pub fn tallies(
        &self,
        environment: EnvironmentSlot,
        days: &RangeInclusive<Day>,
    ) -> impl Iterator<Item = (Counted, Count)> {
        let last = Counted::Callbacks { agent: AgentSlot::LAST, source: AgentSlot::LAST };
        let all = (environment, *days.start(), Counted::Unmatched)..=(environment, *days.end(), last);
        let range = (days.start() <= days.end()).then(|| self.totals.range(all));
        range.into_iter().flatten().map(|((_, _, counted), count)| (*counted, *count))
    }

    /// Returns whether the decision was reported answered.
    pub fn is_answered(&self, answered: Answered) -> bool {
        self.answered.contains(&answered)
    }

    /// Returns answers to decisions of days before `day`, at most `most` of them.
    pub fn answered_before(&self, day: Day, most: usize) -> Vec<Answered> {
        self.answered.range(..Answered { day, number: 0 }).take(most).copied().collect()
    }

    /// Removes the totals of the other environments.
    pub(crate) fn retain_environments(&mut self, mut is_kept: impl FnMut(EnvironmentSlot) -> bool) {
        self.totals.retain(|(environment, ..), _| is_kept(*environment));
    }

    pub(crate) fn set(&mut self, tally: Tally) {
        self.totals.insert((tally.environment, tally.day, tally.counted), tally.count);
    }

    pub(crate) fn add_answered(&mut self, answered: Answered) {
        self.answered.insert(answered);
    }

    pub(crate) fn forget(&mut self, answered: Answered) {
        self.answered.remove(&answered);
    }
}
