//! Calls on their way into the service: many at a time, and never so many that memory fills with what the disk has not taken.

use dialback::service::Recording;
use dialback::{Applied, Call, Change, EnvironmentId, Event, Service, ServiceError, Timestamp};
use std::collections::VecDeque;
use std::sync::mpsc;

/// Calls handed in together. One sync covers all batches that wait for it.
const BATCH_SIZE: usize = 4096;
/// Batches that may wait for their sync while the next lines are read: some 3 MB.
const MOST_ON_THE_WAY: usize = 8;

/// What calls did once they were durable.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    pub(super) recorded: u64,
    pub(super) unchanged: u64,
    pub(super) erased: u64,
}

/// A batch that has been handed in: its lines, and where the answer will come.
struct Batch {
    lines: Vec<u64>,
    answer: mpsc::Receiver<Recording>,
}

pub(super) struct Pipeline<'a> {
    service: &'a Service,
    events: Vec<Event>,
    /// Where each event of the batch comes from.
    lines: Vec<u64>,
    on_the_way: VecDeque<Batch>,
    pub(super) tally: Tally,
    /// Lines that the service would not take, and why.
    pub(super) refused: Vec<(u64, String)>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self {
            service,
            events: Vec::with_capacity(BATCH_SIZE),
            lines: Vec::with_capacity(BATCH_SIZE),
            on_the_way: VecDeque::with_capacity(MOST_ON_THE_WAY),
            tally: Tally::default(),
            refused: Vec::new(),
        }
    }

    /// Takes one more call; true where its batch is complete and wants to be [sent](Self::send).
    pub(super) fn push(&mut self, line: u64, call: Call) -> bool {
        self.events.push(Event::Call(call));
        self.lines.push(line);
        self.events.len() == BATCH_SIZE
    }

    /// Sends the batch on its way, behind the changes that its calls need. Waits while too many are.
    pub(super) fn send(
        &mut self,
        environment: EnvironmentId,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        while self.on_the_way.len() >= MOST_ON_THE_WAY {
            self.land()?;
        }
        if !changes.is_empty() {
            self.service.configure(environment, now, move |_| Ok(changes))?;
        }
        if self.events.is_empty() {
            return Ok(());
        }
        let events = std::mem::replace(&mut self.events, Vec::with_capacity(BATCH_SIZE));
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(BATCH_SIZE));
        let (done, answer) = mpsc::sync_channel(1);
        self.service.submit(events, move |recording| {
            // Nobody listens any more where the import has failed.
            let _ = done.send(recording);
        });
        self.on_the_way.push_back(Batch { lines, answer });
        Ok(())
    }

    /// Waits until everything is durable.
    pub(super) fn finish(&mut self) -> Result<(), ServiceError> {
        while !self.on_the_way.is_empty() {
            self.land()?;
        }
        Ok(())
    }

    fn land(&mut self) -> Result<(), ServiceError> {
        let Some(Batch { lines, answer }) = self.on_the_way.pop_front() else { return Ok(()) };
        // A service whose committer has come to grief drops what was handed in without an answer.
        let recording = answer.recv().unwrap_or_else(|_| Err(ServiceError::NotDurable("no answer".into())));
        for (line, applied) in lines.into_iter().zip(recording?) {
            match applied {
                Ok(Applied::Recorded) => self.tally.recorded += 1,
                // Its agent and its number are known, so that only an erasure can be why.
                Ok(Applied::Ignored) => self.tally.erased += 1,
                Ok(_) => self.tally.unchanged += 1,
                Err(error) => self.refused.push((line, error.to_string())),
            }
        }
        Ok(())
    }
}
