//! The events of a webhook that are not delivered yet, and when each is sent.
//!
//! * **Order.** Two events of one contact are never under way at a time, and the later one is sent after the earlier one was
//!   accepted or given up. Events of different contacts do not wait for each other.
//! * **Retries.** A failed event is sent again as the [`SCHEDULE`] says, ten times in all. Then it is given up.
//! * **An outage.** If the first attempts of [`DOWN`] events in a row fail, the receiver is taken for down: then one waiting event
//!   and one new event are sent a minute, and all others stay in the feed. The first event that it accepts ends that. Those that
//!   got no answer, or one that says that the receiver fails, are then sent at once, each once.
//! * **Bounds.** At most [`MOST_WAITING`] events wait, and [`MOST_PLACES`] are under way, fewer to a slow receiver. If the places
//!   are full, new events stay in the feed, until an event is accepted or given up. An event that has failed [`TRIED`] times is
//!   given up for a new one, if the receiver has accepted others meanwhile; one that was refused, after [`REFUSED`]. At most
//!   [`MOST_OF_SUBJECT`] events of a subject wait behind a refused one, which is then given up.
//!
//! A queue reads no clock, and holds no content: an event that waits is read from the feed again, so that nothing of an erased
//! contact is kept here. After a restart it knows the numbers of its events only.

use crate::number::E164;
use crate::time::Timestamp;
use ahash::AHashSet;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How long after each attempt an event is sent again, in seconds: the schedule of the Standard Webhooks specification.
pub(super) const SCHEDULE: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// A webhook is disabled after so long without a success, if it fails.
pub(super) const FAILING_MILLIS: u64 = 5 * 24 * 60 * 60 * 1000;
/// The number of failures in a row after which the receiver is taken for down.
pub(super) const DOWN: u32 = 10;
/// The number of failed attempts after which an event may be given up for a new one, if the last one was an outage, and if the
/// receiver refused the event.
const TRIED: u32 = 3;
const REFUSED: u32 = 2;
/// The most events of a subject that wait behind a refused one.
const MOST_OF_SUBJECT: usize = 32;
/// How often a receiver that is down is tried.
const PROBE_MILLIS: u64 = 60_000;
/// The most events that wait.
pub(super) const MOST_WAITING: usize = 512;
/// The most events that are under way at a time to a receiver that accepts them quickly, and to a new one. A slow one, or one
/// that fails, gets one at a time: it must not take the places of others.
pub(super) const MOST_PLACES: usize = 16;
const FIRST_PLACES: usize = 2;
/// The time in milliseconds within which a receiver is quick, and for how long a slower answer counts.
const QUICK_MILLIS: u64 = 1000;
const SLOW_MILLIS: u64 = 60_000;

/// Events with the same subject are sent one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    Contact(E164),
    /// An answer to a decision, or a decision without a contact.
    Decision(u128),
    /// The configuration.
    Configuration,
    /// Not known since a restart.
    Unknown,
}

/// An event that is not delivered yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    subject: Subject,
    /// The decision that it is about.
    id: Option<u128>,
    /// The number of attempts that failed.
    attempts: u32,
    due: Timestamp,
    /// When it was sent last.
    tried: Timestamp,
    /// The number of events that the receiver had accepted when it was first sent.
    accepted_before: u64,
    /// Whether it failed in an outage. As soon as that is over, it is sent once before it is due: `is_early`.
    is_held: bool,
    is_early: bool,
    /// The answer to the last attempt.
    last: Option<Answer>,
    is_sending: bool,
}

impl Waiting {
    fn new(subject: Subject, id: Option<u128>, due: Timestamp) -> Self {
        Self {
            subject,
            id,
            attempts: 0,
            due,
            tried: NEVER,
            accepted_before: 0,
            is_held: false,
            is_early: false,
            last: None,
            is_sending: false,
        }
    }

    fn is_refused(&self) -> bool {
        self.last == Some(Answer::Refused)
    }

    /// Returns the number of failed attempts after which it may be given up for a new one.
    fn enough(&self) -> u32 {
        if self.is_refused() { REFUSED } else { TRIED }
    }

    /// Returns when it can be sent.
    fn sent_at(&self) -> Timestamp {
        if self.is_early { NEVER } else { self.due }
    }
}

/// The longest wait for an attempt, with its spread.
const LONGEST_MILLIS: u64 = SCHEDULE[SCHEDULE.len() - 1] * 1100;

