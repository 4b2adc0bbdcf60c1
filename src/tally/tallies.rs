//! What is being counted: sharded by thread, by day, and emptied once a second.

use super::Delta;
use crate::metrics::shard_of_thread;
use crate::slot::TallySlot;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::time::Day;
use std::array;
use std::fmt;
use std::mem;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// Days that may be counted at a time, each in the counters of its place: the day's number, modulo this.
const DAYS: usize = 4;

/// Tallies of the first chunk. Each of the first chunks has twice those of the one before, so that few tallies take little.
const FIRST: usize = 256;

/// Chunks that grow. All others are as large as the last of these, so that what is not used of them is little beside what is.
const GROWING: usize = 7;

const LARGEST: usize = FIRST << (GROWING - 1);

const CHUNKS: usize = GROWING + (TallySlot::LIMIT - chunk_begin(GROWING)).div_ceil(LARGEST);

/// Shards at most: more counters than this cost memory, and save no contention that anybody could see.
const MAX_SHARDS: usize = 16;

/// Chunks with shards: 3,840 tallies. All others have one counter for all threads, since 16 for each of millions would be most of
/// what a tally takes. Threads that count for one of them at the same time wait for its cache line.
const SHARDED: usize = 4;

/// Looks without a single call after which a day's place is given up for another day. At one look a second far longer than a
/// thread may stand between its look at the place and its count.
const IDLE_LOOKS: u32 = 60;

/// The owner of a place that is being given up: no day.
const CLOSING: u64 = u64::MAX;

/// The calls that were counted and not yet carried into the book, by tally and day.
///
/// # Cost
/// A count is one addition to a counter that the thread's shard has for the tally: 16 bytes for each tally and shard. The first 3,840
/// tallies have as many shards as there are cores, up to 16, all others one.
///
/// # Orderings
/// All relaxed. A count orders nothing else, and no count is lost: each is in the counter until a look takes it out, or was taken
/// out by one. To which day it belongs is the place's owner to say, and that stays for as long as there is something to count
/// and `IDLE_LOOKS` more.
pub struct Tallies {
    chunks: Box<[OnceLock<Chunk>]>,
    /// The day that each place counts, plus one; zero for none.
    owners: [AtomicU64; DAYS],
    /// Where a clock jumps, a day may find its place taken by another. It is counted here until that one is given up.
    displaced: Mutex<Vec<(TallySlot, Day)>>,
    /// How many looks in a row found nothing of a place's day.
    idle: Mutex<[u32; DAYS]>,
    shards: usize,
}

/// The counters of some tallies, one shard's after another.
struct Chunk(Box<[Row]>);

/// The counters of eight tallies: two cache lines, since processors fetch lines in pairs.
#[repr(align(128))]
struct Row([[AtomicU32; DAYS]; Row::LEN]);

impl Row {
    const LEN: usize = 8;

    fn new() -> Self {
        Self(array::from_fn(|_| array::from_fn(|_| AtomicU32::new(0))))
    }
}

/// Where a tally's counters are.
struct Place {
    chunk: usize,
    /// Within the counters of a shard.
    offset: usize,
}

impl Place {
    fn of(slot: TallySlot) -> Self {
        let index = slot.index();
        let chunk = match (index / FIRST + 1).ilog2() as usize {
            growing if growing < GROWING => growing,
            _ => GROWING + (index - chunk_begin(GROWING)) / LARGEST,
        };
        Self { chunk, offset: index - chunk_begin(chunk) }
    }
}

const fn chunk_begin(chunk: usize) -> usize {
    if chunk <= GROWING { FIRST * ((1 << chunk) - 1) } else { chunk_begin(GROWING) + (chunk - GROWING) * LARGEST }
}

const fn chunk_len(chunk: usize) -> usize {
    if chunk < GROWING { FIRST << chunk } else { LARGEST }
}

