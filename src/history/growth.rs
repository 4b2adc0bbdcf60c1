//! How a segment's table is followed by another: in steps that anybody may take, each of which may be taken twice.
//!
//! 1. *Begin.* A table is made ready aside and put in as the current one's successor, by compare-and-swap: of several
//!    makers one wins, the others give their memory back.
//! 2. *Move*, block by block, once the segment was said to be no longer calm. A slot that nobody claimed is sealed. The
//!    register of a claimed one is merged into the next table and then, unless it rose meanwhile, replaced by *moved*.
//!    Whoever meets a seal or *moved* goes on in the next table. Blocks are taken off a counter; one that was taken and
//!    not finished is done again by others.
//! 3. *Finish.* When every block is done the next version is said to be calm, and the segment's version word is exchanged.
//!    The old table is given back as soon as no writer sits that may know it.
//!
//! A thread that stops forever at any point of this keeps nobody from going on. It may keep memory: what it had taken
//! out of the pool, and while it sits, the old tables of one segment.
//!
//! # Orderings
//! `next` is exchanged with release and loaded with acquire: a successor's directory and header come before its word.
//! The version word is exchanged (`SeqCst`, see [`super::seat`]) after all done marks were seen with acquire: who
//! reads the new version sees every copy. Ends and seals are [`super::line`]'s.

use super::index::{Index, Raised};
use super::line::{DROPPED, MOVED, SEALED};
use super::memory::prefetch;
use super::seat::Seated;
use super::shape::{BLOCK_LINES, CHUNK_BLOCKS, CHUNK_LINES, SEGMENTS, SLOTS, Version};
use super::step::{Step, step};
use super::table::Leaves;
use crate::sync::{Ordering, canary, order};

/// Why a table should be followed by another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trigger {
    /// It is as full as it should become. There is time.
    Load,
    /// A pair found no room within reach.
    NoRoom,
    /// Something in it can be left behind, and the history is full.
    Reclaim,
    /// Its erasures are to be left behind.
    Forget,
}

impl Trigger {
    /// Whether the table only has to become emptier.
    fn is_for_room(self) -> bool {
        matches!(self, Trigger::Reclaim | Trigger::Forget)
    }
}

/// Chunks that a growth with time clears itself rather than wait for clean ones: bounds a single write.
const CLEARINGS: usize = 64;
/// The load at which a table should grow, in hundredths, by the powers of two of its chunks. The smaller it is, the less far from
/// home a pair may lie, and the sooner one finds no room: at these loads in one table of a hundred at most. In models tables fill up,
/// so that lines overflow.
const FULL: [usize; 5] = if cfg!(loom) { [100; 5] } else { [60, 70, 78, 80, 80] };
/// The load at which a writer no longer waits for the keeper to begin a growth. Above what rounding makes of the other.
const LATE: usize = if cfg!(loom) { 100 } else { 92 };
/// Blocks that a claim moves where there is no keeper: so many that few segments grow at the same time.
const STEPS: usize = if cfg!(loom) { 1 } else { 4 };
/// Chunks from which on segments differ in size. With fewer, one more is so much that some grow early.
const EVEN_FROM: usize = 5;
/// Chunks that a keeper has ready at least. Small tables have so little reach that a pair may find no room in them before they are
/// full, and then it is the writer who has to begin the growth, from what is ready: a few of them at a time.
const BURST: usize = if cfg!(loom) { 0 } else { 36 };
/// Lines looked at to learn how much of a table would be left behind.
const SAMPLE: usize = 64;

impl Index {
    /// So many hundredths of a table's slots.
    fn slots_at(version: Version, hundredths: usize) -> usize {
        (version.chunks() * CHUNK_LINES * SLOTS * hundredths / 100).max(1)
    }

    /// The claimed slots at which a table of this size should grow.
    pub(super) fn slots_when_full(version: Version) -> usize {
        let powers = version.chunks().ilog2() as usize;
        Self::slots_at(version, FULL[powers.min(FULL.len() - 1)])
    }

