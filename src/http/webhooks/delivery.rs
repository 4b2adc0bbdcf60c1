//! The task of a webhook: follows the feed, and sends its events.

use super::message::Unsigned;
use super::queue::{Answer, Due, Queue, Settled, Subject};
use super::registry::Webhooks;
use super::sender::Sent;
use super::settings::{Settings, Why};
use super::webhook::Webhook;
use crate::http::response::event::{cursor, shown};
use crate::metrics::Stopwatch;
use crate::service::{FeedWatch, Service};
use crate::store::{EventContent, EventKinds, FeedCall, FeedPage, FeedQuery, StoredEvent};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};

/// The status with which a receiver says that it wants no more messages.
const GONE: u16 = 410;
/// How long the task rests after the feed could not be read.
const REST: Duration = Duration::from_secs(1);
/// The longest wait, after which the task looks whether its environment still exists.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The number of stored bytes after which a page of new events ends.
const PAGE_BYTES: usize = 64 << 10;

/// Sends the events of a webhook until it is deleted. A panic ends neither the webhook nor others.
pub(super) async fn keep_running(hooks: Arc<Webhooks>, hook: Arc<Webhook>) {
    let is_interrupted = async || {
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&hooks), Arc::clone(&hook)));
        task.join_next().await.is_some_and(|ended| ended.is_err_and(|error| error.is_panic()))
    };
    while is_interrupted().await {
        tracing::error!(webhook = %hook.id, "the task of a webhook panicked, and begins again");
        hook.change(Queue::interrupt);
        tokio::time::sleep(REST).await;
    }
}

async fn run(hooks: Arc<Webhooks>, hook: Arc<Webhook>) {
    let (sending, under_way) = (JoinSet::new(), HashMap::new());
    let mut delivery = Delivery {
        hooks: Arc::clone(&hooks),
        hook,
        sending,
        under_way,
        is_at_end: false,
        is_behind: false,
        rest: None,
    };
    let mut watch = None;
    while let Some(settings) = delivery.hook.settings() {
        if delivery.hooks.service().plan().environment(delivery.hook.environment).is_none() {
            delivery.hooks.forget(&delivery.hook);
            return;
        }
        if watch.is_none() {
            // Before the feed is read, so that no event is missed.
            watch = Watch::begin(&delivery);
            delivery.is_at_end = false;
        }
        if delivery.hooks.is_stopping() {
            return delivery.end().await;
        }
        let is_active = settings.disabled.is_none() && delivery.hooks.service().has_feed();
        let rest = delivery.rest();
        let wait = match is_active.then_some(&settings) {
            None => LONGEST_WAIT,
            Some(_) if !rest.is_zero() => rest,
            Some(settings) => match delivery.step(settings).await {
                Ok(()) => delivery.wait(),
                Err(Unreadable) => REST,
            },
        };
        tokio::select! {
            Some(ended) = delivery.sending.join_next_with_id() => {
                let (task, ended) = match ended {
                    Ok(ended) => ended,
                    Err(panicked) => (panicked.id(), Ended::Sent(Sent::Failed("the sender panicked"), 0)),
                };
                delivery.settle(task, ended).await;
            }
            () = Watch::woken(&mut watch) => watch = None,
            () = tokio::time::sleep(wait) => {}
            () = delivery.hook.changed.notified() => {}
            () = hooks.stopped() => {}
        }
    }
}

/// A wait for the next event.
struct Watch {
    _watch: FeedWatch,
    woken: oneshot::Receiver<()>,
}

impl Watch {
    fn begin(delivery: &Delivery) -> Option<Self> {
        let (wake, woken) = oneshot::channel();
        let wake = || {
            let _ = wake.send(());
        };
        let watch = delivery.hooks.service().watch_feed(delivery.hook.environment, wake)?;
        Some(Self { _watch: watch, woken })
    }

    /// Returns when there is an event. Never without a watch.
    async fn woken(watch: &mut Option<Self>) {
        match watch {
            Some(watch) => _ = (&mut watch.woken).await,
            None => std::future::pending().await,
        }
    }
}

/// The feed cannot be read now.
struct Unreadable;

/// How an attempt ended.
enum Ended {
    /// With this result, after so many milliseconds.
    Sent(Sent, u64),
    /// The event is in the feed no more. `true` says that it was removed before the receiver could have it.
    Removed(bool),
    /// Nothing was sent.
    Not,
    /// Nothing could be sent now.
    NotNow,
}

