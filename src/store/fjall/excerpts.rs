//! Reads parts of the configurations from other threads.

use super::shared::Shared;
use crate::event::Configuration;
use crate::id::EnvironmentId;
use crate::store::{Excerpt, Excerpts, StoreError};
use serde::Deserialize;
use std::sync::Arc;

/// The field of a configuration that decides whether the rest is read.
#[derive(Deserialize)]
struct Head {
    environment: EnvironmentId,
}

/// Returns the function that reads excerpts. It fails after the store has been closed. It reads one key at a time, because
/// an iterator would hold a snapshot, which keeps a purge from removing data.
pub(in crate::store) fn of(store: &Arc<Shared>) -> Arc<Excerpts> {
    let store = Arc::downgrade(store);
    Arc::new(move |before, environment| {
        let store = store.upgrade().ok_or_else(|| StoreError::Engine("the store has been closed".into()))?;
        Excerpt::read(before, |sequence| read(&store, sequence, environment))
    })
}

fn read(
    store: &Shared,
    sequence: u64,
    environment: Option<EnvironmentId>,
) -> Result<(Option<Configuration>, usize), StoreError> {
    let keyspaces = &store.keyspaces;
    let held = keyspaces.configurations.get(sequence.to_be_bytes()).map_err(|error| keyspaces.failed(error))?;
    let value = held.ok_or_else(|| keyspaces.damaged(format!("configuration {sequence} is missing")))?;
    if let Some(wanted) = environment {
        let Head { environment } = keyspaces.parse_part(&value, sequence)?;
        if environment != wanted {
            return Ok((None, value.len()));
        }
    }
    Ok((Some(keyspaces.parse_configuration(&value, sequence)?), value.len()))
}