/// Returns a time that is at most so much later than now.
fn limited(at: Timestamp, most_millis: u64, now: Timestamp) -> Timestamp {
    at.min(now.plus_millis(most_millis))
}

/// The time of something that has not happened.
const NEVER: Timestamp = Timestamp::from_millis(0);

/// The events of a webhook that are not delivered yet.
#[derive(Debug)]
pub(super) struct Queue {
    /// All events up to this number are delivered, given up, or waiting.
    reached: u64,
    waiting: BTreeMap<u64, Waiting>,
    sending: usize,
    /// The most events that may be under way now, and until when that does not grow.
    places: usize,
    slow_until: Timestamp,
    /// The number of events that the receiver has accepted since the start.
    accepted: u64,
    health: Health,
    /// When a receiver that is down gets a waiting event, and a new one.
    probe_at: Timestamp,
    probe_new_at: Timestamp,
}

/// How well the deliveries go.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub(in crate::http) struct Health {
    /// The number of events in a row whose first attempt failed.
    in_a_row: u32,
    /// The number of failures since the last success, of any kind.
    failures: u32,
    /// The first of these failures.
    pub(in crate::http) failing_since: Option<Timestamp>,
    /// The events that were given up, and the times at which events were removed from the feed before they were sent.
    pub(in crate::http) missed: u64,
}

impl Health {
    fn is_down(&self) -> bool {
        self.in_a_row >= DOWN
    }
}

/// The part of a queue that is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Progress {
    reached: u64,
    /// The number of each waiting event, its failed attempts, and when it is due.
    waiting: Vec<(u64, u32, Timestamp)>,
    #[serde(flatten)]
    health: Health,
}

/// An event to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub(super) sequence: u64,
    /// The number of this attempt, from 1.
    pub(super) attempt: u32,
}

/// The answer to an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Accepted,
    /// The receiver does not want this event, which says nothing of others.
    Refused,
    /// No answer, or one that says that the receiver fails.
    Outage,
}

/// The result of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    Accepted,
    /// The event is sent again later.
    Later,
    /// The event was sent as often as the schedule says.
    GivenUp,
    /// The webhook has failed for too long, and must be disabled.
    Exhausted,
}

impl Queue {
    /// Returns the queue of a new webhook, which begins after this event.
    pub(super) fn after(reached: u64) -> Self {
        let (waiting, health) = (BTreeMap::new(), Health::default());
        Self {
            reached,
            waiting,
            sending: 0,
            places: FIRST_PLACES,
            slow_until: NEVER,
            accepted: 0,
            health,
            probe_at: NEVER,
            probe_new_at: NEVER,
        }
    }

    /// Returns the queue of a webhook whose progress was lost, which begins after this event.
    pub(super) fn anew(reached: u64) -> Self {
        let health = Health { missed: 1, ..Health::default() };
        Self { health, ..Self::after(reached) }
    }

    /// Returns a queue as it was stored. A time further away than the schedule has been set by a wrong clock.
    pub(super) fn restore(stored: Progress, now: Timestamp) -> Self {
        let is_down = stored.health.is_down();
        let restored = |(sequence, attempts, due): (u64, u32, Timestamp)| {
            let is_held = is_down && attempts > 0;
            (
                sequence,
                Waiting {
                    attempts,
                    is_held,
                    ..Waiting::new(Subject::Unknown, None, limited(due, LONGEST_MILLIS, now))
                },
            )
        };
        let waiting = stored.waiting.into_iter().map(restored).collect();
        Self { waiting, health: stored.health, ..Self::after(stored.reached) }
    }

    /// Returns what to store. An event that is under way is sent again after a crash.
    pub(super) fn progress(&self) -> Progress {
        let waiting = self.waiting.iter().map(|(sequence, event)| (*sequence, event.attempts, event.due)).collect();
        Progress { reached: self.reached, waiting, health: self.health }
    }

    pub(super) fn health(&self) -> Health {
        self.health
    }

    /// Returns the number after which new events are read.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Returns the number of events that wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the events whose subjects are not known.
    pub(super) fn unknown(&self) -> Vec<u64> {
        let unknown = self.waiting.iter().filter(|(_, event)| event.subject == Subject::Unknown);
        unknown.map(|(sequence, _)| *sequence).collect()
    }

