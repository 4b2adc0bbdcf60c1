//! The committer: the only thread that writes the store and applies changes to the engine.

use super::command::{Command, Done, Submitted};
use super::feed::Watchers;
use super::group::Group;
use super::merging::{Load, Merge, Unstored, erase_again};
use super::ordering::Ordering;
use super::pending_calls::PendingCalls;
use super::recorder::Round;
use super::sequencer::Sequencer;
use super::shares::Ceiling;
use super::{Failure, ServiceError};
use crate::engine::Engine;
use crate::metrics::{Commits, RecordCounts, Stopwatch};
use crate::store::{Batch, Durability, EventStore, RecordLimits, RecordsTidied, StoreError, StoredCalls};
use crate::tally::Totals;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// The most commands that one sync covers. It bounds the memory of a group, and how long the group's first command
/// waits for its last.
const MAX_GROUP: usize = 4096;

/// The longest time that committed data stays unsynced, in two cases:
///
/// * With [`Durability::Buffered`], a power failure loses at most so much.
/// * A batch that can wait comes from a fleet's stream. A power failure loses it on this node only, which reads it from
///   the stream again.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The stored calls that are known by an id or a context, and how many bytes those of an environment may take.
#[derive(Default)]
pub(super) struct KnownCalls {
    pub(super) stored: Option<Arc<dyn StoredCalls>>,
    pub(super) max_bytes: u64,
}

pub(super) struct Committer {
    store: Box<dyn EventStore>,
    engine: Arc<Engine>,
    failure: Arc<Failure>,
    commits: Arc<Commits>,
    totals: Arc<RwLock<Totals>>,
    record_counts: Arc<RecordCounts>,
    /// Whether events are written to the feeds.
    is_feeding: bool,
    watchers: Arc<Watchers>,
    /// The time of the oldest commit that is not synced, where the durability or the batch did not require a sync at
    /// once.
    unsynced: Option<Stopwatch>,
    sequencer: Arc<dyn Sequencer>,
    /// The changes that wait for their place in the fleet's order, if the service belongs to one.
    ordering: Option<Ordering>,
    is_closing: bool,
    /// The number of the outbox's last entry.
    last_entry: u64,
    ceiling: Ceiling,
    known: KnownCalls,
    /// Pairs of a snapshot that are in memory and not yet in the store.
    unstored: Unstored,
    /// The functions to call when the store holds these pairs.
    storing: Vec<Done<Result<(), ServiceError>>>,
}

impl Committer {
    pub(super) fn new(
        store: Box<dyn EventStore>,
        engine: Arc<Engine>,
        failure: Arc<Failure>,
        commits: Arc<Commits>,
        totals: Arc<RwLock<Totals>>,
        sequencer: Arc<dyn Sequencer>,
        last_entry: u64,
    ) -> Self {
        let (unstored, storing) = (Unstored::default(), Vec::new());
        let ceiling = Ceiling::default();
        let known = KnownCalls::default();
        Self {
            store,
            engine,
            failure,
            commits,
            totals,
            record_counts: Arc::default(),
            is_feeding: false,
            watchers: Arc::default(),
            unsynced: None,
            sequencer,
            ordering: None,
            is_closing: false,
            last_entry,
            ceiling,
            known,
            unstored,
            storing,
        }
    }

    /// Sets where calls with ids and contexts are kept.
    pub(super) fn keeping(self, known: KnownCalls) -> Self {
        Self { known, ..self }
    }

    /// Counts decision records with these counters.
    pub(super) fn counting(self, record_counts: Arc<RecordCounts>) -> Self {
        Self { record_counts, ..self }
    }

    /// Sets whether events are written, and what to call after that.
    pub(super) fn feeding(self, is_feeding: bool, watchers: Arc<Watchers>) -> Self {
        Self { is_feeding, watchers, ..self }
    }

    /// Commits group after group until the service is dropped. The changes that then wait for their order are answered
    /// first.
    pub(super) fn run(mut self, ordering: Option<Ordering>, queue: &Receiver<Submitted>) {
        self.ordering = ordering;
        let _reported = ReportedPanic(Arc::clone(&self.failure));
        loop {
            match self.next(queue) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(queue.try_iter().take(MAX_GROUP - 1)).collect();
                    self.commit(group);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.store_some();
            if self.sync_is_due().is_zero() {
                self.sync();
            }
            if self.is_closing && self.ordering.as_ref().is_none_or(Ordering::is_idle) {
                break;
            }
        }
        if self.unsynced.is_some() {
            self.sync();
        }
    }

