//! Submits calls to the service in batches. The number of batches that wait for the disk is bounded, and so is
//! memory.

use dialback::service::Recording;
use dialback::{Applied, Call, Change, EnvironmentId, Event, Service, ServiceError, Timestamp};
use std::collections::VecDeque;
use std::sync::mpsc;

/// The number of calls in a batch. One sync covers all batches that wait for it.
const BATCH_SIZE: usize = 4096;
/// The number of batches that may wait for their sync while the next lines are read. They take about 3 MB.
const MAX_PENDING: usize = 8;

/// The effects of calls, counted when the calls are durable.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct ImportTally {
    pub(super) recorded: u64,
    pub(super) unchanged: u64,
    pub(super) erased: u64,
}

/// A submitted batch: its line numbers, and the channel for its result.
struct SubmittedBatch {
    lines: Vec<u64>,
    answer: mpsc::Receiver<Recording>,
}

pub(super) struct Pipeline<'a> {
    service: &'a Service,
    events: Vec<Event>,
    /// The line number of each event in the batch.
    lines: Vec<u64>,
    pending: VecDeque<SubmittedBatch>,
    pub(super) tally: ImportTally,
    /// The lines that the service rejected, with the reasons.
    pub(super) refused: Vec<(u64, String)>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self {
            service,
            events: Vec::with_capacity(BATCH_SIZE),
            lines: Vec::with_capacity(BATCH_SIZE),
            pending: VecDeque::with_capacity(MAX_PENDING),
            tally: ImportTally::default(),
            refused: Vec::new(),
        }
    }

    /// Adds a call. Returns `true` if the batch is complete and must be [sent](Self::send).
    pub(super) fn push(&mut self, line: u64, call: Call) -> bool {
        self.events.push(Event::Call(call));
        self.lines.push(line);
        self.events.len() == BATCH_SIZE
    }

    /// Submits the batch after the changes that its calls need. Waits while too many batches are pending.
    pub(super) fn send(
        &mut self,
        environment: EnvironmentId,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        while self.pending.len() >= MAX_PENDING {
            self.await_oldest()?;
        }
        if !changes.is_empty() {
            self.service.configure(environment, now, move |_| Ok(changes))?;
        }
        if self.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::replace(&mut self.events, Vec::with_capacity(BATCH_SIZE));
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(BATCH_SIZE));
        let (sender, answer) = mpsc::sync_channel(1);
        self.service.submit(events, move |recording| {
            // The receiver is gone if the import has failed.
            let _ = sender.send(recording);
        });
        self.pending.push_back(SubmittedBatch { lines, answer });
        Ok(())
    }

    /// Waits until everything is durable.
    pub(super) fn finish(&mut self) -> Result<(), ServiceError> {
        while !self.pending.is_empty() {
            self.await_oldest()?;
        }
        Ok(())
    }

    fn await_oldest(&mut self) -> Result<(), ServiceError> {
        let Some(SubmittedBatch { lines, answer }) = self.pending.pop_front() else { return Ok(()) };
        // A service whose committer has failed drops submitted batches without a result.
        let recording = answer
            .recv()
            .unwrap_or_else(|_| Err(ServiceError::NotDurable("the service stopped without a result".into())));
        for (line, applied) in lines.into_iter().zip(recording?) {
            match applied {
                Ok(Applied::Recorded) => self.tally.recorded += 1,
                // The agent and the number are known, so only an erasure can be the reason.
                Ok(Applied::Ignored) => self.tally.erased += 1,
                Ok(_) => self.tally.unchanged += 1,
                Err(error) => self.refused.push((line, error.to_string())),
            }
        }
        Ok(())
    }
}
