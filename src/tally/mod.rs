//! Statistics: the number of calls on each day.
//!
//! A *tally* counts one kind of call: the calls from one source agent to one of its callback agents, or an
//! environment's unmatched calls. The plan gives each tally a [`TallySlot`]. [`Tallies`] holds the counts since the
//! last flush, by slot. [`Totals`] holds the durable totals, by agents. The service adds the former to the latter once
//! a second.

mod tallies;
mod totals;

pub use tallies::Tallies;
pub use totals::Totals;

use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};
use crate::time::Day;

/// A number of calls.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// The received calls.
    pub received: u64,
    /// The received calls that were answered.
    pub answered: u64,
}

impl Count {
    /// Returns the sum of both counts.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { received: self.received + other.received, answered: self.answered + other.answered }
    }
}

/// The kind of call that a tally counts. It identifies the tally permanently, unlike a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Counted {
    /// An environment's unmatched calls.
    Unmatched,
    /// The calls that a callback agent took for a source agent.
    Callbacks {
        /// The callback agent.
        agent: AgentSlot,
        /// The source agent.
        source: AgentSlot,
    },
}

/// The total of one tally on one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// The environment.
    pub environment: EnvironmentSlot,
    /// The day.
    pub day: Day,
    /// The kind of call.
    pub counted: Counted,
    /// The number of calls.
    pub count: Count,
}

/// A decision whose call was reported as answered. Its number is unique on its day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Answered {
    /// The day of the decision.
    pub day: Day,
    /// The decision's number on that day.
    pub number: u64,
}

/// The calls of one tally and day that were counted since the previous flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delta {
    /// The tally.
    pub slot: TallySlot,
    /// The day.
    pub day: Day,
    /// The number of received calls.
    pub received: u64,
}
