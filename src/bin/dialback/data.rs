//! Opening a data directory.

use crate::failure::Failure;
use crate::supervisor;
use dialback::service::Recovered;
use dialback::store::{FjallStore, StoreError};
use dialback::{Engine, Service};
use std::fs;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Where the data is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataOptions {
    /// The data directory; made where there is none
    #[arg(long, value_name = "DIR", env = "DIALBACK_DATA", default_value = "dialback-data")]
    pub(crate) data: PathBuf,
    /// How many (number, contact) pairs may be held in memory
    #[arg(long, value_name = "PAIRS", default_value_t = dialback::engine::DEFAULT_MAX_PAIRS)]
    pub(crate) max_pairs: usize,
}

/// Opens the directory and puts back what it holds.
pub(crate) fn open(options: &DataOptions, engine: Engine) -> Result<Service, StoreError> {
    Service::start(open_store(&options.data)?, engine, report)
}

/// An engine for as many pairs as is asked for.
pub(crate) fn engine(options: &DataOptions) -> Result<Engine, Failure> {
    let engine = Engine::try_with_max_pairs(options.max_pairs);
    engine.map_err(|error| Failure::new(format!("{error}: lower `--max-pairs` (now {})", options.max_pairs)))
}

/// Opens the directory.
pub(crate) fn open_store(data: &Path) -> Result<FjallStore, StoreError> {
    let store = FjallStore::open(data)?;
    let modes = store.modes();
    if modes.tightened > 0 {
        warn!(files = modes.tightened, "other users could read the data directory: its permissions are tightened");
    }
    if modes.left > 0 {
        warn!(files = modes.left, "other users may read the data directory: set its mode to 0700");
    }
    // Left by a daemon that was killed. While this process holds the directory, the commands would take that address for
    // ours, and whoever listens there today would be shown an operator token.
    let _ = fs::remove_file(daemon_file(data));
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

/// Where a daemon says how it is reached.
pub(crate) fn daemon_file(data: &Path) -> PathBuf {
    data.join("daemon.json")
}
