//! Writes decision records: a bounded queue from the doors, and a thread that commits what it holds in groups.
//!
//! A decision waits for no disk. If the queue has no room, or the store fails, records are lost and counted.
//!
//! * **Order.** An answer is queued after its decision, whose record is committed first. So no answer has to wait for its
//!   record: an answer without one belongs to a decision whose record was lost, and is dropped.
//! * **Shares.** An environment may use as much of the queue as is left free. One that floods the queue gets half of it, and
//!   several such environments leave an equal part to the next one.
//! * **Rounds.** Each round commits all that the queue holds and removes some expired records. The committing thread never
//!   has more than one command of the recorder.

use super::command::{Command, Submitted};
use super::feed::{self, FeedSettings};
use crate::engine::{Examined, Noted, Routed};
use crate::id::EnvironmentId;
use crate::metrics::{RecordCounts, Stopwatch};
use crate::number::{Caller, E164};
use crate::plan::{EnvironmentView, Plan};
use crate::record::{DecisionRecord, RecordedAgent, RecordedCall, RecordedCandidate, RecordedDoor};
use crate::slot::Scope;
use crate::store::{NewEvent, NewRecord, RecordLimits};
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest time that a record waits in the queue while the store works. A crash loses the records of that time.
const EVERY: Duration = Duration::from_secs(1);
/// The memory of the queue: about fifty thousand usual records.
const MAX_BYTES: usize = 32 << 20;
/// The number of bytes at which a round begins at once.
const EAGER_BYTES: usize = MAX_BYTES / 8;
/// The most records of one command, which bounds the time that other commands wait for it.
const AT_ONCE: usize = 1024;
// More is removed in a step than is written before it, so the number of records stays bounded under any load.
const _: () = assert!(2 * AT_ONCE <= RecordLimits::REMOVED_AT_ONCE);
// The engine may not name records, so it has the number of its own.
const _: () = assert!(Noted::MAX_KEPT == DecisionRecord::MAX_CANDIDATES);
/// The most entries for which an empty queue keeps its memory.
const SPARE: usize = 1 << 16;
/// The number of rounds after which records are removed although none were written.
const IDLE_ROUNDS: u32 = 10;
/// How long the end of a service waits for its last records.
const PATIENCE: Duration = Duration::from_secs(5);
/// The memory that an answer counts as.
const ANSWER_BYTES: usize = 64;

/// The most bytes of a name that a record keeps. A record has up to 22 names, and an environment up to a million records.
const MAX_NAME: usize = 96;

/// The longest time for which a service keeps records.
pub const MAX_KEEP_DAYS: u32 = 30;

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// How long decision records are kept, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordSettings {
    /// The number of days for which a record is kept, at most [`MAX_KEEP_DAYS`]. With 0, none are written, and those that
    /// exist are removed.
    pub keep_days: u32,
    /// The most records of one environment. The oldest are removed first.
    pub max_per_environment: u64,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self { keep_days: 7, max_per_environment: 1_000_000 }
    }
}

/// Records and their events for the store, and what to remove.
pub(super) struct Round {
    pub(super) records: Vec<NewRecord>,
    pub(super) answers: Vec<(u128, Timestamp)>,
    pub(super) events: Vec<NewEvent>,
    pub(super) limits: RecordLimits,
    pub(super) feed_limits: RecordLimits,
    /// The time by which they expire, if it is known.
    pub(super) now: Option<Timestamp>,
}

/// How long records and events are kept. Without settings, none are written, and none expire.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Terms {
    pub(super) records: Option<RecordSettings>,
    pub(super) feed: Option<FeedSettings>,
}

impl Terms {
    fn limited(self) -> Self {
        let limited = |days: u32| days.min(MAX_KEEP_DAYS);
        Self {
            records: self.records.map(|kept| RecordSettings { keep_days: limited(kept.keep_days), ..kept }),
            feed: self.feed.map(|kept| FeedSettings { keep_days: limited(kept.keep_days), ..kept }),
        }
    }

    fn has_records(&self) -> bool {
        self.records.is_some_and(|settings| settings.keep_days > 0)
    }

    fn has_feed(&self) -> bool {
        self.feed.is_some_and(|settings| settings.is_on())
    }

    fn limits(&self, expired: Expired) -> RecordLimits {
        limits(self.records.map(|kept| (kept.keep_days, kept.max_per_environment)), expired)
    }

    fn feed_limits(&self, expired: Expired) -> RecordLimits {
        limits(self.feed.map(|kept| (kept.keep_days, kept.max_per_environment)), expired)
    }
}

