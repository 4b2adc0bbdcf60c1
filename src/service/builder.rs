//! Starting a service: its store, its engine, and its place in a fleet.

use super::sequencer::{Alone, Sequencer};
use super::{Loading, Recovered, Service, no_thread, recovery};
use crate::engine::{DEFAULT_MAX_PAIRS, Engine};
use crate::history::{Keeper, NoRoom};
use crate::store::{EventStore, StoreError};
use crate::tally::Totals;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};

/// Builds a [`Service`]; see [`Service::builder`].
#[must_use = "nothing starts before `start` or `load`"]
pub struct Builder<S> {
    store: S,
    engine: Option<Engine>,
    sequencer: Arc<dyn Sequencer>,
    progress: Box<dyn FnMut(Recovered) + Send>,
}

impl<S: EventStore> Builder<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, engine: None, sequencer: Arc::new(Alone), progress: Box::new(|_| {}) }
    }

    /// Sets the engine, which must be empty: its size, its clock, and the share of each environment.
    pub fn engine(self, engine: Engine) -> Self {
        Self { engine: Some(engine), ..self }
    }

    /// Serves together with a [`Sequencer`], as a node of a fleet does.
    pub fn sequencer(self, sequencer: Arc<dyn Sequencer>) -> Self {
        Self { sequencer, ..self }
    }

    /// Calls `progress` while the store is loaded.
    pub fn progress(self, progress: impl FnMut(Recovered) + Send + 'static) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// Loads everything that the store holds, then starts to serve.
    ///
    /// # Errors
    /// The store cannot be read, the history has no room for the stored pairs, or the system cannot start a thread.
    pub fn start(self) -> Result<Service, StoreError> {
        let Self { mut store, engine, sequencer, progress } = self;
        let (engine, keeper) = prepared(engine)?;
        let mut totals = Totals::default();
        recovery::recover(&mut store, &engine, &mut totals, progress, &|| true)?;
        Service::begin(sequencer, store, engine, keeper, totals, Loading::default(), |_, _, _, _| true)
    }

    /// Starts to serve at once and loads the store on another thread.
    ///
    /// Until [loading](Service::loading) is complete, decisions use the pairs that are loaded so far, and each command is
    /// rejected with [`ServiceError::Loading`](super::ServiceError::Loading). `loaded` receives the result of the
    /// loading. If loading failed, the service accepts no commands at all.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn load(self, loaded: impl FnOnce(Result<(), StoreError>) + Send + 'static) -> Result<Service, StoreError> {
        let Self { store, engine, sequencer, mut progress } = self;
        let (engine, keeper) = prepared(engine)?;
        Service::begin(
            sequencer,
            store,
            engine,
            keeper,
            Totals::default(),
            Loading::begun(),
            move |store, engine, totals, loading| {
                let report = |recovered| {
                    loading.advance(recovered);
                    progress(recovered);
                };
                let mut stored = Totals::default();
                let recovered = recovery::recover(store, engine, &mut stored, report, &|| !loading.is_given_up());
                *totals.write().unwrap_or_else(PoisonError::into_inner) = stored;
                let is_loaded = recovered.is_ok();
                if is_loaded {
                    loading.end();
                }
                loaded(recovered);
                is_loaded
            },
        )
    }
}

/// Returns the engine with its keeper, ready to be loaded.
fn prepared(engine: Option<Engine>) -> Result<(Engine, Option<Keeper>), StoreError> {
    let engine = engine.map_or_else(|| Engine::try_with_max_pairs(DEFAULT_MAX_PAIRS), Ok).map_err(no_room)?;
    engine.history().share_out();
    let keeper = engine.keeper().map_err(no_thread)?;
    Ok((engine, keeper))
}

fn no_room(error: NoRoom) -> StoreError {
    StoreError::Io { path: "the history".into(), error: io::Error::new(io::ErrorKind::OutOfMemory, error.to_string()) }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
