//! The seats of writers: while a writer holds a seat, the memory of its tables is not used for anything else.
//!
//! A late reader only reads wrong data, and notices. A late writer would write wrong data. Before it reads a table, a
//! writer therefore announces which segment and generation it found. While it holds the seat, no table of that segment
//! from that generation on is given back. A writer that is frozen keeps one segment's old tables in memory, and nothing
//! else.
//!
//! A seat also has a small credit of pairs, so that many claims touch the count of all pairs only once.

use super::shape::{SEATS, SEGMENTS, Version};
use crate::sync::{AtomicU32, AtomicU64, Ordering, order, store_then_look};

/// The announcement of a writer in one word: the generation, and the segment plus one. Zero in a free seat.
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
    /// Takes the seat if it is free. Returns whether it did.
    #[inline(always)]
    fn is_taken_by(&self, hold: Hold) -> bool {
        // Acquire: the credit that the previous holder left. SeqCst: taking the seat precedes the next load of the
        // segment's version, in the single order that `is_held` takes part in, too.
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
    /// The number of writers without a seat, for each segment. They keep all its tables. The number of writers is
    /// therefore not limited.
    standing: Box<[Standing]>,
}

/// A seat that is held. Dropping it frees the seat.
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

    /// Takes a seat. Tables of the segment that the caller loads from now on stay, if they are of `hold`'s generation
    /// or later.
    ///
    /// A thread that gives a table back first moves the segment on, and then checks the seats. Either that thread sees
    /// this seat, or the caller's load sees that the segment has moved on.
    #[inline]
    pub(crate) fn sit(&self, segment: usize, version: Version) -> Seated<'_> {
        let hold = Hold::new(segment, version);
        let seat = &self.seats[preferred() % SEATS];
        if seat.is_taken_by(hold) {
            return Seated { seats: self, seat: Some(seat), segment };
        }
        self.sit_elsewhere(segment, hold)
    }

    /// Takes another seat, because the first choice is taken. If all are taken, counts the writer as one without a
    /// seat.
    #[cold]
    fn sit_elsewhere(&self, segment: usize, hold: Hold) -> Seated<'_> {
        let first = preferred();
        let others = (1..SEATS).map(|offset| &self.seats[(first + offset) % SEATS]);
        let seat = others.into_iter().find(|seat| seat.is_taken_by(hold));
        if seat.is_none() {
            // SeqCst: the announcement precedes the next load of the segment's version, as it does for a seat.
            self.standing[segment].0.fetch_add(1, Ordering::SeqCst);
            store_then_look();
        }
        Seated { seats: self, seat, segment }
    }

    /// Returns whether a thread may still be writing to this version of the segment. Call it after the segment has
    /// moved on.
    pub(crate) fn is_held(&self, segment: usize, version: Version) -> bool {
        store_then_look();
        // SeqCst: see `sit`. The loads also acquire what a writer did before it left, so that none of its writes comes
        // later.
        self.standing[segment].0.load(Ordering::SeqCst) != 0
            || self.seats.iter().any(|seat| {
                let hold = seat.hold.load(Ordering::SeqCst);
                hold as u32 == segment as u32 + 1 && !version_before(version, (hold >> 32) as u32)
            })
    }

    /// Returns whether the segment has another writer besides the caller, which must hold a seat on it.
    pub(crate) fn is_shared(&self, segment: usize) -> bool {
        store_then_look();
        // SeqCst: a writer that found an earlier version of the segment took its seat before that version ended. The
        // caller has seen that end. All these operations have a single order.
        let seats = self.seats.iter().filter(|seat| seat.hold.load(Ordering::SeqCst) as u32 == segment as u32 + 1);
        seats.count() + self.standing[segment].0.load(Ordering::SeqCst) as usize > 1
    }

    /// Returns the number of pairs that were granted to seats and are not used.
    pub(crate) fn credit(&self) -> u64 {
        self.seats.iter().map(|seat| seat.credit.load(Ordering::Relaxed)).sum()
    }

    /// Takes the unused credit of all seats that are free at this moment. Returns the sum.
    pub(crate) fn collect_credit(&self) -> u64 {
        let mut collected = 0;
        for seat in &self.seats {
            // Acquire and release, as for any other holder. The announcement names a segment that does not exist.
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

/// Returns whether `version` came before `generation`.
fn version_before(version: Version, generation: u32) -> bool {
    version.is_up_to(generation) && version.generation() != generation
}

impl Seated<'_> {
    /// Returns the seat's credit of pairs, or `None` for a writer without a seat. Only the holder changes the credit.
    pub(crate) fn credit(&self) -> Option<&AtomicU64> {
        self.seat.map(|seat| &seat.credit)
    }
}

impl Drop for Seated<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: everything that was written while the seat was held precedes any later use of the memory. It also
        // precedes what the next holder does with the credit.
        match self.seat {
            Some(seat) => seat.hold.store(0, order!(Release, "leave")),
            None => {
                self.seats.standing[self.segment].0.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

/// Returns a number that stays the same in one thread, and usually differs between threads.
#[inline(always)]
#[cfg(not(loom))]
fn preferred() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    // Thread-local blocks lie some pages apart. Mix the address, so that neighbours do not share a seat.
    let address = HERE.with(|here| std::ptr::from_ref(here).addr());
    (address >> 6).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48
}

#[cfg(loom)]
fn preferred() -> usize {
    0
}
