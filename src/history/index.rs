//! The index itself, over bare words: places and scopes in, registers out. Reading and writing; growth is next door.
//!
//! A pair is looked for in its segment's table from its home line on, and where a slot has ended or the reach of the
//! table is used up, in the next table. [`super`] says why this is right.

use super::bell::Bell;
use super::compare::{Compare, Whole, Wide, Words};
use super::holders::Holders;
use super::limits::{Full, Limits, Stats};
use super::line::{DROPPED, Found, Line, Wrote};
use super::memory::{CHUNK_BYTES, prefetch, prefetch_of_many, prefetch_registers};
use super::pool::Pool;
use super::scopes::ScopeSet;
use super::seat::{Seated, Seats};
use super::shape::{Key, MAX_CHUNKS, SEGMENTS, Seek, TABLES, Version, segment_of, within};
use super::table::Tables;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, canary, fence, order};
use std::io;

/// A version word on its own pair of cache lines would be a miss of its own; eight on one are written seldom enough.
pub(crate) struct Index {
    pub(super) now: [AtomicU64; SEGMENTS],
    /// The same while no slot of the current table has ended: who finds here what it began with need look for no end.
    pub(super) calm: [AtomicU64; SEGMENTS],
    pub(super) tables: Tables,
    pub(super) pool: Pool,
    /// What the processor can compare at once: asked once, not at each lookup.
    whole: Option<Whole>,
    wide: Option<Wide>,
    pub(super) seats: Seats,
    /// Pairs granted to seats: those there are plus the seats' credit.
    pub(super) granted: AtomicUsize,
    pub(super) max_pairs: usize,
    /// Pairs above the ceiling for those that were erased and are not left behind yet.
    spare: AtomicUsize,
    pub(super) holders: Holders,
    pub(super) floor: AtomicU64,
    pub(super) retired: ScopeSet,
    /// Bumped whenever more may have become reclaimable; and per segment, when it was last searched in vain.
    pub(super) reclaimable: AtomicU64,
    pub(super) searched: [AtomicU64; SEGMENTS],
    /// Whether a keeper does the growing.
    pub(super) kept: AtomicBool,
    pub(super) keeper: Bell,
    pub(super) counts: Counts,
}

/// What happened so far.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) growths: AtomicU64,
    pub(super) reclaimed: AtomicU64,
    pub(super) rejected: AtomicU64,
}

/// What a look into one line gave.
enum Looked {
    /// The register, zero where there is none.
    Sure(u64),
    /// The next line may have it.
    Further,
    /// A growth is under way, or has been here.
    Unsure,
}

/// A look-up on its way: the line it has come to, and the key word that the pair would have there.
#[derive(Clone, Copy)]
struct Begun<'a> {
    version: Version,
    key: Key,
    line: &'a Line,
}

/// Where a pair lies in a table, or would.
enum At {
    Register(u64),
    Nowhere,
    NextTable,
}

impl Index {
    /// An empty index.
    ///
    /// # Errors
    /// Where the system does not give the address space.
    pub(crate) fn new(limits: Limits) -> io::Result<Index> {
        let chunks = limits.chunks();
        // Segments differ in size by the growth factor, and places are only random.
        let largest = (chunks * 2 / SEGMENTS + 4).min(MAX_CHUNKS);
        let words = || std::array::from_fn(|_| AtomicU64::new(0));
        let tables = Tables::new(TABLES, largest)?;
        let index = Index {
            now: words(),
            calm: words(),
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
            keeper: Bell::default(),
            counts: Counts::default(),
        };
        index.settle();
        Ok(index)
    }

    #[inline(always)]
    pub(super) fn line(&self, version: Version, line: u64) -> &Line {
        self.pool.line(version, line)
    }

    /// Acquire: what was written into the table before it was published comes before all that is read in it.
    #[inline(always)]
    pub(super) fn version(&self, segment: usize) -> Version {
        Version::from_bits(self.now[segment].load(order!(Acquire, "version load")))
    }