/// The time by which records and events expire, and one before which they expire in any case.
#[derive(Clone, Copy, Default)]
struct Expired {
    now: Option<Timestamp>,
    oldest: Option<Timestamp>,
}

/// Returns the limits of entries that are kept for some days, up to a number.
fn limits(kept: Option<(u32, u64)>, Expired { now, oldest }: Expired) -> RecordLimits {
    if kept.is_some_and(|(days, _)| days == 0) {
        return RecordLimits { expired_before: Timestamp::from_millis(u64::MAX), max_per_environment: 0 };
    }
    let since = |now: Timestamp, days: u32| now.millis().saturating_sub(u64::from(days) * DAY_MILLIS);
    let of_days = now.zip(kept).map(|(now, (days, _))| Timestamp::from_millis(since(now, days)));
    RecordLimits {
        expired_before: of_days.max(oldest).unwrap_or(Timestamp::from_millis(0)),
        max_per_environment: kept.map_or(u64::MAX, |(_, most)| most),
    }
}

/// The memory of the queue is not printed: it holds phone numbers.
impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("terms", &self.terms).finish_non_exhaustive()
    }
}

pub(super) struct Recorder {
    terms: Terms,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

enum Entry {
    Record { environment: Scope, id: u128, at: Timestamp, record: Box<DecisionRecord> },
    Answer { environment: Option<Scope>, id: u128, at: Timestamp },
}

type Done = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The memory of the entries of the round before, so that no route waits while the queue grows.
    spare: VecDeque<Entry>,
    bytes: usize,
    /// The bytes that each environment uses.
    used: HashMap<Option<Scope>, usize, ahash::RandomState>,
    /// Called when all entries so far are committed or lost.
    waiting: Vec<Done>,
    expired: Expired,
    /// Whether that time was set since the last round.
    is_later: bool,
    is_closing: bool,
}

impl State {
    /// Reserves memory for an entry of the environment. Returns whether there is any.
    fn reserve(&mut self, environment: Option<Scope>, bytes: usize) -> bool {
        let free = MAX_BYTES - self.bytes;
        let used = self.used.entry(environment).or_default();
        let is_room = *used + bytes <= free && !self.is_closing;
        if is_room {
            *used += bytes;
            self.bytes += bytes;
        }
        is_room
    }

    fn is_urgent(&self) -> bool {
        self.is_closing || !self.waiting.is_empty() || self.bytes >= EAGER_BYTES
    }
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    counts: Arc<RecordCounts>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, environment: Option<Scope>, bytes: usize, entry: Entry) {
        let mut state = self.lock();
        let was_urgent = state.is_urgent();
        if !state.reserve(environment, bytes) {
            drop(state);
            self.counts.count_dropped(1);
            return;
        }
        state.entries.push_back(entry);
        let is_urgent = state.is_urgent();
        drop(state);
        if is_urgent && !was_urgent {
            self.changed.notify_one();
        }
    }
}

impl Recorder {
    pub(super) fn start(terms: Terms, commands: Sender<Submitted>, counts: Arc<RecordCounts>) -> io::Result<Self> {
        let terms = terms.limited();
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), counts });
        let there = Arc::clone(&queue);
        let work = move || Rounds { terms, queue: &there, commands: &commands }.run();
        let thread = thread::Builder::new().name("dialback-record".into()).spawn(work)?;
        Ok(Self { terms, queue, thread: Some(thread) })
    }

    /// Returns whether records are written.
    pub(super) fn has_records(&self) -> bool {
        self.terms.has_records()
    }

    /// Returns whether anything is written of a routed call.
    pub(super) fn is_on(&self) -> bool {
        self.terms.has_records() || self.terms.has_feed()
    }

    /// Queues the record of a decision.
    pub(super) fn record(&self, environment: Scope, id: u128, at: Timestamp, record: DecisionRecord) {
        let bytes = record.bytes();
        let record = Box::new(record);
        self.queue.offer(Some(environment), bytes, Entry::Record { environment, id, at, record });
    }

    /// Queues the report that a decision's call was answered.
    pub(super) fn answer(&self, environment: Option<Scope>, id: u128, at: Timestamp) {
        self.queue.offer(environment, ANSWER_BYTES, Entry::Answer { environment, id, at });
    }

    /// Calls `done` when all records so far are committed or lost.
    pub(super) fn flush(&self, done: Done) {
        self.queue.lock().waiting.push(done);
        self.queue.changed.notify_one();
    }

    /// Sets the time by which records and events expire, and one before which they expire in any case.
    pub(super) fn expire(&self, now: Timestamp, oldest: Option<Timestamp>) {
        let mut state = self.queue.lock();
        (state.expired, state.is_later) = (Expired { now: Some(now), oldest }, true);
    }
}

