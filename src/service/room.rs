//! Room for new pairs, and who may have it.
//!
//! The history has one ceiling for all environments. Up to seven eighths of it, whoever comes first has the room. Above that, only an
//! environment that holds less than its equal share (the ceiling divided by the number of environments) may add pairs. So an
//! environment below its share finds an eighth of the ceiling that no environment above its own has taken.
//!
//! Invariants, which `tests/store/service/shares.rs` checks:
//!
//! 1. An environment below its share, and below the fixed limit, is refused a pair only at the ceiling.
//! 2. Nobody at or above its share adds a pair while seven eighths or more are held.
//! 3. A refusal is only made after everything that has expired (as of the last look, see [`LOOK_EVERY_MILLIS`]) made room.
//!
//! What a fleet's stream brought is taken while there is room at all: another node has acknowledged it.
//!
//! The counts are the history's own, and exact: they are made anew at each start and stored nowhere.

use super::retention::floor;
use super::{ServiceError, ShareUsed};
use crate::engine::Engine;
use crate::history::History;
use crate::plan::Plan;
use crate::slot::EnvironmentSlot;
use crate::time::Timestamp;
use std::collections::HashMap;

/// How often at most a history without room is searched for what has expired since: a search reads all of it.
const LOOK_EVERY_MILLIS: u64 = 60_000;

/// For whom a pair is to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Claim {
    /// For a tenant of this node: within its share.
    Fair,
    /// What has to be kept: while there is room.
    Due,
}

/// What a new pair needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// A place: the history has none of this pair.
    pub(super) place: bool,
    /// A pair of its environment's: the pair is not there, or was erased.
    pub(super) pair: bool,
}

/// What the committer remembers of the ceiling from group to group.
#[derive(Default, Debug)]
pub(super) struct Ceiling {
    /// When it was last looked what has expired.
    looked: Option<Timestamp>,
    /// The part of the history that forgets what was erased next.
    part: usize,
}

impl Ceiling {
    /// Leaves behind some of what was erased, where that takes half of the places beside the ceiling. For a store that remembers
    /// erasures itself.
    pub(super) fn forget_erased(&mut self, history: &History) {
        let erased = || history.len().saturating_sub(history.held());
        // A part with each group is soon round. Only where a group erases much, its next one waits for more of them.
        let (begin, most) = (history.spare() / 2, history.spare() * 3 / 4);
        for part in 0..History::PARTS {
            if erased() < if part == 0 { begin } else { most } {
                break;
            }
            history.forget_erased(self.part);
            self.part = (self.part + 1) % History::PARTS;
        }
    }

    /// Moves the floor to where it is now, unless that was done a short while ago.
    fn look(&mut self, engine: &Engine) -> bool {
        let Some(now) = engine.now() else { return false };
        // A clock that was set back does not keep it from being looked.
        let is_early = self.looked.is_some_and(|last| now >= last && now.millis_since(last) < LOOK_EVERY_MILLIS);
        if !is_early {
            self.looked = Some(now);
            engine.history().expire_before(floor(&engine.plan(), now));
        }
        !is_early
    }
}

/// The room for a group's pairs.
pub(super) struct Room<'a> {
    engine: &'a Engine,
    ceiling: &'a mut Ceiling,
    /// What the group takes, and gives back, before it is in force.
    places: usize,
    pairs: HashMap<EnvironmentSlot, i64, ahash::RandomState>,
    all: i64,
}

impl<'a> Room<'a> {
    pub(super) fn new(engine: &'a Engine, ceiling: &'a mut Ceiling) -> Self {
        Self { engine, ceiling, places: 0, pairs: HashMap::default(), all: 0 }
    }

    /// Takes what a new pair of the environment needs.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        environment: EnvironmentSlot,
        need: Need,
        claim: Claim,
    ) -> Result<(), ServiceError> {
        if let Err(refused) = self.allow(plan, environment, need, claim)
            && !self.reclaim(plan, environment, need, claim)
        {
            return Err(refused);
        }
        self.places += usize::from(need.place);
        if need.pair {
            self.add(environment, 1);
        }
        Ok(())
    }

    /// Whether shares count.
    pub(super) fn is_short(&self) -> bool {
        let most = self.engine.history().max_pairs();
        count(self.engine.history().held(), self.all) >= most - most / 8
    }

    /// So many pairs of the environment are erased.
    pub(super) fn give(&mut self, environment: EnvironmentSlot, pairs: usize) {
        self.add(environment, -i64::try_from(pairs).unwrap_or(i64::MAX));
    }

    fn add(&mut self, environment: EnvironmentSlot, pairs: i64) {
        *self.pairs.entry(environment).or_default() += pairs;
        self.all += pairs;
    }

    /// Leaves behind what has expired until the pair is allowed; whether it is.
    fn reclaim(&mut self, plan: &Plan, environment: EnvironmentSlot, need: Need, claim: Claim) -> bool {
        let history = self.engine.history();
        for is_looked in [false, true] {
            if is_looked && !self.ceiling.look(self.engine) {
                break;
            }
            let is_allowed = || self.allow(plan, environment, need, claim).is_ok();
            history.reclaim_until(&is_allowed);
            if is_allowed() {
                return true;
            }
        }
        false
    }

    fn allow(&self, plan: &Plan, environment: EnvironmentSlot, need: Need, claim: Claim) -> Result<(), ServiceError> {
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
        if claim == Claim::Due {
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
