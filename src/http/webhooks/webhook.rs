//! A webhook in memory.

use super::queue::{Health, Progress, Queue};
use super::sender::Sent;
use super::settings::Settings;
use crate::id::EnvironmentId;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;
use uuid::Uuid;

/// The number of attempts that are remembered.
const REMEMBERED: usize = 100;

/// An attempt to send a message.
#[derive(Clone)]
pub(in crate::http) struct Attempt {
    pub(in crate::http) message: String,
    pub(in crate::http) kind: &'static str,
    pub(in crate::http) at: Timestamp,
    /// The number of the attempt of this message, from 1.
    pub(in crate::http) number: u32,
    pub(in crate::http) sent: Sent,
    pub(in crate::http) millis: u64,
}

/// Whether a webhook sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) enum Status {
    Active,
    /// The last attempt failed.
    Failing,
    Disabled,
}

impl Status {
    pub(super) const ALL: [Self; 3] = [Self::Active, Self::Failing, Self::Disabled];

    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

/// A webhook.
pub(in crate::http) struct Webhook {
    pub(in crate::http) environment: EnvironmentId,
    pub(in crate::http) id: Uuid,
    /// `None` after it was deleted.
    settings: RwLock<Option<Arc<Settings>>>,
    /// Counts the changes after which results of earlier attempts say nothing any more.
    epoch: AtomicU64,
    queue: Mutex<Queue>,
    /// Whether the queue has changed since it was saved.
    is_unsaved: AtomicBool,
    /// The last attempts, the newest first. They are not stored.
    attempts: Mutex<VecDeque<Attempt>>,
    /// Wakes its task when the settings have changed.
    pub(super) changed: Notify,
}

impl Webhook {
    pub(super) fn new(environment: EnvironmentId, id: Uuid, settings: Settings, queue: Queue) -> Self {
        Self {
            environment,
            id,
            settings: RwLock::new(Some(Arc::new(settings))),
            epoch: AtomicU64::new(0),
            queue: Mutex::new(queue),
            is_unsaved: AtomicBool::new(false),
            attempts: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Returns the settings, or `None` if the webhook was deleted.
    pub(in crate::http) fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether it sends; `None` if it was deleted.
    pub(in crate::http) fn status(&self) -> Option<Status> {
        Some(match self.settings()?.disabled {
            Some(_) => Status::Disabled,
            None if self.health().0.failing_since.is_some() => Status::Failing,
            None => Status::Active,
        })
    }

    /// Replaces the settings, which are stored already. `None` deletes the webhook.
    pub(super) fn set(&self, settings: Option<Settings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings.map(Arc::new);
        self.changed.notify_one();
    }

    /// Begins anew after a change: all waiting events are due, and results of earlier attempts only release their events.
    pub(super) fn resume(&self, now: Timestamp) {
        self.change(|queue| {
            self.epoch.fetch_add(1, Ordering::Relaxed);
            queue.resume(now);
        });
        self.changed.notify_one();
    }

    /// Returns the number of the last such change. It changes under the lock of the queue.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Reads the queue.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the queue. The change is saved within about a second.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let changed = change(&mut queue);
        // Relaxed: `take_unsaved` reads the queue under the same lock.
        self.is_unsaved.store(true, Ordering::Relaxed);
        changed
    }

    /// Takes something from the queue, which changes only if there was something.
    pub(super) fn change_if_some<T>(&self, take: impl FnOnce(&mut Queue) -> Option<T>) -> Option<T> {
        let mut queue = self.lock();
        let taken = take(&mut queue);
        self.is_unsaved.fetch_or(taken.is_some(), Ordering::Relaxed);
        taken
    }

    /// Returns the queue as it is to be stored, if it has changed since the last call.
    pub(super) fn take_unsaved(&self) -> Option<Progress> {
        let queue = self.lock();
        self.is_unsaved.swap(false, Ordering::Relaxed).then(|| queue.progress())
    }

    /// Notes that the queue could not be stored.
    pub(super) fn mark_unsaved(&self) {
        self.is_unsaved.store(true, Ordering::Relaxed);
    }

    /// Returns how well the deliveries go, and the number of events that wait.
    pub(in crate::http) fn health(&self) -> (Health, usize) {
        self.look(|queue| (queue.health(), queue.len()))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, attempt: Attempt) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.truncate(REMEMBERED - 1);
        attempts.push_front(attempt);
    }

    /// Returns the last attempts since the start of the service, the newest first.
    pub(in crate::http) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).finish_non_exhaustive()
    }
}
