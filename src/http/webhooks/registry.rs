//! All webhooks of a service.

use super::counts::Counts;
use super::delivery;
use super::message::Unsigned;
use super::queue::{Progress, Queue};
use super::sender::{Sender, Sent};
use super::settings::{Disabled, Settings, Wanted, Why};
use super::webhook::{Attempt, Status, Webhook};
use crate::http::middleware::shares::{Shares, acquire};
use crate::http::middleware::stored_reads::StoredReads;
use crate::http::new_id;
use crate::http::response::error::Refusal;
use crate::id::EnvironmentId;
use crate::inbound::Inbound;
use crate::metrics::Stopwatch;
use crate::service::{KeptWebhook, Service, ServiceError};
use crate::store::{StoreError, WebhookPart};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

/// The most webhooks of an environment.
pub(in crate::http) const MOST_OF_ONE: usize = 16;
/// The most webhooks of all environments.
const MOST: usize = 4096;
/// The most messages of an environment that are under way at a time, if the sender has eight times as many places.
const SENDING_OF_ONE: usize = 32;
/// The most tests of all environments, and of one, that are under way at a time.
const TESTS: usize = 16;
const TESTS_OF_ONE: usize = 2;
/// How often progress is saved.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The number of waiting events up to which it is saved that often. With twice as many, half as often.
const SAVED_EACH_TIME: usize = 64;
/// How long a stop waits for attempts under way, and then until the progress is saved.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);
const LAST_SAVE: Duration = Duration::from_secs(2);

type Hooks = BTreeMap<(EnvironmentId, Uuid), Arc<Webhook>>;

/// The right to send one message. Dropping it ends the turn.
pub(super) struct Turn {
    _places: [OwnedSemaphorePermit; 2],
}

/// All webhooks of a service.
pub(in crate::http) struct Webhooks {
    sender: Arc<dyn Sender>,
    runtime: Handle,
    inbound: Inbound,
    reads: Arc<StoredReads>,
    /// `None` until they are read from the store, and after the stop.
    hooks: Mutex<Option<Hooks>>,
    /// Held while a webhook is changed: in the store first, then in memory.
    editing: tokio::sync::Mutex<()>,
    shares: Shares,
    sending: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
    /// The tests under way, which have places of their own.
    tests: Arc<Semaphore>,
    tests_of_one: Shares,
    is_stopping: watch::Sender<bool>,
    counts: Counts,
}

impl Webhooks {
    /// Returns webhooks that send with this sender, by tasks on this runtime. They read the feed of the service of `inbound`,
    /// together with the requests that read it.
    pub(in crate::http) fn new(
        sender: Arc<dyn Sender>,
        runtime: Handle,
        inbound: Inbound,
        reads: Arc<StoredReads>,
    ) -> Self {
        let most = sender.most().max(1);
        Self {
            sender,
            runtime,
            inbound,
            reads,
            hooks: Mutex::default(),
            editing: tokio::sync::Mutex::default(),
            shares: Shares::new((most / 8).clamp(1, SENDING_OF_ONE)),
            sending: Arc::new(Semaphore::new(most)),
            tasks: Mutex::default(),
            tests: Arc::new(Semaphore::new(TESTS)),
            tests_of_one: Shares::new(TESTS_OF_ONE),
            is_stopping: watch::Sender::new(false),
            counts: Counts::default(),
        }
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        self.inbound.service()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inbound.now()
    }

