//! The history: (scope, contact) → [`Register`]. Knows no agent, no plan and no clock.
//!
//! This is the simple form behind the final interface: a sharded map with a lock per shard. Reads allocate nothing;
//! they are not wait-free yet.

mod register;

pub use register::{LastCall, Register};

use crate::number::E164;
use crate::slot::Scope;
use ahash::RandomState;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::fmt;

/// The last outbound call of every (scope, contact) pair.
pub struct History {
    registers: DashMap<(Scope, E164), Register, RandomState>,
    max_pairs: usize,
}

/// The history holds as many pairs as it may; the write was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Full {
    /// The ceiling.
    pub max_pairs: usize,
}

impl History {
    /// An empty history that takes up to `max_pairs` pairs.
    pub fn new(max_pairs: usize) -> Self {
        Self { registers: DashMap::with_hasher(RandomState::new()), max_pairs }
    }

    /// The pair's register. Allocates nothing.
    pub fn get(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.registers.get(&(scope, contact)).map(|register| *register)
    }

    /// Raises the pair's register to at least `register` and returns the one before.
    ///
    /// # Errors
    /// [`Full`] where the pair is new and the ceiling is reached; nothing is changed then.
    pub fn merge(&self, scope: Scope, contact: E164, register: Register) -> Result<Option<Register>, Full> {
        // Read before the entry is locked: `len` locks every shard in turn. Writers that race here may pass the ceiling
        // by as many pairs as there are writers.
        let full = self.registers.len() >= self.max_pairs;
        match self.registers.entry((scope, contact)) {
            Entry::Occupied(mut held) => {
                let before = *held.get();
                held.insert(before.max(register));
                Ok(Some(before))
            }
            Entry::Vacant(_) if full => Err(self.full()),
            Entry::Vacant(free) => {
                free.insert(register);
                Ok(None)
            }
        }
    }

    /// How many new pairs there is room for.
    pub(crate) fn room(&self) -> usize {
        self.max_pairs.saturating_sub(self.registers.len())
    }

    /// What a new pair is answered where there is no room.
    pub(crate) fn full(&self) -> Full {
        Full { max_pairs: self.max_pairs }
    }

    /// How many pairs there are, erased ones included.
    pub fn len(&self) -> usize {
        self.registers.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Shows every pair, in no order, without stopping readers. Pairs that are written meanwhile may or may not be seen.
    pub fn for_each(&self, mut see: impl FnMut(Scope, E164, Register)) {
        for pair in &self.registers {
            see(pair.key().0, pair.key().1, *pair.value());
        }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("pairs", &self.len())
            .field("max_pairs", &self.max_pairs)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the history holds its {} pairs and takes no new one", self.max_pairs)
    }
}

impl std::error::Error for Full {}
