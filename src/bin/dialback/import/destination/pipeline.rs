//! Collects calls into batches, and submits them to the destination.
//!
//! The first batches are held back. An import that is wrong from the beginning, or names more new entities than it may
//! create, fails in these batches and leaves nothing behind.

use super::roster::Roster;
use super::{Additions, Batch, Destination, Made, Origin, Results, Unmade};
use crate::import::error::ImportError;
use crate::import::report::rejection::Rejection;
use dialback::Call;

/// The number of calls in a batch. One sync covers all batches that wait for it.
const BATCH_SIZE: usize = 4096;
/// The bytes of details in a batch, and of records if their text is kept for the reject file, after which no further one is added.
const BATCH_BYTES: usize = 2 << 20;
/// The number of batches that are held back at the beginning. They take about 5 MB, and each at most [`BATCH_BYTES`] and one
/// record more.
const HELD_BATCHES: usize = 16;

pub(in crate::import) struct Pipeline<'a> {
    destination: Box<dyn Destination + 'a>,
    batch: Batch,
    /// The bytes of the records and details in `batch`.
    bytes: usize,
    /// The batches at the beginning that are not submitted yet.
    held: Vec<Batch>,
    has_begun: bool,
    /// Whether the destination has failed. Then some calls may be stored without its answer.
    has_failed: bool,
    /// Records whose number or agent could not be created.
    withdrawn: Vec<(Origin, Rejection)>,
}

impl<'a> Pipeline<'a> {
    pub(in crate::import) fn new(destination: Box<dyn Destination + 'a>) -> Self {
        let batch = Batch::with_capacity(BATCH_SIZE);
        let (held, withdrawn) = (Vec::new(), Vec::new());
        Self { destination, batch, bytes: 0, held, has_begun: false, has_failed: false, withdrawn }
    }

    /// Waits for the batches on their way, after an error. Returns what was created. `None` if nothing was submitted.
    pub(in crate::import) fn settle(&mut self) -> Option<Made> {
        let is_finished = self.destination.finish().is_ok();
        let made = self.destination.made();
        let is_least = made.is_least || self.has_failed || !is_finished;
        (self.has_begun || made != Made::default()).then_some(Made { is_least, ..made })
    }

    /// Adds a call. Returns `true` if the batch is complete and must be [sent](Self::send).
    pub(in crate::import) fn push(&mut self, origin: Origin, call: Call) -> bool {
        self.bytes += origin.bytes();
        self.batch.calls.push(call);
        self.batch.origins.push(origin);
        self.batch.calls.len() == BATCH_SIZE || self.bytes > BATCH_BYTES
    }

    /// Holds the batch back, or submits it after the entities that its calls need.
    pub(in crate::import) fn send(&mut self, roster: &mut Roster) -> Result<(), ImportError> {
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(BATCH_SIZE));
        self.bytes = 0;
        self.held.push(batch);
        if self.has_begun || self.held.len() >= HELD_BATCHES { self.submit(roster) } else { Ok(()) }
    }

    /// Submits the last batches, and waits until everything is durable.
    pub(in crate::import) fn finish(&mut self, roster: &mut Roster) -> Result<(), ImportError> {
        self.held.push(std::mem::take(&mut self.batch));
        self.submit(roster)?;
        let finished = self.destination.finish();
        self.has_failed = finished.is_err();
        finished
    }

    /// Returns the results that have arrived since the last call.
    pub(in crate::import) fn results(&mut self) -> Results {
        let mut results = self.destination.results();
        results.refused.append(&mut self.withdrawn);
        results
    }

    fn submit(&mut self, roster: &mut Roster) -> Result<(), ImportError> {
        self.held.retain(|batch| !batch.calls.is_empty());
        if self.held.is_empty() {
            return Ok(());
        }
        let additions = roster.additions();
        let mut unmade = self.create(additions)?;
        roster.withdraw(&mut unmade);
        for mut batch in std::mem::take(&mut self.held) {
            if !unmade.is_empty() {
                self.withdraw(&mut batch, &unmade);
            }
            let submitted = self.destination.submit(batch);
            self.has_failed |= submitted.is_err();
            submitted?;
        }
        Ok(())
    }

    fn create(&mut self, additions: Additions) -> Result<Unmade, ImportError> {
        if self.has_begun && additions.is_empty() {
            return Ok(Unmade::default());
        }
        let unmade = self.destination.create(additions, &self.held)?;
        self.has_begun = true;
        Ok(unmade)
    }

    /// Removes the calls from a batch that need an entity which could not be created.
    fn withdraw(&mut self, batch: &mut Batch, unmade: &Unmade) {
        let Batch { calls, origins } = std::mem::take(batch);
        for (call, origin) in calls.into_iter().zip(origins) {
            if let Some(why) = unmade.reason(&call) {
                self.withdrawn.push((origin, why.clone()));
            } else {
                batch.calls.push(call);
                batch.origins.push(origin);
            }
        }
    }
}
