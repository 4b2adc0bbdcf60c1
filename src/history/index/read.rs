//! Lookups in the index.

use super::Index;
use super::compare::{Compare, Words};
use super::line::{DROPPED, Found, Line};
use super::memory::{prefetch, prefetch_of_many, prefetch_registers};
use super::shape::{Key, Seek, Version, segment_of, within};
use crate::sync::{Ordering, fence, order};

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
pub(super) struct Begun<'a> {
    pub(super) version: Version,
    pub(super) key: Key,
    pub(super) line: &'a Line,
}

/// The result of a search in one table.
enum At {
    Register(u64),
    Nowhere,
    NextTable,
}

impl Index {
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
    pub(super) fn home(&self, version: Version, scope: u32, place: u64) -> Begun<'_> {
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
    pub(in crate::history) fn get_far(&self, scope: u32, place: u64) -> u64 {
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
}