    /// Sizes in chunks that a segment's tables go through, from about `from` on, and for how many chunks' worth of pairs each is.
    /// Nearly a fifth more each time; segments differ, spread evenly over that factor, so that they do not all grow at once and the
    /// whole keeps between full and empty at every count of pairs. The worth is the size before it was rounded to chunks:
    /// were it the rounded one, all that are rounded to one size would grow at once.
    fn sizes(segment: usize, from: usize) -> impl Iterator<Item = (usize, f64)> {
        const FACTOR: f64 = 1.18;
        let phase = f64::from((segment as u32).reverse_bits()) / f64::from(u32::MAX) * 0.999;
        let few = (from..EVEN_FROM).map(move |size| (size, size as f64 * (size as f64 + phase) / (size + 1) as f64));
        // From less than was asked for: a size may have been rounded up to it.
        let turns = ((from.saturating_sub(1).max(1)) as f64 / EVEN_FROM as f64).ln() / FACTOR.ln() - phase;
        let many = (turns.floor().max(0.0) as i32..).map(move |turn| {
            let size = EVEN_FROM as f64 * FACTOR.powf(f64::from(turn) + phase);
            (size.round() as usize, size)
        });
        few.chain(many)
    }

    /// The size after so many chunks.
    pub(super) fn size_after(segment: usize, chunks: usize) -> usize {
        Self::sizes(segment, chunks).map(|(size, _)| size).find(|&size| size > chunks).unwrap_or(chunks)
    }

    /// The claimed slots at which a table should be followed by a larger one.
    pub(super) fn limit_of(segment: usize, version: Version) -> usize {
        let chunks = version.chunks();
        let sizes = Self::sizes(segment, chunks).take_while(|&(size, _)| size <= chunks);
        let worth = sizes.filter(|&(size, _)| size == chunks).map(|(_, worth)| worth).last();
        // A table that was made to reclaim may be of any size.
        let share = if cfg!(loom) { 1.0 } else { worth.unwrap_or(chunks as f64) / chunks as f64 };
        (Self::slots_when_full(version) as f64 * share) as usize
    }

    /// The successor of `table`, made if there is none and room is needed; `None` if it cannot be.
    pub(super) fn next_or_grow(&self, segment: usize, table: Version) -> Option<Version> {
        let next = self.next(table);
        if next.is_some() { Some(next) } else { self.grow(segment, table, Trigger::NoRoom) }
    }

    pub(super) fn next(&self, table: Version) -> Version {
        // Acquire: the successor's directory and header come with its word.
        Version::from_bits(self.tables.get(table).next.load(order!(Acquire, "next load")))
    }

    /// Whether the segment's table has a successor, to which its pairs move.
    pub(super) fn is_growing(&self, segment: usize) -> bool {
        self.next(self.version(segment)).is_some()
    }

    /// Gives the table a successor, unless it has one; its version. The caller sits on the segment.
    pub(super) fn grow(&self, segment: usize, table: Version, trigger: Trigger) -> Option<Version> {
        let leaves = Leaves { floor: self.floor.load(Ordering::Relaxed), forgets: trigger == Trigger::Forget };
        let chunks = self.size_for(segment, table, trigger, leaves)?;
        step(Step::Sized);
        let next = self.build(segment, table, chunks, trigger, leaves)?;
        step(Step::Built);
        let link = &self.tables.get(table).next;
        // Release: all that `build` wrote comes with the word. Acquire: so does what another built.
        match link.compare_exchange(0, next.bits(), order!(AcqRel, "link"), Ordering::Acquire) {
            Ok(_) => {
                step(Step::Linked);
                self.keeper.ring();
                Some(next)
            }
            Err(other) => {
                self.unbuild(next);
                Some(Version::from_bits(other))
            }
        }
    }

    /// How many chunks the successor should have.
    fn size_for(&self, segment: usize, table: Version, trigger: Trigger, leaves: Leaves) -> Option<usize> {
        let here = table.chunks();
        let larger = Self::size_after(segment, here).min(self.tables.max_chunks());
        let is_any_left = leaves.floor > 0 || leaves.forgets || self.retired.any();
        let kept = if is_any_left { self.kept_share(table, leaves) } else { 1.0 };
        let claimed = self.tables.get(table).claimed.load(Ordering::Relaxed);
        let pairs = (claimed as f64 * kept * 1.1) as usize;
        let full = Self::slots_when_full(table);
        let wanted = match trigger {
            _ if kept > 0.95 && !trigger.is_for_room() => larger,
            // Room for a fifth more than is left, and never less than half: the share is only a sample.
            _ => (here * pairs * 6 / 5 / full.max(1) + 1).clamp(here.div_ceil(2), larger.max(here)),
        };
        if wanted > here && !trigger.is_for_room() {
            // As much again stays, so that a segment can still be rewritten to reclaim what has expired.
            if wanted > here && self.pool.available() < 2 * wanted {
                return (kept < 0.99 && trigger == Trigger::NoRoom).then_some(here);
            }
            return (larger > here).then_some(wanted);
        }
        Some(wanted.min(here))
    }

