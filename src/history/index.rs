//! The index, over plain words: it maps scopes and places to registers. This file reads and writes; `growth` replaces
//! tables.
//!
//! A pair is searched in its segment's table, from its home line on. If a slot has ended, or the reach of the table is
//! used up, the search continues in the next table. [`super`] explains why this is correct.

use super::compare::{Compare, Whole, Wide, Words};
use super::holders::Holders;
use super::limits::{Full, HistoryLimits, Stats};
use super::line::{DROPPED, Found, Line, Wrote};
use super::memory::{CHUNK_BYTES, prefetch, prefetch_of_many, prefetch_registers};
use super::pool::Pool;
use super::scopes::ScopeSet;
use super::seat::{Seated, Seats};
use super::shape::{Key, MAX_CHUNKS, SEGMENTS, Seek, TABLES, Version, segment_of, within};
use super::table::Tables;
use super::waker::Waker;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, canary, fence, order};
use std::io;

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
    pub(super) holders: Holders,
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

/// The result of a lookup in one line.
enum Looked {
    /// The register, or zero if there is none.
    Sure(u64),
    /// The next line may have the pair.
    Further,
    /// The segment is growing, or has grown meanwhile.
    Unsure,
}

/// A lookup in progress: the line that it has reached, and the key of the pair there.
#[derive(Clone, Copy)]
struct Begun<'a> {
    version: Version,
    key: Key,
    line: &'a Line,
}

/// The result of a search in one table.
enum At {
    Register(u64),
    Nowhere,
    NextTable,
}

impl Index {
    /// Returns an empty index.
    ///
    /// # Errors
    /// Returns an error if the system does not provide the address space.
    pub(crate) fn new(limits: HistoryLimits) -> io::Result<Index> {
        let chunks = limits.chunks();
        // Segments differ in size by the growth factor, and places are random.
        let largest = (chunks * 2 / SEGMENTS + 4).min(MAX_CHUNKS);
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
            holders: Holders::new()?,
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

    /// Prefetches the home line of a place.
    #[inline(always)]
    pub(crate) fn prefetch(&self, place: u64) {
        let version = self.version(segment_of(place));
        prefetch(self.line(version, version.seek(0, within(place)).line));
    }

    /// Returns the pair's register, or zero if there is none.
    #[inline(always)]
    pub(crate) fn get(&self, scope: u32, place: u64) -> u64 {
        if let Some(whole) = self.whole {
            self.get_by(whole, scope, place)
        } else if let Some(wide) = self.wide {
            self.get_by(wide, scope, place)
        } else {
            self.get_by_words(scope, place)
        }
    }

    /// A separate function, because only the oldest processors need it. Inlined, it would occupy registers of the other
    /// variants.
    #[cfg_attr(target_arch = "x86_64", inline(never))]
    fn get_by_words(&self, scope: u32, place: u64) -> u64 {
        self.get_by(Words, scope, place)
    }

    #[inline(always)]
    fn get_by(&self, compare: impl Compare, scope: u32, place: u64) -> u64 {
        let version = self.version(segment_of(place));
        let begun = self.home(version, scope, place);
        // The key words are loaded at once. A register that is requested only after its slot is known would cost a
        // second wait.
        prefetch_registers(begun.line);
        match self.look(compare, segment_of(place), &begun) {
            Looked::Sure(register) => register,
            Looked::Further => self.get_next(version, scope, place),
            Looked::Unsure => self.get_far(scope, place),
        }
    }

    /// Searches the lines after the home line. Computes the search anew, so that a lookup that ends at home keeps
    /// nothing for it.
    #[inline(never)]
    fn get_next(&self, version: Version, scope: u32, place: u64) -> u64 {
        let mut seek = version.seek(scope, within(place));
        for _ in 0..version.reach() {
            seek = version.step(seek);
            let line = self.line(version, seek.line);
            prefetch_registers(line);
            match self.look(self.wide, segment_of(place), &Begun { version, key: seek.key, line }) {
                Looked::Sure(register) => return register,
                Looked::Further => {}
                Looked::Unsure => break,
            }
        }
        self.get_far(scope, place)
    }

    /// Begins a lookup at the home line.
    #[inline(always)]
    fn home(&self, version: Version, scope: u32, place: u64) -> Begun<'_> {
        let Seek { line, key } = version.seek(scope, within(place));
        Begun { version, key, line: self.line(version, line) }
    }

