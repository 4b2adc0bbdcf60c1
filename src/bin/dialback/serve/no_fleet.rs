//! The replacement for `fleet.rs` in a build without the feature `nats`: the daemon belongs to no fleet.

use crate::failure::Failure;
use dialback::Service;
use dialback::service::{Alone, Sequencer};
use std::sync::Arc;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FleetOptions {}

#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in the other one")]
impl FleetOptions {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    pub(crate) fn join(&self) -> Result<Fleet, Failure> {
        Ok(Fleet)
    }
}

pub(crate) struct Fleet;

#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in the other one")]
impl Fleet {
    pub(crate) fn sequencer(&self) -> Arc<dyn Sequencer> {
        Arc::new(Alone)
    }

    pub(crate) fn start(self, _: &Arc<Service>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
}
