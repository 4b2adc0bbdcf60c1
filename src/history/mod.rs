//! The history: a map from (scope, contact) to a [`Register`]. It knows no agents, no plan and no clock.
//!
//! # Guarantees
//! * **Reads** are wait-free and do not allocate. A pair costs two cache lines, which are loaded at the same time, and
//!   two more in one of twenty cases. A reader writes nothing that other threads see. No growth, writer or stopped
//!   thread makes it wait.
//! * **Writes** are lock-free. A merge raises the pair's register to at least the given one. After it has returned,
//!   every read that begins returns that register or a higher one. A later read never returns a lower register than
//!   an earlier one.
//! * **Growth** is done one segment at a time, in steps that any thread may take. A thread that is stopped at any point
//!   of it blocks no other thread.
//! * **Memory** is 16 bytes a pair, divided by a load that stays between 0.68 and 0.8, and lower in small tables.
//!   Growths come one after another rather than all at once. The memory is address space at first, and is used as
//!   needed (4 MiB at least). It goes back to the system when the history is dropped. No table has a page that the
//!   system still has to provide: the thread that builds a table has its pages provided. That thread is the keeper, if
//!   there is one and it is in time.
//! * **At its maximum size**, the history first reclaims expired pairs and those of retired scopes. Then it rejects new
//!   pairs with [`Full`], and counts the rejections.
//!
//! # Limits of these guarantees
//! * [`History::for_each`] is not a snapshot of one moment.
//! * Pairs below the [floor](History::expire_before) and of [retired scopes](History::retire) vanish when their segment
//!   is rewritten, not before.
//! * Memory does not shrink.
//!
//! # The layout
//! The key space is divided into 64 segments. The *version* of a segment, one word, names its current table: the number
//! of its lines, and the place of its directory. A line has eight key words, which are one cache line, and eight
//! registers, which are the next. A single cache line with both would hold half as many pairs, and searches would go on
//! to another line more often.
//!
//! The place of a pair is a keyed mix of its contact, plus a keyed hash of its scope's owner. It selects the segment
//! and the home line. The rest of the place is in the key word, along with the scope and the distance from home.
//! Nothing is lost, so no two pairs have the same key word. A full line sends pairs on to the next line and is marked,
//! with two of sixteen marks. Nearly all searches for other pairs therefore end there.
//!
//! # Invariants
//! These hold during one life of a table, from the publication of its version until its memory is given back:
//!
//! 1. A key word changes once, from zero to a pair's word or to *sealed*. Its marks are only added. The slots of a line
//!    are claimed in order, and so are the lines of a search. *A pair therefore has at most one slot*: a thread that
//!    claims a later slot has seen that other pairs have all earlier ones for good.
//! 2. A register only rises. It ends as *moved* or *dropped*, which are the two greatest words.
//! 3. A thread that claims a slot away from home has marked every line that it passed. *A thread that learns of a pair
//!    therefore also learns where to search*: for each thread that knows of the claim, the marks are coherent with it.
//! 4. A register ends as *moved* only after the pair's register in the next table is at least as great. An empty slot
//!    is sealed only if there is a next table. *Following an end therefore never goes back in time.*
//! 5. The version is exchanged only after every slot of the old table has ended.
//! 6. The memory of a table is used for something else only after its version was exchanged, and after each writer that
//!    may have known it has left its seat. A late reader notices: the exchange of the version comes before the new use
//!    in the order of writes, and the check of the version comes after the reads.
//! 7. A version is *intact* from before it becomes the current one until before the first slot of its table ends. *A
//!    reader that finds it intact, after a lookup, has seen no end in that lookup*, and no memory that is in use for
//!    something else. Nearly every read ends this way and checks nothing more. All other reads rely on 4 and 6.
//!
//! From 1, 2 and 4 it follows that registers never go back. From 2, 4 and 5 it follows that no acknowledged register is
//! lost. A pair that is dropped is below the floor of that growth, or its scope is retired, or it was claimed and not
//! yet written. In the last case, its writer finds the end and writes again in the next table.
//!
//! # Orderings
//! Each file describes its own orderings at the operations. Each single location is coherent, and a table needs no more
//! than that within itself. Acquire and release publish what is behind a pointer (version, successor, stack link) and
//! what comes before an end. Sequential consistency is needed in one place: between taking a seat and checking the
//! seats. The models (`models/`) check each ordering. Each has a canary: a build that weakens the ordering, and must
//! fail.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "words of bit fields, cut to size on purpose; each field's width is documented where it is defined"
)]
#![allow(
    clippy::inline_always,
    reason = "measured: a read is some seventy instructions, and a call in between costs a tenth"
)]

