//! The iteration over all pairs, while other threads write and tables grow.

use super::Index;
use super::line::{DROPPED, SEALED};
use super::shape::{BLOCK_LINES, SLOTS, Version, place_in};

impl Index {
    /// Shows the scope, the place and the register of every pair. A pair that existed at the beginning is shown at
    /// least once, with a register no older than it had then, unless a growth drops it meanwhile. A pair that is
    /// written during the iteration may or may not be shown.
    ///
    /// This function takes no seat. It copies a block at a time, and uses the copy only if the segment is still at the
    /// version that it began with.
    pub(crate) fn walk(&self, mut see: impl FnMut(u32, u64, u64)) {
        for segment in Self::segments() {
            let mut from = 0;
            let mut wrapped = false;
            loop {
                let version = self.version(segment);
                // Pairs may be in the successor alone. Those that were written there before now are found by walking it
                // too: it stays until the segment has moved on from it.
                let growing = self.next(version).is_some();
                match self.walk_table(segment, version, from, wrapped, &mut see) {
                    Ok(()) if growing => {
                        let next = self.next(version);
                        // While the segment is at either version, the successor is complete. Otherwise begin the
                        // segment again.
                        if self.walk_successor(segment, version, next, &mut see) {
                            break;
                        }
                        from = 0;
                    }
                    Ok(()) => break,
                    // The pairs that the table had from that place on are in a later table. The pairs that it had sent
                    // to its successor may be anywhere in that table, so begin the segment again.
                    Err(_) if growing => from = 0,
                    Err(place) => from = from.max(place),
                }
                wrapped = true;
            }
        }
    }

    /// Shows the table's pairs from the place `from` on. If the segment has moved on, returns the place up to which the
    /// pairs were shown.
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

    /// Shows the successor's pairs. Returns whether these are all pairs of the segment's later tables, and the segment
    /// has not moved on.
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
        // If memory ran so short that the successor has a successor as well, begin the segment again.
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
            // A new table has many empty lines.
            if words.is_empty() {
                continue;
            }
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