impl Recorder {
    /// Commits what is queued, within a limited time. The committing thread itself cannot wait for that: with `waits`
    /// unset, the rest is lost.
    pub(super) fn close(mut self, waits: bool) {
        self.queue.lock().is_closing = true;
        self.queue.changed.notify_one();
        // A `done` may have dropped the last reference to the service. Then this is the recorder's thread, which goes on to
        // its end.
        let is_other = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| waits && is_other(thread)) {
            // A panic has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

/// The content of the queue when a round begins.
struct Taken {
    entries: VecDeque<Entry>,
    waiting: Vec<Done>,
    expired: Expired,
    is_later: bool,
    is_closing: bool,
}

/// The recorder's thread.
struct Rounds<'a> {
    terms: Terms,
    queue: &'a Queue,
    commands: &'a Sender<Submitted>,
}

impl Rounds<'_> {
    fn run(&self) {
        let (mut is_more, mut idle) = (true, 0);
        loop {
            let Taken { entries, waiting, expired, is_later, is_closing } = self.next(is_more);
            idle = if entries.is_empty() { idle + 1 } else { 0 };
            if !entries.is_empty() || is_more || is_later || idle >= IDLE_ROUNDS {
                let closing = is_closing.then(Stopwatch::start);
                (is_more, idle) = (self.commit(entries, expired, closing), 0);
            } else {
                self.queue.lock().spare = entries;
            }
            for done in waiting {
                // The panic of a caller's function is reported by the panic hook, and must not end the records.
                let _ = catch_unwind(AssertUnwindSafe(done));
            }
            if is_closing {
                return;
            }
        }
    }

    /// Waits until there is work for a round, and takes it.
    fn next(&self, is_more: bool) -> Taken {
        let state = self.queue.lock();
        let wait = if is_more { Duration::ZERO } else { EVERY };
        let waited = self.queue.changed.wait_timeout_while(state, wait, |state| !state.is_urgent());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        state.used.clear();
        let spare = std::mem::take(&mut state.spare);
        Taken {
            entries: std::mem::replace(&mut state.entries, spare),
            waiting: std::mem::take(&mut state.waiting),
            expired: state.expired,
            is_later: std::mem::take(&mut state.is_later),
            is_closing: state.is_closing,
        }
    }

    /// Commits the entries, and removes some records. Returns whether more are to be removed.
    fn commit(&self, mut entries: VecDeque<Entry>, expired: Expired, closing: Option<Stopwatch>) -> bool {
        let mut is_more = false;
        loop {
            let some: Vec<Entry> = entries.drain(..entries.len().min(AT_ONCE)).collect();
            let round = round_of(some, &self.terms, expired);
            let count = round.records.len() as u64;
            match self.submit(round, closing) {
                Some(more) => {
                    self.queue.counts.count_written(count);
                    is_more = more;
                }
                None => self.queue.counts.count_lost(count),
            }
            if entries.is_empty() {
                entries.shrink_to(SPARE);
                self.queue.lock().spare = entries;
                return is_more;
            }
        }
    }

    /// Returns whether more records are to be removed; `None` if the round was not committed.
    fn submit(&self, round: Round, closing: Option<Stopwatch>) -> Option<bool> {
        let (done, answer) = mpsc::sync_channel(1);
        let done = Box::new(move |result| {
            // The receiver is gone if the recorder waits no longer.
            let _ = done.send(result);
        });
        self.commands.send(Submitted::new(Command::Keep { round, done })).ok()?;
        match closing {
            None => answer.recv().ok()?.ok(),
            Some(since) => {
                let left = PATIENCE.saturating_sub(Duration::from_nanos(since.nanos()));
                answer.recv_timeout(left).ok()?.ok()
            }
        }
    }
}