struct Delivery {
    hooks: Arc<Webhooks>,
    hook: Arc<Webhook>,
    sending: JoinSet<Ended>,
    /// The attempts under way, each with the epoch of the webhook in which it began.
    under_way: HashMap<Id, (Due, u64)>,
    /// Whether the feed had no further event when it was read last.
    is_at_end: bool,
    /// Whether there were more events than could be sent.
    is_behind: bool,
    /// Runs while the task rests: nothing could be sent.
    rest: Option<Stopwatch>,
}

impl Delivery {
    /// Sends what is due.
    async fn step(&mut self, settings: &Settings) -> Result<(), Unreadable> {
        for sequence in self.hook.look(Queue::unknown) {
            match read(&self.hooks, &self.hook, sequence).await? {
                Ok(event) => {
                    let subject = self.hooks.subject(&self.hook, &event).await?;
                    self.hook.change(|queue| queue.learn(sequence, subject, event.id));
                }
                Err(is_missed) => self.hook.change(|queue| queue.forget(sequence, is_missed)),
            }
        }
        while let Some(due) = self.hook.change_if_some(|queue| queue.next(self.hooks.now())) {
            self.send(due, None);
        }
        self.read_new(settings).await
    }

    /// Reads new events, as many as can be sent, and sends those that wait for no other.
    async fn read_new(&mut self, settings: &Settings) -> Result<(), Unreadable> {
        loop {
            let (limit, after) =
                self.hook.look(|queue| (queue.room(self.is_behind, self.hooks.now()), queue.reached()));
            if limit == 0 || self.is_at_end {
                return Ok(());
            }
            let Some(page) = page(&self.hooks, &self.hook, after, limit, settings.kinds()).await? else {
                let ends = self.hooks.service().feed_ends(self.hook.environment).ok_or(Unreadable)?;
                self.hook.change(|queue| queue.skip(ends.removed));
                tracing::warn!(webhook = %self.hook.id, "events were removed from the feed before a webhook could send them");
                continue;
            };
            (self.is_at_end, self.is_behind) = (!page.is_more, page.is_more);
            let is_empty = page.events.is_empty();
            for event in page.events {
                let (subject, now) = (self.hooks.subject(&self.hook, &event).await?, self.hooks.now());
                if let Some(due) = self.hook.change(|queue| queue.add(event.sequence, subject, event.id, now)) {
                    self.send(due, Some(event));
                }
            }
            if page.reached > after {
                self.hook.change(|queue| queue.reach(page.reached));
            } else if is_empty {
                self.is_at_end = true;
            }
        }
    }

    /// Returns for how long the task still rests.
    fn rest(&self) -> Duration {
        self.rest.map_or(Duration::ZERO, |rest| REST.saturating_sub(Duration::from_nanos(rest.nanos())))
    }

    /// Returns how long there is nothing to do, unless an event comes or an attempt ends.
    fn wait(&self) -> Duration {
        let now = self.hooks.now().millis();
        let until = |at: Timestamp| Duration::from_millis(at.millis().saturating_sub(now));
        self.hook.look(|queue| queue.wake_at(!self.is_at_end)).map_or(LONGEST_WAIT, until).min(LONGEST_WAIT)
    }

    /// Sends an event in its turn. One that has to wait for its turn is read again then: its contact may be erased meanwhile.
    fn send(&mut self, due: Due, event: Option<StoredEvent>) {
        let (hooks, hook) = (Arc::clone(&self.hooks), Arc::clone(&self.hook));
        let turn = hooks.turn_now(hook.environment);
        let event = event.filter(|_| turn.is_some());
        let task = self.sending.spawn(async move {
            let turn = if let Some(turn) = turn {
                turn
            } else {
                tokio::select! {
                    turn = hooks.turn(hook.environment) => turn,
                    () = hooks.stopped() => return Ended::Not,
                }
            };
            let event = match event {
                Some(event) => event,
                None => match read(&hooks, &hook, due.sequence).await {
                    Ok(Ok(event)) => event,
                    Ok(Err(is_missed)) => return Ended::Removed(is_missed),
                    Err(Unreadable) => return Ended::NotNow,
                },
            };
            let Some(ends) = hooks.service().feed_ends(hook.environment) else { return Ended::NotNow };
            let Some(event) = shown(&event, cursor(&ends, due.sequence)) else {
                tracing::error!(sequence = due.sequence, webhook = %hook.id, "an event is damaged, and not sent");
                return Ended::Removed(true);
            };
            let message = Unsigned::of_event(&event, &cursor(&ends, due.sequence - 1));
            let sent = hooks.send(&turn, &hook, message, due.attempt).await;
            match sent {
                None => Ended::Not,
                Some((Sent::Busy, _)) => Ended::NotNow,
                Some((sent, millis)) => Ended::Sent(sent, millis),
            }
        });
        self.under_way.insert(task.id(), (due, self.hook.epoch()));
    }

