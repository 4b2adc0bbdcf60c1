//! Pairs of a snapshot. They are loaded into memory at once, and then written to the store in pieces, with other
//! commits between the pieces.

use crate::engine::{Engine, erasure_writes};
use crate::event::Erasure;
use crate::history::{Full, LastCall, Register};
use crate::number::E164;
use crate::slot::Scope;
use crate::store::Batch;
use std::collections::VecDeque;
use std::fmt;

/// The number of pairs in one commit. Other commands may have to wait for such a commit.
const PIECE: usize = 1 << 14;

/// A function that puts the pairs of a snapshot into memory, possibly with several threads, and returns them.
pub type Load = Box<dyn FnOnce(&Merge<'_>) -> Result<Vec<Vec<Pair>>, String> + Send>;

/// A pair and its register, with the slots of the current plan.
pub type Pair = (Scope, E164, Register);

/// Gives a [`Load`] function access to the memory of pairs.
pub struct Merge<'a>(pub(super) &'a Engine);

impl Merge<'_> {
    /// Raises the register of each pair to at least the given one. Leaves out pairs of deleted environments.
    ///
    /// # Errors
    /// The history holds as many pairs as it may.
    pub fn pairs(&self, pairs: &[Pair]) -> Result<(), Full> {
        let plan = self.0.plan();
        if !plan.has_retired() {
            return self.0.restore_all(pairs);
        }
        let live: Vec<_> = pairs.iter().copied().filter(|(scope, ..)| !plan.is_retired(*scope)).collect();
        self.0.restore_all(&live)
    }
}

impl fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Merge")
    }
}

/// Pairs that are in memory and not yet in the store.
#[derive(Default)]
pub(super) struct Unstored {
    pieces: VecDeque<Vec<Pair>>,
}

impl Unstored {
    pub(super) fn add(&mut self, sections: Vec<Vec<Pair>>) {
        let pieces = sections.into_iter().flat_map(|section| match section.len() {
            0..=PIECE => vec![section],
            _ => section.chunks(PIECE).map(<[Pair]>::to_vec).collect(),
        });
        self.pieces.extend(pieces.filter(|piece| !piece.is_empty()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Returns the next piece, with the registers that memory holds now. Pairs erased meanwhile are left out: their
    /// erasure has removed them from the store. So are pairs of deleted environments.
    pub(super) fn next(&mut self, engine: &Engine) -> Option<Batch> {
        let (mut piece, plan) = (self.pieces.pop_front()?, engine.plan());
        piece.retain(|(scope, ..)| !plan.is_retired(*scope));
        let now = |(scope, contact, _): Pair| Some((scope, contact, engine.history().get(scope, contact)?));
        let registers = piece.into_iter().filter_map(now).filter(|(_, _, register)| !register.is_erasure()).collect();
        Some(Batch { registers, ..Batch::default() })
    }
}

/// Applies each erasure of the history again, because the loaded pairs may be older than the erasures.
pub(super) fn erase_again(engine: &Engine) -> Result<(), Full> {
    let plan = engine.plan();
    let mut erasures = Vec::new();
    engine.history().for_each(|scope, contact, register| {
        if let Some(environment) = plan.environment_of_scope(scope)
            && let LastCall::Erased { until, is_ahead } = register.read()
        {
            erasures.push(Erasure { environment, contact, until, is_ahead });
        }
    });
    for erasure in erasures {
        let held = |scope, contact| engine.history().get(scope, contact);
        for write in erasure_writes(&plan, &erasure, held) {
            engine.restore(write.0, write.1, write.2)?;
        }
    }
    Ok(())
}