    /// Returns how many new events can be sent. If there `are_many` in the feed, it is 0 until half of the places are free, so
    /// that few reads get many events.
    pub(super) fn room(&self, are_many: bool, now: Timestamp) -> usize {
        let left = MOST_WAITING.saturating_sub(self.waiting.len());
        if self.health.is_down() {
            return usize::from(left > 0 && self.probe_new_at <= now);
        }
        if are_many && self.sending > self.places / 2 {
            return 0;
        }
        self.places.saturating_sub(self.sending).min(left + self.hopeless().count())
    }

    /// Returns the events that may be given up for new ones, with the number of their attempts.
    fn hopeless(&self) -> impl Iterator<Item = (u32, u64)> {
        let is_hopeless = |event: &Waiting| {
            event.attempts >= event.enough() && !event.is_sending && event.accepted_before < self.accepted
        };
        let hopeless = self.waiting.iter().filter(move |(_, event)| is_hopeless(event));
        hopeless.map(|(sequence, event)| (event.attempts, *sequence))
    }

    /// Adds an event of the feed. Returns the attempt if it is sent now.
    pub(super) fn add(&mut self, sequence: u64, subject: Subject, id: Option<u128>, now: Timestamp) -> Option<Due> {
        if self.waiting.len() >= MOST_WAITING
            && let Some((_, oldest)) =
                self.hopeless().max_by_key(|(attempts, sequence)| (*attempts, Reverse(*sequence)))
        {
            self.waiting.remove(&oldest);
            self.health.missed += 1;
        }
        let subject = self.subject_of(subject);
        self.make_room(subject);
        let is_sending = self.waiting.values().all(|event| event.subject != subject);
        self.sending += usize::from(is_sending);
        let event =
            Waiting { is_sending, tried: now, accepted_before: self.accepted, ..Waiting::new(subject, id, now) };
        self.waiting.insert(sequence, event);
        self.reached = self.reached.max(sequence);
        if self.health.is_down() {
            self.probe_new_at = now.plus_millis(PROBE_MILLIS);
        }
        is_sending.then_some(Due { sequence, attempt: 1 })
    }

    /// Gives up the first event of a subject if the receiver refused it and too many wait behind it: they must not take the
    /// places of others.
    fn make_room(&mut self, subject: Subject) {
        let mut own = self.waiting.iter().filter(|(_, event)| event.subject == subject);
        let first = own.next().filter(|(_, event)| event.is_refused() && !event.is_sending);
        if let Some((sequence, _)) = first.filter(|_| own.count() >= MOST_OF_SUBJECT) {
            let sequence = *sequence;
            self.waiting.remove(&sequence);
            self.health.missed += 1;
        }
    }

    /// Sets the subject of an event that was stored.
    pub(super) fn learn(&mut self, sequence: u64, subject: Subject, id: Option<u128>) {
        let subject = self.subject_of(subject);
        if let Some(event) = self.waiting.get_mut(&sequence) {
            (event.subject, event.id) = (subject, id);
        }
    }

    /// Returns what an answer is ordered by: the contact of its decision, while that waits.
    fn subject_of(&self, subject: Subject) -> Subject {
        let Subject::Decision(id) = subject else { return subject };
        let decision = self.waiting.values().find(|event| event.id == Some(id));
        decision.map_or(subject, |decision| decision.subject)
    }

    /// Notes that there are no events up to this number but those that wait.
    pub(super) fn reach(&mut self, reached: u64) {
        self.reached = self.reached.max(reached);
    }

    /// Forgets an event that is in the feed no more. `is_missed` says whether it was removed before the receiver could have it,
    /// and not because its contact was erased.
    pub(super) fn forget(&mut self, sequence: u64, is_missed: bool) {
        if let Some(event) = self.waiting.remove(&sequence) {
            self.sending -= usize::from(event.is_sending);
            self.health.missed += u64::from(is_missed);
        }
    }

    /// Takes all attempts under way for not made.
    pub(super) fn interrupt(&mut self) {
        self.waiting.values_mut().for_each(|event| event.is_sending = false);
        self.sending = 0;
    }

    /// Notes that events were removed from the feed before they were read, and begins after them.
    pub(super) fn skip(&mut self, removed: u64) {
        if removed > self.reached {
            self.reached = removed;
            self.health.missed += 1;
        }
    }

