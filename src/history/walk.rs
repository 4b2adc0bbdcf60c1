//! Seeing every pair while others write and the tables grow.

use super::index::Index;
use super::line::{DROPPED, SEALED};
use super::shape::{BLOCK_LINES, SLOTS, Version, place_in};

impl Index {
    /// Shows every pair: scope, place, register. A pair that was there at the beginning is shown at least once, with a
    /// register no older than it had then, unless it is left behind meanwhile; one that comes while this runs may or
    /// may not be.
    ///
    /// Takes no seat: what is shown is copied a block at a time and believed if the segment is still where it was.
    pub(crate) fn walk(&self, mut see: impl FnMut(u32, u64, u64)) {
        for segment in Self::segments() {
            let mut from = 0;
            let mut wrapped = false;
            loop {
                let version = self.version(segment);
                // Pairs may be in the successor alone. Those who came there before now are found by walking it too:
                // it stays until the segment has moved on from it.
                let growing = self.next(version).is_some();
                match self.walk_table(segment, version, from, wrapped, &mut see) {
                    Ok(()) if growing => {
                        let next = self.next(version);
                        // While the segment stands at either, the successor is whole; else begin again behind it.
                        if self.walk_successor(segment, version, next, &mut see) {
                            break;
                        }
                        from = 0;
                    }
                    Ok(()) => break,
                    // What the table had from there on is in a later one; what it had sent to its successor may be
                    // anywhere in that.
                    Err(_) if growing => from = 0,
                    Err(place) => from = from.max(place),
                }
                wrapped = true;
            }
        }
    }

    /// Shows the table's pairs from the place `from` on; the place up to which it did if the segment moved on.
    fn walk_table(
        &self,
        segment: usize,
        version: Version,
        from: u64,
        wrapped: bool,
        see: &mut impl FnMut(u32, u64, u64),
    ) -> Result<(), u64> {
        let first = version.seek(0, from).line;
        // Pairs whose home is near the end may lie at the beginning.
        let again = if wrapped { (version.span() + 1).min(first) } else { 0 };
        let blocks = (first..version.lines()).step_by(BLOCK_LINES).map(|line| (line, version.lines()));
        for (line, end) in blocks.chain((0..again).step_by(BLOCK_LINES).map(|line| (line, again))) {
            let (found, count) = self.copy_block(version, line, end.min(line + BLOCK_LINES as u64));
            if !self.is_still(segment, version) {
                return Err(if line < first { from } else { version.place_of(line.saturating_sub(version.span())) });
            }
            for &(line, key, register) in &found[..count] {
                let (scope, within) = version.unpack(line, key);
                let place = place_in(segment, within);
                let register = if register < DROPPED { register } else { self.get(scope, place) };
                if register != 0 {
                    see(scope, place, register);
                }
            }
        }
        Ok(())
    }

    /// Shows the successor's pairs; whether it stood to the end.
    fn walk_successor(
        &self,
        segment: usize,
        version: Version,
        next: Version,
        see: &mut impl FnMut(u32, u64, u64),
    ) -> bool {
        for line in (0..next.lines()).step_by(BLOCK_LINES) {
            let (found, count) = self.copy_block(next, line, next.lines().min(line + BLOCK_LINES as u64));
            if !self.is_still(segment, version) && !self.is_still(segment, next) {
                return false;
            }
            for &(line, key, register) in &found[..count] {
                let (scope, within) = next.unpack(line, key);
                let place = place_in(segment, within);
                let register = if register < DROPPED { register } else { self.get(scope, place) };
                if register != 0 {
                    see(scope, place, register);
                }
            }
        }
        // The successor's own successor, if the memory ran so short that there is one, is walked the same way.
        let further = self.next(next);
        if !self.is_still(segment, version) && !self.is_still(segment, next) {
            return false;
        }
        !further.is_some()
    }

    fn copy_block(&self, version: Version, first: u64, end: u64) -> ([(u64, u64, u64); BLOCK_LINES * SLOTS], usize) {
        let mut found = [(0, 0, 0); BLOCK_LINES * SLOTS];
        let mut count = 0;
        for line in first..end {
            let words = self.line(version, line);
            for slot in 0..SLOTS {
                let (key, register) = words.slot(slot);
                if key != 0 && key != SEALED && register != 0 {
                    found[count] = (line, key, register);
                    count += 1;
                }
            }
        }
        (found, count)
    }
}
