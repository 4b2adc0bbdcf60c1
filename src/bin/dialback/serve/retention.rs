//! Removes erased and expired data from memory and disk at intervals, on a thread of its own.

use super::schedule::{Jump, Moment, Schedule};
use crate::clock::now;
use crate::failure::Failure;
use dialback::history::Register;
use dialback::metrics::UpkeepCounts;
use dialback::store::{StoreError, Upkeep};
use dialback::{Service, Timestamp};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How often the thread checks whether a purge is due, and whether the wall clock has jumped.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Starts the thread that purges the store at intervals. It ends with the service.
///
/// The store remembers the time of the last purge, so a daemon that restarts often purges as often as any other.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn start(
    upkeep: Upkeep,
    service: &Arc<Service>,
    counts: Arc<UpkeepCounts>,
    data: PathBuf,
    every: Duration,
) -> Result<(), Failure> {
    let service = Arc::downgrade(service);
    let work = move || {
        let begun = Instant::now();
        let clocks = || Moment { monotonic: begun.elapsed(), wall: now() };
        let mut keeper = Keeper::new(every, clocks(), &upkeep, counts, data);
        while let Some(wait) = keeper.turn(&service, &clocks, |floor, now| upkeep.purge(Some(floor), now).map(drop)) {
            thread::sleep(wait.clamp(Duration::from_millis(100), LOOK_EVERY));
        }
    };
    let thread = thread::Builder::new().name("dialback-purge".into()).spawn(work);
    thread.map(|_| ()).map_err(|error| Failure::new(format!("cannot start the purge thread: {error}")))
}

/// Purges the store when a purge is due, and counts the results.
struct Keeper {
    schedule: Schedule,
    counts: Arc<UpkeepCounts>,
    data: PathBuf,
}

impl Keeper {
    fn new(every: Duration, now: Moment, upkeep: &Upkeep, counts: Arc<UpkeepCounts>, data: PathBuf) -> Self {
        let last = upkeep.purged_at(now.wall).unwrap_or_else(|error| {
            warn!(%error, "cannot read the time of the last purge: purging now");
            Timestamp::from_millis(0)
        });
        counts.succeeded_before(last.millis());
        let (schedule, wrong) = Schedule::new(every, now, last);
        if let Some(Jump(passed)) = wrong {
            counts.clock_jumped();
            warn!(
                days_since_last_purge = days(passed),
                "the wall clock does not match the time of the last purge: check the machine's clock. Purging now; nothing expires by \
                 the new time until it has held for a day"
            );
        }
        Self { schedule, counts, data }
    }

    /// Purges if a purge is due. Returns the time until the next turn, or `None` after the service has ended.
    fn turn(
        &mut self,
        service: &Weak<Service>,
        clocks: &impl Fn() -> Moment,
        purge: impl FnOnce(Register, Timestamp) -> Result<(), StoreError>,
    ) -> Option<Duration> {
        let (wait, jump) = self.schedule.look(clocks());
        if let Some(Jump(by)) = jump {
            self.counts.clock_jumped();
            warn!(
                seconds = by / 1000,
                "the wall clock jumped: check the machine's time synchronization. Purges go on as scheduled; nothing expires by the \
                 new time until it has held for a day"
            );
        }
        let floor = {
            let service = service.upgrade()?;
            service.expire_records(self.schedule.believed(clocks()));
            if !wait.is_zero() {
                return Some(wait);
            }
            // The daemon does not write to a store that has failed.
            if service.failure().is_some() {
                return Some(LOOK_EVERY);
            }
            let floor = service.retention_floor(self.schedule.believed(clocks()));
            service.history().expire_before(floor);
            floor
        };
        let began = clocks();
        let purged = purge(floor, self.schedule.believed(began));
        let ended = clocks();
        let took = ended.monotonic.saturating_sub(began.monotonic);
        Some(self.note(purged, ended, took))
    }

    fn note(&mut self, purged: Result<(), StoreError>, ended: Moment, took: Duration) -> Duration {
        let bytes = bytes_below(&self.data);
        let seconds = took.as_secs_f32();
        match purged {
            Ok(()) => {
                self.counts.succeeded(ended.wall.millis(), took, bytes);
                info!(seconds, bytes, "removed erased and expired data from the disk");
                self.schedule.succeeded(ended)
            }
            Err(error) => {
                self.counts.failed(took, bytes);
                let wait = self.schedule.failed(ended);
                let (failures, retry_seconds) = (self.counts.failures_in_row(), wait.as_secs());
                error!(
                    %error, failures, bytes, retry_seconds,
                    "the purge failed: erased numbers are still on the disk. Check free space, file permissions and the disk; if it \
                     fails again, stop the daemon, run `dialback verify`, and start it again"
                );
                wait
            }
        }
    }
}