    /// The share of a table that would be kept, from a sample of its lines.
    fn kept_share(&self, table: Version, leaves: Leaves) -> f64 {
        let lines = table.lines();
        let (mut all, mut kept) = (0u32, 0u32);
        for sample in 0..SAMPLE as u64 {
            let line = lines * sample / SAMPLE as u64;
            for slot in 0..SLOTS {
                let (key, register) = self.line(table, line).slot(slot);
                if key != 0 && key != SEALED && register < DROPPED {
                    all += 1;
                    kept += u32::from(self.keeps(table.unpack(line, key).0, register, leaves));
                }
            }
        }
        if all == 0 { 1.0 } else { f64::from(kept) / f64::from(all) }
    }

    /// Whether a growth takes this register along.
    fn keeps(&self, scope: u32, register: u64, leaves: Leaves) -> bool {
        register != 0 && !leaves.leaves(register) && !self.retired.contains(scope)
    }

    /// A table of `chunks`, all zero, that nobody knows yet.
    fn build(
        &self,
        segment: usize,
        table: Version,
        chunks: usize,
        trigger: Trigger,
        leaves: Leaves,
    ) -> Option<Version> {
        let mut clearings = if trigger == Trigger::Load { CLEARINGS } else { usize::MAX };
        if !self.pool.has(chunks, clearings) {
            return None;
        }
        let id = self.tables.take()?;
        let next = Version::new(table.next_generation(), id, chunks);
        self.tables.begin(segment, next, leaves, Self::limit_of(segment, next));
        for at in 0..chunks {
            let Some(chunk) = self.pool.take(&mut clearings) else {
                for taken in 0..at {
                    self.pool.give_clean(self.pool.chunk(next, taken));
                }
                self.tables.give(id);
                return None;
            };
            self.pool.set_chunk(id, at, chunk);
            step(Step::Building);
        }
        Some(next)
    }

    /// Gives back a table that was built in vain.
    fn unbuild(&self, table: Version) {
        for at in 0..table.chunks() {
            self.pool.give_clean(self.pool.chunk(table, at));
        }
        self.tables.give(table.table());
    }

    /// The very first tables, one chunk each.
    pub(super) fn settle(&self) {
        for segment in 0..SEGMENTS {
            let before = Version::NONE;
            let table =
                self.build(segment, before, 1, Trigger::NoRoom, Leaves::NONE).expect("the least memory there may be");
            self.calm[segment].store(table.bits(), Ordering::Relaxed);
            self.now[segment].store(table.bits(), Ordering::Release);
        }
    }

    /// What a writer does after it claimed a slot: begins the growth that this made due, or does its share of one.
    #[inline]
    pub(super) fn after_claim(&self, seat: &Seated<'_>, segment: usize, version: Version, table: Version) {
        let header = self.tables.get(table);
        let claimed = header.claimed.fetch_add(1, Ordering::Relaxed) + 1;
        let full = header.full.load(Ordering::Relaxed);
        let kept = self.kept.load(Ordering::Relaxed);
        if table != version || self.next(version).is_some() {
            // The keeper does most of it where there is one.
            let steps = if kept { usize::from(claimed.is_multiple_of(8)) } else { STEPS };
            for _ in 0..steps {
                self.help_on(seat, segment, version);
            }
        } else if claimed >= if kept { Self::slots_at(version, LATE) } else { full } {
            self.grow(segment, version, Trigger::Load);
        } else if kept && claimed >= full {
            self.keeper.ring();
        } else if !kept && claimed >= full - full / 16 {
            // A chunk at a time, rather than all that the growth takes at once.
            self.pool.find_one(Self::ahead(version.chunks()));
        }
        if !kept && self.pool.dirty() > 0 {
            self.pool.clear_one();
        }
    }

