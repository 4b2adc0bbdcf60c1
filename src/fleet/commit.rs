//! Commits what was consumed.

use super::StepError;
use crate::engine::Applied;
use crate::service::{Consumed, Recording, Service, ServiceError};
use std::sync::mpsc;

/// Submits the changes, and waits until they are committed.
pub(super) fn commit(service: &Service, consumed: Consumed) -> Result<Vec<Result<Applied, ServiceError>>, StepError> {
    let (done, answer) = mpsc::sync_channel::<Recording>(1);
    service.submit_consumed(consumed, move |recording| {
        // The receiver below waits for this result, so sending cannot fail.
        let _ = done.send(recording);
    });
    let recording =
        answer.recv().map_err(|_| StepError::from(ServiceError::NotDurable("the commit thread has stopped".into())))?;
    let did = recording?;
    match did.iter().find(|did| matches!(did, Err(ServiceError::NotDurable(_)))) {
        Some(Err(error)) => Err(StepError::from(error.clone())),
        _ => Ok(did),
    }
}
