//! A node of a fleet: the threads between its service and the stream.

use super::StepError;
use super::consumer::Consumer;
use super::keeper::Keeper;
use super::link::Link;
use super::publisher::{Did, Publisher};
use super::repeats::Repeats;
use super::settings::Log;
use crate::metrics::FleetState;
use crate::service::Service;
use crate::store::{StoreError, StoredFleetState};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a thread waits for a message or an outbox entry, and so how long a stop can take.
const WAIT: Duration = Duration::from_millis(500);
/// The pause between a failure and the next attempt.
const LATER: Duration = Duration::from_millis(500);
/// The pause if the stream was unreachable: how long the node takes to notice that it is back.
const AWAY: Duration = Duration::from_millis(200);
/// The time between two checks whether a snapshot is due.
const UPKEEP: Duration = Duration::from_secs(1);

/// A running node: publishes the commits of its service, and passes the messages of other nodes to its service.
///
/// Dropping the node stops its threads. Commits that were not published by then are published after the next start.
pub struct Node {
    link: Arc<Link>,
    threads: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts the node's threads for a service that was created with this link. The service may still be loading. Its
    /// store must be able to keep an outbox.
    ///
    /// # Errors
    /// Returns an error if the store cannot keep an outbox, or if the system cannot create the threads.
    #[allow(clippy::needless_pass_by_value, reason = "the node is their owner")]
    pub fn start(link: Arc<Link>, service: Arc<Service>, log: Log) -> io::Result<Self> {
        let parts = Parts::new(&link, &service, false, Arc::clone(&log))?;
        let errors = Arc::new(Mutex::new(Repeats::default()));
        let Parts { publisher, consumer, keeper } = parts;
        let mut node = Self { link: Arc::clone(&link), threads: Vec::new() };
        let (tell, is_told) = (log.clone(), Cell::new(false));
        // The threads often fail for the same reason, so they remember together what is logged.
        let link = Arc::clone(&link);
        let log: Log = Arc::new(move |text| {
            let now = link.now().millis();
            if errors.lock().unwrap_or_else(PoisonError::into_inner).is_due(text, now) {
                log(text);
            }
        });
        node.spawn("dialback-fleet-in", &service, log.clone(), consumer, move |consumer, link| {
            let did = consumer.step(WAIT);
            if let FleetState::Stopped(why) = link.metrics.state()
                && !is_told.replace(true)
            {
                tell(&format!("this node has stopped: {why}"));
            }
            did.map(|_| Duration::ZERO)
        })?;
        node.spawn("dialback-fleet-out", &service, log.clone(), publisher, |publisher, link| {
            if publisher.step()? == Did::Nothing {
                link.wait(publisher.cursor(), WAIT);
                // While nothing may be published, `wait` can return at once.
                return Ok(if link.may_publish() { Duration::ZERO } else { LATER / 10 });
            }
            Ok(Duration::ZERO)
        })?;
        node.spawn("dialback-fleet-keep", &service, log, keeper, |keeper, _| keeper.step().map(|_| UPKEEP))?;
        Ok(node)
    }

    fn spawn<T: Send + 'static>(
        &mut self,
        name: &str,
        service: &Arc<Service>,
        log: Log,
        mut part: T,
        step: impl Fn(&mut T, &Link) -> Result<Duration, StepError> + Send + 'static,
    ) -> io::Result<()> {
        let (link, service) = (Arc::clone(&self.link), Arc::clone(service));
        let run = move || {
            while !link.is_stopping() {
                if service.loading().is_some() {
                    link.pause(LATER / 10);
                    continue;
                }
                match step(&mut part, &link) {
                    Ok(pause) if pause.is_zero() => {}
                    Ok(pause) => link.pause(pause),
                    Err(error) => {
                        log(&error.to_string());
                        link.pause(if error.away().is_some() { AWAY } else { LATER });
                    }
                }
            }
        };
        self.threads.push(thread::Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }

    /// Returns the node's link, which has its metrics.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.link.stop();
        for thread in self.threads.drain(..) {
            // The thread itself has reported a panic.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("link", &self.link).finish_non_exhaustive()
    }
}

/// The parts of a node. Each runs in its own thread, or step by step in a simulation.
struct Parts {
    publisher: Publisher,
    consumer: Consumer,
    keeper: Keeper,
}

impl Parts {
    fn new(link: &Arc<Link>, service: &Arc<Service>, waits: bool, log: Log) -> io::Result<Self> {
        let fleet_state: Arc<dyn StoredFleetState> = service
            .fleet_state()
            .ok_or_else(|| io::Error::other("this store keeps no outbox: a node of a fleet needs a store with one"))?;
        count_outbox(link, &*fleet_state).map_err(io::Error::other)?;
        let publisher = Publisher::new(Arc::clone(link), Arc::clone(service), Arc::clone(&fleet_state));
        let consumer = Consumer::new(Arc::clone(link), Arc::clone(service), Arc::clone(&fleet_state), waits, log);
        let keeper = Keeper::new(Arc::clone(link), Arc::clone(service), fleet_state);
        Ok(Self { publisher, consumer, keeper })
    }
}

/// Counts the entries that the last run left in the outbox.
fn count_outbox(link: &Link, fleet_state: &dyn StoredFleetState) -> Result<(), StoreError> {
    if let Some(first) = fleet_state.outbox(0, 1)?.first() {
        link.metrics.leave(first.number - 1);
        link.metrics.enter(fleet_state.last_entry()?);
    }
    Ok(())
}

/// A node that does one step at a time on request, for simulations.
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub struct Stepper(Parts);

#[cfg(feature = "__testing")]
#[allow(missing_docs, clippy::missing_errors_doc)]
impl Stepper {
    /// Creates a node without threads.
    ///
    /// # Errors
    /// Returns an error if the store cannot keep an outbox.
    pub fn new(link: &Arc<Link>, service: &Arc<Service>) -> io::Result<Self> {
        Parts::new(link, service, true, Arc::new(|_| {})).map(Self)
    }

    pub fn publish(&mut self) -> Result<bool, StepError> {
        self.0.publisher.step().map(|did| did == Did::Some)
    }

    pub fn consume(&mut self) -> Result<bool, StepError> {
        self.0.consumer.step(Duration::ZERO).map(|did| did == Did::Some)
    }

    pub fn keep(&mut self) -> Result<bool, StepError> {
        self.0.keeper.step().map(|did| did == Did::Some)
    }
}

#[cfg(feature = "__testing")]
impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").finish_non_exhaustive()
    }
}
