//! Carries what was counted over into the book, once a second and whenever somebody asks.

use super::ServiceError;
use super::command::{Command, Submitted};
use crate::engine::Engine;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a count may stay in memory alone: what a crash may cost.
const EVERY: Duration = Duration::from_secs(1);

pub(super) type Done = Box<dyn FnOnce(Result<(), ServiceError>) + Send>;

/// The thread that looks at the counters, so that neither decisions nor the committer have to.
#[derive(Debug)]
pub(super) struct Carrier {
    requests: Option<Sender<Done>>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    pub(super) fn start(engine: Arc<Engine>, commands: Sender<Submitted>) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        let run = move || run(&engine, &commands, &queue);
        let thread = thread::Builder::new().name("dialback-tally".into()).spawn(run)?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Carries over what has been counted so far; `done` is told when it is in the book.
    pub(super) fn ask(&self, done: Done) {
        let requests = self.requests.as_ref().expect("taken only when dropped");
        if let Err(mpsc::SendError(done)) = requests.send(done) {
            done(Err(ServiceError::NotDurable(super::ENDED.to_owned())));
        }
    }
}

impl Drop for Carrier {
    /// What was counted before is handed in when this returns.
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
        // One look serves all who wait for one.
        let waiting: Vec<_> = asked.into_iter().chain(queue.try_iter()).collect();
        let deltas = engine.tallies().take(is_timely);
        if !deltas.is_empty() || !waiting.is_empty() {
            let tell = |result: Result<(), ServiceError>| waiting.into_iter().for_each(|done| done(result.clone()));
            let submitted = Submitted::new(Command::Carry { deltas, done: Box::new(tell) });
            if let Err(mpsc::SendError(submitted)) = commands.send(submitted) {
                submitted.command.refuse(ServiceError::NotDurable(super::ENDED.to_owned()));
            }
        }
        if is_last {
            return;
        }
    }
}
