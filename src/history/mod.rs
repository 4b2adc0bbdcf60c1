//! The history: (scope, contact) → [`Register`]. Knows no agent, no plan and no clock.
//!
//! # What it promises
//! * **Reads** are wait-free and allocate nothing. A pair costs two cache lines that are on their way at the same time, in
//!   one of twenty cases two more. A reader writes nothing that others see, and no growth, writer or stopped thread makes it
//!   wait.
//! * **Writes** are lock-free. A merge raises the pair's register to at least what it is given: when it has returned, every
//!   read that begins sees that or more, and no two reads, one after the other, see a register go back.
//! * **Growth** is done one segment at a time, in steps that any thread may take; a thread that is stopped anywhere in it
//!   keeps nobody from going on.
//! * **Memory** is 16 bytes a pair over a load that stays between 0.68 and 0.8, in small tables less, with growths one after
//!   another rather than all at once. It is address space first, memory as it is used (4 MiB at least), and goes back with the
//!   history. No table has a page that is missing: whoever makes one has its pages found, which is the keeper where there is
//!   one and it is in time.
//! * **The ceiling** is refused with [`Full`] and counted, after what may be left behind has been.
//!
//! What it does not promise: [`History::for_each`] is no snapshot of one moment; pairs below the
//! [floor](History::expire_before) and of [retired scopes](History::retire) vanish when their segment is rewritten, not
//! before; memory does not shrink.
//!
//! # The layout
//! The space of pairs is cut into 64 segments. A segment's *version*, one word, names its current table: how many lines,
//! and where its directory is. A line is eight key words, which are one cache line, and eight registers, which are the
//! next: twice as many pairs as one cache line of both would hold, so that a search seldom goes on. A pair's place in the
//! space, a keyed mix of its contact plus a keyed hash of its scope's owner, names segment and home line, and what is left
//! of it is in the key word along with the scope and the distance from home: nothing is lost, no two pairs have one key word.
//! A full line sends pairs on to the next and is marked, with two of sixteen marks, so that nearly all strangers end there.
//!
//! # Invariants
//! Within one table's life, from the moment its version is published to the moment its memory is given back:
//!
//! 1. A key word goes from zero to a pair's word or to *sealed*, once; its marks are only added. The slots of a line are
//!    claimed in order, and so are the lines of a search. *So a pair has at most one slot*: whoever claims a later slot
//!    has seen all before it taken by others for good.
//! 2. A register only rises, and ends as *moved* or *dropped*, which are the two greatest words.
//! 3. Who claims a slot away from home has marked every line passed. *So who is told of a pair is told where to look*:
//!    marks are coherent with the claim for all who know that the claim was made.
//! 4. A register ends as *moved* only after the next table's register of the pair is at least as great; an empty slot is
//!    sealed only when there is a next table. *So following an end never goes back in time.*
//! 5. The version is exchanged only when every slot of the old table has ended.
//! 6. A table's memory is used for something else only after its version was exchanged, and after every writer that may
//!    have known it has left its seat. A late reader finds out, because the version comes before the new use in the
//!    order of writes and after the old use in its own order of reads.
//! 7. A version is *calm* from before it is the current one until before the first slot of its table ends. *So who finds it
//!    calm, behind a look, has seen no end in that look*, nor memory that is in use for something else: nearly every read,
//!    which then asks nothing more. All others find their way by 4 and 6.
//!
//! From 1, 2 and 4: registers never go back. From 2, 4 and 5: no acknowledged register is lost. A pair that is dropped
//! is below the floor of that growth, or its scope is retired, or it was claimed and not yet written; then its writer
//! meets the end and writes again in the next table.
//!
//! # Orderings
//! Each file says its own, at the operation. On one location everything is coherent, which is all that a table needs
//! within itself; acquire and release carry what is behind a pointer (version, successor, stack link) and behind an end;
//! sequential consistency is asked for in one place, between taking a seat and looking at the seats. The models
//! (`models/`) check each of them, and each has a canary: a build that weakens it, and must fail.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "words of bit fields, cut to size on purpose; each field's width is said where it is"
)]
#![allow(
    clippy::inline_always,
    reason = "measured: a read is some seventy instructions, and a call in between costs a tenth"
)]

mod bell;
mod compare;
mod growth;
mod index;
mod keeper;
mod limits;
mod line;
mod memory;
mod no_room;
mod owners;
mod pool;
mod register;
mod scopes;
mod seat;
mod shape;
mod spot;
mod stack;
#[doc(hidden)]
pub mod step;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use keeper::Keeper;
pub use limits::{Full, Limits, Stats};
pub use no_room::NoRoom;
pub use register::{LastCall, Register};
pub use spot::Spot;

use crate::number::E164;
use crate::slot::Scope;
use index::Index;
use owners::Owners;
use spot::Mix;
use std::fmt;
use std::io;

/// The last outbound call of every (scope, contact) pair.
///
/// Shared by reference between any number of threads. Without a [`Keeper`], or someone who calls
/// [`tend`](Self::tend), writers do the growing in small steps.
pub struct History {
    mix: Mix,
    owners: Owners,
    index: Index,
}

