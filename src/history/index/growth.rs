//! Growth: replaces a segment's table by a successor, in steps that any thread may take and repeat.
//!
//! 1. *Begin.* A thread builds a table and links it as the current table's successor by compare-and-swap. If several
//!    threads build one, one of them succeeds. The others give their memory back.
//! 2. *Move.* The blocks are moved one by one, after the segment was marked as no longer intact. A slot that no pair
//!    has claimed is sealed. The register of a claimed slot is merged into the next table. Then it is replaced by
//!    *moved*, unless it rose in between. A thread that meets a seal or *moved* continues in the next table. A counter
//!    assigns the blocks. A block that was assigned and not finished is moved again by other threads.
//! 3. *Finish.* When every block is moved, the next version is marked as intact, and the segment's version word is
//!    exchanged. The old table is given back as soon as no writer that holds a seat can know it.
//!
//! A thread that stops forever at any point of a growth blocks no other thread. It can keep memory: what it took from
//! the pool and, while it holds a seat, the old tables of one segment.
//!
//! # Orderings
//! `next` is exchanged with release and loaded with acquire: a successor's directory and header are visible before its
//! word. The version word is exchanged with `SeqCst` (see [`super::seat`]), after all done marks were read with
//! acquire: a thread that reads the new version sees every copy. The orderings of ends and seals are in
//! [`super::line`].

use super::Index;
use super::line::{DROPPED, MOVED, SEALED};
use super::memory::prefetch;
use super::seat::Seated;
use super::shape::{BLOCK_LINES, CHUNK_BLOCKS, CHUNK_LINES, SEGMENTS, SLOTS, Version};
use super::step::{Step, step};
use super::table::Leaves;
use super::write::Raised;
use crate::sync::{Ordering, canary, order};

/// The reason why a table needs a successor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::history) enum Trigger {
    /// The table has reached its intended load. The growth is not urgent.
    Load,
    /// A pair found no room within reach.
    NoRoom,
    /// The history is full, and the table has pairs that can be dropped.
    Reclaim,
    /// The table has erasures that are to be left out.
    Forget,
}

impl Trigger {
    /// Returns whether the growth only serves to remove pairs.
    fn is_for_room(self) -> bool {
        matches!(self, Trigger::Reclaim | Trigger::Forget)
    }
}

/// The number of used chunks that a growth which is not urgent clears itself, without waiting for clean ones. It bounds
/// the time of a single write.
const CLEARINGS: usize = 64;
/// The load at which a table should grow, in hundredths, by the power of two of its chunks. In a smaller table, a pair
/// can lie less far from home and finds no room sooner. At these loads, that happens in at most one of a hundred
/// tables. In models, tables fill up completely, so that lines overflow.
const FULL: [usize; 5] = if cfg!(loom) { [100; 5] } else { [60, 70, 78, 80, 80] };
/// The load at which a writer no longer waits for the keeper to begin a growth. It is above the other one after any
/// rounding.
const LATE: usize = if cfg!(loom) { 100 } else { 92 };
/// The number of blocks that a claim moves if there is no keeper. It is so large that few segments grow at the same
/// time.
const STEPS: usize = if cfg!(loom) { 1 } else { 4 };
/// The number of chunks from which on the sizes of segments differ evenly. With fewer chunks, one more is so much that
/// some segments grow early.
const EVEN_FROM: usize = 5;
/// The minimum number of chunks that a keeper keeps ready. A small table has so little reach that a pair may find no
/// room before the table is full. The writer must then begin the growth itself, from the chunks that are ready. This
/// can happen to a few tables at a time.
const BURST: usize = if cfg!(loom) { 0 } else { 36 };
/// The number of retired tables that are looked at in one call. It bounds the time of a single write.
pub(in crate::history) const LOOKS: usize = 8;
/// The number of lines that are sampled to estimate how much of a table would be dropped.
const SAMPLE: usize = 64;

impl Index {
    /// Returns so many hundredths of the number of a table's slots.
    fn slots_at(version: Version, hundredths: usize) -> usize {
        (version.chunks() * CHUNK_LINES * SLOTS * hundredths / 100).max(1)
    }

