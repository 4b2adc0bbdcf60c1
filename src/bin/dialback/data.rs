//! Opens a data directory.

use crate::clock::now;
use crate::failure::Failure;
use crate::{address_space, daemon_file, supervisor};
use dialback::engine::DEFAULT_MAX_PAIRS;
use dialback::service::{CutOff, Recovered};
use dialback::store::{EventStore, FjallStore, StoreError};
use dialback::{Engine, Service};
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use tracing::{info, warn};

/// The options for the data directory.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataOptions {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "DIALBACK_DATA", default_value = "dialback-data")]
    pub(crate) data: PathBuf,
    /// The largest number of (number, contact) pairs to hold in memory
    #[arg(long, value_name = "PAIRS", env = "DIALBACK_MAX_PAIRS", default_value_t = DEFAULT_MAX_PAIRS)]
    pub(crate) max_pairs: usize,
    /// The largest number of pairs that one environment may hold. Without it, each environment may fill the history up
    /// to seven eighths, and above that hold an equal share
    #[arg(long, value_name = "PAIRS", env = "DIALBACK_MAX_PAIRS_PER_ENVIRONMENT")]
    pub(crate) max_pairs_per_environment: Option<usize>,
}

/// The options of a command that creates the data directory if it is asked to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NewDataOptions {
    /// Create the data directory if it does not exist. Without this, a mistyped path is an error
    #[arg(long)]
    pub(crate) create_directory: bool,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

impl DataOptions {
    /// Checks that this user may create the directory, which does not exist.
    pub(crate) fn check_creatable(&self) -> Result<(), Failure> {
        let missing = self.data.ancestors().take_while(|path| !path.exists());
        let folder = missing.last().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let (wanted, path) = (Access::WRITE_OK | Access::EXEC_OK, self.data.display());
        let error = match access(folder, wanted) {
            Ok(()) if folder.is_dir() => return Ok(()),
            Ok(()) => io::Error::from(io::ErrorKind::NotADirectory),
            Err(error) => error.into(),
        };
        let error = StoreError::Io { path: folder.to_owned(), error };
        Err(Failure::from(error).and(&format!("so {path} cannot be created")))
    }

    /// Creates an engine with these limits.
    ///
    /// # Errors
    /// The limit of address space is too low, or the system does not reserve it for the history.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        address_space::check(self.max_pairs)?;
        let engine = Engine::try_with_max_pairs(self.max_pairs)
            .map_err(|error| Failure::new(format!("{error}: lower `--max-pairs` (now {})", self.max_pairs)))?;
        let engine = engine.with_clock(now);
        Ok(match self.max_pairs_per_environment {
            Some(max_pairs) => engine.with_max_pairs_per_environment(max_pairs),
            None => engine,
        })
    }
}

/// Opens the data directory and loads its contents into the engine.
///
/// In the directory of a fleet's node, new events go to the outbox, and the node publishes them after its next start.
/// Changes of the configuration are rejected, because only the fleet's stream can order them.
pub(crate) fn open(options: &DataOptions, engine: Engine) -> Result<Service, StoreError> {
    let store = open_store(&options.data)?;
    let has_joined = has_joined(&store)?;
    let builder = Service::builder(store).engine(engine).progress(report);
    if has_joined { builder.sequencer(Arc::new(CutOff)) } else { builder }.start()
}

/// Returns what was opened. `None` if another process holds the directory.
pub(crate) fn unless_held<T>(opened: Result<T, StoreError>) -> Result<Option<T>, Failure> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(StoreError::Locked(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the store belongs to a node that has joined a fleet.
pub(crate) fn has_joined(store: &FjallStore) -> Result<bool, StoreError> {
    Ok(store.fleet_state().map(|state| state.place()).transpose()?.flatten().is_some())
}

/// Opens the data directory without loading its contents.
pub(crate) fn open_store(data: &Path) -> Result<FjallStore, StoreError> {
    let store = FjallStore::open(data)?;
    let modes = store.modes();
    if modes.tightened > 0 {
        warn!(files = modes.tightened, "other users could read the data directory: its permissions are tightened");
    }
    if modes.left > 0 {
        warn!(files = modes.left, "other users may read the data directory: set its mode to 0700");
    }
    // A daemon that was killed leaves its address file. Commands would send an operator token to that address, where
    // another program may listen now. This process holds the directory, so it can remove the file.
    let _ = fs::remove_file(daemon_file::path(data));
    Ok(store)
}

pub(crate) fn report(recovered: Recovered) {
    let Recovered { configurations, pairs, complete } = recovered;
    if complete {
        info!(configurations, pairs, "ready");
    } else {
        info!(configurations, pairs, "loading");
        supervisor::loading(pairs);
    }
}