    /// Looks up the pair in the line that the lookup has reached.
    #[inline(always)]
    fn look(&self, compare: impl Compare, segment: usize, begun: &Begun<'_>) -> Looked {
        match begun.line.find_intact(compare, begun.key) {
            Some(register) if self.is_intact(segment, begun.version) => Looked::Sure(register),
            // The mark only leads to the next line. The lookup there checks the version after its own reads.
            None if begun.version.has_next_line() => Looked::Further,
            _ => Looked::Unsure,
        }
    }

    /// Handles all other cases: further lines, a growing segment, a late reader.
    #[cold]
    #[inline(never)]
    pub(super) fn get_far(&self, scope: u32, place: u64) -> u64 {
        let (segment, within) = (segment_of(place), within(place));
        let version = self.version(segment);
        if let Some(register) = self.get_chain(segment, version, scope, within) {
            return register;
        }
        // The segment has completed a growth meanwhile, and the memory may be in use for something else. A seat keeps
        // the current tables, so this attempt is the last: no growth can make a reader wait.
        let _seat = self.seats.sit(segment, version);
        // SeqCst: see `Seats::sit`. The current table and those after it stay, because they are of the seat's
        // generation or later.
        self.get_held(Version::from_bits(self.now[segment].load(Ordering::SeqCst)), scope, within)
    }

    /// Searches the chain of tables from `version` on. Returns `None` if the segment has moved on meanwhile.
    #[inline]
    fn get_chain(&self, segment: usize, version: Version, scope: u32, within: u64) -> Option<u64> {
        let mut table = version;
        loop {
            let at = self.find(table, scope, within);
            // Use no word that was read, and follow no successor, unless the version is still current.
            if !self.is_still(segment, version) {
                return None;
            }
            match at {
                At::Register(register) => return Some(register),
                At::Nowhere => return Some(0),
                At::NextTable => {
                    let next = Version::from_bits(self.tables.get(table).next.load(order!(Acquire, "next load")));
                    if !self.is_still(segment, version) {
                        return None;
                    }
                    if !next.is_some() {
                        return Some(0);
                    }
                    table = next;
                }
            }
        }
    }

    /// Searches the chain of tables from `version` on, for a caller that holds a seat.
    fn get_held(&self, version: Version, scope: u32, within: u64) -> u64 {
        let mut table = version;
        loop {
            match self.find(table, scope, within) {
                At::Register(register) => return register,
                At::Nowhere => return 0,
                At::NextTable => {
                    // Acquire fence: the successor is visible before the end of a slot that points to it (a in `line`).
                    fence(Ordering::Acquire);
                    let next = Version::from_bits(self.tables.get(table).next.load(order!(Acquire, "next load")));
                    if !next.is_some() {
                        return 0;
                    }
                    table = next;
                }
            }
        }
    }

    /// Searches the lines of one table.
    #[inline]
    fn find(&self, version: Version, scope: u32, within: u64) -> At {
        let mut seek = version.seek(scope, within);
        for _ in 0..=version.reach() {
            let line = self.line(version, seek.line);
            match line.find(self.wide, seek.key) {
                Found::Register(register) if register >= DROPPED => return At::NextTable,
                Found::Register(register) => return At::Register(register),
                Found::Nowhere => return At::Nowhere,
                Found::Sealed => return At::NextTable,
                Found::Further => seek = version.step(seek),
            }
        }
        At::NextTable
    }