impl Tallies {
    pub(crate) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_shards(cores.next_power_of_two().min(MAX_SHARDS))
    }

    fn with_shards(shards: usize) -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            owners: array::from_fn(|_| AtomicU64::new(0)),
            displaced: Mutex::default(),
            idle: Mutex::default(),
            shards,
        }
    }

    /// Makes room for so many tallies. To be called before the plan that has them is published.
    pub(crate) fn make_room(&self, tallies: usize) {
        for chunk in (0..CHUNKS).take_while(|chunk| chunk_begin(*chunk) < tallies) {
            let rows = self.shards_of(chunk) * chunk_len(chunk) / Row::LEN;
            self.chunks[chunk].get_or_init(|| Chunk(std::iter::repeat_with(Row::new).take(rows).collect()));
        }
    }

    /// Counts a call. Wait-free and without an allocation, unless the clock jumped over days within a minute.
    pub(crate) fn count(&self, slot: TallySlot, day: Day) {
        let at = Place::of(slot);
        let counters = self.counters(&at, shard_of_thread() & (self.shards_of(at.chunk) - 1));
        match (self.take_place(day), counters) {
            (Some(place), Some(counters)) => {
                counters[place].fetch_add(1, Ordering::Relaxed);
            }
            _ => self.displaced.lock().unwrap_or_else(PoisonError::into_inner).push((slot, day)),
        }
    }

    fn shards_of(&self, chunk: usize) -> usize {
        if chunk < SHARDED { self.shards } else { 1 }
    }

    /// The day's place among the counters; `None` while another day has it.
    fn take_place(&self, day: Day) -> Option<usize> {
        let place = place_of(day);
        let owner = u64::from(day.index()) + 1;
        let found = self.owners[place].load(Ordering::Relaxed);
        if found == owner {
            return Some(place);
        }
        let taken = self.owners[place].compare_exchange(0, owner, Ordering::Relaxed, Ordering::Relaxed);
        // Another thread may have taken it for the same day.
        (taken.is_ok() || taken == Err(owner)).then_some(place)
    }

    fn counters(&self, place: &Place, shard: usize) -> Option<&[AtomicU32; DAYS]> {
        let chunk = self.chunks[place.chunk].get()?;
        let index = shard * chunk_len(place.chunk) + place.offset;
        Some(&chunk.0[index / Row::LEN].0[index % Row::LEN])
    }

    /// Takes out what was counted since the last look. One thread looks at a time; `ages` where it does so by the clock.
    pub(crate) fn take(&self, ages: bool) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let days = array::from_fn(|place| self.day_of(place));
        self.take_days(&days, &mut deltas);
        self.give_up_idle(&days, &mut deltas, ages);
        let displaced = mem::take(&mut *self.displaced.lock().unwrap_or_else(PoisonError::into_inner));
        deltas.extend(displaced.into_iter().map(|(slot, day)| Delta { slot, day, received: 1 }));
        deltas
    }

    fn take_days(&self, days: &[Option<Day>; DAYS], deltas: &mut Vec<Delta>) {
        for chunk in (0..CHUNKS).filter(|chunk| self.chunks[*chunk].get().is_some()) {
            (0..chunk_len(chunk)).for_each(|offset| self.take_one(&Place { chunk, offset }, days, deltas));
        }
    }

    fn take_one(&self, at: &Place, days: &[Option<Day>; DAYS], deltas: &mut Vec<Delta>) {
        let mut received = [0; DAYS];
        for counters in (0..self.shards_of(at.chunk)).filter_map(|shard| self.counters(at, shard)) {
            for (place, counter) in counters.iter().enumerate() {
                // Most are zero, and what is not written stays in the caches of those who count.
                if days[place].is_some() && counter.load(Ordering::Relaxed) > 0 {
                    received[place] += u64::from(counter.swap(0, Ordering::Relaxed));
                }
            }
        }
        for (received, day) in received.into_iter().zip(days).filter(|(received, _)| *received > 0) {
            let slot = TallySlot::new(chunk_begin(at.chunk) + at.offset);
            deltas.extend(slot.zip(*day).map(|(slot, day)| Delta { slot, day, received }));
        }
    }

    /// Frees the places of days of which nothing has come for long.
    fn give_up_idle(&self, days: &[Option<Day>; DAYS], deltas: &mut Vec<Delta>, ages: bool) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, day) in days.iter().enumerate() {
            let Some(day) = day else { continue };
            if deltas.iter().any(|delta| delta.day == *day) {
                idle[place] = 0;
            } else if ages {
                idle[place] += 1;
            }
            if idle[place] >= IDLE_LOOKS {
                idle[place] = 0;
                // What came since is the day's still; what comes from here on is displaced.
                self.owners[place].store(CLOSING, Ordering::Relaxed);
                let only = array::from_fn(|other| (other == place).then_some(*day));
                self.take_days(&only, deltas);
                self.owners[place].store(0, Ordering::Relaxed);
            }
        }
    }

    fn day_of(&self, place: usize) -> Option<Day> {
        let owner = self.owners[place].load(Ordering::Relaxed).checked_sub(1)?;
        u32::try_from(owner).ok().map(Day::from_index)
    }
}