    /// Chunks that should be ready where the largest table has so many: what its growth takes, and a little.
    fn ahead(largest: usize) -> usize {
        largest * 5 / 4 + 4
    }

    /// One step of the segment's growth, if there is one. The caller sits on the segment.
    #[inline(never)]
    pub(super) fn help_on(&self, seat: &Seated<'_>, segment: usize, version: Version) -> bool {
        if !self.next(version).is_some() {
            return false;
        }
        let table = self.tables.get(version);
        let blocks = version.chunks() * CHUNK_BLOCKS;
        // Relaxed: who gets which block says nothing; that each is done, is in the marks.
        let taken = table.cursor.fetch_add(1, Ordering::Relaxed);
        step(Step::Taken);
        let block = if taken < blocks { Some(taken) } else { self.tables.not_done(version, taken) };
        if let Some(block) = block {
            if !self.move_block(seat, segment, version, block) {
                return false;
            }
            step(Step::Moved);
            self.tables.set_done(version, block);
            step(Step::Marked);
            if taken + 1 < blocks {
                return true;
            }
        }
        if self.tables.not_done(version, taken).is_none() {
            self.finish(segment, version);
        }
        true
    }

    /// Moves the block's pairs to the tables behind; whether all found room.
    pub(super) fn move_block(&self, seat: &Seated<'_>, segment: usize, version: Version, block: usize) -> bool {
        self.disturb(segment, version);
        let next = self.next(version);
        let leaves = self.tables.get(next).leaves();
        self.prefetch_block(version, next, (block * BLOCK_LINES) as u64);
        let mut claimed = 0;
        let mut reclaimed = 0;
        let mut complete = true;
        'block: for line in block * BLOCK_LINES..(block + 1) * BLOCK_LINES {
            let line = line as u64;
            let words = self.line(version, line);
            // From the last slot down: a line with any seal has one in its last slot.
            for slot in (0..SLOTS).rev() {
                let (mut key, mut register) = words.slot(slot);
                if key == 0 {
                    if canary("sealing") {
                        continue;
                    }
                    step(Step::Sealing);
                    let Some(found) = words.seal(slot) else { continue };
                    key = found;
                    register = words.register(slot);
                }
                if key == SEALED {
                    continue;
                }
                let (scope, within) = version.unpack(line, key);
                // Whether this thread made the pair's slot in the next table, where the pair is counted by then.
                let mut made = false;
                while register < DROPPED {
                    let ended = if made || self.keeps(scope, register, leaves) {
                        if let Some((table, new)) = self.copy(segment, next, scope, within, register) {
                            made |= new;
                            if new && table == next {
                                claimed += 1;
                            } else if new {
                                self.tables.get(table).claimed.fetch_add(1, Ordering::Relaxed);
                            }
                        } else {
                            complete = false;
                            break 'block;
                        }
                        step(Step::Copied);
                        words.end(slot, register, MOVED)
                    } else {
                        let ended = words.end(slot, register, DROPPED);
                        if ended.is_ok() {
                            self.give_credit(seat);
                            self.holders.left(scope, register);
                            reclaimed += u64::from(register != 0);
                        }
                        ended
                    };
                    match ended {
                        Ok(()) => break,
                        Err(now) => {
                            // Another left the pair behind and counted it out, but here it lives on.
                            if now == DROPPED && made {
                                self.granted.fetch_add(1, Ordering::Relaxed);
                                self.holders.stayed(scope, register);
                            }
                            register = now;
                        }
                    }
                }
            }
        }
        if claimed > 0 {
            self.tables.get(next).claimed.fetch_add(claimed, Ordering::Relaxed);
        }
        if reclaimed > 0 {
            self.counts.reclaimed.fetch_add(reclaimed, Ordering::Relaxed);
        }
        complete
    }

    /// Brings a block's lines near, and those that its pairs go to: it is the first visit to either for long.
    fn prefetch_block(&self, version: Version, next: Version, first: u64) {
        for line in first..first + BLOCK_LINES as u64 {
            prefetch(self.line(version, line));
        }
        let target = next.seek(0, version.place_of(first)).line;
        for line in target..next.lines().min(target + BLOCK_LINES as u64 * 5 / 4 + 2) {
            prefetch(self.line(next, line));
        }
    }

    /// Merges a register into the first table from `table` on that has room; where, and whether it is new there.
    fn copy(
        &self,
        segment: usize,
        mut table: Version,
        scope: u32,
        within: u64,
        register: u64,
    ) -> Option<(Version, bool)> {
        loop {
            match self.raise(None, table, scope, within, register) {
                Raised::Before { claimed, .. } => return Some((table, claimed)),
                _ => table = self.next_or_grow(segment, table)?,
            }
        }
    }

    /// Exchanges the version, once, and retires the old table.
    fn finish(&self, segment: usize, version: Version) {
        let next = self.next(version);
        step(Step::Finishing);
        self.calm_down(segment, version, next);
        step(Step::Calmed);
        // SeqCst: before the look at the seats, see `Seats::sit`. Release: with every copy, seen through the marks.
        let now = &self.now[segment];
        if now.compare_exchange(version.bits(), next.bits(), order!(SeqCst, "finish"), Ordering::Relaxed).is_ok() {
            step(Step::Finished);
            self.counts.growths.fetch_add(1, Ordering::Relaxed);
            self.tables.retire(version);
            self.give_back();
        }
    }

    /// Gives back retired tables that nobody may be writing to; whether there was one.
    pub(super) fn give_back(&self) -> bool {
        const AT_ONCE: usize = 8;
        let mut held = [None; AT_ONCE];
        let mut given = false;
        for held in &mut held {
            let Some((segment, version)) = self.tables.pop_retired() else { break };
            step(Step::GivingBack);
            if self.seats.is_held(segment, version) && !canary("seats") {
                *held = Some(version);
                continue;
            }
            for at in 0..version.chunks() {
                self.pool.give(self.pool.chunk(version, at));
            }
            self.tables.give(version.table());
            given = true;
        }
        for version in held.into_iter().flatten() {
            self.tables.retire(version);
        }
        given
    }

    /// Makes room for a pair at the ceiling; whether some was made. `first` is where the search begins.
    pub(super) fn reclaim(&self, first: usize) -> bool {
        let collected = self.seats.collect_credit() as usize;
        if collected > 0 {
            self.granted.fetch_sub(collected, Ordering::Relaxed);
            return true;
        }
        Self::segments().any(|offset| self.reclaim_in((first + offset) % SEGMENTS))
    }

    /// Brings the growths of all other segments to their ends, since their old tables are memory; whether any ended. Where
    /// memory is what a growth lacks, it may be that others hold it which their own writers would end only much later.
    #[cold]
    pub(super) fn end_others(&self, segment: usize) -> bool {
        let ended = |&other: &usize| {
            let (seat, version) = self.sit_in(other);
            self.help_through(&seat, other, version)
        };
        Self::segments().filter(|&other| other != segment && self.is_growing(other)).filter(ended).count() > 0
    }

    /// A seat on the segment, and its current version.
    fn sit_in(&self, segment: usize) -> (Seated<'_>, Version) {
        let seat = self.seats.sit(segment, self.version(segment));
        // SeqCst: see `Seats::sit`.
        (seat, Version::from_bits(self.now[segment].load(Ordering::SeqCst)))
    }

    /// All steps of the segment's growth that there are, while they can be taken; whether it came to its end.
    fn help_through(&self, seat: &Seated<'_>, segment: usize, version: Version) -> bool {
        let is_over = || self.now[segment].load(Ordering::Relaxed) != version.bits();
        while !is_over() && self.help_on(seat, segment, version) {}
        is_over()
    }

    /// Rewrites the segment if enough in it can be left behind; whether anything was. Searches once for each change of
    /// what can be.
    pub(super) fn reclaim_in(&self, segment: usize) -> bool {
        let reclaimable = self.reclaimable.load(Ordering::Relaxed);
        if self.searched[segment].load(Ordering::Relaxed) == reclaimable {
            return false;
        }
        let (seat, version) = self.sit_in(segment);
        let before = self.counts.reclaimed.load(Ordering::Relaxed);
        if !self.next(version).is_some() {
            self.searched[segment].store(reclaimable, Ordering::Relaxed);
            let enough = (self.tables.get(version).claimed.load(Ordering::Relaxed) / 256).max(1);
            if self.count_reclaimable(version) < enough || self.grow(segment, version, Trigger::Reclaim).is_none() {
                return false;
            }
        }
        self.help_through(&seat, segment, version);
        self.counts.reclaimed.load(Ordering::Relaxed) != before
    }

    fn count_reclaimable(&self, table: Version) -> usize {
        let leaves = Leaves { floor: self.floor.load(Ordering::Relaxed), forgets: false };
        self.count_left(table, leaves)
    }

    fn count_left(&self, table: Version, leaves: Leaves) -> usize {
        (0..table.lines())
            .flat_map(|line| (0..SLOTS).map(move |slot| (line, slot)))
            .filter(|&(line, slot)| {
                let (key, register) = self.line(table, line).slot(slot);
                key != 0
                    && key != SEALED
                    && register < DROPPED
                    && !self.keeps(table.unpack(line, key).0, register, leaves)
            })
            .count()
    }

    /// Rewrites segments of which enough can be left behind until there is room or nothing more to find.
    pub(crate) fn reclaim_until(&self, has_room: &dyn Fn() -> bool) {
        Self::segments().any(|segment| {
            self.reclaim_in(segment);
            has_room()
        });
    }

    /// Rewrites the segment without its erasures, where they are worth it; whether it did. The caller is the only writer.
    ///
    /// A floor is the same for all who take part in a growth, and a register never falls below it; but one that is kept can become
    /// an erasure. Were that to happen while a growth forgets erasures, one thread could have copied the call that another then
    /// sees erased and leaves behind: the contact would be back. It does not happen, since (1) the only writer stands here until the
    /// growth is over; (2) whoever takes part has the growth's successor from this thread, and with it every register before; (3) a
    /// thread that stopped within an earlier growth, a copy in hand, sits on the segment: then nothing is forgotten.
    pub(crate) fn forget_in(&self, segment: usize) -> bool {
        let (seat, version) = self.sit_in(segment);
        if self.next(version).is_some() {
            self.help_through(&seat, segment, version);
            return false;
        }
        let leaves = Leaves { floor: self.floor.load(Ordering::Relaxed), forgets: true };
        let enough = (self.tables.get(version).claimed.load(Ordering::Relaxed) / 256).max(1);
        let has_memory = self.pool.available() >= 3 * version.chunks();
        if self.seats.is_shared(segment) || !has_memory || self.count_left(version, leaves) < enough {
            return false;
        }
        let Some(next) = self.grow(segment, version, Trigger::Forget) else { return false };
        let is_over = self.help_through(&seat, segment, version);
        if !is_over {
            // No memory after all: the rest of the growth keeps erasures.
            self.tables.get(next).forgets.store(false, Ordering::Relaxed);
        }
        is_over
    }

    /// A little of everything that is due; whether more may be. Memory before growths, since only it makes a writer wait;
    /// and one growth at a time, since each takes memory until it is done.
    pub(super) fn tend(&self) -> bool {
        let mut busy = self.tables.retired() > 0 && self.give_back();
        let largest = Self::segments().map(|segment| self.version(segment).chunks()).max().unwrap_or(0);
        for _ in 0..4 {
            busy |= self.pool.clear_one() || self.pool.find_one(Self::ahead(largest).max(BURST));
        }
        let due = |segment: &usize| self.is_full(self.version(*segment));
        // The first that gets on: one that lacks memory may have to wait for the others.
        busy |= Self::segments().filter(|&segment| self.is_growing(segment)).any(|segment| self.tend_in(segment))
            || Self::segments().filter(due).any(|segment| self.tend_in(segment));
        if self.granted.load(Ordering::Relaxed) > self.max_pairs - self.max_pairs / 16 {
            // Nearly full: one segment's share of what may have expired.
            busy |= Self::segments().any(|segment| self.reclaim_in(segment));
        }
        busy
    }

    /// A chunk's part of the segment's growth, or the beginning of one; whether there was something to do.
    fn tend_in(&self, segment: usize) -> bool {
        let (seat, version) = self.sit_in(segment);
        if self.next(version).is_some() {
            return (0..CHUNK_BLOCKS).filter(|_| self.help_on(&seat, segment, version)).count() > 0;
        }
        self.is_full(version) && self.grow(segment, version, Trigger::Load).is_some()
    }

    /// Whether the table should be followed by a larger one.
    fn is_full(&self, version: Version) -> bool {
        let table = self.tables.get(version);
        table.claimed.load(Ordering::Relaxed) >= table.full.load(Ordering::Relaxed)
    }
}
