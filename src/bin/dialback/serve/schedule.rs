//! Decides when the next purge is due, and which time decides what has expired.
//!
//! This module reads no clock: each call passes a [`Moment`].
//!
//! * **Purges follow the monotonic clock.** A wall clock that jumps cannot delay them. A jump forward may be time that
//!   the machine slept, so it counts as elapsed time: an early purge does no harm.
//! * **Expiry follows the believed time.** An expired pair is removed permanently, so a clock that jumps ahead must not
//!   expire anything. After a jump, the believed time continues as before until the clock has run without a jump for
//!   [`SETTLED`].

use dialback::Timestamp;
use std::time::Duration;

/// The smallest difference between the two clocks that is reported as a jump. Time synchronization corrects smaller
/// ones every day.
const NOTICED_MILLIS: i128 = 30_000;

/// How long the wall clock must run without a jump before it is believed again.
const SETTLED: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than a purge interval a daemon may have been stopped before its clock at the start is doubted.
const ABSENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The first wait after a failure. It doubles with each further failure, up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(60 * 60);

/// The time of both clocks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// The time since a fixed moment of this process.
    pub(crate) monotonic: Duration,
    pub(crate) wall: Timestamp,
}

/// A jump of the wall clock in milliseconds; negative if the clock went back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Jump(pub(crate) i128);

/// Decides when a purge is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    every: Duration,
    /// The time of the next purge, by the monotonic clock.
    due: Duration,
    failures: u32,
    wall: WallClock,
}

impl Schedule {
    /// Returns a schedule that starts now, after a last purge at `last`. Also returns a jump if that time cannot be
    /// right.
    pub(crate) fn new(every: Duration, now: Moment, last: Timestamp) -> (Self, Option<Jump>) {
        let passed = i128::from(now.wall.millis()) - i128::from(last.millis());
        let doubted = millis(every) + millis(ABSENCE);
        let is_wrong = passed <= -NOTICED_MILLIS || passed > doubted;
        let wall = if passed > doubted { WallClock::doubted(now, last) } else { WallClock::believed(now) };
        // A last purge in the future is no valid time, so a purge is due now.
        let wait =
            u64::try_from(passed).map_or(Duration::ZERO, |passed| every.saturating_sub(Duration::from_millis(passed)));
        let due = now.monotonic + wait;
        (Self { every, due, failures: 0, wall }, is_wrong.then_some(Jump(passed)))
    }

    /// Returns the time until the next purge, and the jump of the wall clock since the last call, if there was one.
    pub(crate) fn look(&mut self, now: Moment) -> (Duration, Option<Jump>) {
        let jump = self.wall.look(now);
        if let Some(Jump(ahead)) = jump {
            let slept = u64::try_from(ahead).map_or(Duration::ZERO, Duration::from_millis);
            self.due = self.due.saturating_sub(slept);
        }
        (self.due.saturating_sub(now.monotonic), jump)
    }

    /// Returns the time that decides what has expired. It is never ahead of the wall clock.
    pub(crate) fn believed(&self, now: Moment) -> Timestamp {
        self.wall.believed_at(now)
    }

    /// Records that a purge succeeded. Returns the time until the next one.
    pub(crate) fn succeeded(&mut self, now: Moment) -> Duration {
        self.failures = 0;
        self.due = now.monotonic + self.every;
        self.every
    }

    /// Records that a purge failed. Returns the time until the next attempt.
    pub(crate) fn failed(&mut self, now: Moment) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.min(10));
        let wait = doubled.min(LONGEST_RETRY).min(self.every);
        self.failures += 1;
        self.due = now.monotonic + wait;
        wait
    }
}

/// The state of the wall clock: the wall time when the monotonic clock was zero. It is constant while both clocks run
/// equally fast.
#[derive(Debug)]
struct WallClock {
    seen: i128,
    believed: i128,
    /// The time of the last jump, or of the start.
    since: Duration,
}

impl WallClock {
    fn believed(now: Moment) -> Self {
        Self { seen: zero(now), believed: zero(now), since: now.monotonic }
    }

