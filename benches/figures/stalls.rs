//! Measures the duration of many operations, and the causes of slow ones.
//!
//! A shared virtual machine may pause a processor for milliseconds. Each slow operation is therefore stored with the
//! system's statistics of the thread: how often it was preempted, how long it waited for a processor, and how many
//! page faults it had. The statistics are read after slow operations and after every few thousand operations, so that
//! all others pay only for the clock. Pauses of the whole virtual machine do not appear in them. To find those, the
//! same loop runs once more with only the clock.

use super::args::grouped;
use super::records::Records;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Counts of durations with a precision of three percent: thirty-two buckets to each doubling.
pub(crate) struct Latencies {
    counts: Vec<u64>,
    many: u64,
    total: u64,
    max: u64,
}

const FINE: u32 = 5;

impl Latencies {
    pub(crate) fn new() -> Latencies {
        Latencies { counts: vec![0; 60 << FINE], many: 0, total: 0, max: 0 }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, nanos: u64) {
        self.counts[Self::place(nanos)] += 1;
        self.many += 1;
        self.total += nanos;
        self.max = self.max.max(nanos);
    }

    #[inline(always)]
    fn place(nanos: u64) -> usize {
        let doublings = (nanos | 1 << FINE).ilog2() - FINE;
        (u64::from(doublings) << FINE) as usize + (nanos >> doublings) as usize
    }

    /// Returns the longest duration of this bucket.
    fn end_of(place: usize) -> u64 {
        let doublings = (place >> FINE).saturating_sub(1);
        let first = (place - (doublings << FINE)) as u64;
        ((first + 1) << doublings) - 1
    }

    /// Returns the duration that this share of all does not exceed. It is at most three percent too long, and never
    /// above the maximum.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let rank = ((self.many as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::end_of(place).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Returns the longest duration below `nanos`, at most three percent too long.
    fn longest_below(&self, nanos: u64) -> u64 {
        let places = (0..Self::place(nanos)).rev();
        places.filter(|&place| self.counts[place] > 0).map(Self::end_of).next().unwrap_or(0).min(self.max)
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns p50, p99, p99.9 and the maximum in nanoseconds, with their names.
    pub(crate) fn record(&self, records: &mut Records, run: u32, pairs: u64, contender: &str, what: &str) {
        for (name, nanos) in self.named() {
            records.add(run, pairs, contender, &format!("{what} {name}"), nanos as f64);
        }
    }

    pub(crate) fn named(&self) -> [(&'static str, u64); 4] {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.percentile(share));
        [("p50", p50), ("p99", p99), ("p99.9", p999), ("max", self.max)]
    }
}

/// The system's statistics of a thread.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Reading {
    /// The number of times it was preempted.
    pub(crate) preempted: u64,
    /// The nanoseconds during which it was runnable without a processor.
    pub(crate) waited: u64,
    /// The number of its page faults.
    pub(crate) faults: u64,
}

/// The thread's own files in `/proc`, kept open. Only the thread that opened them may use them.
struct Thread {
    status: Option<File>,
    schedstat: Option<File>,
    stat: Option<File>,
}

impl Thread {
    fn this() -> Thread {
        let open = |name| File::open(format!("/proc/thread-self/{name}")).ok();
        Thread { status: open("status"), schedstat: open("schedstat"), stat: open("stat") }
    }

    fn read(&self) -> Reading {
        let mut bytes = [0; 4096];
        let mut text = |file: &Option<File>| {
            let read = file.as_ref().and_then(|file| file.read_at(&mut bytes, 0).ok()).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        };
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let (status, schedstat, stat) = (text(&self.status), text(&self.schedstat), text(&self.stat));
        Reading {
            preempted: number(status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))),
            waited: number(schedstat.split(' ').nth(1)),
            // The fields follow the name, which may contain blanks: state is the first, minor faults the eighth.
            faults: number(stat.rsplit(')').next().and_then(|fields| fields.split(' ').nth(8))),
        }
    }
}

/// One slow operation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Slow {
    /// The index of the operation.
    pub(crate) at: u64,
    pub(crate) nanos: u64,
    /// The system's statistics since they were last read, at most [`EVERY`] operations before.
    pub(crate) system: Reading,
}

impl Slow {
    /// Returns whether the thread had its processor throughout, as far as the system reports. Page faults are no
    /// excuse: new memory must be faulted in outside the write path.
    pub(crate) fn own(&self) -> bool {
        self.system.preempted == 0 && self.system.waited < self.nanos / 10
    }
}

/// The duration from which an operation is slow.
const SLOW: u64 = 50_000;
/// The number of operations after which the statistics are read anyway, so that those of a slow operation cover few
/// others.
pub(crate) const EVERY: u32 = 4096;
const MILLI: u64 = 1_000_000;

/// Measures consecutive operations.
pub(crate) struct Stalls {
    pub(crate) latencies: Latencies,
    slow: Vec<Slow>,
    thread: Thread,
    before: Reading,
    /// The number of page faults of the thread in total.
    faults: u64,
    since: u32,
    last: Instant,
}