impl History {
    /// An empty history with these ceilings; a plain number is one of pairs.
    ///
    /// # Panics
    /// Where the system does not give the address space; see [`try_new`](Self::try_new).
    pub fn new(limits: impl Into<Limits>) -> Self {
        Self::try_new(limits.into()).expect("address space for the history")
    }

    /// An empty history with these ceilings.
    ///
    /// # Errors
    /// Where the system does not give the address space.
    pub fn try_new(limits: Limits) -> io::Result<Self> {
        Ok(Self { mix: Mix::random(), owners: Owners::new()?, index: Index::new(limits)? })
    }

    /// Says that `scope` is that of the dialed number `owner`, before the scope's first pair is written: from then on a
    /// pair's [`Spot`] follows from the dialed number and the contact. `false`, and no change, where the scope has been
    /// written to, or given to another owner, already.
    ///
    /// A scope that nobody says this of works just as well; only its spots cannot be known before the scope is.
    pub fn assign(&self, scope: Scope, owner: E164) -> bool {
        self.owners.assign(scope.bits(), owner.word())
    }

    /// Where the pair of a dialed number and a contact lies, for [`prefetch`](Self::prefetch) and
    /// [`get_at`](Self::get_at): computed, nothing is looked up.
    #[inline]
    pub fn spot(&self, owner: E164, contact: E164) -> Spot {
        self.mix.spot(owner.word(), contact.word())
    }

    /// Where the pair lies.
    #[inline]
    pub fn spot_in(&self, scope: Scope, contact: E164) -> Spot {
        self.mix.spot(self.owners.of(scope.bits()), contact.word())
    }

    /// Brings the line of a spot near, while something else is looked up.
    #[inline]
    pub fn prefetch(&self, spot: Spot) {
        self.index.prefetch(spot.place());
    }

    /// The pair's register. Wait-free, allocates nothing.
    #[inline]
    pub fn get(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.get_at(scope, self.spot_in(scope, contact))
    }

    /// The register of the pair of `scope` at this spot, which must be of the scope's owner: else there is none.
    #[inline(always)]
    pub fn get_at(&self, scope: Scope, spot: Spot) -> Option<Register> {
        Register::from_bits(self.index.get(scope.bits(), spot.place()))
    }

    /// The registers of many pairs: their lines are all on their way before the first is looked at.
    ///
    /// # Panics
    /// If the slices differ in length.
    #[inline]
    pub fn get_batch(&self, pairs: &[(Scope, Spot)], registers: &mut [Option<Register>]) {
        assert_eq!(pairs.len(), registers.len(), "a register for each pair");
        let place = |at: usize| (pairs[at].0.bits(), pairs[at].1.place());
        self.index.get_batch(pairs.len(), place, |at, bits| registers[at] = Register::from_bits(bits));
    }

    /// Raises the pair's register to at least `register` and returns the one before. Lock-free.
    ///
    /// # Errors
    /// [`Full`] where the pair is new and a ceiling is reached; nothing is changed then.
    #[inline]
    pub fn merge(&self, scope: Scope, contact: E164, register: Register) -> Result<Option<Register>, Full> {
        let owner = self.owners.settled(scope.bits());
        let spot = self.mix.spot(owner, contact.word());
        self.index.merge(scope.bits(), spot.place(), register.bits()).map(Register::from_bits)
    }

    /// The same where the spot is known, which must be of the scope's [assigned](Self::assign) owner: else the pair is
    /// nowhere that [`get`](Self::get) looks.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge).
    #[inline]
    pub fn merge_at(&self, scope: Scope, spot: Spot, register: Register) -> Result<Option<Register>, Full> {
        self.index.merge(scope.bits(), spot.place(), register.bits()).map(Register::from_bits)
    }

    /// Registers below `floor` may be left behind from now on: they vanish when their segment is rewritten. Floors only
    /// rise. For whoever has a clock: the moment before which nothing counts any more.
    pub fn expire_before(&self, floor: Register) {
        self.index.expire_before(floor.bits());
    }

    /// All pairs of `scope` may be left behind from now on.
    pub fn retire(&self, scope: Scope) {
        self.index.retire(scope.bits());
    }

    /// Does a bounded part of what is due: growing, clearing, finding memory ahead, and near the ceiling reclaiming.
    /// Whether there may be more. For embedders with housekeeping of their own; [`Keeper`] calls nothing else.
    pub fn tend(&self) -> bool {
        self.index.tend()
    }

    /// How many new pairs there is room for below the ceiling in pairs. Where there is none, what may be left behind is
    /// left behind first.
    pub(crate) fn room(&self) -> usize {
        let room = || self.index.max_pairs().saturating_sub(self.len());
        while room() == 0 && self.index.tend() {}
        room()
    }

    /// What a new pair is answered where there is no room.
    pub(crate) fn full(&self) -> Full {
        Full::new(self.len(), self.index.max_pairs())
    }

    /// How many pairs there are, erased ones included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resident bytes.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.owners.bytes()
    }

    /// What the history holds and what happened to it.
    pub fn stats(&self) -> Stats {
        Stats { bytes: self.bytes(), ..self.index.stats() }
    }

    /// Shows every pair, in no order, without stopping readers or writers. A pair that is there from beginning to end is
    /// shown at least once, perhaps more often, with a register no older than it had at the beginning. Pairs that are
    /// written meanwhile may or may not be seen.
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

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
