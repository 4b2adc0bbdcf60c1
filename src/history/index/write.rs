//! Writes to the index.

use super::Index;
use super::limits::Full;
use super::line::{DROPPED, Wrote};
use super::memory::prefetch;
use super::seat::Seated;
use super::shape::{Version, segment_of, within};
use crate::sync::Ordering;

/// The result of a write in one table.
pub(in crate::history) enum Raised {
    Before { old: u64, claimed: bool },
    NextTable,
    NoCredit,
}

impl Index {
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
    pub(in crate::history) fn raise(
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
}