    /// Looks up several pairs. All lines of a group are requested before the first one is read.
    #[inline]
    pub(crate) fn get_batch(&self, count: usize, pair: impl Fn(usize) -> (u32, u64), see: impl FnMut(usize, u64)) {
        match self.whole {
            Some(whole) => self.get_batch_by(whole, count, pair, see),
            None => self.get_batch_by(self.wide, count, pair, see),
        }
    }

    #[inline(always)]
    fn get_batch_by(
        &self,
        compare: impl Compare,
        count: usize,
        pair: impl Fn(usize) -> (u32, u64),
        mut see: impl FnMut(usize, u64),
    ) {
        const GROUP: usize = 32;
        let mut begun = [(Version::NONE, 0, self.line(Version::NONE, 0)); GROUP];
        for first in (0..count).step_by(GROUP) {
            let group = first..count.min(first + GROUP);
            for (begun, at) in begun.iter_mut().zip(group.clone()) {
                let (scope, place) = pair(at);
                let Begun { version, key, line } = self.home(self.version(segment_of(place)), scope, place);
                prefetch_of_many(line);
                *begun = (version, key.left, line);
            }
            // Pairs that are not in their home lines are looked up after all others, when their next lines have
            // arrived.
            let mut later = [0; GROUP];
            let mut waiting = 0;
            for (&(version, left, line), at) in begun.iter().zip(group) {
                let (scope, place) = pair(at);
                let key = Key { left, rest: u64::from(scope) };
                match self.look(compare, segment_of(place), &Begun { version, key, line }) {
                    Looked::Sure(register) => see(at, register),
                    Looked::Further => {
                        let next = version.step(version.seek(scope, within(place)));
                        prefetch(self.line(version, next.line));
                        later[waiting] = at;
                        waiting += 1;
                    }
                    Looked::Unsure => see(at, self.get_far(scope, place)),
                }
            }
            for &at in &later[..waiting] {
                let (scope, place) = pair(at);
                see(at, self.get_next(begun[at - first].0, scope, place));
            }
        }
    }

    /// Raises the pair's register to at least `value`. Returns the previous register, or zero if there was none.
    #[inline]
    pub(crate) fn merge(&self, scope: u32, place: u64, value: u64) -> Result<u64, Full> {
        debug_assert!(value != 0 && value < DROPPED);
        let segment = segment_of(place);
        let begun = self.home(self.version(segment), scope, place);
        // The line is loaded while the seat is taken.
        prefetch(begun.line);
        let seat = self.seats.sit(segment, begun.version);
        // SeqCst: see `Seats::sit`. The seat holds this version, which may be later than the first one, and all
        // versions after it.
        let version = Version::from_bits(self.now[segment].load(Ordering::SeqCst));
        // Nearly always the version has not changed, and the pair is at home.
        if version == begun.version
            && let Some(old) = begun.line.raise_held(self.wide, begun.key, value)
        {
            return Ok(old);
        }
        self.merge_far(&seat, version, scope, place, value)
    }

    /// Handles all other merges: new pairs, further lines, a growing segment.
    #[inline(never)]
    fn merge_far(
        &self,
        seat: &Seated<'_>,
        mut version: Version,
        scope: u32,
        place: u64,
        value: u64,
    ) -> Result<u64, Full> {
        let segment = segment_of(place);
        let mut table = version;
        loop {
            let made_room = match self.raise(Some(seat), table, scope, within(place), value) {
                Raised::Before { old, claimed } => {
                    if claimed {
                        self.after_claim(seat, segment, version, table);
                    } else if table != version {
                        self.help_on(seat, segment, version);
                    }
                    return Ok(old);
                }
                Raised::NextTable => match self.next_or_grow(segment, table) {
                    Some(next) => {
                        table = next;
                        continue;
                    }
                    None => self.end_others(segment),
                },
                Raised::NoCredit => self.reclaim(segment),
            };
            if !made_room {
                return Err(self.full());
            }
            // The segment may have moved on. Its current version is of the seat's generation or later.
            version = Version::from_bits(self.now[segment].load(Ordering::SeqCst));
            table = version;
        }
    }

