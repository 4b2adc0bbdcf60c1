//! Pairs of a snapshot: into memory at once, then into the store piece by piece, while others commit in between.

use crate::engine::{Engine, erasure_writes};
use crate::event::Erasure;
use crate::history::{Full, LastCall, Register};
use crate::number::E164;
use crate::slot::Scope;
use crate::store::Batch;
use std::collections::VecDeque;
use std::fmt;

/// Pairs that are committed together. Their commit is what everybody else's may wait for.
const PIECE: usize = 1 << 14;

/// What puts the pairs of a snapshot into memory; from several threads, if it likes.
pub type Load = Box<dyn FnOnce(&Merge<'_>) -> Result<Vec<Vec<Pair>>, String> + Send>;

/// A pair and its register, by the slots of the plan that is in force.
pub type Pair = (Scope, E164, Register);

/// The memory that is loaded into.
pub struct Merge<'a>(pub(super) &'a Engine);

impl Merge<'_> {
    /// Raises each pair's register to at least this.
    ///
    /// # Errors
    /// At the history's ceiling.
    pub fn pairs(&self, pairs: &[Pair]) -> Result<(), Full> {
        self.0.restore_all(pairs)
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

    /// The next piece, as memory has it by now. What was erased meanwhile has left the store with its erasure.
    pub(super) fn next(&mut self, engine: &Engine) -> Option<Batch> {
        let piece = self.pieces.pop_front()?;
        let now = |(scope, contact, _): Pair| Some((scope, contact, engine.history().get(scope, contact)?));
        let registers = piece.into_iter().filter_map(now).filter(|(_, _, register)| !register.is_erasure()).collect();
        Some(Batch { registers, ..Batch::default() })
    }
}

/// Applies every erasure again that memory knows: what was loaded may be older than them.
pub(super) fn erase_again(engine: &Engine) -> Result<(), Full> {
    let plan = engine.plan();
    let mut erasures = Vec::new();
    engine.history().for_each(|scope, contact, register| {
        if let Some(environment) = plan.environment_of_scope(scope)
            && let LastCall::Erased { until } = register.read()
        {
            erasures.push(Erasure { environment, contact, until });
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
