//! Opening a data directory.

use crate::args::DataOptions;
use dialback::service::Recovered;
use dialback::store::{FjallStore, StoreError};
use dialback::{Engine, Service};
use tracing::info;

/// Opens the directory and puts back what it holds.
pub(crate) fn open(options: &DataOptions) -> Result<Service, StoreError> {
    let store = FjallStore::open(&options.data)?;
    Service::start(store, Engine::with_max_pairs(options.max_pairs), report)
}

fn report(recovered: Recovered) {
    let Recovered { configurations, pairs, complete } = recovered;
    if complete {
        info!(configurations, pairs, "ready");
    } else {
        info!(configurations, pairs, "loading");
    }
}