mod holders;
mod index;
mod keeper;
mod no_room;
mod owners;
mod register;
mod spot;
#[cfg(test)]
mod tests;

pub use self::index::limits::{Full, HistoryLimits, Stats};
pub use keeper::Keeper;
pub use no_room::NoRoom;
pub use register::{LastCall, Register};
pub use spot::Spot;

use self::index::dropped::DropObserver;
use crate::number::E164;
use crate::slot::{EnvironmentSlot, Scope};
use holders::Holders;
use index::Index;
use owners::Owners;
use spot::Mix;
use std::fmt;
use std::io;
use std::sync::Arc;

const _: () = assert!(index::shape::SCOPE_BITS == Scope::BITS, "a key word has room for a scope");

/// The last outbound call of each (scope, contact) pair.
///
/// Any number of threads can share a history by reference. Without a [`Keeper`], and without calls of
/// [`tend`](Self::tend), writers do the growing in small steps.
pub struct History {
    mix: Mix,
    owners: Owners,
    /// The pairs of each environment. The index reports to it what growths drop.
    holders: Arc<Holders>,
    index: Index,
}

impl History {
    /// Returns an empty history with these limits. A plain number limits the pairs.
    ///
    /// # Panics
    /// Panics if the system does not provide the address space. See [`try_new`](Self::try_new).
    pub fn new(limits: impl Into<HistoryLimits>) -> Self {
        Self::try_new(limits.into()).expect("cannot reserve the address space of the history: lower its limits")
    }

    /// Returns an empty history with these limits.
    ///
    /// # Errors
    /// Returns an error if the system does not provide the address space.
    pub fn try_new(limits: HistoryLimits) -> io::Result<Self> {
        let holders = Arc::new(Holders::new()?);
        let index = Index::new(limits, Arc::clone(&holders) as Arc<dyn DropObserver>)?;
        Ok(Self { mix: Mix::random(), owners: Owners::new()?, holders, index })
    }

    /// Returns the bytes of address space that a history with these limits reserves. Memory is used as needed.
    pub fn address_space(limits: impl Into<HistoryLimits>) -> usize {
        Index::address_space(limits.into()) + Owners::BYTES + Holders::BYTES
    }

    /// Assigns `scope` to the dialed number `owner`, before the scope's first pair is written. From then on, a pair's
    /// [`Spot`] follows from the dialed number and the contact. Returns `false`, and changes nothing, if the scope was
    /// already written to or assigned to another owner.
    ///
    /// A scope without an assigned owner works as well. But its spots can be computed only when the scope is known.
    pub fn assign(&self, scope: Scope, owner: E164) -> bool {
        self.owners.assign(scope.bits(), owner.word())
    }

    /// Returns the place of the pair of a dialed number and a contact, for [`prefetch`](Self::prefetch) and
    /// [`get_at`](Self::get_at). The place is computed, without a lookup.
    #[inline]
    pub fn spot(&self, owner: E164, contact: E164) -> Spot {
        self.mix.spot(owner.word(), contact.word())
    }

    /// Returns the place of the pair of a scope and a contact.
    #[inline]
    pub fn spot_in(&self, scope: Scope, contact: E164) -> Spot {
        self.mix.spot(self.owners.of(scope.bits()), contact.word())
    }

