//! The index, over plain words: it maps scopes and places to registers. `read` looks pairs up, `write` merges
//! registers, and `growth` replaces tables.
//!
//! A pair is searched in its segment's table, from its home line on. If a slot has ended, or the reach of the table is
//! used up, the search continues in the next table. [`super`] explains why this is correct.

pub(super) mod compare;
pub(super) mod dropped;
pub(super) mod growth;
pub(super) mod limits;
pub(super) mod line;
pub(super) mod memory;
pub(super) mod pool;
mod read;
pub(super) mod scopes;
pub(super) mod seat;
pub(super) mod shape;
pub(super) mod stack;
pub(super) mod step;
pub(super) mod table;
pub(super) mod waker;
pub(super) mod walk;
mod write;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, canary, fence, order};
use compare::{Whole, Wide};
use dropped::DropObserver;
use limits::{Full, HistoryLimits, Stats};
use line::Line;
use memory::{CHUNK_BYTES, Chunks};
use pool::Pool;
use scopes::ScopeSet;
use seat::Seats;
use shape::{MAX_CHUNKS, SEGMENTS, TABLES, Version};
use std::io;
use std::sync::Arc;
use table::Tables;
use waker::Waker;

/// The tables of all segments, their memory, and the state that growths and writers share.
pub(crate) struct Index {
    /// The version of each segment's current table. Eight words share a cache line. Versions change seldom, so a reader
    /// rarely misses because of a neighbour.
    pub(super) now: [AtomicU64; SEGMENTS],
    /// The version of each segment's current table while that table is intact, which means that no slot of it has
    /// ended. A reader that finds here the version that it began with has seen no end.
    pub(super) intact: [AtomicU64; SEGMENTS],
    pub(super) tables: Tables,
    pub(super) pool: Pool,
    /// The vector comparisons of this processor. They are detected once, not at each lookup.
    whole: Option<Whole>,
    wide: Option<Wide>,
    pub(super) seats: Seats,
    /// The number of pairs that are granted to seats: existing pairs, and the seats' unused credit.
    pub(super) granted: AtomicUsize,
    pub(super) max_pairs: usize,
    /// The number of places above the ceiling. Erased pairs use them until they are removed.
    spare: AtomicUsize,
    pub(super) observer: Arc<dyn DropObserver>,
    pub(super) floor: AtomicU64,
    pub(super) retired: ScopeSet,
    /// Increases whenever more may have become reclaimable. `searched` has its value at the last search in vain, for
    /// each segment.
    pub(super) reclaimable: AtomicU64,
    pub(super) searched: [AtomicU64; SEGMENTS],
    /// Whether a keeper does the growing.
    pub(super) kept: AtomicBool,
    pub(super) keeper: Waker,
    pub(super) counts: Counts,
}

/// The counts of what happened so far.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) growths: AtomicU64,
    pub(super) reclaimed: AtomicU64,
    pub(super) rejected: AtomicU64,
}

impl Index {
    /// Returns the bytes of address space that an index with these limits reserves, but for some pages.
    pub(crate) fn address_space(limits: HistoryLimits) -> usize {
        limits.chunks() * CHUNK_BYTES + Chunks::DIRECTORY_BYTES + ScopeSet::BYTES
    }

    /// Returns an empty index.
    ///
    /// # Errors
    /// Returns an error if the system does not provide the address space.
    pub(crate) fn new(limits: HistoryLimits, observer: Arc<dyn DropObserver>) -> io::Result<Index> {
        let chunks = limits.chunks();
        // Segments differ in size by the growth factor, and places are random. No table has more chunks than there are.
        let largest = (chunks * 2 / SEGMENTS + 4).min(chunks).min(MAX_CHUNKS);
        let words = || std::array::from_fn(|_| AtomicU64::new(0));
        let tables = Tables::new(TABLES, largest)?;
        let index = Index {
            now: words(),
            intact: words(),
            pool: Pool::new(chunks, &tables)?,
            tables,
            whole: Whole::detect(),
            wide: Wide::detect(),
            seats: Seats::new(),
            granted: AtomicUsize::new(0),
            max_pairs: limits.max_pairs,
            spare: AtomicUsize::new(0),
            observer,
            floor: AtomicU64::new(0),
            retired: ScopeSet::new()?,
            reclaimable: AtomicU64::new(0),
            searched: words(),
            kept: AtomicBool::new(false),
            keeper: Waker::default(),
            counts: Counts::default(),
        };
        index.settle();
        Ok(index)
    }

    #[inline(always)]
    pub(super) fn line(&self, version: Version, line: u64) -> &Line {
        self.pool.line(version, line)
    }