    /// Returns the state of a clock that may be far ahead. Until it has run for a while, the believed time continues
    /// from the last purge.
    fn doubted(now: Moment, last: Timestamp) -> Self {
        Self { believed: zero(Moment { wall: last, ..now }), ..Self::believed(now) }
    }

    fn look(&mut self, now: Moment) -> Option<Jump> {
        let moved = zero(now) - self.seen;
        self.seen += moved;
        if moved.abs() >= NOTICED_MILLIS {
            self.since = now.monotonic;
            if (self.seen - self.believed).abs() < NOTICED_MILLIS {
                self.believed = self.seen;
            }
            return Some(Jump(moved));
        }
        self.believed += moved;
        if now.monotonic.saturating_sub(self.since) >= SETTLED {
            self.believed = self.seen;
        }
        None
    }

    fn believed_at(&self, now: Moment) -> Timestamp {
        let believed = self.believed + millis(now.monotonic);
        now.wall.min(Timestamp::from_millis(u64::try_from(believed).unwrap_or(0)))
    }
}

fn zero(now: Moment) -> i128 {
    i128::from(now.wall.millis()) - millis(now.monotonic)
}

fn millis(span: Duration) -> i128 {
    i128::try_from(span.as_millis()).unwrap_or(i128::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// Returns a moment at which the wall clock is `ahead` milliseconds ahead of the monotonic clock.
    fn moment(monotonic: Duration, ahead: i64) -> Moment {
        let wall = i128::from(START.millis()) + millis(monotonic) + i128::from(ahead);
        Moment { monotonic, wall: Timestamp::from_millis(u64::try_from(wall).expect("positive")) }
    }

    fn started(every: Duration) -> Schedule {
        let (schedule, jump) = Schedule::new(every, moment(Duration::ZERO, 0), START);
        assert_eq!(jump, None);
        schedule
    }

    const TWO_HOURS: i64 = 2 * 3_600_000;

    #[test]
    fn purge_while_the_clock_is_ahead_does_not_delay_the_next_one() {
        let mut schedule = started(HOUR);
        let ahead = moment(HOUR, TWO_HOURS);
        assert_eq!(schedule.look(ahead), (Duration::ZERO, Some(Jump(i128::from(TWO_HOURS)))));
        schedule.succeeded(ahead);
        // The clock is corrected: it goes back two hours.
        let right = moment(HOUR + HOUR / 2, 0);
        assert_eq!(schedule.look(right), (HOUR / 2, Some(Jump(-i128::from(TWO_HOURS)))));
        assert_eq!(schedule.look(moment(HOUR * 2, 0)), (Duration::ZERO, None), "an hour after the last purge");
    }

    #[test]
    fn jump_is_reported_once() {
        let mut schedule = started(DAY);
        for ahead in [TWO_HOURS, -TWO_HOURS, 0, 40 * 86_400_000] {
            let mut jumps = 0;
            for minute in 0..10 {
                let from = schedule.wall.since;
                let now = moment(from + Duration::from_secs(60 * minute), ahead);
                jumps += usize::from(schedule.look(now).1.is_some());
            }
            assert_eq!(jumps, 1, "{ahead}");
        }
    }

    #[test]
    fn clock_that_is_corrected_slowly_is_no_jump() {
        let mut schedule = started(DAY);
        for minute in 0..60 * 24 * 3_i64 {
            let now = moment(Duration::from_secs(60 * minute.unsigned_abs()), minute * 30);
            assert_eq!(schedule.look(now).1, None, "minute {minute}");
            assert_eq!(schedule.believed(now), now.wall, "minute {minute}");
        }
    }

    #[test]
    fn sleep_counts_as_time_that_passed() {
        let mut schedule = started(DAY);
        let slept = 20 * 3_600_000;
        assert_eq!(schedule.look(moment(HOUR, slept)).0, 3 * HOUR);
    }

    #[test]
    fn start_continues_the_interval_of_the_last_purge() {
        let now = moment(5 * HOUR, 0);
        let ago =
            |span: Duration| Timestamp::from_millis(now.wall.millis() - u64::try_from(millis(span)).expect("small"));
        for (last, wait, is_wrong) in [
            (ago(HOUR), 23 * HOUR, false),
            (ago(DAY), Duration::ZERO, false),
            (ago(7 * DAY), Duration::ZERO, false),
            (ago(90 * DAY), Duration::ZERO, true),
            (now.wall.plus_millis(7_200_000), Duration::ZERO, true),
        ] {
            let (mut schedule, wrong) = Schedule::new(DAY, now, last);
            assert_eq!((schedule.look(now), wrong.is_some()), ((wait, None), is_wrong), "{last:?}");
        }
    }

    #[test]
    fn clock_that_jumps_ahead_expires_nothing_until_it_has_held_for_a_day() {
        let year = 365 * 86_400_000;
        let mut schedule = started(DAY);
        schedule.look(moment(HOUR, year));
        assert_eq!(schedule.believed(moment(2 * HOUR, year)), moment(2 * HOUR, 0).wall);
        // The clock goes back: the wrong time was never believed.
        schedule.look(moment(3 * HOUR, 0));
        assert_eq!(schedule.believed(moment(3 * HOUR, 0)), moment(3 * HOUR, 0).wall);
        // The clock was wrong before, and is right from now on.
        schedule.look(moment(4 * HOUR, year));
        schedule.look(moment(3 * HOUR + DAY, year));
        assert_eq!(schedule.believed(moment(5 * HOUR, year)), moment(5 * HOUR, 0).wall);
        schedule.look(moment(4 * HOUR + DAY, year));
        assert_eq!(schedule.believed(moment(5 * HOUR + DAY, year)), moment(5 * HOUR + DAY, year).wall);
    }

    #[test]
    fn clock_that_jumps_back_is_believed_at_once() {
        let mut schedule = started(DAY);
        let back = moment(HOUR, -TWO_HOURS);
        schedule.look(back);
        assert_eq!(schedule.believed(back), back.wall);
    }

    #[test]
    fn clock_that_is_months_ahead_at_the_start_is_not_believed_at_once() {
        let now = moment(Duration::ZERO, 0);
        let last = Timestamp::from_millis(now.wall.millis() - 90 * 86_400_000);
        let (mut schedule, _) = Schedule::new(DAY, now, last);
        assert_eq!(schedule.believed(now), last);
        schedule.look(moment(DAY, 0));
        assert_eq!(schedule.believed(moment(DAY, 0)), moment(DAY, 0).wall);
    }

    #[test]
    fn wait_after_a_failed_purge_doubles_up_to_an_hour() {
        let mut schedule = started(DAY);
        let mut now = DAY;
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(schedule.look(moment(now, 0)).0, Duration::ZERO);
            waits.push(schedule.failed(moment(now, 0)).as_secs() / 60);
            now += Duration::from_secs(60 * waits[waits.len() - 1]);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        schedule.succeeded(moment(now, 0));
        assert_eq!(schedule.failed(moment(now, 0)), FIRST_RETRY);
        assert_eq!(started(Duration::from_secs(2)).failed(moment(now, 0)), Duration::from_secs(2));
    }

    /// A purge is never later than one interval after the last one, for any jumps of the wall clock.
    #[test]
    fn random_jumps_never_delay_a_purge() {
        let mut random = 7_u64;
        let mut schedule = started(HOUR);
        let (mut ahead, mut last) = (0, Duration::ZERO);
        let mut purges = 0;
        for minute in 1..200_000_u64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(100) {
                ahead = i64::try_from(random % 60_000_000_000).expect("small") - 30_000_000_000;
            }
            let now = moment(Duration::from_secs(60 * minute), ahead);
            let (wait, _) = schedule.look(now);
            assert!(schedule.believed(now) <= now.wall);
            if wait.is_zero() {
                assert!(now.monotonic <= last + HOUR, "minute {minute}");
                last = now.monotonic;
                schedule.succeeded(now);
                purges += 1;
            }
        }
        assert!(purges > 3000, "{purges}");
    }
}