    /// Returns the result of a read of the store, or `None` if the disk does not answer in time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        read: impl FnOnce(&Service) -> T + Send + 'static,
    ) -> Option<T> {
        let service = Arc::clone(self.service());
        self.reads.within(Duration::MAX, environment, move || read(&service)).await
    }

    fn hooks(&self) -> MutexGuard<'_, Option<Hooks>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the stored webhooks, and starts their tasks. The service has loaded its data.
    pub(in crate::http) fn start(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut found: BTreeMap<(EnvironmentId, Uuid), [Option<Vec<u8>>; 2]> = BTreeMap::new();
        for (environment, id, part, value) in self.service().stored_webhooks()? {
            let parts = found.entry((environment, Uuid::from_u128(id))).or_default();
            parts[usize::from(part == WebhookPart::Progress)] = value;
        }
        let mut hooks = Hooks::new();
        for ((environment, id), [settings, progress]) in found {
            let settings = settings.and_then(|text| serde_json::from_slice::<Settings>(&text).ok());
            let Some(settings) = settings else {
                tracing::error!(webhook = %id, "a stored webhook is damaged, and left out: create it again");
                continue;
            };
            let progress = progress.and_then(|text| serde_json::from_slice::<Progress>(&text).ok());
            let queue = progress.map_or_else(
                || {
                    tracing::error!(webhook = %id, "the progress of a webhook is damaged: it begins with the next event");
                    Queue::anew(self.service().feed_ends(environment).map_or(0, |ends| ends.last))
                },
                |progress| Queue::restore(progress, self.now()),
            );
            hooks.insert((environment, id), Arc::new(Webhook::new(environment, id, settings, queue)));
        }
        for hook in hooks.values() {
            self.spawn(hook);
        }
        *self.hooks() = Some(hooks);
        let there = Arc::clone(self);
        self.runtime.spawn(async move {
            for turn in 0.. {
                tokio::time::sleep(SAVE_EVERY).await;
                if there.hooks().is_none() {
                    return;
                }
                there.save(turn).await;
            }
        });
        Ok(())
    }

    /// Begins no new attempt, and ends tests.
    pub(in crate::http) fn begin_stop(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Begins no new attempt, waits a moment for those under way, and saves how far the deliveries have come.
    pub(in crate::http) async fn stop(&self) {
        self.begin_stop();
        let editing = timeout(LAST_SAVE, self.editing.lock()).await;
        let hooks: Vec<_> = self.hooks().take().unwrap_or_default().into_values().collect();
        drop(editing);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let end = async { while tasks.join_next().await.is_some() {} };
        // The attempts that take longer are repeated after the next start.
        let _ = timeout(LAST_ATTEMPTS, end).await;
        tasks.shutdown().await;
        if timeout(LAST_SAVE, self.save_some(&hooks)).await.is_err() {
            tracing::warn!("the progress of the webhooks was not saved in time: some messages will be repeated");
        }
    }

    /// Returns whether no new attempt begins, because the service stops.
    pub(super) fn is_stopping(&self) -> bool {
        *self.is_stopping.borrow()
    }

    /// Returns when the service stops.
    pub(super) async fn stopped(&self) {
        // The sender is part of this value.
        let _ = self.is_stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    fn spawn(self: &Arc<Self>, hook: &Arc<Webhook>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of deleted webhooks.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(delivery::keep_running(Arc::clone(self), Arc::clone(hook)), &self.runtime);
    }

    /// Saves the progress of the webhooks whose turn it is. The more events wait, the longer their list, and the rarer it is
    /// written.
    async fn save(&self, turn: usize) {
        // So that nothing is stored of a webhook that is deleted meanwhile.
        let _editing = self.editing.lock().await;
        let is_due = |hook: &&Arc<Webhook>| turn.is_multiple_of(1 + hook.look(Queue::len) / SAVED_EACH_TIME);
        let hooks: Vec<_> = self.hooks().iter().flat_map(BTreeMap::values).filter(is_due).cloned().collect();
        self.save_some(&hooks).await;
    }

    /// A failure of the store is reported where changes are refused. The deliveries go on.
    async fn save_some(&self, hooks: &[Arc<Webhook>]) {
        let unsaved: Vec<_> = hooks.iter().filter_map(|hook| Some((hook, hook.take_unsaved()?))).collect();
        let kept = |(hook, progress): &(&Arc<Webhook>, Progress)| part(hook, WebhookPart::Progress, Some(progress));
        let values: Vec<KeptWebhook> = unsaved.iter().map(kept).collect();
        if !values.is_empty() && keep(self.service(), values).await.is_err() {
            for (hook, _) in unsaved {
                hook.mark_unsaved();
            }
        }
    }

    /// Returns the webhooks of an environment, the oldest first.
    pub(in crate::http) fn of(&self, environment: EnvironmentId) -> Result<Vec<Arc<Webhook>>, Refusal> {
        let hooks = self.hooks();
        let hooks = hooks.as_ref().ok_or_else(Refusal::loading)?;
        let own = hooks.range((environment, Uuid::nil())..=(environment, Uuid::max()));
        let mut own: Vec<_> = own.map(|(_, hook)| Arc::clone(hook)).collect();
        own.sort_by_key(|hook| (hook.settings().map(|settings| settings.created_at), hook.id));
        Ok(own)
    }

    /// Returns a webhook of an environment.
    pub(in crate::http) fn find(&self, environment: EnvironmentId, id: Uuid) -> Result<Arc<Webhook>, Refusal> {
        let hooks = self.hooks();
        let hooks = hooks.as_ref().ok_or_else(Refusal::loading)?;
        hooks.get(&(environment, id)).cloned().ok_or_else(Refusal::webhook_not_found)
    }

    /// Returns the counters of the attempts, without those of tests.
    pub(in crate::http) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the number of webhooks of each status. None while they are loaded.
    pub(in crate::http) fn statuses(&self) -> [(&'static str, u64); 3] {
        let mut statuses = Status::ALL.map(|status| (status.name(), 0));
        let hooks: Vec<_> = self.hooks().iter().flat_map(BTreeMap::values).cloned().collect();
        for status in hooks.iter().filter_map(|hook| hook.status()) {
            statuses[status as usize].1 += 1;
        }
        statuses
    }

    /// Checks an address.
    pub(in crate::http) fn check(&self, url: &str) -> Result<(), &'static str> {
        self.sender.check(url)
    }

    /// Creates a webhook, which begins with the next event.
    pub(in crate::http) async fn create(
        self: &Arc<Self>,
        environment: EnvironmentId,
        id: Uuid,
        wanted: Wanted,
    ) -> Result<Arc<Webhook>, Refusal> {
        let there = Arc::clone(self);
        self.whole(async move {
            let _editing = there.editing.lock().await;
            let own = there.of(environment)?;
            if own.iter().any(|hook| hook.id == id) {
                return Err(Refusal::webhook_exists());
            }
            if own.len() >= MOST_OF_ONE || there.hooks().as_ref().is_some_and(|hooks| hooks.len() >= MOST) {
                return Err(Refusal::too_many_webhooks());
            }
            let ends = there.service().feed_ends(environment).ok_or_else(Refusal::too_slow)?;
            let (settings, queue) = (Settings::new(wanted, there.now()), Queue::after(ends.last));
            let hook = Arc::new(Webhook::new(environment, id, settings.clone(), queue));
            let progress = hook.look(Queue::progress);
            let values = vec![
                part(&hook, WebhookPart::Settings, Some(&settings)),
                part(&hook, WebhookPart::Progress, Some(&progress)),
            ];
            keep(there.service(), values).await?;
            let is_there = there.hooks().as_mut().map(|hooks| hooks.insert((environment, hook.id), Arc::clone(&hook)));
            is_there.ok_or_else(Refusal::loading)?;
            there.spawn(&hook);
            Ok(hook)
        })
        .await
    }

    /// Changes the settings of a webhook, in the store first.
    pub(in crate::http) async fn edit(
        self: &Arc<Self>,
        hook: &Arc<Webhook>,
        edit: impl FnOnce(&Settings) -> Settings + Send + 'static,
    ) -> Result<Arc<Settings>, Refusal> {
        let (there, hook) = (Arc::clone(self), Arc::clone(hook));
        self.whole(async move {
            let _editing = there.editing.lock().await;
            let before = hook.settings().ok_or_else(Refusal::webhook_not_found)?;
            let settings = edit(&before);
            keep(there.service(), vec![part(&hook, WebhookPart::Settings, Some(&settings))]).await?;
            let is_new = before.url != settings.url || before.disabled.is_some() && settings.disabled.is_none();
            // The settings first: what the old address answers later must not count for the new one.
            hook.set(Some(settings));
            if is_new {
                hook.resume(there.now());
            }
            hook.settings().ok_or_else(Refusal::webhook_not_found)
        })
        .await
    }

    /// Deletes a webhook. A message that is under way is not sent again.
    pub(in crate::http) async fn remove(self: &Arc<Self>, hook: &Arc<Webhook>) -> Result<(), Refusal> {
        let (there, hook) = (Arc::clone(self), Arc::clone(hook));
        self.whole(async move {
            let _editing = there.editing.lock().await;
            hook.settings().ok_or_else(Refusal::webhook_not_found)?;
            let removed = [WebhookPart::Settings, WebhookPart::Progress].map(|gone| part(&hook, gone, None::<&()>));
            keep(there.service(), removed.into()).await?;
            there.forget(&hook);
            Ok(())
        })
        .await
    }

    /// Ends a webhook that is stored no more.
    pub(super) fn forget(&self, hook: &Webhook) {
        if let Some(hooks) = self.hooks().as_mut() {
            hooks.remove(&(hook.environment, hook.id));
        }
        hook.set(None);
    }

    /// Disables a webhook whose receiver does not want more, or fails, as an attempt in this epoch has shown. A change that came
    /// meanwhile counts more.
    pub(super) async fn disable(self: &Arc<Self>, hook: &Arc<Webhook>, why: Why, epoch: u64) {
        let (at, same) = (self.now(), Arc::clone(hook));
        let disable = move |settings: &Settings| {
            let mut disabled = settings.clone();
            if same.epoch() == epoch {
                tracing::warn!(webhook = %same.id, reason = why.name(), "a webhook is disabled: its receiver does not accept messages");
                disabled.disable(Disabled { at, why });
            }
            disabled
        };
        if self.edit(hook, disable.clone()).await.is_err() {
            // Not stored, or deleted meanwhile. Until a restart it is disabled in memory.
            let _editing = self.editing.lock().await;
            if let Some(settings) = hook.settings() {
                hook.set(Some(disable(&settings)));
            }
        }
    }

    /// Runs a change to its end, also if its request has ended.
    async fn whole<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.runtime.spawn(change).await.unwrap_or_else(|_| Err(Refusal::internal()))
    }

    /// Sends a message in its turn. Returns `None` if the webhook was deleted or disabled meanwhile.
    pub(super) async fn send(&self, _: &Turn, hook: &Webhook, message: Unsigned, number: u32) -> Option<(Sent, u64)> {
        let settings = hook.settings().filter(|settings| settings.disabled.is_none())?;
        let attempt = self.post(self.now(), hook, &settings, message, number).await;
        Some((attempt.sent, attempt.millis))
    }

    /// Sends a test message, also if the webhook is disabled. It needs no turn: a test shows why others get none.
    pub(in crate::http) async fn test(&self, hook: &Webhook) -> Result<Attempt, Refusal> {
        let own = self.tests_of_one.of(hook.environment).try_acquire_owned();
        let places = own.and_then(|own| Ok((own, Arc::clone(&self.tests).try_acquire_owned()?)));
        let _places = places.map_err(|_| Refusal::too_many_tests())?;
        let settings = hook.settings().ok_or_else(Refusal::webhook_not_found)?;
        let now = self.now();
        let message = Unsigned::test(&hook.id.to_string(), &new_id::uuid().simple().to_string(), now);
        tokio::select! {
            attempt = self.post(now, hook, &settings, message, 1) => Ok(attempt),
            () = self.stopped() => Err(Refusal::too_slow()),
        }
    }

    /// Waits until the environment may send one more message.
    pub(super) async fn turn(&self, environment: EnvironmentId) -> Turn {
        let own = acquire(self.shares.of(environment), 1).await;
        Turn { _places: [own, acquire(Arc::clone(&self.sending), 1).await] }
    }

    /// Returns a turn, if there is one without waiting.
    pub(super) fn turn_now(&self, environment: EnvironmentId) -> Option<Turn> {
        let own = self.shares.of(environment).try_acquire_owned().ok()?;
        Some(Turn { _places: [own, Arc::clone(&self.sending).try_acquire_owned().ok()?] })
    }

    async fn post(
        &self,
        at: Timestamp,
        hook: &Webhook,
        settings: &Settings,
        message: Unsigned,
        number: u32,
    ) -> Attempt {
        let (id, kind, began) = (message.id.clone(), message.kind, Stopwatch::start());
        let sent = self.sender.send(message.signed(hook.environment, settings, at)).await;
        let millis = began.nanos() / 1_000_000;
        let attempt = Attempt { message: id, kind, at, number, sent, millis };
        hook.remember(attempt.clone());
        attempt
    }
}

/// Returns a part of a webhook as it is stored; `None` removes it.
fn part(hook: &Webhook, part: WebhookPart, value: Option<&impl serde::Serialize>) -> KeptWebhook {
    let written = |value| serde_json::to_vec(value).expect("it has only text and integers");
    (hook.environment, hook.id.as_u128(), part, value.map(written))
}

/// Stores values, and waits until they are durable.
async fn keep(service: &Service, values: Vec<KeptWebhook>) -> Result<(), Refusal> {
    let (done, stored) = oneshot::channel();
    service.submit_webhooks(values, |result| {
        // The receiver is gone if the runtime stops.
        let _ = done.send(result);
    });
    let lost = || ServiceError::NotDurable("the service has stopped".into());
    stored.await.unwrap_or_else(|_| Err(lost())).map_err(Refusal::from)
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}