    async fn settle(&mut self, task: Id, ended: Ended) {
        let Some((due, epoch)) = self.under_way.remove(&task) else { return };
        if let Ended::Sent(sent, _) = ended {
            self.hooks.counts().count(answer(sent));
        }
        let is_current = epoch == self.hook.epoch();
        let (sent, millis) = match ended {
            Ended::Removed(is_missed) => return self.hook.change(|queue| queue.forget(due.sequence, is_missed)),
            Ended::Not => return self.hook.change(|queue| queue.release(due)),
            Ended::NotNow => {
                self.rest = Some(Stopwatch::start());
                return self.hook.change(|queue| queue.release(due));
            }
            Ended::Sent(sent, _) if !sent.is_accepted() && !is_current => {
                return self.hook.change(|queue| queue.release(due));
            }
            Ended::Sent(Sent::Answered(GONE), _) => {
                self.hook.change(|queue| queue.release(due));
                return self.hooks.disable(&self.hook, Why::Gone, epoch).await;
            }
            Ended::Sent(sent, millis) => (sent, millis),
        };
        let (now, answer) = (self.hooks.now(), answer(sent));
        match self.hook.change(|queue| queue.settle(due, answer, millis, now)) {
            Settled::Accepted | Settled::Later => {}
            Settled::GivenUp => {
                tracing::warn!(webhook = %self.hook.id, "an event was not accepted in ten attempts, and is given up");
            }
            Settled::Exhausted => self.hooks.disable(&self.hook, Why::Failing, epoch).await,
        }
    }

    /// Waits for the attempts under way.
    async fn end(mut self) {
        while let Some(ended) = self.sending.join_next_with_id().await {
            if let Ok((task, ended)) = ended {
                self.settle(task, ended).await;
            }
        }
    }
}

/// Reads a waiting event. `Err` if it is in the feed no more: `true` says that it was removed before the receiver
/// could have it, and not because its contact was erased.
async fn read(hooks: &Webhooks, hook: &Webhook, sequence: u64) -> Result<Result<StoredEvent, bool>, Unreadable> {
    // One of a type that is not wanted any more is as good as erased.
    let kinds = hook.settings().map_or(EventKinds::NONE, |settings| settings.kinds());
    let Some(page) = page(hooks, hook, sequence - 1, 1, kinds).await? else { return Ok(Err(true)) };
    let event = page.events.into_iter().find(|event| event.sequence == sequence);
    Ok(event.ok_or(false))
}

async fn page(
    hooks: &Webhooks,
    hook: &Webhook,
    after: u64,
    limit: usize,
    kinds: EventKinds,
) -> Result<Option<FeedPage>, Unreadable> {
    let environment = hook.environment;
    let query = move |environment| FeedQuery { environment, after, kinds, limit, max_bytes: PAGE_BYTES };
    let read = move |service: &Service| service.events_of(environment, query);
    let page = hooks.read(environment, read).await.ok_or(Unreadable)?;
    page.map_err(|error| {
        // The environment may be deleted meanwhile.
        if hooks.service().plan().environment(environment).is_some() {
            tracing::error!(%error, webhook = %hook.id, "the events for a webhook cannot be read");
        }
        Unreadable
    })
}

impl Webhooks {
    /// Returns the subject of an event. That of an answer is the contact of its decision, as far as it is still known.
    async fn subject(&self, hook: &Webhook, event: &StoredEvent) -> Result<Subject, Unreadable> {
        let id = event.id.unwrap_or_default();
        Ok(match &event.content {
            Some(EventContent::Decided(record)) => record.caller.map_or(Subject::Decision(id), Subject::Contact),
            Some(EventContent::Called(FeedCall { to, .. })) => Subject::Contact(*to),
            Some(EventContent::Changed(_)) => Subject::Configuration,
            Some(EventContent::Answered) => {
                let environment = hook.environment;
                let record = self.read(environment, move |service| service.record_of(environment, id)).await;
                // A damaged record must not stop the others.
                let record = record.ok_or(Unreadable)?.ok().flatten();
                let caller = record.and_then(|record| record.content?.caller);
                caller.map_or(Subject::Decision(id), Subject::Contact)
            }
            None => Subject::Decision(id),
        })
    }
}

/// Returns what an answer says of its receiver. A proxy in front of one that does not run answers 502 to 504.
fn answer(sent: Sent) -> Answer {
    match sent {
        sent if sent.is_accepted() => Answer::Accepted,
        Sent::Answered(408 | 429 | 500..) | Sent::Failed(_) | Sent::Busy => Answer::Outage,
        Sent::Answered(_) => Answer::Refused,
    }
}