    /// Returns the number of claimed slots at which a table of this size should grow.
    pub(in crate::history) fn slots_when_full(version: Version) -> usize {
        let powers = version.chunks().ilog2() as usize;
        Self::slots_at(version, FULL[powers.min(FULL.len() - 1)])
    }

    /// Returns the successive sizes of a segment's tables, in chunks, from about `from` on. Each comes with its
    /// capacity, in chunks' worth of pairs.
    ///
    /// Each size is nearly a fifth larger than the one before. The sizes of the segments are spread evenly over that
    /// factor. The segments therefore do not all grow at once, and the whole index stays between full and empty at
    /// every number of pairs. The capacity is the size before it was rounded to chunks. With rounded capacities, all
    /// segments with the same rounded size would grow at once.
    fn sizes(segment: usize, from: usize) -> impl Iterator<Item = (usize, f64)> {
        const FACTOR: f64 = 1.18;
        let phase = f64::from((segment as u32).reverse_bits()) / f64::from(u32::MAX) * 0.999;
        let few = (from..EVEN_FROM).map(move |size| (size, size as f64 * (size as f64 + phase) / (size + 1) as f64));
        // Begin below the requested size, because a smaller size may have been rounded up to it.
        let turns = ((from.saturating_sub(1).max(1)) as f64 / EVEN_FROM as f64).ln() / FACTOR.ln() - phase;
        let many = (turns.floor().max(0.0) as i32..).map(move |turn| {
            let size = EVEN_FROM as f64 * FACTOR.powf(f64::from(turn) + phase);
            (size.round() as usize, size)
        });
        few.chain(many)
    }

    /// Returns the size after a size of `chunks`.
    pub(in crate::history) fn size_after(segment: usize, chunks: usize) -> usize {
        Self::sizes(segment, chunks).map(|(size, _)| size).find(|&size| size > chunks).unwrap_or(chunks)
    }

    /// Returns the number of claimed slots at which a table should get a larger successor.
    pub(in crate::history) fn limit_of(segment: usize, version: Version) -> usize {
        let chunks = version.chunks();
        let sizes = Self::sizes(segment, chunks).take_while(|&(size, _)| size <= chunks);
        let worth = sizes.filter(|&(size, _)| size == chunks).map(|(_, worth)| worth).last();
        // A table that was built to reclaim pairs may have any size.
        let share = if cfg!(loom) { 1.0 } else { worth.unwrap_or(chunks as f64) / chunks as f64 };
        (Self::slots_when_full(version) as f64 * share) as usize
    }

    /// Returns the successor of `table`. Creates it if there is none and room is needed. Returns `None` if it cannot be
    /// created.
    pub(in crate::history) fn next_or_grow(&self, segment: usize, table: Version) -> Option<Version> {
        let next = self.next(table);
        if next.is_some() { Some(next) } else { self.grow(segment, table, Trigger::NoRoom) }
    }

    pub(in crate::history) fn next(&self, table: Version) -> Version {
        // Acquire: the successor's directory and header are visible with its word.
        Version::from_bits(self.tables.get(table).next.load(order!(Acquire, "next load")))
    }

    /// Returns whether the segment's table has a successor, to which its pairs are being moved.
    pub(in crate::history) fn is_growing(&self, segment: usize) -> bool {
        self.next(self.version(segment)).is_some()
    }

    /// Gives the table a successor, unless it has one. Returns the successor's version. The caller must hold a seat on
    /// the segment.
    pub(in crate::history) fn grow(&self, segment: usize, table: Version, trigger: Trigger) -> Option<Version> {
        let leaves = Leaves { floor: self.floor.load(Ordering::Relaxed), forgets: trigger == Trigger::Forget };
        let chunks = self.size_for(segment, table, trigger, leaves)?;
        step(Step::Sized);
        let next = self.build(segment, table, chunks, trigger, leaves)?;
        step(Step::Built);
        let link = &self.tables.get(table).next;
        // Release: everything that `build` wrote is visible with the word. Acquire: so is everything that another
        // thread built.
        match link.compare_exchange(0, next.bits(), order!(AcqRel, "link"), Ordering::Acquire) {
            Ok(_) => {
                step(Step::Linked);
                self.keeper.wake();
                Some(next)
            }
            Err(other) => {
                self.unbuild(next);
                Some(Version::from_bits(other))
            }
        }
    }