fn place_of(day: Day) -> usize {
    day.index() as usize % DAYS
}

impl fmt::Debug for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tallies").field("shards", &self.shards).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicBool;
    use std::collections::BTreeMap;

    fn slot(index: usize) -> TallySlot {
        TallySlot::new(index).expect("a slot")
    }

    fn sums(deltas: impl IntoIterator<Item = Delta>) -> BTreeMap<(usize, u32), u64> {
        let mut sums = BTreeMap::new();
        for delta in deltas {
            *sums.entry((delta.slot.index(), delta.day.index())).or_default() += delta.received;
        }
        sums
    }

    #[test]
    fn every_tally_has_a_place_of_its_own() {
        let mut begin = 0;
        for chunk in 0..CHUNKS {
            assert_eq!(chunk_begin(chunk), begin);
            for index in [begin, begin + chunk_len(chunk) - 1] {
                let place = Place::of(slot(index.min(TallySlot::LIMIT - 1)));
                assert_eq!((place.chunk, place.offset), (chunk, index.min(TallySlot::LIMIT - 1) - begin));
            }
            begin += chunk_len(chunk);
        }
        assert!(begin >= TallySlot::LIMIT, "there is room for all");

        let tallies = Tallies::with_shards(2);
        tallies.make_room(40_000);
        (0..40_000).for_each(|index| (0..=index % 3).for_each(|_| tallies.count(slot(index), Day::from_index(9))));
        let expected: BTreeMap<_, _> = (0..40_000).map(|index| ((index, 9), index as u64 % 3 + 1)).collect();
        assert_eq!(sums(tallies.take(true)), expected);
        assert_eq!(tallies.take(true), []);
    }

    #[test]
    fn days_are_apart_also_those_that_share_a_place() {
        let tallies = Tallies::with_shards(1);
        tallies.make_room(1);
        for day in [10, 11, 10, 12, 13, 14, 14, 18, 10] {
            tallies.count(slot(0), Day::from_index(day));
        }
        let expected = [(10, 3), (11, 1), (12, 1), (13, 1), (14, 2), (18, 1)];
        assert_eq!(sums(tallies.take(true)), expected.map(|(day, count)| ((0, day), count)).into());
        assert_eq!(tallies.displaced.lock().expect("not poisoned").capacity(), 0);

        // The day that came later gets the place once nothing comes of the earlier one.
        (0..IDLE_LOOKS).for_each(|_| assert_eq!(tallies.take(true), []));
        tallies.count(slot(0), Day::from_index(14));
        assert_eq!(tallies.day_of(place_of(Day::from_index(14))), Some(Day::from_index(14)));
        assert_eq!(sums(tallies.take(false)), [((0, 14), 1)].into());
    }

    #[test]
    fn what_many_threads_count_while_somebody_looks_is_all_there() {
        const THREADS: usize = 4;
        const CALLS: usize = 200_000;
        let tallies = Tallies::with_shards(2);
        tallies.make_room(300);
        let done = AtomicBool::new(false);
        let taken = thread::scope(|scope| {
            let looks = scope.spawn(|| {
                let mut taken = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    taken.extend(tallies.take(true));
                }
                taken
            });
            let counts: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        for call in 0..CALLS {
                            tallies.count(slot(call % 300), Day::from_index(20 + u32::from(call >= CALLS / 2)));
                        }
                    })
                })
                .collect();
            for thread in counts {
                thread.join().expect("counts");
            }
            done.store(true, Ordering::Relaxed);
            looks.join().expect("looks")
        });
        let sums = sums(taken.into_iter().chain(tallies.take(true)));
        assert_eq!(sums.values().sum::<u64>(), (THREADS * CALLS) as u64);
        let of_day = |day| sums.iter().filter(|((_, of), _)| *of == day).map(|(_, count)| count).sum::<u64>();
        assert_eq!((of_day(20), of_day(21)), ((THREADS * CALLS / 2) as u64, (THREADS * CALLS / 2) as u64));
    }
}
