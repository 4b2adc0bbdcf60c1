//! Starting a service: its store, its engine, and its place in a fleet.

use super::feed::FeedSettings;
use super::recorder::RecordSettings;
use super::sequencer::{Alone, Sequencer};
use super::{Loading, Recovered, Service, no_thread, recovery};
use crate::engine::{DEFAULT_MAX_PAIRS, Engine};
use crate::history::{Keeper, NoRoom};
use crate::store::{EventStore, StoreError};
use crate::tally::Totals;
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};

/// The parts of a service beside its store and its engine.
pub(super) struct Setup {
    pub(super) sequencer: Arc<dyn Sequencer>,
    pub(super) keeper: Option<Keeper>,
    pub(super) max_context_bytes: u64,
    pub(super) feed: Option<FeedSettings>,
}

/// Builds a [`Service`]; see [`Service::builder`].
#[must_use = "nothing starts before `start` or `load`"]
pub struct Builder<S> {
    store: S,
    engine: Option<Engine>,
    sequencer: Arc<dyn Sequencer>,
    records: Option<RecordSettings>,
    feed: Option<FeedSettings>,
    progress: Box<dyn FnMut(Recovered) + Send>,
    max_context_bytes: u64,
}

/// The bytes that the ids and contexts of an environment's calls may take, unless the builder sets another limit: 4 GiB.
pub const DEFAULT_MAX_CONTEXT_BYTES: u64 = 4 << 30;

impl<S: EventStore> Builder<S> {
    pub(super) fn new(store: S) -> Self {
        let (sequencer, max_context_bytes) = (Arc::new(Alone), DEFAULT_MAX_CONTEXT_BYTES);
        Self {
            store,
            engine: None,
            sequencer,
            records: None,
            feed: None,
            progress: Box::new(|_| {}),
            max_context_bytes,
        }
    }

    /// Sets the engine, which must be empty: its size, its clock, and the share of each environment.
    pub fn engine(self, engine: Engine) -> Self {
        Self { engine: Some(engine), ..self }
    }

    /// Serves together with a [`Sequencer`], as a node of a fleet does.
    pub fn sequencer(self, sequencer: Arc<dyn Sequencer>) -> Self {
        Self { sequencer, ..self }
    }

    /// Sets the bytes that the ids and contexts of an environment's calls may take in the store. Further ones are rejected
    /// with [`ServiceError::ContextsFull`](super::ServiceError::ContextsFull).
    pub fn max_context_bytes(self, bytes: u64) -> Self {
        Self { max_context_bytes: bytes, ..self }
    }

    /// Writes [records](crate::DecisionRecord) of routed calls, if the store keeps them. Without this, none are written, and
    /// those in the store stay.
    pub fn records(self, settings: RecordSettings) -> Self {
        Self { records: Some(settings), ..self }
    }

    /// Writes the events of each environment to its feed, if the store keeps them. Without this, none are written, and those
    /// in the store stay. The clock of the [engine](Self::engine) numbers them so that a reader misses none after a backup is
    /// restored.
    pub fn feed(self, settings: FeedSettings) -> Self {
        Self { feed: Some(settings), ..self }
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
        let Self { mut store, engine, sequencer, records, feed, progress, max_context_bytes } = self;
        let (engine, keeper) = prepared(engine)?;
        let mut totals = Totals::default();
        recovery::recover(&mut store, &engine, &mut totals, progress, &|| true)?;
        let loading = Loading::default();
        let setup = Setup { sequencer, keeper, max_context_bytes, feed };
        Service::begin(setup, store, engine, totals, loading, |_, _, _, _| true)?.recording(records, feed)
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
        let Self { store, engine, sequencer, records, feed, mut progress, max_context_bytes } = self;
        let (engine, keeper) = prepared(engine)?;
        Service::begin(
            Setup { sequencer, keeper, max_context_bytes, feed },
            store,
            engine,
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
        )?
        .recording(records, feed)
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
