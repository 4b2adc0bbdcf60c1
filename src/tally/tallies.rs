//! The counters of routed calls: sharded by thread, separate for each day, and flushed once a second.

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

/// The number of days that can be counted at once. A day's place is its number modulo this.
const DAYS: usize = 4;

/// The number of tallies in the first chunk. Each of the growing chunks is twice as large as the one before, so that
/// few tallies need little memory.
const FIRST: usize = 256;

/// The number of growing chunks. All later chunks have the size of the last of them, so that at most a small part of
/// the memory is unused.
const GROWING: usize = 7;

const LARGEST: usize = FIRST << (GROWING - 1);

const CHUNKS: usize = GROWING + (TallySlot::LIMIT - chunk_begin(GROWING)).div_ceil(LARGEST);

/// The most shards. More counters would use memory without a measurable gain.
const MAX_SHARDS: usize = 16;

/// The number of chunks with a counter for each shard: 3,840 tallies. All later tallies have one counter for all
/// threads, because 16 counters for each of millions would dominate the memory of a tally. Threads that count such a
/// tally at the same time share a cache line.
const SHARDED: usize = 4;

/// The number of flushes without a call after which a day's place is freed for another day. At one flush a second, this
/// is far longer than a thread may be delayed between reading the place and counting.
const IDLE_FLUSHES: u32 = 60;

/// The owner value of a place that is being freed: no day has it.
const CLOSING: u64 = u64::MAX;

/// The counts of routed calls since the last flush, by tally and day.
///
/// # Cost
/// A count is one addition to a counter of the thread's shard. The counters of a tally take 16 bytes for each shard.
/// The first 3,840 tallies have as many shards as there are cores, up to 16; all other tallies have one.
///
/// # Orderings
/// All relaxed, because a count orders nothing else. No count is lost: it is in the counter until a flush takes it. The
/// place's owner says to which day it belongs. The owner stays for as long as there are counts, and for `IDLE_FLUSHES`
/// further flushes.
pub struct Tallies {
    chunks: Box<[OnceLock<Chunk>]>,
    /// The day that each place counts, plus one; zero for a free place.
    owners: [AtomicU64; DAYS],
    /// Calls of days whose place another day has. This happens when a clock jumps. They are counted here until the
    /// place is free.
    displaced: Mutex<Vec<(TallySlot, Day)>>,
    /// The number of flushes in a row that found no call of a place's day.
    idle: Mutex<[u32; DAYS]>,
    shards: usize,
}

/// The counters of a range of tallies, one shard after another.
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

/// The position of a tally's counters.
struct Place {
    chunk: usize,
    /// The index within the counters of one shard.
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

    /// Allocates counters for the given number of tallies. Call it before the plan with these tallies is published.
    pub(crate) fn make_room(&self, tallies: usize) {
        for chunk in (0..CHUNKS).take_while(|chunk| chunk_begin(*chunk) < tallies) {
            let rows = self.shards_of(chunk) * chunk_len(chunk) / Row::LEN;
            self.chunks[chunk].get_or_init(|| Chunk(std::iter::repeat_with(Row::new).take(rows).collect()));
        }
    }

    /// Counts a call. Wait-free and without allocation, unless the clock jumps over several days within a minute.
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

    /// Returns the day's place among the counters, or `None` while another day has that place.
    fn take_place(&self, day: Day) -> Option<usize> {
        let place = place_of(day);
        let owner = u64::from(day.index()) + 1;
        let found = self.owners[place].load(Ordering::Relaxed);
        if found == owner {
            return Some(place);
        }
        let taken = self.owners[place].compare_exchange(0, owner, Ordering::Relaxed, Ordering::Relaxed);
        // Another thread may have taken the place for the same day.
        (taken.is_ok() || taken == Err(owner)).then_some(place)
    }

    fn counters(&self, place: &Place, shard: usize) -> Option<&[AtomicU32; DAYS]> {
        let chunk = self.chunks[place.chunk].get()?;
        let index = shard * chunk_len(place.chunk) + place.offset;
        Some(&chunk.0[index / Row::LEN].0[index % Row::LEN])
    }

    /// Takes all counts since the last flush. Only one thread may flush at a time. `ages` says whether this flush is
    /// one of the timed ones, which free idle places.
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
                // Most counters are zero. A counter that is not written stays in the caches of the counting threads.
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

    /// Frees the places of days for which no call has come for `IDLE_FLUSHES` flushes.
    fn give_up_idle(&self, days: &[Option<Day>; DAYS], deltas: &mut Vec<Delta>, ages: bool) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, day) in days.iter().enumerate() {
            let Some(day) = day else { continue };
            if deltas.iter().any(|delta| delta.day == *day) {
                idle[place] = 0;
            } else if ages {
                idle[place] += 1;
            }
            if idle[place] >= IDLE_FLUSHES {
                idle[place] = 0;
                // Counts up to here belong to the old day. Later calls go to `displaced` until the place is free.
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
    fn two_tallies_never_share_counters() {
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
    fn days_with_the_same_place_are_counted_separately() {
        let tallies = Tallies::with_shards(1);
        tallies.make_room(1);
        for day in [10, 11, 10, 12, 13, 14, 14, 18, 10] {
            tallies.count(slot(0), Day::from_index(day));
        }
        let expected = [(10, 3), (11, 1), (12, 1), (13, 1), (14, 2), (18, 1)];
        assert_eq!(sums(tallies.take(true)), expected.map(|(day, count)| ((0, day), count)).into());
        assert_eq!(tallies.displaced.lock().expect("not poisoned").capacity(), 0);

        // The later day gets the place after the earlier one has been idle.
        (0..IDLE_FLUSHES).for_each(|_| assert_eq!(tallies.take(true), []));
        tallies.count(slot(0), Day::from_index(14));
        assert_eq!(tallies.day_of(place_of(Day::from_index(14))), Some(Day::from_index(14)));
        assert_eq!(sums(tallies.take(false)), [((0, 14), 1)].into());
    }

    #[test]
    fn counts_of_many_threads_during_flushes_are_complete() {
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
