//! Submits the counts of decisions to the committer, once a second and on request.

use super::ServiceError;
use super::command::{Command, Submitted};
use crate::engine::Engine;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest time that a count is kept in memory only. A crash loses at most so much.
const EVERY: Duration = Duration::from_secs(1);

pub(super) type Done = Box<dyn FnOnce(Result<(), ServiceError>) + Send>;

/// The thread that reads the counters, so that neither decisions nor the committer have to.
#[derive(Debug)]
pub(super) struct StatisticsFlusher {
    requests: Option<Sender<Done>>,
    thread: Option<JoinHandle<()>>,
}

impl StatisticsFlusher {
    pub(super) fn start(engine: Arc<Engine>, commands: Sender<Submitted>) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        let run = move || run(&engine, &commands, &queue);
        let thread = thread::Builder::new().name("dialback-tally".into()).spawn(run)?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Submits all counts so far. `done` is called when they are part of the durable totals.
    pub(super) fn flush(&self, done: Done) {
        let requests = self.requests.as_ref().expect("taken only when dropped");
        if let Err(mpsc::SendError(done)) = requests.send(done) {
            done(Err(ServiceError::NotDurable(super::ENDED.to_owned())));
        }
    }
}

impl Drop for StatisticsFlusher {
    /// All earlier counts are submitted when this returns.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

fn run(engine: &Engine, commands: &Sender<Submitted>, queue: &Receiver<Done>) {
    loop {
        let asked = queue.recv_timeout(EVERY);
        let is_timely = matches!(asked, Err(RecvTimeoutError::Timeout));
        let is_last = matches!(asked, Err(RecvTimeoutError::Disconnected));
        // One pass over the counters serves all waiting requests.
        let waiting: Vec<_> = asked.into_iter().chain(queue.try_iter()).collect();
        let deltas = engine.tallies().take(is_timely);
        if !deltas.is_empty() || !waiting.is_empty() {
            let tell = |result: Result<(), ServiceError>| waiting.into_iter().for_each(|done| done(result.clone()));
            let submitted = Submitted::new(Command::AddCounts { deltas, done: Box::new(tell) });
            if let Err(mpsc::SendError(submitted)) = commands.send(submitted) {
                submitted.command.refuse(ServiceError::NotDurable(super::ENDED.to_owned()));
            }
        }
        if is_last {
            return;
        }
    }
}