    /// Prefetches the line of a spot, so that it is loaded during another lookup.
    #[inline]
    pub fn prefetch(&self, spot: Spot) {
        self.index.prefetch(spot.place());
    }

    /// Returns the pair's register. Wait-free, without allocation.
    #[inline]
    pub fn get(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.get_at(scope, self.spot_in(scope, contact))
    }

    /// Returns the register of the pair of `scope` at this spot. The spot must be of the scope's owner: otherwise there
    /// is no such pair.
    #[inline(always)]
    pub fn get_at(&self, scope: Scope, spot: Spot) -> Option<Register> {
        Register::from_bits(self.index.get(scope.bits(), spot.place()))
    }

    /// Returns the registers of many pairs. All their lines are requested before the first one is read.
    ///
    /// # Panics
    /// Panics if the slices have different lengths.
    #[inline]
    pub fn get_batch(&self, pairs: &[(Scope, Spot)], registers: &mut [Option<Register>]) {
        assert_eq!(pairs.len(), registers.len(), "a register for each pair");
        let place = |at: usize| (pairs[at].0.bits(), pairs[at].1.place());
        self.index.get_batch(pairs.len(), place, |at, bits| registers[at] = Register::from_bits(bits));
    }

    /// Raises the pair's register to at least `register`, and returns the previous one. Lock-free.
    ///
    /// # Errors
    /// Returns [`Full`] if the pair is new and the history has reached its maximum size. Nothing is changed then.
    #[inline]
    pub fn merge(&self, scope: Scope, contact: E164, register: Register) -> Result<Option<Register>, Full> {
        let owner = self.owners.settled(scope.bits());
        let spot = self.mix.spot(owner, contact.word());
        self.index.merge(scope.bits(), spot.place(), register.bits()).map(Register::from_bits)
    }

    /// Raises the register of a pair whose spot is known, and returns the previous one. The spot must be of the scope's
    /// [assigned](Self::assign) owner. Otherwise [`get`](Self::get) does not find the pair.
    ///
    /// # Errors
    /// Returns [`Full`] if the pair is new and the history has reached its maximum size. Nothing is changed then.
    #[inline]
    pub fn merge_at(&self, scope: Scope, spot: Spot, register: Register) -> Result<Option<Register>, Full> {
        self.index.merge(scope.bits(), spot.place(), register.bits()).map(Register::from_bits)
    }

    /// Permits growths to drop registers below `floor`. They vanish when their segment is rewritten. Floors only rise.
    /// A program with a clock sets the floor to the time before which no call counts any more.
    pub fn expire_before(&self, floor: Register) {
        self.index.expire_before(floor.bits());
    }

    /// Permits growths to drop all pairs of `scope`.
    pub fn retire(&self, scope: Scope) {
        self.index.retire(scope.bits());
    }

    /// Does a bounded part of the work that is due: growing, clearing, preparing memory, and reclaiming when the
    /// history is nearly full. Returns whether there may be more. For programs with their own housekeeping; [`Keeper`]
    /// does nothing else.
    pub fn tend(&self) -> bool {
        self.index.tend()
    }

    /// Returns the number of pairs, including erased ones.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of resident bytes.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.owners.bytes()
    }

    /// Returns the size of the history, and counts of what happened to it.
    pub fn stats(&self) -> Stats {
        Stats { bytes: self.bytes(), ..self.index.stats() }
    }

    /// Shows every pair, in no particular order, without blocking readers or writers. A pair that exists from the
    /// beginning to the end is shown at least once, and possibly more often, with a register no older than at the
    /// beginning. A pair that is written meanwhile may or may not be shown.
    pub fn for_each(&self, mut see: impl FnMut(Scope, E164, Register)) {
        self.index.walk(|scope, place, bits| {
            let contact = self.mix.contact(self.owners.of(scope), Spot::from_place(place));
            let pair = (Scope::from_bits(scope), E164::from_code(contact), Register::from_bits(bits));
            if let (Some(scope), Some(contact), Some(register)) = pair {
                see(scope, contact, register);
            }
        });
    }
}