    /// Takes the next waiting event that is due.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Due> {
        self.correct(now);
        if self.wake_at(false)? > now {
            return None;
        }
        let free = self.free().into_iter();
        // A receiver that is down gets the waiting events in turn, so that none of them decides alone.
        let (sequence, _) = if self.health.is_down() {
            self.probe_at = now.plus_millis(PROBE_MILLIS);
            free.min_by_key(|(sequence, event)| (event.tried, *sequence))
        } else {
            free.min_by_key(|(sequence, event)| (event.sent_at(), *sequence))
        }?;
        let event = self.waiting.get_mut(&sequence)?;
        (event.is_sending, event.is_early, event.tried) = (true, false, now);
        self.sending += 1;
        Some(Due { sequence, attempt: event.attempts + 1 })
    }

    /// Brings times nearer that are further away than any wait: a clock that was wrong has set them.
    fn correct(&mut self, now: Timestamp) {
        for event in self.waiting.values_mut() {
            event.due = limited(event.due, LONGEST_MILLIS, now);
        }
        for at in [&mut self.probe_at, &mut self.probe_new_at, &mut self.slow_until] {
            *at = limited(*at, PROBE_MILLIS.max(SLOW_MILLIS), now);
        }
    }

    /// Returns when there is something to send, if no attempt ends before. `is_more` says whether the feed has new events.
    pub(super) fn wake_at(&self, is_more: bool) -> Option<Timestamp> {
        if self.sending >= self.places {
            return None;
        }
        let first = self.free().iter().map(|(_, event)| event.sent_at()).min();
        if !self.health.is_down() {
            return first;
        }
        let new = (is_more && self.waiting.len() < MOST_WAITING).then_some(self.probe_new_at);
        first.map(|_| self.probe_at).into_iter().chain(new).min()
    }

    /// Returns the waiting events that no earlier event of their subject holds back.
    fn free(&self) -> Vec<(u64, Waiting)> {
        let mut seen = AHashSet::new();
        let free = self.waiting.iter().filter(|(_, event)| seen.insert(event.subject) && !event.is_sending);
        free.map(|(sequence, event)| (*sequence, *event)).collect()
    }

    /// Notes the result of an attempt that took so many milliseconds.
    pub(super) fn settle(&mut self, due: Due, answer: Answer, millis: u64, now: Timestamp) -> Settled {
        let Due { sequence, .. } = due;
        let Some(event) = self.waiting.get_mut(&sequence).filter(|event| event.is_sending) else {
            return Settled::Later;
        };
        event.is_sending = false;
        let is_new = event.attempts == 0;
        self.sending -= 1;
        self.measure(answer, millis, now);
        if answer == Answer::Accepted {
            self.waiting.remove(&sequence);
            self.accepted += 1;
            self.end_outage();
            return Settled::Accepted;
        }
        if is_new {
            self.health.in_a_row = self.health.in_a_row.saturating_add(1);
            if self.health.in_a_row == DOWN {
                (self.probe_at, self.probe_new_at) = (now.plus_millis(PROBE_MILLIS), now.plus_millis(PROBE_MILLIS));
            }
        }
        self.health.failures = self.health.failures.saturating_add(1);
        let since = self.health.failing_since.get_or_insert(now);
        *since = now.min(*since);
        if self.health.failures >= DOWN && now >= since.plus_millis(FAILING_MILLIS) {
            return Settled::Exhausted;
        }
        if self.fail(sequence, answer, now) { Settled::Later } else { Settled::GivenUp }
    }

    /// Lets the number of events under way follow the speed of the receiver.
    fn measure(&mut self, answer: Answer, millis: u64, now: Timestamp) {
        if millis > QUICK_MILLIS {
            (self.places, self.slow_until) = (1, now.plus_millis(SLOW_MILLIS));
        } else if answer == Answer::Outage {
            self.places = (self.places / 2).max(1);
        } else if self.slow_until <= now {
            self.places = (self.places + 1).min(MOST_PLACES);
        }
    }

    /// Sets when a failed event is sent again. Returns whether it is.
    fn fail(&mut self, sequence: u64, answer: Answer, now: Timestamp) -> bool {
        let Some(event) = self.waiting.get_mut(&sequence) else { return false };
        // An attempt before its time shows only that the receiver is still down.
        if event.due > now {
            return true;
        }
        event.attempts += 1;
        (event.is_held, event.last) = (answer == Answer::Outage, Some(answer));
        let wait = usize::try_from(event.attempts).ok().and_then(|attempts| SCHEDULE.get(attempts - 1));
        if let Some(seconds) = wait {
            // Up to a tenth later, so that events that failed together are not sent together.
            event.due = now.plus_millis(seconds * 1000 + seconds * (sequence % 100 * 37 % 100));
            return true;
        }
        self.waiting.remove(&sequence);
        self.health.missed += 1;
        false
    }

    /// Notes that the receiver has accepted an event.
    fn end_outage(&mut self) {
        if self.health.is_down() {
            for event in self.waiting.values_mut().filter(|event| event.is_held) {
                (event.is_held, event.is_early) = (false, true);
            }
        }
        self.health = Health { missed: self.health.missed, ..Health::default() };
    }

    /// Notes that an attempt was not made.
    pub(super) fn release(&mut self, Due { sequence, .. }: Due) {
        if let Some(event) = self.waiting.get_mut(&sequence).filter(|event| event.is_sending) {
            event.is_sending = false;
            self.sending -= 1;
        }
    }

    /// Begins again, after the webhook was disabled or its address was changed: all waiting events are due, as if they had not been sent.
    pub(super) fn resume(&mut self, now: Timestamp) {
        for event in self.waiting.values_mut() {
            (event.attempts, event.due, event.is_held, event.is_early) = (0, now, false, false);
        }
        self.health = Health { missed: self.health.missed, ..Health::default() };
        (self.places, self.slow_until) = (FIRST_PLACES, NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn contact(number: u64) -> Subject {
        Subject::Contact(E164::from_code(15_550_000_000 + number).expect("a code"))
    }

    fn at(seconds: u64) -> Timestamp {
        START.plus_millis(seconds * 1000)
    }

    #[test]
    fn events_of_one_contact_follow_each_other_and_others_do_not_wait() {
        let mut queue = Queue::after(10);
        let first = queue.add(11, contact(1), None, START).expect("sent");
        assert_eq!(queue.add(12, contact(1), None, START), None);
        let other = queue.add(13, contact(2), None, START).expect("sent");
        assert_eq!(queue.next(START), None, "the first is under way");
        assert_eq!(queue.settle(other, Answer::Accepted, 0, START), Settled::Accepted);
        assert_eq!(queue.settle(first, Answer::Outage, 0, START), Settled::Later);
        assert_eq!(queue.next(at(4)), None, "it waits for the failed one");
        let again = queue.next(at(6)).expect("due");
        assert_eq!(again, Due { sequence: 11, attempt: 2 });
        assert_eq!(queue.settle(again, Answer::Accepted, 0, at(5)), Settled::Accepted);
        assert_eq!(queue.next(at(5)), Some(Due { sequence: 12, attempt: 1 }));
        assert_eq!((queue.reached(), queue.len()), (13, 1));
    }

    #[test]
    fn answer_waits_for_its_decision() {
        let mut queue = Queue::after(0);
        let decided = queue.add(1, contact(1), Some(7), START).expect("sent");
        assert_eq!(queue.add(2, Subject::Decision(7), Some(7), START), None);
        assert!(queue.add(3, Subject::Decision(8), Some(8), START).is_some(), "of another decision");
        queue.settle(decided, Answer::Accepted, 0, START);
        assert_eq!(queue.next(START), Some(Due { sequence: 2, attempt: 1 }));
    }

    #[test]
    fn event_is_sent_ten_times_by_the_schedule_and_then_given_up() {
        let (mut queue, mut now, mut count) = (Queue::after(0), START, 1);
        // The numbers of events are great.
        let mut due = queue.add(u64::MAX - 1, contact(1), None, now).expect("sent");
        loop {
            assert_eq!(due.attempt, count);
            let settled = queue.settle(due, Answer::Refused, 0, now);
            if settled == Settled::GivenUp {
                break;
            }
            let wait = SCHEDULE[count as usize - 1] * 1000;
            let at = queue.wake_at(false).expect("it waits");
            assert!(now.plus_millis(wait) <= at && at <= now.plus_millis(wait * 11 / 10), "attempt {count}");
            assert_eq!(queue.next(now.plus_millis(wait - 1)), None);
            (now, due) = (at, queue.next(at).expect("due"));
            count += 1;
        }
        assert_eq!((count, queue.len(), queue.health().missed), (10, 0, 1));
    }

    /// Lets a receiver fail until it is taken for down. Returns when that was.
    fn fail(queue: &mut Queue) -> Timestamp {
        for number in 0..u64::from(DOWN) {
            let due = queue.add(1 + number, contact(number), None, START).expect("sent");
            assert_eq!(queue.settle(due, Answer::Outage, 0, START), Settled::Later);
        }
        START
    }

    #[test]
    fn receiver_that_is_down_gets_two_events_a_minute_in_turns_and_everything_when_it_is_back() {
        let mut queue = Queue::after(0);
        fail(&mut queue);
        assert_eq!((queue.next(at(59)), queue.room(false, at(59))), (None, 0), "new events stay in the feed");
        assert_eq!([true, false].map(|is_more| queue.wake_at(is_more)), [Some(at(60)); 2]);
        let mut probed = Vec::new();
        for minute in 1..=3 {
            let now = at(60 * minute);
            let probe = queue.next(now).expect("due");
            assert_eq!(queue.next(now), None, "one at a time");
            assert_eq!(queue.room(false, now), 1, "and a new one");
            let new = queue.add(100 + minute, contact(100 + minute), None, now).expect("sent");
            assert_eq!(queue.room(false, now), 0);
            for due in [probe, new] {
                assert_eq!(queue.settle(due, Answer::Outage, 0, now), Settled::Later);
            }
            probed.push(probe.sequence);
        }
        assert_eq!(probed, [1, 2, 3], "in turns");
        let probe = queue.next(at(240)).expect("due");
        assert_eq!(queue.settle(probe, Answer::Accepted, 0, at(240)), Settled::Accepted);
        let mut early = 0;
        while let Some(due) = queue.next(at(240)) {
            // The first ones fail again, which does not end in another outage, and they are not sent early twice.
            let answer = if early < 11 { Answer::Outage } else { Answer::Accepted };
            queue.settle(due, answer, 0, at(240));
            early += 1;
        }
        assert_eq!((early, queue.len()), (12, 11), "all that failed, at once");
        assert!(queue.wake_at(true) > Some(at(240)));
        assert!(queue.room(false, at(240)) > 0, "not down");
    }

    #[test]
    fn no_event_is_given_up_in_a_long_outage() {
        let mut queue = Queue::after(0);
        fail(&mut queue);
        for minute in 1..3 * 24 * 60 {
            let now = at(60 * minute);
            let probe = queue.next(now);
            let new = (queue.room(false, now) > 0)
                .then(|| queue.add(queue.reached() + 1, contact(queue.reached() + 1), None, now).expect("sent"));
            for due in probe.into_iter().chain(new) {
                assert_eq!(queue.settle(due, Answer::Outage, 20_000, now), Settled::Later);
            }
        }
        assert_eq!((queue.len(), queue.health().missed), (MOST_WAITING, 0), "the others are in the feed");
    }

    /// Sends new events of different contacts, at most as many as there is room for. The receiver answers the same to all. Returns
    /// how many were sent.
    fn send_all(queue: &mut Queue, count: u64, answer: Answer, now: Timestamp) -> u64 {
        let mut sent = 0;
        while sent < count && queue.room(false, now) > 0 {
            let sequence = queue.reached() + 1;
            let due = queue.add(sequence, contact(sequence), None, now).expect("sent");
            queue.settle(due, answer, 0, now);
            sent += 1;
        }
        sent
    }

    #[test]
    fn refused_events_stop_others_for_a_short_time_only() {
        // In a row they look like an outage. A new event of the next minute shows that it is none.
        let mut queue = Queue::after(0);
        assert_eq!(send_all(&mut queue, 12, Answer::Refused, START), u64::from(DOWN));
        assert_eq!(send_all(&mut queue, 1, Answer::Accepted, at(59)), 0);
        assert_eq!(send_all(&mut queue, 100, Answer::Accepted, at(60)), 100);
        // Very many beside others: the places are full.
        let mut now = at(60);
        while send_all(&mut queue, 1, Answer::Refused, now) == 1 {
            assert!(send_all(&mut queue, 1, Answer::Accepted, now) == 1 || queue.len() == MOST_WAITING);
        }
        assert_eq!((queue.len(), queue.health().missed), (MOST_WAITING, 0));
        // Each is tried three times, which takes a few minutes. Then the oldest make room.
        while queue.room(false, now) == 0 {
            now = queue.wake_at(true).expect("they wait").max(now);
            while let Some(due) = queue.next(now) {
                queue.settle(due, Answer::Refused, 0, now);
            }
            assert!(now < at(60 + 400), "{now:?}");
        }
        assert_eq!(send_all(&mut queue, 100, Answer::Accepted, now), 100);
        assert_eq!((queue.len(), queue.health().missed), (MOST_WAITING - 1, 1));
    }

    #[test]
    fn refused_subject_takes_no_places_of_others() {
        let mut queue = Queue::after(0);
        for sequence in 1..=600 {
            let now = at(sequence);
            // Ten that are refused in a row look like an outage.
            if queue.room(false, now) > 0
                && let Some(due) = queue.add(sequence, Subject::Configuration, None, now)
            {
                queue.settle(due, Answer::Refused, 0, now);
            }
            while let Some(due) = queue.next(now) {
                queue.settle(due, Answer::Refused, 0, now);
            }
            assert!(queue.len() <= MOST_OF_SUBJECT + 2, "{}", queue.len());
        }
        assert_eq!(send_all(&mut queue, 200, Answer::Accepted, at(700)), 200);
        // Not an outage: the others are accepted between them.
        for sequence in 1000..2000 {
            let now = at(sequence);
            assert!(queue.room(false, now) > 0, "event {sequence}");
            if let Some(due) = queue.add(10_000 + sequence, Subject::Configuration, None, now) {
                queue.settle(due, Answer::Refused, 0, now);
            }
            while let Some(due) = queue.next(now) {
                queue.settle(due, Answer::Refused, 0, now);
            }
            assert_eq!(send_all(&mut queue, 1, Answer::Accepted, now), 1, "event {sequence}");
        }
        assert!(queue.len() <= MOST_OF_SUBJECT + 2, "{}", queue.len());
    }

    #[test]
    fn receiver_that_refuses_everything_loses_nothing() {
        let mut queue = Queue::after(0);
        for minute in 0..24 * 60 {
            send_all(&mut queue, 1000, Answer::Refused, at(60 * minute));
            while let Some(due) = queue.next(at(60 * minute)) {
                queue.settle(due, Answer::Refused, 0, at(60 * minute));
            }
        }
        assert_eq!((queue.len(), queue.health().missed), (MOST_WAITING, 0));
    }

    #[test]
    fn full_places_ask_for_no_wake_up_that_cannot_be_used() {
        let mut queue = Queue::after(0);
        for sequence in 1..=FIRST_PLACES as u64 {
            queue.add(sequence, contact(sequence), None, START).expect("sent");
        }
        queue.waiting.insert(1000, Waiting::new(contact(1000), None, START));
        assert_eq!((queue.next(START), queue.wake_at(true)), (None, None), "until an attempt ends");
    }

    #[test]
    fn clock_that_was_ahead_delays_nothing_for_long() {
        let year = at(365 * 86_400);
        let mut queue = Queue::after(0);
        let due = queue.add(1, contact(1), None, year).expect("sent");
        queue.settle(due, Answer::Outage, 0, year);
        assert_eq!(queue.next(START), None);
        let latest = START.plus_millis(LONGEST_MILLIS);
        assert_eq!((queue.wake_at(false), queue.next(latest).is_some()), (Some(latest), true));
        let mut queue = Queue::after(0);
        for sequence in 1..=u64::from(DOWN) {
            let due = queue.add(sequence, contact(sequence), None, year).expect("sent");
            queue.settle(due, Answer::Outage, 0, year);
        }
        assert_eq!((queue.next(START), queue.wake_at(true)), (None, Some(at(60))));
        assert_eq!((queue.next(at(60)).is_some(), queue.room(false, at(60))), (true, 1));
    }

    #[test]
    fn webhook_that_fails_for_five_days_is_exhausted_and_not_before() {
        for answer in [Answer::Outage, Answer::Refused] {
            let mut queue = Queue::after(0);
            let (mut now, mut sequence) = (fail(&mut queue), 100);
            loop {
                // A new event comes each hour.
                (sequence, now) = (sequence + 1, now.plus_millis(3_600_000));
                let is_over = now >= START.plus_millis(FAILING_MILLIS);
                let due = queue.add(sequence, contact(sequence), None, now).expect("sent");
                assert_eq!(queue.settle(due, answer, 0, now) == Settled::Exhausted, is_over);
                if is_over {
                    break;
                }
            }
            queue.resume(now);
            assert_eq!((queue.health(), queue.wake_at(false)), (Health::default(), Some(now)), "all are due");
        }
    }

    #[test]
    fn places_follow_the_speed_of_the_receiver_and_are_refilled_by_half() {
        let mut queue = Queue::after(0);
        assert_eq!(queue.room(true, START), FIRST_PLACES);
        send_all(&mut queue, 14, Answer::Accepted, START);
        assert_eq!(queue.room(true, START), MOST_PLACES, "quick");
        let add = |queue: &mut Queue, sequence| queue.add(sequence, contact(sequence), None, START).expect("sent");
        let sent: Vec<_> = (100..100 + MOST_PLACES as u64).map(|sequence| add(&mut queue, sequence)).collect();
        assert_eq!(queue.room(false, START), 0);
        for due in &sent[..MOST_PLACES / 2 - 1] {
            queue.settle(*due, Answer::Accepted, QUICK_MILLIS, START);
        }
        assert_eq!((queue.room(true, START), queue.room(false, START)), (0, MOST_PLACES / 2 - 1));
        queue.settle(sent[MOST_PLACES / 2], Answer::Accepted, 0, START);
        assert_eq!(queue.room(true, START), MOST_PLACES / 2);
        queue.settle(sent[MOST_PLACES - 1], Answer::Accepted, QUICK_MILLIS + 1, START);
        assert_eq!(queue.room(false, START), 0, "slow: one at a time, when the others have ended");
        for due in &sent {
            queue.settle(*due, Answer::Accepted, 0, START);
        }
        assert_eq!(queue.room(false, START), 1, "for a minute");
        send_all(&mut queue, 3, Answer::Accepted, at(60));
        assert_eq!(queue.room(false, at(60)), 4, "and then by one for each quick answer");
        send_all(&mut queue, 1, Answer::Outage, at(60));
        assert_eq!(queue.room(false, at(60)), 2, "a quick failure halves them");
    }

    #[test]
    fn stored_queue_knows_its_events_and_attempts_and_sends_what_was_under_way() {
        let mut queue = Queue::after(5);
        let failed = queue.add(6, contact(1), None, START).expect("sent");
        queue.settle(failed, Answer::Outage, 0, START);
        queue.add(7, contact(2), None, START).expect("sent");
        let text = serde_json::to_string(&queue.progress()).expect("JSON");
        assert!(!text.contains("1555"), "no number: {text}");
        let mut restored = Queue::restore(serde_json::from_str(&text).expect("JSON"), START);
        assert_eq!((restored.reached(), restored.unknown()), (7, vec![6, 7]));
        restored.learn(6, contact(1), None);
        restored.learn(7, contact(2), None);
        assert_eq!(restored.health(), queue.health());
        assert_eq!(restored.next(START), Some(Due { sequence: 7, attempt: 1 }), "was under way");
        assert_eq!(restored.next(START), None);
        assert_eq!(restored.next(at(6)), Some(Due { sequence: 6, attempt: 2 }));
        // A clock that was years ahead.
        let wrong = Progress { waiting: vec![(6, 1, at(1 << 30))], ..queue.progress() };
        let restored = Queue::restore(wrong, START);
        assert_eq!(restored.wake_at(false), Some(START.plus_millis(LONGEST_MILLIS)));
    }

    #[test]
    fn interrupted_attempts_are_made_again() {
        let mut queue = Queue::after(5);
        let due = queue.add(6, contact(1), None, START).expect("sent");
        assert_eq!((queue.next(START), queue.room(false, START)), (None, FIRST_PLACES - 1));
        queue.interrupt();
        assert_eq!((queue.room(false, START), queue.next(START)), (FIRST_PLACES, Some(due)));
    }

    #[test]
    fn removed_events_are_missed_and_erased_ones_are_not() {
        let mut queue = Queue::after(5);
        queue.add(6, contact(1), None, START);
        queue.add(7, contact(2), None, START);
        queue.forget(6, true);
        queue.forget(7, false);
        queue.forget(8, true);
        assert_eq!((queue.health().missed, queue.len(), queue.room(true, START)), (1, 0, FIRST_PLACES));
        queue.skip(3);
        queue.skip(20);
        assert_eq!((queue.health().missed, queue.reached()), (2, 20));
    }
}
