//! From a store back to an engine.

use crate::engine::Engine;
use crate::plan::Plan;
use crate::store::{EventStore, StoreError, Stored};

/// How often progress is reported, in things that came back.
const EVERY: u64 = 100_000;

/// How far a recovery has come.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Configurations so far.
    pub configurations: u64,
    /// Pairs so far.
    pub pairs: u64,
    /// Whether that is all.
    pub complete: bool,
}

/// Folds all that is stored into the engine. Configurations come first, and the history is told of their numbers before any
/// pair is put back. Nobody decides before this returns.
pub(super) fn recover(
    store: &mut impl EventStore,
    engine: &Engine,
    mut progress: impl FnMut(Recovered),
) -> Result<(), StoreError> {
    let mut plan = Some(Plan::new());
    let mut so_far = Recovered::default();
    store.recover(&mut |stored| {
        match stored {
            Stored::Configuration(configuration) => {
                let plan = plan.as_mut().ok_or(StoreError::Disorder)?;
                plan.advance(&configuration)?;
                so_far.configurations += 1;
            }
            Stored::Register(scope, contact, register) => {
                if let Some(plan) = plan.take() {
                    engine.publish(plan);
                }
                engine.restore(scope, contact, register)?;
                so_far.pairs += 1;
            }
        }
        if (so_far.configurations + so_far.pairs).is_multiple_of(EVERY) {
            progress(so_far);
        }
        Ok(())
    })?;
    if let Some(plan) = plan {
        engine.publish(plan);
    }
    progress(Recovered { complete: true, ..so_far });
    Ok(())
}