    /// Returns the number of chunks that the successor should have, or `None` if no successor can be built.
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
            // Room for a fifth more pairs than remain, and at least half of the size, because the share is only a
            // sample.
            _ => (here * pairs * 6 / 5 / full.max(1) + 1).clamp(here.div_ceil(2), larger.max(here)),
        };
        if wanted > here && !trigger.is_for_room() {
            // As many chunks again stay available, so that a segment can still be rewritten to reclaim expired pairs.
            if wanted > here && self.pool.available() < 2 * wanted {
                return (kept < 0.99 && trigger == Trigger::NoRoom).then_some(here);
            }
            return (larger > here).then_some(wanted);
        }
        Some(wanted.min(here))
    }

    /// Returns the share of a table's pairs that would be kept, from a sample of its lines.
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

    /// Returns whether a growth keeps this register.
    fn keeps(&self, scope: u32, register: u64, leaves: Leaves) -> bool {
        let is_left = register < leaves.floor || leaves.forgets && self.observer.is_droppable(register);
        register != 0 && !is_left && !self.retired.contains(scope)
    }

    /// Builds a table of `chunks`, all zero, which no other thread knows yet.
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

    /// Gives back a table that was built and not linked.
    fn unbuild(&self, table: Version) {
        for at in 0..table.chunks() {
            self.pool.give_clean(self.pool.chunk(table, at));
        }
        self.tables.give(table.table());
    }

    /// Creates the first tables, with one chunk each.
    pub(in crate::history) fn settle(&self) {
        for segment in 0..SEGMENTS {
            let before = Version::NONE;
            let table =
                self.build(segment, before, 1, Trigger::NoRoom, Leaves::NONE).expect("the least memory there may be");
            self.intact[segment].store(table.bits(), Ordering::Relaxed);
            self.now[segment].store(table.bits(), Ordering::Release);
        }
    }

    /// Begins the growth that a claim has made due, or does the writer's share of one.
    #[inline]
    pub(in crate::history) fn after_claim(&self, seat: &Seated<'_>, segment: usize, version: Version, table: Version) {
        let header = self.tables.get(table);
        let claimed = header.claimed.fetch_add(1, Ordering::Relaxed) + 1;
        let full = header.full.load(Ordering::Relaxed);
        let kept = self.kept.load(Ordering::Relaxed);
        if table != version || self.next(version).is_some() {
            // If there is a keeper, it does most of the work.
            let steps = if kept { usize::from(claimed.is_multiple_of(8)) } else { STEPS };
            for _ in 0..steps {
                self.help_on(seat, segment, version);
            }
        } else if claimed >= if kept { Self::slots_at(version, LATE) } else { full } {
            self.grow(segment, version, Trigger::Load);
        } else if kept && claimed >= full {
            self.keeper.wake();
        } else if !kept && claimed >= full - full / 16 {
            // Prepare one chunk now, rather than all that the growth needs at once.
            self.pool.find_one(Self::ahead(version.chunks()));
        }
        if !kept && self.pool.dirty() > 0 {
            self.pool.clear_one();
        }
    }

    /// Returns the number of chunks that should be ready if the largest table has `largest`: enough for its growth, and
    /// a few more.
    fn ahead(largest: usize) -> usize {
        largest * 5 / 4 + 4
    }

    /// Takes one step of the segment's growth, if there is one. Returns whether it took one. The caller must hold a
    /// seat on the segment.
    #[inline(never)]
    pub(in crate::history) fn help_on(&self, seat: &Seated<'_>, segment: usize, version: Version) -> bool {
        if !self.next(version).is_some() {
            return false;
        }
        let table = self.tables.get(version);
        let blocks = version.chunks() * CHUNK_BLOCKS;
        // Relaxed: the counter only assigns blocks. The done marks say which blocks are moved.
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

    /// Moves the block's pairs to the following tables. Returns whether all of them found room.
    pub(in crate::history) fn move_block(
        &self,
        seat: &Seated<'_>,
        segment: usize,
        version: Version,
        block: usize,
    ) -> bool {
        self.announce_ends(segment, version);
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
                // Whether this thread created the pair's slot in the next table, where the pair counts from then on.
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
                            self.observer.dropped(scope, register);
                            reclaimed += u64::from(register != 0);
                        }
                        ended
                    };
                    match ended {
                        Ok(()) => break,
                        Err(now) => {
                            // Another thread dropped the pair and subtracted it from the count, but it lives on in the
                            // next table.
                            if now == DROPPED && made {
                                self.granted.fetch_add(1, Ordering::Relaxed);
                                self.observer.kept(scope, register);
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

    /// Prefetches a block's lines and the lines that its pairs go to. Neither was accessed for long.
    fn prefetch_block(&self, version: Version, next: Version, first: u64) {
        for line in first..first + BLOCK_LINES as u64 {
            prefetch(self.line(version, line));
        }
        let target = next.seek(0, version.place_of(first)).line;
        for line in target..next.lines().min(target + BLOCK_LINES as u64 * 5 / 4 + 2) {
            prefetch(self.line(next, line));
        }
    }

    /// Merges a register into the first table with room, from `table` on. Returns that table, and whether the pair is
    /// new there.
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

    /// Exchanges the segment's version, once, and retires the old table.
    fn finish(&self, segment: usize, version: Version) {
        let next = self.next(version);
        step(Step::Finishing);
        self.mark_intact(segment, version, next);
        step(Step::MarkedIntact);
        // SeqCst: precedes the check of the seats, see `Seats::sit`. Release: publishes every copy, which this thread
        // has seen through the done marks.
        let now = &self.now[segment];
        if now.compare_exchange(version.bits(), next.bits(), order!(SeqCst, "finish"), Ordering::Relaxed).is_ok() {
            step(Step::Finished);
            self.counts.growths.fetch_add(1, Ordering::Relaxed);
            self.tables.retire(version);
            self.give_back();
        }
    }

    /// Gives back retired tables that no thread can be writing to. Looks at [`LOOKS`] of them, in turn. Returns whether
    /// there was one.
    pub(in crate::history) fn give_back(&self) -> bool {
        let (mut given, mut first_held) = (false, None);
        for _ in 0..LOOKS {
            let Some((segment, version)) = self.tables.pop_retired() else { break };
            step(Step::GivingBack);
            if self.seats.is_held(segment, version) && !canary("seats") {
                self.tables.put_back(version);
                if first_held == Some(version.bits()) {
                    break;
                }
                first_held.get_or_insert(version.bits());
                continue;
            }
            for at in 0..version.chunks() {
                self.pool.give(self.pool.chunk(version, at));
            }
            self.tables.give(version.table());
            given = true;
        }
        given
    }

    /// Makes room for a pair when the history is full. Returns whether it made room. The search begins at segment
    /// `first`.
    pub(in crate::history) fn reclaim(&self, first: usize) -> bool {
        let collected = self.seats.collect_credit() as usize;
        if collected > 0 {
            self.granted.fetch_sub(collected, Ordering::Relaxed);
            return true;
        }
        Self::segments().any(|offset| self.reclaim_in((first + offset) % SEGMENTS))
    }

    /// Completes the growths of all other segments, because their old tables hold memory. Returns whether any growth
    /// was completed. A growth that lacks memory may depend on this: the writers of the other segments might complete
    /// theirs only much later.
    #[cold]
    pub(in crate::history) fn end_others(&self, segment: usize) -> bool {
        let ended = |&other: &usize| {
            let (seat, version) = self.sit_in(other);
            self.help_through(&seat, other, version)
        };
        Self::segments().filter(|&other| other != segment && self.is_growing(other)).filter(ended).count() > 0
    }

    /// Takes a seat on the segment. Returns the seat and the current version.
    fn sit_in(&self, segment: usize) -> (Seated<'_>, Version) {
        let seat = self.seats.sit(segment, self.version(segment));
        // SeqCst: see `Seats::sit`.
        (seat, Version::from_bits(self.now[segment].load(Ordering::SeqCst)))
    }

    /// Takes all possible steps of the segment's growth. Returns whether the growth is complete.
    fn help_through(&self, seat: &Seated<'_>, segment: usize, version: Version) -> bool {
        let is_over = || self.now[segment].load(Ordering::Relaxed) != version.bits();
        while !is_over() && self.help_on(seat, segment, version) {}
        is_over()
    }

    /// Rewrites the segment if enough of its pairs can be dropped. Returns whether any were. After a search in vain, it
    /// searches again only when more can be dropped.
    pub(in crate::history) fn reclaim_in(&self, segment: usize) -> bool {
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

    /// Rewrites segments from which enough pairs can be removed. Stops when there is room or all segments were
    /// searched.
    pub(crate) fn reclaim_until(&self, has_room: &dyn Fn() -> bool) {
        Self::segments().any(|segment| {
            self.reclaim_in(segment);
            has_room()
        });
    }

    /// Rewrites the segment without its erasures, if there are enough of them. Returns whether it did. The caller must
    /// be the only writer.
    ///
    /// All threads that take part in a growth use the same floor, and a register never falls below it. But a register
    /// that is kept may become an erasure. If that happened during this growth, one thread could copy the call while
    /// another sees the erasure and leaves it out. The contact would be back. This cannot happen, in each of the three
    /// cases:
    ///
    /// 1. *The writer.* The only writer is this thread, which waits here until the growth is over.
    /// 2. *A thread that takes part.* It got the successor's version from this thread, and with it all registers
    ///    written before.
    /// 3. *A thread that stopped within an earlier growth and holds a copy.* It holds a seat on the segment, and then
    ///    this function changes nothing.
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
            // Memory ran out. The rest of the growth keeps erasures.
            self.tables.get(next).forgets.store(false, Ordering::Relaxed);
        }
        is_over
    }

    /// Does a small part of all work that is due. Returns whether there may be more. Memory comes before growths,
    /// because only missing memory makes a writer wait. Growths are done one at a time, because each holds memory until
    /// it is complete.
    pub(in crate::history) fn tend(&self) -> bool {
        let mut busy = self.tables.retired() > 0 && self.give_back();
        let largest = Self::segments().map(|segment| self.version(segment).chunks()).max().unwrap_or(0);
        for _ in 0..4 {
            busy |= self.pool.clear_one() || self.pool.find_one(Self::ahead(largest).max(BURST));
        }
        let due = |segment: &usize| self.is_full(self.version(*segment));
        // Only the first that makes progress: a growth that lacks memory may have to wait for the others.
        busy |= Self::segments().filter(|&segment| self.is_growing(segment)).any(|segment| self.tend_in(segment))
            || Self::segments().filter(due).any(|segment| self.tend_in(segment));
        if self.granted.load(Ordering::Relaxed) > self.max_pairs - self.max_pairs / 16 {
            // Nearly full: reclaim what may have expired in one segment.
            busy |= Self::segments().any(|segment| self.reclaim_in(segment));
        }
        busy
    }

    /// Moves a chunk's blocks in the segment's growth, or begins a growth. Returns whether there was something to do.
    fn tend_in(&self, segment: usize) -> bool {
        let (seat, version) = self.sit_in(segment);
        if self.next(version).is_some() {
            return (0..CHUNK_BLOCKS).filter(|_| self.help_on(&seat, segment, version)).count() > 0;
        }
        self.is_full(version) && self.grow(segment, version, Trigger::Load).is_some()
    }

    /// Returns whether the table should get a larger successor.
    fn is_full(&self, version: Version) -> bool {
        let table = self.tables.get(version);
        table.claimed.load(Ordering::Relaxed) >= table.full.load(Ordering::Relaxed)
    }
}