/// The number of slow operations with preallocated space, because an allocation would be measured too.
const ROOM: usize = 1 << 13;

impl Stalls {
    /// Starts the first operation.
    pub(crate) fn begin() -> Stalls {
        let thread = Thread::this();
        let mut slow = vec![Slow { at: 1, nanos: 1, system: Reading::default() }; ROOM];
        slow.clear();
        let before = thread.read();
        Stalls { latencies: Latencies::new(), slow, thread, before, faults: 0, since: 0, last: Instant::now() }
    }

    /// Ends an operation and starts the next.
    #[inline(always)]
    pub(crate) fn note(&mut self, at: u64) {
        let now = Instant::now();
        let nanos = (now - self.last).as_nanos() as u64;
        self.last = now;
        self.latencies.add(nanos);
        self.since += 1;
        if nanos >= SLOW || self.since == EVERY {
            self.look(at, nanos);
        }
    }

    #[cold]
    fn look(&mut self, at: u64, nanos: u64) {
        let now = self.thread.read();
        let before = std::mem::replace(&mut self.before, now);
        self.faults += now.faults - before.faults;
        if nanos >= SLOW {
            let system = Reading {
                preempted: now.preempted - before.preempted,
                waited: now.waited - before.waited,
                faults: now.faults - before.faults,
            };
            self.slow.push(Slow { at, nanos, system });
        }
        self.since = 0;
        self.last = Instant::now();
    }

    /// Pauses the measurement, and notes the statistics of the operations so far.
    pub(crate) fn pause(&mut self) {
        self.look(0, 0);
    }

    /// Resumes the measurement: the next operation starts now.
    pub(crate) fn resume(&mut self) {
        self.before = self.thread.read();
        self.since = 0;
        self.last = Instant::now();
    }

    /// Reads only the clock for this long, which shows the pauses of the machine itself.
    pub(crate) fn of_the_clock(duration: Duration) -> Stalls {
        let mut stalls = Stalls::begin();
        let start = stalls.last;
        let mut at = 0;
        while stalls.last - start < duration {
            at += 1;
            stalls.note(at);
        }
        stalls
    }

    /// Returns the slow operations, the slowest first.
    pub(crate) fn slowest(&self) -> Vec<Slow> {
        let mut slow = self.slow.clone();
        slow.sort_by_key(|slow| std::cmp::Reverse(slow.nanos));
        slow
    }

    /// Returns the longest duration during which the thread had its processor. Operations that are not slow count as
    /// such.
    pub(crate) fn longest_own(&self) -> u64 {
        self.longest(Slow::own)
    }

    /// Returns the longest of those without a page fault.
    pub(crate) fn longest_own_without_faults(&self) -> u64 {
        self.longest(|slow| slow.own() && slow.system.faults == 0)
    }

    fn longest(&self, of: impl Fn(&Slow) -> bool) -> u64 {
        let slow = self.slow.iter().filter(|slow| of(slow)).map(|slow| slow.nanos).max();
        slow.unwrap_or_else(|| self.latencies.longest_below(SLOW))
    }

    /// Returns the number of operations of a millisecond or more, and in how many of them the thread had its
    /// processor.
    pub(crate) fn of_a_milli(&self) -> (usize, usize) {
        let long: Vec<_> = self.slow.iter().filter(|slow| slow.nanos >= MILLI).collect();
        (long.len(), long.iter().filter(|slow| slow.own()).count())
    }

    pub(crate) fn record(&self, records: &mut Records, run: u32, pairs: u64, contender: &str) {
        self.latencies.record(records, run, pairs, contender, "insert");
        let (long, own) = self.of_a_milli();
        records.add(run, pairs, contender, "insert max not preempted", self.longest_own() as f64);
        let without_faults = self.longest_own_without_faults() as f64;
        records.add(run, pairs, contender, "insert max not preempted nor faulting", without_faults);
        records.add(run, pairs, contender, "insert page faults", self.faults as f64);
        records.add(run, pairs, contender, "inserts of 1 ms", long as f64);
        records.add(run, pairs, contender, "inserts of 1 ms not preempted", own as f64);
    }

    /// Formats the slowest operations with their statistics.
    pub(crate) fn tell(&self, name: &str, most: usize) {
        let seconds = self.latencies.total() as f64 / 1e9;
        let (long, own) = self.of_a_milli();
        print!("\n{name}: {seconds:.2} s;");
        for (name, nanos) in self.latencies.named() {
            print!(" {name} {} ns;", grouped(nanos));
        }
        println!(
            " longest not preempted {} ns, without page faults {} ns; of 1 ms or longer {long}, not preempted {own}; {} page faults",
            grouped(self.longest_own()),
            grouped(self.longest_own_without_faults()),
            grouped(self.faults)
        );
        for Slow { at, nanos, system: Reading { preempted, waited, faults } } in self.slowest().into_iter().take(most) {
            println!(
                "  {:9.3} ms at {:>13}: preempted {preempted} times, waited {:.3} ms for a processor, {faults} page faults",
                nanos as f64 / 1e6,
                grouped(at),
                waited as f64 / 1e6
            );
        }
    }
}