    /// Returns the next command. Waits at most until the next sync is due.
    fn next(&self, queue: &Receiver<Submitted>) -> Result<Submitted, RecvTimeoutError> {
        match self.sync_is_due() {
            _ if !self.unstored.is_empty() => queue.recv_timeout(Duration::ZERO),
            Duration::MAX => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            due => queue.recv_timeout(due),
        }
    }

    /// Returns the time until the next sync is due.
    fn sync_is_due(&self) -> Duration {
        let since = |unsynced: Stopwatch| SYNC_EVERY.saturating_sub(Duration::from_nanos(unsynced.nanos()));
        self.unsynced.map_or(Duration::MAX, since)
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if self.failure.get().is_some() {
            return;
        }
        let commits = Arc::clone(&self.commits);
        let _call = commits.call_store();
        if let Err(error) = self.store.sync() {
            self.failure.set(error.to_string());
        }
    }

    fn commit(&mut self, commands: Vec<Submitted>) {
        if let Some(why) = self.failure.get() {
            return self.refuse(commands, &why);
        }
        let (engine, commits) = (Arc::clone(&self.engine), Arc::clone(&self.commits));
        let (totals, sequencer) = (Arc::clone(&self.totals), Arc::clone(&self.sequencer));
        if self.unstored.is_empty() && self.store.remembers_erasures() {
            self.ceiling.forget_erased(engine.history());
        }
        let (last_entry, is_unstored) = (self.last_entry, !self.unstored.is_empty());
        let mut ceiling = std::mem::take(&mut self.ceiling);
        let mut group = Group::new(&engine, &commits, &totals, &*sequencer, &mut ceiling, last_entry, is_unstored);
        group.calls = PendingCalls::new(self.known.stored.clone(), self.known.max_bytes, sequencer.has_outbox());
        group.feed = self.is_feeding.then(Vec::new);
        group.under_way = self.ordering.as_mut().and_then(Ordering::take_under_way);
        for event in commands.iter().flat_map(|submitted| submitted.command.events()) {
            group.prefetch(event);
        }
        let (mut merges, mut keeping, mut events) = (Vec::new(), Vec::new(), 0);
        for submitted in commands {
            match (submitted.command, &mut self.ordering) {
                // All commands submitted before a merge precede it. Later commands of the same group may also precede
                // it.
                (Command::Merge { load, loaded, stored }, _) => merges.push((load, loaded, stored)),
                (Command::Close, _) => self.is_closing = true,
                (Command::Keep { round: Round { records, answers, events, limits, feed_limits, now }, done }, _) => {
                    group.records.extend(records);
                    group.record_answers.extend(answers);
                    if let Some(feed) = &mut group.feed {
                        feed.extend(events);
                    }
                    keeping.push((limits, feed_limits, now, done));
                }
                (Command::Ordered(result), _) => events += usize::from(group.take_ordered(result)),
                (command @ Command::Configure { .. }, Some(ordering)) => {
                    ordering.add(Submitted { command, since: submitted.since });
                }
                (command, _) => {
                    events += command.len();
                    group.take(Submitted { command, since: submitted.since }, &*self.store);
                }
            }
        }
        if let Some(ordering) = &mut self.ordering {
            ordering.put_back(group.under_way.take());
        }
        self.commit_group(group, events);
        self.ceiling = ceiling;
        for (limits, feed_limits, now, done) in keeping {
            let records = self.tidy(&limits, EventStore::tidy_records);
            let feed = self.tidy(&feed_limits, |store, limits| store.tidy_feed(now, limits));
            done(records.and_then(|is_more| Ok(is_more | feed?)));
        }
        for (load, loaded, stored) in merges {
            self.merge(load, loaded, stored);
        }
        self.order();
    }

    /// Removes some decision records or events. Returns whether more are to be removed.
    fn tidy(
        &mut self,
        limits: &RecordLimits,
        step: impl FnOnce(&mut dyn EventStore, &RecordLimits) -> Result<RecordsTidied, StoreError>,
    ) -> Result<bool, ServiceError> {
        if let Some(why) = self.failure.get() {
            return Err(ServiceError::NotDurable(why));
        }
        let (began, commits) = (Stopwatch::start(), Arc::clone(&self.commits));
        let _call = commits.call_store();
        let tidied = catch_unwind(AssertUnwindSafe(|| step(&mut *self.store, limits)));
        match tidied.unwrap_or_else(|_| Err(panicked())) {
            Ok(tidied) => {
                self.record_counts.count_removed(tidied.removed);
                self.record_counts.count_damaged(tidied.damaged);
                if self.store.durability() != Durability::Memory && (tidied.removed > 0 || tidied.is_more) {
                    self.unsynced.get_or_insert(began);
                }
                Ok(tidied.is_more)
            }
            Err(error) => {
                self.failure.set(error.to_string());
                Err(ServiceError::NotDurable(error.to_string()))
            }
        }
    }

