//! What a group of commands adds to the book.

use crate::plan::Plan;
use crate::slot::{EnvironmentSlot, TallySlot};
use crate::tally::{Answered, Book, Count, Counted, Delta, Tally};
use crate::time::Day;
use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

/// For how many days after the one on which a decision was made it can be reported answered. For so long it is remembered that
/// it was, so that a second report changes nothing.
pub const ANSWERABLE_DAYS: u32 = 2;

/// Answers that are forgotten with each that is noted: more than come, so that none is left over.
const FORGET: usize = 4;

/// A decision's call connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Which decision.
    pub answered: Answered,
    /// What it counts for.
    pub tally: TallySlot,
    /// When the report came in.
    pub today: Day,
}

/// The book as it will be when the group is durable, where that is not as it is.
pub(super) struct Reckoning<'a> {
    book: &'a RwLock<Book>,
    counts: HashMap<(EnvironmentSlot, Day, Counted), Count, ahash::RandomState>,
    answered: BTreeSet<Answered>,
    forgotten: BTreeSet<Answered>,
}

impl<'a> Reckoning<'a> {
    pub(super) fn new(book: &'a RwLock<Book>) -> Self {
        Self { book, counts: HashMap::default(), answered: BTreeSet::new(), forgotten: BTreeSet::new() }
    }

    /// Adds what was counted.
    pub(super) fn carry(&mut self, plan: &Plan, deltas: &[Delta]) {
        for Delta { slot, day, received } in deltas {
            self.add(plan, *slot, *day, Count { received: *received, answered: 0 });
        }
    }

    /// Notes an answer, the first time.
    pub(super) fn answer(&mut self, plan: &Plan, report: &Report) {
        let Report { answered, tally, today } = *report;
        let last = today.minus(ANSWERABLE_DAYS);
        self.forgotten.extend(self.read(|book| book.answered_before(last, FORGET)));
        // One that could be forgotten already would count as often as it is told.
        if answered.day < last || self.read(|book| book.is_answered(answered)) || !self.answered.insert(answered) {
            return;
        }
        if plan.tally_pair(tally, answered.day).is_some_and(|(_, pair)| pair.is_some()) {
            self.add(plan, tally, answered.day, Count { received: 0, answered: 1 });
        }
    }

    fn add(&mut self, plan: &Plan, slot: TallySlot, day: Day, more: Count) {
        let Some((environment, pair)) = plan.tally_pair(slot, day) else { return };
        let counted = pair.map_or(Counted::Unmatched, |(agent, source)| Counted::Callbacks { agent, source });
        let held = self.read(|book| book.count(environment, day, counted));
        let count = self.counts.entry((environment, day, counted)).or_insert(held);
        *count = count.plus(more);
    }

    /// What the store has to be given.
    pub(super) fn entries(&self) -> (Vec<Tally>, Vec<Answered>, Vec<Answered>) {
        (self.tallies().collect(), self.answered.iter().copied().collect(), self.forgotten.iter().copied().collect())
    }

    /// Writes it into the book.
    pub(super) fn apply(&self) {
        if self.counts.is_empty() && self.answered.is_empty() && self.forgotten.is_empty() {
            return;
        }
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        self.tallies().for_each(|tally| book.set(tally));
        self.answered.iter().for_each(|answered| book.add_answered(*answered));
        self.forgotten.iter().for_each(|answered| book.forget(*answered));
    }

    fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.counts.iter().map(|(&(environment, day, counted), &count)| Tally { environment, day, counted, count })
    }

    fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }
}