    /// Returns the segment's current version. Acquire: everything that was written into the table before it was
    /// published is visible to later reads in it.
    #[inline(always)]
    pub(super) fn version(&self, segment: usize) -> Version {
        Version::from_bits(self.now[segment].load(order!(Acquire, "version load")))
    }

    /// Returns whether the segment is still at `version`. The check comes after everything that was read so far.
    #[inline(always)]
    pub(super) fn is_still(&self, segment: usize, version: Version) -> bool {
        // Acquire fence: if any word read before it was written after the version ended, the load below sees that the
        // version ended. This is how a late reader finds out (b in `line`).
        if !canary("re-check fence") {
            fence(Ordering::Acquire);
        }
        canary("re-check") || self.now[segment].load(Ordering::Relaxed) == version.bits()
    }

    /// Returns whether no slot of the version's table had ended when the reads so far were done.
    #[inline(always)]
    fn is_intact(&self, segment: usize, version: Version) -> bool {
        // Acquire fence: as in `is_still`, because a version is no longer intact before it ends. Moreover, if any word
        // read before was the end of a slot, the load below sees that ends had been announced.
        if !canary("intact fence") {
            fence(Ordering::Acquire);
        }
        canary("intact look") || self.intact[segment].load(Ordering::Relaxed) == version.bits()
    }

    /// Announces that slots of the current version's table may end from now on. The caller does this before it ends
    /// one.
    pub(super) fn announce_ends(&self, segment: usize, version: Version) {
        let intact = &self.intact[segment];
        // Relaxed: a thread that knows the version as the current one also sees that it was marked as intact, or a
        // later word. The end of a slot, which is a release, publishes the announcement.
        if intact.load(Ordering::Relaxed) == version.bits() && !canary("announce") {
            let _ = intact.compare_exchange(version.bits(), version.ending(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Marks the version after `version` as intact, before it becomes the current one, and so before any slot of it
    /// ends.
    pub(super) fn mark_intact(&self, segment: usize, version: Version, next: Version) {
        // Relaxed: the exchange of the version publishes it. A late thread finds another word, because no version comes
        // twice.
        let _ =
            self.intact[segment].compare_exchange(version.ending(), next.bits(), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn max_pairs(&self) -> usize {
        self.max_pairs
    }

    /// Returns the most pairs that the index may hold, including erased ones.
    pub(crate) fn places(&self) -> usize {
        // Relaxed: it is set before the first writer starts.
        self.max_pairs + self.spare.load(Ordering::Relaxed)
    }

    /// Reserves this many places above the ceiling.
    pub(crate) fn keep_spare(&self, spare: usize) {
        self.spare.store(spare, Ordering::Relaxed);
    }

    /// Returns the number of pairs. While other threads write, it is close to the number at some moment.
    pub(crate) fn len(&self) -> usize {
        let credit = self.seats.credit() as usize;
        self.granted.load(Ordering::Relaxed).saturating_sub(credit)
    }

    /// Returns the resident bytes of the lines and of the data beside them.
    pub(crate) fn bytes(&self) -> usize {
        let largest = Self::segments().map(|segment| self.version(segment).chunks()).max().unwrap_or(0);
        self.pool.touched() * CHUNK_BYTES + self.tables.bytes(largest) + self.pool.touched() * 4
    }

    pub(crate) fn stats(&self) -> Stats {
        let growing = Self::segments().filter(|&segment| self.is_growing(segment)).count();
        Stats {
            pairs: self.len(),
            bytes: self.bytes(),
            growths: self.counts.growths.load(Ordering::Relaxed),
            reclaimed: self.counts.reclaimed.load(Ordering::Relaxed),
            rejected: self.counts.rejected.load(Ordering::Relaxed),
            growing,
        }
    }

    /// Permits growths to drop registers below `floor`, from now on. Also with the same floor as before, all segments
    /// are searched again: registers below it may have been written since.
    pub(crate) fn expire_before(&self, floor: u64) {
        self.floor.fetch_max(floor, Ordering::Relaxed);
        self.reclaimable.fetch_add(1, Ordering::Relaxed);
    }

    /// Permits growths to drop all pairs of `scope`, from now on.
    pub(crate) fn retire(&self, scope: u32) {
        if self.retired.insert(scope) {
            self.reclaimable.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cold]
    fn full(&self) -> Full {
        self.count_rejection();
        Full::new(self.len(), self.max_pairs)
    }

    pub(crate) fn count_rejection(&self) {
        self.counts.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn segments() -> std::ops::Range<usize> {
        0..SEGMENTS
    }
}