    /// Lets the next change of the configuration go on its way.
    fn order(&mut self) {
        let Some(ordering) = &mut self.ordering else { return };
        match self.failure.get() {
            None => ordering.go_on(&self.engine.plan(), &self.commits),
            Some(why) => ordering.refuse(&why, &self.commits),
        }
    }

    fn refuse(&mut self, commands: Vec<Submitted>, why: &str) {
        for Submitted { command, .. } in commands {
            self.is_closing |= matches!(command, Command::Close);
            self.commits.refuse(command.len());
            self.commits.free(command.detail_bytes());
            command.refuse(ServiceError::NotDurable(why.to_owned()));
        }
        self.order();
    }

    fn commit_group(&mut self, mut group: Group<'_>, events: usize) {
        let batch = group.batch();
        self.last_entry = group.outbox.last();
        // A command can be acknowledged because the history already holds its effect. That earlier commit must be
        // synced first.
        let is_owed = self.unsynced.is_some() && self.store.durability() == Durability::Synced && !batch.can_wait;
        if batch.is_empty() && !is_owed {
            return group.apply(|| {});
        }
        match self.write(&batch, events) {
            Ok(()) => {
                self.store.retire(&group.retired());
                group.apply(|| self.store.show_events());
                if !batch.events.is_empty() {
                    let changed: BTreeSet<_> = batch.events.iter().map(|event| event.environment).collect();
                    self.watchers.wake(&changed);
                }
            }
            Err(error) => {
                self.failure.set(error.to_string());
                self.commits.refuse(events);
                group.refuse(&error.to_string());
            }
        }
    }

    /// Loads a snapshot into memory. Nothing is committed meanwhile, so no erasure can be missed.
    fn merge(&mut self, load: Load, loaded: Done<Result<(), String>>, stored: Done<Result<(), ServiceError>>) {
        let sections = load(&Merge(&self.engine))
            .and_then(|sections| erase_again(&self.engine).map(|()| sections).map_err(|full| full.to_string()));
        match sections {
            Ok(sections) => {
                self.unstored.add(sections);
                self.storing.push(stored);
                loaded(Ok(()));
            }
            Err(why) => loaded(Err(why)),
        }
    }

    /// Stores the next piece of a loaded snapshot.
    fn store_some(&mut self) {
        if self.failure.get().is_none()
            && let Some(batch) = self.unstored.next(&Arc::clone(&self.engine))
            && !batch.is_empty()
            && let Err(error) = self.write(&batch, 0)
        {
            self.failure.set(error.to_string());
        }
        if let Some(why) = self.failure.get() {
            self.unstored = Unstored::default();
            self.storing.drain(..).for_each(|stored| stored(Err(ServiceError::NotDurable(why.clone()))));
        } else if self.unstored.is_empty() {
            self.storing.drain(..).for_each(|stored| stored(Ok(())));
        }
    }

    fn write(&mut self, batch: &Batch, events: usize) -> Result<(), StoreError> {
        let began = Stopwatch::start();
        let commits = Arc::clone(&self.commits);
        let _call = commits.call_store();
        // A storage engine may panic if a bad disk returns impossible data. Such a panic is handled like any other
        // failure of the store.
        let committed = catch_unwind(AssertUnwindSafe(|| self.store.commit(batch)));
        committed.unwrap_or_else(|_| Err(panicked()))?;
        self.commits.commit(began, events);
        match self.store.durability() {
            Durability::Synced if !batch.can_wait => self.unsynced = None,
            Durability::Synced | Durability::Buffered => _ = self.unsynced.get_or_insert(began),
            Durability::Memory => {}
        }
        Ok(())
    }
}

fn panicked() -> StoreError {
    StoreError::Engine("it panicked, and printed the reason on standard error".into())
}

/// Records a panic of the committer thread as the service's failure. Functions of callers run on this thread (`decide`
/// and `done`), and may panic. After a panic nothing is committed any more, and the service's health reports it.
struct ReportedPanic(Arc<Failure>);

impl Drop for ReportedPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("the committer thread panicked; restart the service".into());
        }
    }
}