    /// Merges into one table. A new pair needs credit from the seat. A copy comes without a seat, because its pair is
    /// counted already.
    #[inline]
    pub(super) fn raise(
        &self,
        seat: Option<&Seated<'_>>,
        version: Version,
        scope: u32,
        within: u64,
        value: u64,
    ) -> Raised {
        let mut seek = version.seek(scope, within);
        for _ in 0..=version.reach() {
            let line = self.line(version, seek.line);
            let mut wrote = line.raise(self.wide, seek.key, value, seat.is_none());
            if let (Wrote::Free, Some(seat)) = (&wrote, seat) {
                if !self.take_credit(seat) {
                    return Raised::NoCredit;
                }
                wrote = line.raise(self.wide, seek.key, value, true);
                if !matches!(wrote, Wrote::Before { claimed: true, .. } | Wrote::Ended { claimed: true }) {
                    self.give_credit(seat);
                }
            }
            match wrote {
                Wrote::Before { old, claimed } => return Raised::Before { old, claimed },
                Wrote::Ended { .. } => return Raised::NextTable,
                Wrote::Full | Wrote::Free => seek = version.step(seek),
            }
        }
        Raised::NextTable
    }

    /// Takes the right to one more pair from the seat's credit. Returns whether there was one.
    fn take_credit(&self, seat: &Seated<'_>) -> bool {
        let Some(credit) = seat.credit() else { return self.grant(1) == 1 };
        // Relaxed: only the holder of the seat changes the credit, and the seat's own orderings pass it on.
        let mut has = credit.load(Ordering::Relaxed);
        if has == 0 {
            has = self.grant(self.credit_step()) as u64;
            if has == 0 {
                return false;
            }
        }
        credit.store(has - 1, Ordering::Relaxed);
        true
    }

    /// Gives back the right to a pair.
    pub(super) fn give_credit(&self, seat: &Seated<'_>) {
        let Some(credit) = seat.credit() else {
            self.granted.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let has = credit.load(Ordering::Relaxed) + 1;
        let step = self.credit_step() as u64;
        if has > 2 * step {
            self.granted.fetch_sub(step as usize, Ordering::Relaxed);
            credit.store(has - step, Ordering::Relaxed);
        } else {
            credit.store(has, Ordering::Relaxed);
        }
    }

    /// Returns the credit that a seat is granted at a time. It is small compared with the maximum, so unused credit
    /// does not matter.
    fn credit_step(&self) -> usize {
        (self.max_pairs / 16384).clamp(1, 64)
    }

    /// Grants up to `wanted` pairs below the maximum. Returns the number of granted pairs.
    fn grant(&self, wanted: usize) -> usize {
        // Relaxed: it is only a count.
        let mut granted = self.granted.load(Ordering::Relaxed);
        loop {
            let got = wanted.min(self.places().saturating_sub(granted));
            if got == 0 {
                return 0;
            }
            match self.granted.compare_exchange_weak(granted, granted + got, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return got,
                Err(now) => granted = now,
            }
        }
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

    pub(crate) fn holders(&self) -> &Holders {
        &self.holders
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

    /// Permits growths to drop registers below `floor`, from now on.
    pub(crate) fn expire_before(&self, floor: u64) {
        if self.floor.fetch_max(floor, Ordering::Relaxed) < floor {
            self.reclaimable.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Permits growths to drop all pairs of `scope`, from now on.
    pub(crate) fn retire(&self, scope: u32) {
        if self.retired.insert(scope) {
            self.reclaimable.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cold]
    fn full(&self) -> Full {
        self.counts.rejected.fetch_add(1, Ordering::Relaxed);
        Full::new(self.len(), self.max_pairs)
    }

    pub(super) fn segments() -> std::ops::Range<usize> {
        0..SEGMENTS
    }
}

/// The result of a write in one table.
pub(super) enum Raised {
    Before { old: u64, claimed: bool },
    NextTable,
    NoCredit,
}