/// Returns the disk space of the files below a directory, in bytes. A file that is removed meanwhile counts as 0.
fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn days(millis: i128) -> i128 {
    millis / (24 * 60 * 60 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialback::history::Register;
    use dialback::store::MemoryStore;
    use dialback::{Change, DialPlan, Engine, EnvironmentId, Lookback, Timestamp};

    #[test]
    fn retention_floor_is_one_day_before_the_longest_look_back() {
        let service =
            Service::builder(MemoryStore).engine(Engine::with_max_pairs(10)).start().expect("nothing to read");
        let now = Timestamp::from_secs(1_800_000_000);
        let ago = |days: u64| Register::floor(Timestamp::from_millis(now.millis() - days * 86_400_000));
        assert_eq!(service.retention_floor(now), ago(31), "the default look-back of 30 days, and one day");
        for (id, days) in [(1, 10), (2, 90), (3, 60)] {
            let set = Change::EnvironmentSet {
                name: "tenant".into(),
                dial_plan: DialPlan::NONE,
                lookback: Lookback::from_days(days),
            };
            service.configure(EnvironmentId::from_u128(id), now, move |_| Ok(vec![set])).expect("valid");
        }
        assert_eq!(service.retention_floor(now), ago(91));
    }

    /// A purge keeper whose clocks and purges the test controls.
    struct Fixture {
        keeper: Keeper,
        counts: Arc<UpkeepCounts>,
        service: Arc<Service>,
        now: std::cell::Cell<Moment>,
        _data: tempfile::TempDir,
    }

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    impl Fixture {
        fn new() -> Self {
            let data = tempfile::tempdir().expect("a directory");
            let store = dialback::store::FjallStore::open(data.path()).expect("it opens");
            let (upkeep, counts) = (store.upkeep(), Arc::<UpkeepCounts>::default());
            let service = Service::builder(store).engine(Engine::with_max_pairs(10)).start().expect("it starts");
            let now = Moment { monotonic: Duration::ZERO, wall: START };
            let keeper = Keeper::new(HOUR, now, &upkeep, Arc::clone(&counts), data.path().to_owned());
            Self { keeper, counts, service: Arc::new(service), now: std::cell::Cell::new(now), _data: data }
        }

        /// Runs a turn, and returns the time that was passed to the purge, or `None` if no purge was due.
        fn turn_at(&mut self, monotonic: Duration, ahead: Duration, fails: bool) -> Option<Timestamp> {
            let wall = START.plus_millis(u64::try_from((monotonic + ahead).as_millis()).expect("small"));
            self.now.set(Moment { monotonic, wall });
            let mut purged = None;
            let purge = |_, at| {
                purged = Some(at);
                if fails { Err(StoreError::Engine("the disk is full".into())) } else { Ok(()) }
            };
            let wait = self.keeper.turn(&Arc::downgrade(&self.service), &|| self.now.get(), purge);
            // The thread must not sleep past the next purge, whether this one succeeded or failed.
            assert!(wait.expect("the service runs") <= HOUR);
            purged
        }
    }

    #[test]
    fn purge_every_two_seconds_is_next_due_in_two_seconds() {
        let mut fixture = Fixture::new();
        let every = Duration::from_secs(2);
        fixture.keeper.schedule = Schedule::new(every, fixture.now.get(), START).0;
        fixture.now.set(Moment { monotonic: every, wall: START.plus_millis(2000) });
        let wait = fixture.keeper.turn(&Arc::downgrade(&fixture.service), &|| fixture.now.get(), |_, _| Ok(()));
        assert_eq!(wait, Some(every));
    }

    #[test]
    fn failing_purge_is_counted_and_tried_again() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.turn_at(HOUR / 2, Duration::ZERO, false), None, "none is due");
        assert_eq!(fixture.counts.last_success_millis(), START.millis(), "the directory is new");
        let minute = Duration::from_secs(60);
        for (at, failures) in [(HOUR, 1), (HOUR + minute, 2)] {
            assert!(fixture.turn_at(at, Duration::ZERO, true).is_some());
            assert_eq!((fixture.counts.failures(), fixture.counts.is_failing()), (failures, failures == 2));
        }
        assert_eq!(fixture.turn_at(HOUR + 2 * minute, Duration::ZERO, true), None, "each wait is longer");
        assert!(fixture.turn_at(HOUR + 3 * minute, Duration::ZERO, false).is_some());
        assert_eq!((fixture.counts.failures(), fixture.counts.is_failing()), (2, false));
        assert!(fixture.counts.bytes() > 0);
        assert_eq!(fixture.counts.last_success_millis(), START.millis() + 63 * 60_000);
    }

    #[test]
    fn purge_while_the_clock_is_two_hours_ahead_is_followed_by_the_next_in_time() {
        let mut fixture = Fixture::new();
        let ahead = 2 * HOUR;
        assert!(fixture.turn_at(HOUR, ahead, false).is_some(), "a purge is due by both clocks");
        let turns = [HOUR + HOUR / 2, 2 * HOUR].map(|at| fixture.turn_at(at, Duration::ZERO, false));
        assert_eq!(turns.map(|purged| purged.is_some()), [false, true]);
        assert_eq!(fixture.counts.clock_jumps(), 2, "there and back");
    }

    #[test]
    fn clock_that_is_months_ahead_expires_nothing() {
        let mut fixture = Fixture::new();
        let purged = fixture.turn_at(HOUR, 100 * 24 * HOUR, false);
        assert_eq!(purged, Some(START.plus_millis(3_600_000)), "the time without the jump");
    }
}