/// Returns the records and the events as the store needs them. An answer whose record is among them becomes part of the
/// record.
fn round_of(entries: Vec<Entry>, terms: &Terms, expired: Expired) -> Round {
    let (limits, feed_limits) = (terms.limits(expired), terms.feed_limits(expired));
    let mut round =
        Round { records: Vec::new(), answers: Vec::new(), events: Vec::new(), limits, feed_limits, now: expired.now };
    let mut places = HashMap::new();
    for entry in entries {
        match entry {
            Entry::Record { environment, id, at, record } => {
                let text = feed::written(&*record);
                if terms.has_feed() {
                    round.events.push(feed::decided(environment, id, at, &record, text.clone()));
                }
                if terms.has_records() {
                    places.insert(id, round.records.len());
                    let called_at = record.call.map(|call| call.at);
                    let contact = record.caller;
                    round.records.push(NewRecord { environment, id, at, contact, called_at, answered: None, text });
                }
            }
            Entry::Answer { environment, id, at } => {
                round.events.extend(environment.filter(|_| terms.has_feed()).map(|of| feed::answered(of, id, at)));
                match places.get(&id) {
                    Some(place) => _ = round.records[*place].answered.get_or_insert(at),
                    None if terms.has_records() => round.answers.push((id, at)),
                    None => {}
                }
            }
        }
    }
    round
}

/// Returns a name, or the first [`MAX_NAME`] bytes of it and an ellipsis.
fn shortened(name: &str) -> String {
    let end = (0..=name.len().min(MAX_NAME)).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    if end == name.len() { name.to_owned() } else { format!("{}…", &name[..end]) }
}

/// Returns the record of a decision, with the names of this plan.
pub(super) fn record_of(
    plan: &Plan,
    environment: EnvironmentId,
    (door, dialed, caller): (RecordedDoor, E164, Caller),
    routed: &Routed,
    noted: &Noted,
) -> DecisionRecord {
    let named = |id| RecordedAgent { id, name: plan.agent(environment, id).map(|agent| shortened(agent.name())) };
    let decision = &routed.decision;
    let candidate = |examined: &Examined| RecordedCandidate {
        agent: named(examined.agent),
        reached: examined.reached,
        lookback: examined.lookback,
    };
    DecisionRecord {
        door,
        dialed,
        caller: match caller {
            Caller::Number(number) => Some(number),
            Caller::Withheld | Caller::Unusable => None,
        },
        agent: decision.route.agent().map(named),
        reason: decision.reason,
        revision: plan.environment(environment).map_or(0, EnvironmentView::revision),
        call: decision.call.map(|call| RecordedCall {
            from: dialed,
            source: named(call.agent),
            at: call.at,
            outcome: call.outcome,
        }),
        source_exists: noted.source_exists,
        callback_agents: u32::try_from(noted.callback_agents).unwrap_or(u32::MAX),
        candidates: noted.candidates.iter().map(candidate).collect(),
        reached: noted.reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(bits: u32) -> Option<Scope> {
        Scope::from_bits(bits)
    }

    #[test]
    fn environment_that_floods_the_queue_leaves_half_of_it_to_others() {
        let mut state = State::default();
        while state.reserve(scope(1), 1000) {}
        assert!(state.bytes.abs_diff(MAX_BYTES / 2) <= 1000, "{}", state.bytes);
        while state.reserve(scope(2), 1000) {}
        assert!(state.bytes.abs_diff(MAX_BYTES * 3 / 4) <= 2000, "{}", state.bytes);
        assert!(state.reserve(scope(3), 1000), "a third one has room");
        while state.reserve(None, 1) {}
        assert!(state.bytes < MAX_BYTES);
    }

    #[test]
    fn long_names_are_shortened_between_characters() {
        assert_eq!(shortened(&"a".repeat(96)), "a".repeat(96));
        assert_eq!(shortened(&"a".repeat(97)), "a".repeat(96) + "…");
        assert_eq!(shortened(&"€".repeat(255)), "€".repeat(32) + "…");
    }

    #[test]
    fn answer_in_the_round_of_its_record_is_part_of_it_and_the_first_counts() {
        let terms = Terms { records: Some(RecordSettings::default()), feed: None };
        let at = Timestamp::from_secs;
        let dialed = E164::from_digits("15551234567").expect("digits");
        let record = || DecisionRecord {
            door: RecordedDoor::Library,
            dialed,
            caller: None,
            agent: None,
            reason: crate::Reason::AnonymousCaller,
            revision: 1,
            call: None,
            source_exists: false,
            callback_agents: 0,
            candidates: Vec::new(),
            reached: [0; 5],
        };
        let environment = scope(1).expect("24 bits");
        let entries = vec![
            Entry::Record { environment, id: 1, at: at(1), record: Box::new(record()) },
            Entry::Answer { environment: None, id: 1, at: at(2) },
            Entry::Answer { environment: None, id: 1, at: at(3) },
            Entry::Answer { environment: None, id: 2, at: at(4) },
        ];
        let round = round_of(entries, &terms, Expired::default());
        assert_eq!(round.records.len(), 1);
        assert_eq!(round.records[0].answered, Some(at(2)));
        assert_eq!(round.answers, [(2, at(4))]);
    }
}
