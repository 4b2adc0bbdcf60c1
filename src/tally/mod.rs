//! Statistics: how many calls there were on which day.
//!
//! A *tally* is one thing that is counted: the calls routed from one source agent to one of its callback agents, or an
//! environment's unmatched calls. The plan gives each a [`TallySlot`]. What is being counted is in [`Tallies`], by slot; what has
//! become durable is in a [`Book`], by agents. The service carries the one over into the other.

mod book;
mod tallies;

pub use book::Book;
pub use tallies::Tallies;

use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};
use crate::time::Day;

/// How many calls.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// That came in.
    pub received: u64,
    /// Of those, that connected.
    pub answered: u64,
}

impl Count {
    /// Both sums.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { received: self.received + other.received, answered: self.answered + other.answered }
    }
}

/// What is counted, by what is never another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Counted {
    /// An environment's unmatched calls.
    Unmatched,
    /// The calls that a callback agent took for a source.
    Callbacks {
        /// The callback agent.
        agent: AgentSlot,
        /// The source.
        source: AgentSlot,
    },
}

/// What was counted on a day, all in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Whose it is.
    pub environment: EnvironmentSlot,
    /// When.
    pub day: Day,
    /// What was counted.
    pub counted: Counted,
    /// How many.
    pub count: Count,
}

/// A decision whose call has been reported to have connected. The number tells it from all others of its day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Answered {
    /// When it was made.
    pub day: Day,
    /// Which it is.
    pub number: u64,
}

/// Calls that were counted since the last look, of one tally and day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delta {
    /// What was counted.
    pub slot: TallySlot,
    /// When.
    pub day: Day,
    /// How many came in.
    pub received: u64,
}
