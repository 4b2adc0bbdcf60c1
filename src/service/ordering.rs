//! Gives a node's configurations their place in its fleet's order, on a thread of its own. The committer commits
//! everything else meanwhile.
//!
//! A request that changes nothing has a place, too: right after the configuration that it was decided on. This node may
//! not have consumed the newest configuration yet, which may undo what the request found to be there already.

use super::ServiceError;
use super::command::{Command, Done, Submitted};
use super::sequencer::Sequencer;
use crate::event::Configuration;
use crate::metrics::{Commits, Stopwatch};
use crate::plan::Plan;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

/// The changes of the configuration that wait for their place. The next one is decided on the plan after the one that is
/// under way, so only one is.
pub(super) struct Ordering {
    requests: mpsc::Sender<Request>,
    waiting: VecDeque<Submitted>,
    under_way: Option<UnderWay>,
}

/// A request to the fleet's order.
enum Request {
    /// To give a configuration the next place.
    Order(Configuration),
    /// To confirm that no configuration follows the one with this sequence.
    Confirm(u64),
}

/// A request that is on its way to the stream.
pub(super) struct UnderWay {
    /// The configuration that it orders, or `None` if it changes nothing.
    pub(super) configuration: Option<Configuration>,
    /// The plan right after the configuration.
    pub(super) plan: Arc<Plan>,
    /// Whether the stream has delivered the configuration back before it acknowledged it.
    pub(super) has_arrived: bool,
    pub(super) done: Done<Result<Arc<Plan>, ServiceError>>,
    pub(super) since: Stopwatch,
}

impl Ordering {
    /// Starts the thread, which passes its results to the committer. It ends when the value is dropped.
    pub(super) fn start(sequencer: Arc<dyn Sequencer>, results: mpsc::Sender<Submitted>) -> io::Result<Self> {
        let (requests, asked) = mpsc::channel();
        let order = move || {
            for request in asked {
                let ordered = catch_unwind(AssertUnwindSafe(|| match &request {
                    Request::Order(configuration) => sequencer.order(configuration),
                    Request::Confirm(sequence) => sequencer.confirm(*sequence),
                }));
                let result = ordered.unwrap_or_else(|_| Err(ServiceError::OutcomeUnknown("the order panicked".into())));
                if results.send(Submitted::new(Command::Ordered(result))).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("dialback-order".into()).spawn(order)?;
        Ok(Self { requests, waiting: VecDeque::new(), under_way: None })
    }

    /// Adds a change of the configuration, which waits for all earlier ones.
    pub(super) fn add(&mut self, change: Submitted) {
        self.waiting.push_back(change);
    }

    /// Returns the request that is under way. It must be [put back](Self::put_back) until its result is there.
    pub(super) fn take_under_way(&mut self) -> Option<UnderWay> {
        self.under_way.take()
    }

    pub(super) fn put_back(&mut self, under_way: Option<UnderWay>) {
        self.under_way = under_way;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// Sends the next change on its way, if none is. Answers changes that cannot be made, and callers that need nothing
    /// but this plan, at once: the plan is durable and in force.
    pub(super) fn go_on(&mut self, plan: &Arc<Plan>, commits: &Commits) {
        while self.under_way.is_none() {
            let Some(Submitted { command, since }) = self.waiting.pop_front() else { return };
            let Command::Configure { environment, stamp, decide, done } = command else { continue };
            let next = decide(plan).map_err(ServiceError::from).and_then(|changes| {
                let Some(changes) = changes else { return Ok(None) };
                if changes.is_empty() {
                    return Ok(Some((None, Arc::clone(plan))));
                }
                let configuration = plan.next_configuration(environment, stamp, changes);
                let next = plan.with(&configuration)?;
                Ok(Some((Some(configuration), Arc::new(next))))
            });
            let answer = match next {
                Ok(Some((configuration, next))) => {
                    let confirm = || Request::Confirm(plan.generation());
                    let request = configuration.clone().map_or_else(confirm, Request::Order);
                    if self.requests.send(request).is_ok() {
                        self.under_way = Some(UnderWay { configuration, plan: next, has_arrived: false, done, since });
                        return;
                    }
                    Err(ServiceError::StreamAway("the thread that orders changes has ended".into()))
                }
                Ok(None) => Ok(Arc::clone(plan)),
                Err(error) => Err(error),
            };
            commits.acknowledge(since, 1);
            done(answer);
        }
    }

    /// Refuses all changes, because the store has failed.
    pub(super) fn refuse(&mut self, why: &str, commits: &Commits) {
        let error = ServiceError::NotDurable(why.to_owned());
        for change in self.waiting.drain(..) {
            commits.refuse(change.command.len());
            change.command.refuse(error.clone());
        }
        if let Some(under_way) = self.under_way.take() {
            commits.refuse(1);
            (under_way.done)(Err(error));
        }
    }
}
