//! Room for new pairs, and which environments may use it.
//!
//! The history has one ceiling for all environments. Up to seven eighths of it, any environment may add pairs. Above
//! that, only an environment that holds less than its equal share may add pairs. The equal share is the ceiling divided
//! by the number of environments. The last eighth is therefore kept for environments below their share.
//!
//! Invariants, which `tests/store/service/shares.rs` checks:
//!
//! 1. An environment below its share, and below the fixed limit, is refused a pair only at the ceiling.
//! 2. An environment at or above its share adds no pair while at least seven eighths are held.
//! 3. A pair is only refused after all expired pairs were removed (by the last search; see [`LOOK_EVERY_MILLIS`]).
//!
//! Events from a fleet's stream are accepted up to the ceiling, because another node has acknowledged them.
//!
//! The counts are those of the history. They are exact, rebuilt at each start, and not stored.

use super::retention::floor;
use super::{ServiceError, ShareUsed};
use crate::engine::Engine;
use crate::history::History;
use crate::plan::Plan;
use crate::slot::EnvironmentSlot;
use crate::time::Timestamp;
use std::collections::HashMap;

/// The shortest time between two searches of a full history for expired pairs. A search reads the whole history.
const LOOK_EVERY_MILLIS: u64 = 60_000;

/// The limit that applies to a new pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PairLimit {
    /// A change by a client of this node: limited by the environment's share.
    Share,
    /// A change that must be kept: limited only by the history.
    History,
}

/// The room that a new pair needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// A place in the history's table: the table does not hold the pair.
    pub(super) place: bool,
    /// One pair of the environment's share: the pair does not exist or was erased.
    pub(super) pair: bool,
}

/// The state of the ceiling that the committer keeps between groups.
#[derive(Default, Debug)]
pub(super) struct Ceiling {
    /// The time of the last search for expired pairs.
    looked: Option<Timestamp>,
    /// The part of the history whose erased pairs are removed next.
    part: usize,
}

impl Ceiling {
    /// Removes some erased pairs from memory if they use more than half of the places beyond the ceiling. Only for a
    /// store that remembers erasures itself.
    pub(super) fn forget_erased(&mut self, history: &History) {
        let erased = || history.len().saturating_sub(history.held());
        // One part for each group covers all parts soon. Further parts are cleaned at once only after a group that
        // erased very many pairs.
        let (begin, most) = (history.spare() / 2, history.spare() * 3 / 4);
        for part in 0..History::PARTS {
            if erased() < if part == 0 { begin } else { most } {
                break;
            }
            history.forget_erased(self.part);
            self.part = (self.part + 1) % History::PARTS;
        }
    }

    /// Moves the expiry floor to the present and returns `true`, unless it was moved within the last minute.
    fn look(&mut self, engine: &Engine) -> bool {
        let Some(now) = engine.now() else { return false };
        // A clock that was set back does not prevent the search.
        let is_early = self.looked.is_some_and(|last| now >= last && now.millis_since(last) < LOOK_EVERY_MILLIS);
        if !is_early {
            self.looked = Some(now);
            engine.history().expire_before(floor(&engine.plan(), now));
        }
        !is_early
    }
}

/// The room for the pairs of one group.
pub(super) struct Shares<'a> {
    engine: &'a Engine,
    ceiling: &'a mut Ceiling,
    /// The places that the group uses, before it is applied. `pairs` and `all` count its pairs likewise, less those
    /// that it frees.
    places: usize,
    pairs: HashMap<EnvironmentSlot, i64, ahash::RandomState>,
    all: i64,
}

impl<'a> Shares<'a> {
    pub(super) fn new(engine: &'a Engine, ceiling: &'a mut Ceiling) -> Self {
        Self { engine, ceiling, places: 0, pairs: HashMap::default(), all: 0 }
    }

    /// Reserves the room that a new pair of the environment needs.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        environment: EnvironmentSlot,
        need: Need,
        limit: PairLimit,
    ) -> Result<(), ServiceError> {
        if let Err(refused) = self.allow(plan, environment, need, limit)
            && !self.reclaim(plan, environment, need, limit)
        {
            self.engine.history().count_rejection();
            return Err(refused);
        }
        self.places += usize::from(need.place);
        if need.pair {
            self.add(environment, 1);
        }
        Ok(())
    }

    /// Returns whether the history is so full that shares apply.
    pub(super) fn is_short(&self) -> bool {
        let most = self.engine.history().max_pairs();
        count(self.engine.history().held(), self.all) >= most - most / 8
    }

    /// Frees the given number of pairs of the environment.
    pub(super) fn give(&mut self, environment: EnvironmentSlot, pairs: usize) {
        self.add(environment, -i64::try_from(pairs).unwrap_or(i64::MAX));
    }

    fn add(&mut self, environment: EnvironmentSlot, pairs: i64) {
        *self.pairs.entry(environment).or_default() += pairs;
        self.all += pairs;
    }

    /// Removes expired pairs until the new pair is allowed. Returns whether it is.
    fn reclaim(&mut self, plan: &Plan, environment: EnvironmentSlot, need: Need, limit: PairLimit) -> bool {
        let history = self.engine.history();
        for is_looked in [false, true] {
            if is_looked && !self.ceiling.look(self.engine) {
                break;
            }
            let is_allowed = || self.allow(plan, environment, need, limit).is_ok();
            history.reclaim_until(&is_allowed);
            if is_allowed() {
                return true;
            }
        }
        false
    }

    fn allow(
        &self,
        plan: &Plan,
        environment: EnvironmentSlot,
        need: Need,
        limit: PairLimit,
    ) -> Result<(), ServiceError> {
        let history = self.engine.history();
        let full = || Err(ServiceError::Full(history.full()));
        if need.place && history.places() <= self.places {
            return full();
        }
        if !need.pair {
            return Ok(());
        }
        let most = history.max_pairs();
        let all = count(history.held(), self.all);
        if all >= most {
            return full();
        }
        if limit == PairLimit::History {
            return Ok(());
        }
        let held = count(history.held_by(environment), self.pairs.get(&environment).copied().unwrap_or(0));
        let fixed = self.engine.max_pairs_per_environment();
        if held >= fixed {
            return Err(ServiceError::ShareUsed(ShareUsed { pairs: held, may_hold: fixed, is_fixed: true }));
        }
        let share = most.div_ceil(plan.environment_count().max(1));
        if self.is_short() && held >= share {
            return Err(ServiceError::ShareUsed(ShareUsed { pairs: held, may_hold: share, is_fixed: false }));
        }
        Ok(())
    }
}

fn count(held: usize, more: i64) -> usize {
    held.saturating_add_signed(isize::try_from(more).unwrap_or(0))
}