    /// Whether the segment still is at `version`, asked behind everything that was read so far.
    #[inline(always)]
    pub(super) fn is_still(&self, segment: usize, version: Version) -> bool {
        // Acquire fence: if any word read before it was written after the version ended, the load below sees that
        // it did. This is what makes a late reader find out (b in `line`).
        if !canary("re-check fence") {
            fence(Ordering::Acquire);
        }
        canary("re-check") || self.now[segment].load(Ordering::Relaxed) == version.bits()
    }

    /// Whether no slot of the version's table had ended when what was read so far was read.
    #[inline(always)]
    fn is_calm(&self, segment: usize, version: Version) -> bool {
        // Acquire fence: as in `is_still`, since a version is no longer calm before it ends; and if any word read before was the
        // end of a slot, the load below sees that this had been announced.
        if !canary("calm fence") {
            fence(Ordering::Acquire);
        }
        canary("calm look") || self.calm[segment].load(Ordering::Relaxed) == version.bits()
    }

    /// Says that slots of the current version's table may end from now on, before this thread ends one.
    pub(super) fn disturb(&self, segment: usize, version: Version) {
        let calm = &self.calm[segment];
        // Relaxed: who knows the version as the current one knows that it was said to be calm, or later; and the end of a slot
        // carries on what is said here.
        if calm.load(Ordering::Relaxed) == version.bits() && !canary("disturb") {
            let _ = calm.compare_exchange(version.bits(), version.disturbed(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Says that the version after `version` is calm, before it becomes the current one, which is before a slot of it ends.
    pub(super) fn calm_down(&self, segment: usize, version: Version, next: Version) {
        // Relaxed: carried on by the version. Who comes late finds another word, since no version comes twice.
        let _ =
            self.calm[segment].compare_exchange(version.disturbed(), next.bits(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Brings the home line of a place near.
    #[inline(always)]
    pub(crate) fn prefetch(&self, place: u64) {
        let version = self.version(segment_of(place));
        prefetch(self.line(version, version.seek(0, within(place)).line));
    }

    /// The pair's register; zero where there is none.
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

    /// Aside where it is only for the oldest processors: it would take registers from the others.
    #[cfg_attr(target_arch = "x86_64", inline(never))]
    fn get_by_words(&self, scope: u32, place: u64) -> u64 {
        self.get_by(Words, scope, place)
    }

    #[inline(always)]
    fn get_by(&self, compare: impl Compare, scope: u32, place: u64) -> u64 {
        let version = self.version(segment_of(place));
        let begun = self.home(version, scope, place);
        // The key words are loaded at once. Were the register asked for only when its slot is known, it would be a second wait.
        prefetch_registers(begun.line);
        match self.look(compare, segment_of(place), &begun) {
            Looked::Sure(register) => register,
            Looked::Further => self.get_next(version, scope, place),
            Looked::Unsure => self.get_far(scope, place),
        }
    }

    /// The lines behind the home line. Worked out anew, so that a look-up that ends at home keeps nothing for it.
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

    /// Where a look-up begins.
    #[inline(always)]
    fn home(&self, version: Version, scope: u32, place: u64) -> Begun<'_> {
        let Seek { line, key } = version.seek(scope, within(place));
        Begun { version, key, line: self.line(version, line) }
    }

    /// Looks into the line that a look-up has come to.
    #[inline(always)]
    fn look(&self, compare: impl Compare, segment: usize, begun: &Begun<'_>) -> Looked {
        match begun.line.find_calm(compare, begun.key) {
            Some(register) if self.is_calm(segment, begun.version) => Looked::Sure(register),
            // The mark is only followed, not believed: whoever looks there asks for the version behind that look.
            None if begun.version.has_next_line() => Looked::Further,
            _ => Looked::Unsure,
        }
    }

    /// Every other case: further lines, a segment that is growing, a reader that is late.
    #[cold]
    #[inline(never)]
    pub(super) fn get_far(&self, scope: u32, place: u64) -> u64 {
        let (segment, within) = (segment_of(place), within(place));
        let version = self.version(segment);
        if let Some(register) = self.get_chain(segment, version, scope, within) {
            return register;
        }
        // The segment finished a growth meanwhile, and perhaps the memory is in use for something else. Sitting down
        // keeps what is current now, so that this is the last attempt: no growth can make a reader wait.
        let _seat = self.seats.sit(segment, version);
        // SeqCst: see `Seats::sit`. The current table and those after it stay: they are of the seat's generation or
        // later.
        self.get_held(Version::from_bits(self.now[segment].load(Ordering::SeqCst)), scope, within)
    }

    /// Reads the chain of tables from `version` on; `None` if the segment moved on meanwhile.
    #[inline]
    fn get_chain(&self, segment: usize, version: Version, scope: u32, within: u64) -> Option<u64> {
        let mut table = version;
        loop {
            let at = self.find(table, scope, within);
            // Nothing read may be believed, nor a successor followed, unless the version still stands.
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

    /// The same where the caller sits.
    fn get_held(&self, version: Version, scope: u32, within: u64) -> u64 {
        let mut table = version;
        loop {
            match self.find(table, scope, within) {
                At::Register(register) => return register,
                At::Nowhere => return 0,
                At::NextTable => {
                    // Acquire fence: the end of a slot comes after the successor it points to (a in `line`).
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

    /// Looks through the lines of one table.
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

    /// Several pairs at once: all lines of a group are on their way before the first is looked at.
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
            // Those that are not in their home line wait until all others are done, and their next lines are here.
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

    /// Raises the pair's register to at least `value`; the register before, zero where there was none.
    #[inline]
    pub(crate) fn merge(&self, scope: u32, place: u64, value: u64) -> Result<u64, Full> {
        debug_assert!(value != 0 && value < DROPPED);
        let segment = segment_of(place);
        let begun = self.home(self.version(segment), scope, place);
        // On its way while the seat is taken.
        prefetch(begun.line);
        let seat = self.seats.sit(segment, begun.version);
        // SeqCst: see `Seats::sit`. This version, or one that came later, and all after it: held.
        let version = Version::from_bits(self.now[segment].load(Ordering::SeqCst));
        // Nearly always, what was worked out before holds, and the pair is at home.
        if version == begun.version
            && let Some(old) = begun.line.raise_held(self.wide, begun.key, value)
        {
            return Ok(old);
        }
        self.merge_far(&seat, version, scope, place, value)
    }

    /// Every other merge: new pairs, further lines, a segment that is growing.
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
            // The segment may have moved on; what is current now is of the seat's generation or later.
            version = Version::from_bits(self.now[segment].load(Ordering::SeqCst));
            table = version;
        }
    }

    /// One table's part of a merge. A new pair takes its right to be one from the seat; a copy, without a seat, has it.
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

    /// The right to one more pair, out of the seat's credit.
    fn take_credit(&self, seat: &Seated<'_>) -> bool {
        let Some(credit) = seat.credit() else { return self.grant(1) == 1 };
        // Relaxed: only who sits touches the credit, and the seat itself passes it on.
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

    /// Small against the ceiling, so that what lies unused in seats does not matter.
    fn credit_step(&self) -> usize {
        (self.max_pairs / 16384).clamp(1, 64)
    }

    /// Up to `wanted` pairs of the ceiling.
    fn grant(&self, wanted: usize) -> usize {
        // Relaxed: a count.
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

    /// Pairs that there may be, those included that were erased.
    pub(crate) fn places(&self) -> usize {
        // Relaxed: set before there is a writer.
        self.max_pairs + self.spare.load(Ordering::Relaxed)
    }

    /// Keeps so many places beside those of the ceiling.
    pub(crate) fn keep_spare(&self, spare: usize) {
        self.spare.store(spare, Ordering::Relaxed);
    }

    pub(crate) fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Pairs there are; while others write, pairs there were at some moment, nearly.
    pub(crate) fn len(&self) -> usize {
        let credit = self.seats.credit() as usize;
        self.granted.load(Ordering::Relaxed).saturating_sub(credit)
    }

    /// Resident bytes: lines and what is beside them.
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

    /// Registers below `floor` may be left behind from now on.
    pub(crate) fn expire_before(&self, floor: u64) {
        if self.floor.fetch_max(floor, Ordering::Relaxed) < floor {
            self.reclaimable.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All pairs of `scope` may be left behind from now on.
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

/// What a write did in one table.
pub(super) enum Raised {
    Before { old: u64, claimed: bool },
    NextTable,
    NoCredit,
}