/// The methods for a service, which shares the history out and is its only writer.
impl History {
    /// Starts to count the pairs of each environment, and reserves places above the ceiling for erased pairs. Call it
    /// before the first pair is written.
    pub(crate) fn share_out(&self) {
        self.index.keep_spare(self.spare());
        self.holders.start();
    }

    /// Assigns the pairs of `scope` to an environment. Call it before the scope's first pair is written.
    pub(crate) fn belongs(&self, scope: Scope, environment: EnvironmentSlot) {
        self.holders.assign(scope, environment);
    }

    /// Merges a register as [`merge`](Self::merge) does, and counts the pair.
    pub(crate) fn merge_counted(
        &self,
        scope: Scope,
        contact: E164,
        register: Register,
    ) -> Result<Option<Register>, Full> {
        let before = self.merge(scope, contact, register)?;
        self.holders.changed(scope, before, register);
        Ok(before)
    }

    /// Merges several registers and counts their pairs. Consecutive pairs of one scope are counted together.
    pub(crate) fn merge_all(&self, pairs: &[(Scope, E164, Register)]) -> Result<(), Full> {
        let mut counted = (pairs.first().map(|pair| pair.0), 0);
        let merged = pairs.iter().try_for_each(|&(scope, contact, register)| {
            let before = self.merge(scope, contact, register)?;
            if counted.0 != Some(scope) {
                counted.0.into_iter().for_each(|scope| self.holders.add(scope, counted.1));
                counted = (Some(scope), 0);
            }
            counted.1 += holders::change(scope, before, register);
            Ok(())
        });
        counted.0.into_iter().for_each(|scope| self.holders.add(scope, counted.1));
        merged
    }

    /// Returns the number of places above the ceiling. They are few compared with the ceiling. They are enough to make
    /// each removal of erased pairs worthwhile, which rewrites a part of the history.
    pub(crate) fn spare(&self) -> usize {
        self.max_pairs() / 64 + 64
    }

    /// Returns the ceiling in pairs.
    pub(crate) fn max_pairs(&self) -> usize {
        self.index.max_pairs()
    }

    /// Returns the number of pairs that the environment holds. It includes remembered erasures, but not erased pairs.
    pub(crate) fn held_by(&self, environment: EnvironmentSlot) -> usize {
        self.holders.of(environment)
    }

    /// Returns the number of pairs that all environments hold.
    pub(crate) fn held(&self) -> usize {
        self.holders.all()
    }

    /// Returns how many more pairs can be written, for any environment.
    pub(crate) fn places(&self) -> usize {
        self.index.places().saturating_sub(self.len())
    }

    /// Removes pairs below the [floor](Self::expire_before) until there is room, or until no more can be removed.
    /// Searches once for each floor.
    pub(crate) fn reclaim_until(&self, has_room: &dyn Fn() -> bool) {
        self.index.reclaim_until(has_room);
    }

    /// Removes the erased pairs and the erasures of one of the [`PARTS`](Self::PARTS) of the history. The caller must
    /// remember the erasures elsewhere. No other thread may write meanwhile. Returns whether the part was rewritten.
    pub(crate) fn forget_erased(&self, part: usize) -> bool {
        self.index.forget_in(part % Self::PARTS)
    }

    /// The number of parts whose erased pairs can be removed separately.
    pub(crate) const PARTS: usize = self::index::shape::SEGMENTS;

    /// Counts a new pair that was rejected without an attempt to write it.
    pub(crate) fn count_rejection(&self) {
        self.index.count_rejection();
    }

    /// Returns the error for a new pair when there is no room.
    pub(crate) fn full(&self) -> Full {
        Full::new(self.held(), self.max_pairs())
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
