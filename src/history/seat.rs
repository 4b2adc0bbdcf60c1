//! Where writers sit while they write: what keeps a table's memory from being used for something else under them.
//!
//! A reader that is late merely reads rubbish and finds out. A writer that is late would write it. So a writer says,
//! before it looks at a table, which segment and generation it found, and no table of that segment from that
//! generation on is given back while it sits. One that is frozen keeps one segment's old tables, and nothing else.
//!
//! A seat also carries a small credit of pairs, so that the count of all pairs is touched once in many claims.

use super::shape::{SEATS, SEGMENTS, Version};
use crate::sync::{AtomicU32, AtomicU64, Ordering, order, store_then_look};

/// A claim in a word: generation and segment plus one; zero in a free seat.
#[derive(Clone, Copy)]
pub(crate) struct Hold(u64);

impl Hold {
    pub(crate) fn new(segment: usize, version: Version) -> Hold {
        Hold(u64::from(version.generation()) << 32 | (segment as u64 + 1))
    }
}

#[repr(align(128))]
struct Seat {
    hold: AtomicU64,
    credit: AtomicU64,
}

impl Seat {
    /// Takes the seat if it is free.
    #[inline(always)]
    fn is_taken_by(&self, hold: Hold) -> bool {
        // Acquire: the credit that the one before left. SeqCst: taking the seat comes before the next look at the
        // segment's version, in the one order that `is_held` is part of too.
        let taken = self.hold.load(Ordering::Relaxed) == 0
            && self.hold.compare_exchange(0, hold.0, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if taken {
            store_then_look();
        }
        taken
    }
}

#[repr(align(128))]
struct Standing(AtomicU32);

/// All seats of one history.
pub(crate) struct Seats {
    seats: Box<[Seat]>,
    /// Writers that found no seat, per segment: they keep all its tables. So there is no limit to writers.
    standing: Box<[Standing]>,
}

/// A seat, taken. Left when dropped.
pub(crate) struct Seated<'a> {
    seats: &'a Seats,
    seat: Option<&'a Seat>,
    segment: usize,
}

impl Seats {
    pub(crate) fn new() -> Seats {
        Seats {
            seats: (0..SEATS).map(|_| Seat { hold: AtomicU64::new(0), credit: AtomicU64::new(0) }).collect(),
            standing: (0..SEGMENTS).map(|_| Standing(AtomicU32::new(0))).collect(),
        }
    }

    /// Takes a seat. What the caller loads of the segment from now on stays, if it is of `hold`'s generation or later:
    /// whoever gives a table back does so after the segment moved on and then looks at the seats; so either it sees
    /// this seat, or the caller's load sees that the segment moved on.
    #[inline]
    pub(crate) fn sit(&self, segment: usize, version: Version) -> Seated<'_> {
        let hold = Hold::new(segment, version);
        let seat = &self.seats[whose() % SEATS];
        if seat.is_taken_by(hold) {
            return Seated { seats: self, seat: Some(seat), segment };
        }
        self.sit_elsewhere(segment, hold)
    }

    /// The same where another sits in the first place.
    #[cold]
    fn sit_elsewhere(&self, segment: usize, hold: Hold) -> Seated<'_> {
        let first = whose();
        let others = (1..SEATS).map(|offset| &self.seats[(first + offset) % SEATS]);
        let seat = others.into_iter().find(|seat| seat.is_taken_by(hold));
        if seat.is_none() {
            // SeqCst: as for a seat.
            self.standing[segment].0.fetch_add(1, Ordering::SeqCst);
            store_then_look();
        }
        Seated { seats: self, seat, segment }
    }

    /// Whether somebody may still be writing to this version of the segment. Asked after the segment moved on.
    pub(crate) fn is_held(&self, segment: usize, version: Version) -> bool {
        store_then_look();
        // SeqCst: see `sit`. It also acquires what a writer did before it left: nothing of it comes later.
        self.standing[segment].0.load(Ordering::SeqCst) != 0
            || self.seats.iter().any(|seat| {
                let hold = seat.hold.load(Ordering::SeqCst);
                hold as u32 == segment as u32 + 1 && !version_before(version, (hold >> 32) as u32)
            })
    }

    /// Whether more than one sits on the segment, of whom the caller is one.
    pub(crate) fn is_shared(&self, segment: usize) -> bool {
        store_then_look();
        // SeqCst: whoever found an earlier version of the segment took its seat before that version ended, which the caller
        // has seen, in the one order of all these operations.
        let seats = self.seats.iter().filter(|seat| seat.hold.load(Ordering::SeqCst) as u32 == segment as u32 + 1);
        seats.count() + self.standing[segment].0.load(Ordering::SeqCst) as usize > 1
    }

    /// The pairs that writers were granted and have not used.
    pub(crate) fn credit(&self) -> u64 {
        self.seats.iter().map(|seat| seat.credit.load(Ordering::Relaxed)).sum()
    }

    /// Takes every unused credit of the seats that are free just now.
    pub(crate) fn collect_credit(&self) -> u64 {
        let mut collected = 0;
        for seat in &self.seats {
            // Acquire and release as for any other who sits: the hold names a segment that does not exist.
            if seat.credit.load(Ordering::Relaxed) != 0
                && seat.hold.compare_exchange(0, u64::from(u32::MAX), Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                collected += seat.credit.load(Ordering::Relaxed);
                seat.credit.store(0, Ordering::Relaxed);
                seat.hold.store(0, Ordering::Release);
            }
        }
        collected
    }
}

/// Whether `version` came before `generation`.
fn version_before(version: Version, generation: u32) -> bool {
    version.is_up_to(generation) && version.generation() != generation
}

impl Seated<'_> {
    /// The credit of pairs that goes with the seat; none without one. Only who sits touches it.
    pub(crate) fn credit(&self) -> Option<&AtomicU64> {
        self.seat.map(|seat| &seat.credit)
    }
}

impl Drop for Seated<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: all that was written while sitting comes before whatever is done with the memory later, and before
        // what the next one here does with the credit.
        match self.seat {
            Some(seat) => seat.hold.store(0, order!(Release, "leave")),
            None => {
                self.seats.standing[self.segment].0.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

/// A number that differs between threads, mostly, and stays the same in one.
#[inline(always)]
#[cfg(not(loom))]
fn whose() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    // Thread-local blocks lie some pages apart: mix, so that neighbours do not share a seat.
    let address = HERE.with(|here| std::ptr::from_ref(here).addr());
    (address >> 6).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48
}

#[cfg(loom)]
fn whose() -> usize {
    0
}
