//! The shape of a table: how a place in the key space becomes a line and a key word, and back.
//!
//! A *place* is a number of [`SPACE_BITS`] bits, held at the top of a word. Its first [`SEGMENT_BITS`] bits name the
//! segment. The rest, taken as a fraction, times the number of lines gives the home line; what the multiplication
//! leaves over is the *quotient*. Line and quotient give the place back, so the key word needs to hold only
//!
//! ```text
//! 63..29   | 28..26         | 25..24 | 23..0
//! quotient | displacement+1 | marks  | scope
//! ```
//!
//! That is what the multiplication gives, unshifted, where a pair lies at home. The few that do not have the sixes of their
//! displacement in the lowest bits of the quotient, which cannot differ within a line: the more bits the larger the table is.
//! Lines follow places in order, so that a copy into a table of another size reads and writes both from front to back.

#[cfg(not(loom))]
mod size {
    pub(crate) const SPACE_BITS: u32 = 50;
    pub(crate) const SEGMENT_BITS: u32 = 6;
    pub(crate) const CHUNK_BITS: u32 = 9;
    pub(crate) const BLOCK_BITS: u32 = 3;
    pub(crate) const SLOTS: usize = 8;
    pub(crate) const SEATS: usize = 128;
    pub(crate) const TABLES: usize = 512;
}

/// Small enough for a model checker to see growth happen, in a space where every place can be named.
#[cfg(loom)]
mod size {
    pub(crate) const SPACE_BITS: u32 = 8;
    pub(crate) const SEGMENT_BITS: u32 = 0;
    pub(crate) const CHUNK_BITS: u32 = 0;
    pub(crate) const BLOCK_BITS: u32 = 0;
    pub(crate) const SLOTS: usize = 1;
    pub(crate) const SEATS: usize = 3;
    pub(crate) const TABLES: usize = 3;
}

pub(crate) use size::*;

/// How many segments the space is cut into; each grows by itself.
pub(crate) const SEGMENTS: usize = 1 << SEGMENT_BITS;
/// Lines in a chunk, the unit in which memory is handed out (64 KiB).
pub(crate) const CHUNK_LINES: usize = 1 << CHUNK_BITS;
/// Lines that one step of a growth moves.
pub(crate) const BLOCK_LINES: usize = 1 << BLOCK_BITS;
/// Steps in a chunk.
pub(crate) const CHUNK_BLOCKS: usize = CHUNK_LINES / BLOCK_LINES;

/// Overflow marks per key word.
pub(crate) const MARK_BITS: u32 = 2;
const SCOPE_BITS: u32 = 24;
/// Where a key word's marks are; not at an end, so that the mask without them is a short immediate.
pub(crate) const MARK_AT: u32 = SCOPE_BITS;
/// One line further from home, in a key word.
pub(crate) const UNIT: u64 = 1 << (MARK_AT + MARK_BITS);
/// The field of the displacement: one for a pair at home, from two on for others, so that the two differ; and never zero.
const AWAY: u64 = 7 * UNIT;
/// As many displacements as the field holds away from home.
const SIXES: u64 = 6;
/// The lowest bit of a quotient; away from home, six lines further.
const QUOTIENT: u64 = 1 << QUOTIENT_AT;
const QUOTIENT_AT: u32 = 64 - WITHIN_BITS + CHUNK_BITS;
/// All of a key word but its marks.
pub(crate) const UNMARKED: u64 = !(((1 << MARK_BITS) - 1) << MARK_AT);
/// Bits of a place that are left behind its segment.
const WITHIN_BITS: u32 = SPACE_BITS - SEGMENT_BITS;
/// The mask of a place: the top [`SPACE_BITS`] bits. Kept at the top because a mask of the low 50 bits compiles to
/// `bzhi` where the processor has it, with a false dependency on the register it writes.
#[cfg(test)]
pub(crate) const SPACE_MASK: u64 = !(u64::MAX >> SPACE_BITS);

const GENERATION_AT: u32 = 16;
const GENERATION_MASK: u32 = (1 << (TABLE_AT - GENERATION_AT)) - 1;
const TABLE_AT: u32 = 39;

/// Entries of all directories: whatever a version word says, a chunk's entry is within.
pub(crate) const DIRECTORY: usize = (1 << (64 - TABLE_AT)) + MAX_CHUNKS;

/// The most chunks that one table may have.
pub(crate) const MAX_CHUNKS: usize = 0xFFFF;

const _: () = assert!(TABLES * (MAX_CHUNKS + 1) <= 1 << (64 - TABLE_AT), "where a directory begins fits its field");
const _: () = assert!(QUOTIENT_AT >= MARK_AT + MARK_BITS + 3, "a quotient lies above the displacement");
const _: () = assert!(
    QUOTIENT_AT + MAX_CHUNKS.ilog2() <= 64 - 2 * NUMBER_BITS || cfg!(loom),
    "what says the marks is in every key"
);
const _: () = assert!(MARK_BITS == 2, "one bit of a number says which");
const _: () = assert!(CHUNK_BLOCKS <= 64, "one word of done marks per chunk");

/// One version of a segment's table in one word: everything a reader needs to know before it touches the line.
///
/// From the top: the table, by the place where its directory begins, 25 bits; generation 23 bits; chunks 16 bits. The two
/// that every search needs are at the ends, where one shift, or none, gets them out. Zero is no version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version(u64);

impl Version {
    /// No version: the word of a table that has no successor.
    pub(crate) const NONE: Version = Version(0);

    pub(crate) fn new(generation: u32, table: usize, chunks: usize) -> Version {
        debug_assert!((1..=MAX_CHUNKS).contains(&chunks) && table < 1 << (64 - TABLE_AT));
        Version((table as u64) << TABLE_AT | u64::from(generation) << GENERATION_AT | chunks as u64)
    }

    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Version {
        Version(bits)
    }

    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn is_some(self) -> bool {
        self.0 != 0
    }

    #[inline(always)]
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION_AT) as u32 & GENERATION_MASK
    }

    /// The table: where its directory begins.
    #[inline(always)]
    pub(crate) const fn table(self) -> usize {
        (self.0 >> TABLE_AT) as usize
    }

    #[inline(always)]
    pub(crate) const fn chunks(self) -> usize {
        self.0 as u16 as usize
    }

    #[inline(always)]
    pub(crate) const fn lines(self) -> u64 {
        (self.chunks() as u64) << CHUNK_BITS
    }

    /// A word of the segment at this version that is no version: one has chunks.
    pub(crate) const fn disturbed(self) -> u64 {
        self.0 & !(MAX_CHUNKS as u64)
    }

    /// Whether this version is `other` or came before it. Generations wrap.
    pub(crate) const fn is_up_to(self, other: u32) -> bool {
        (other.wrapping_sub(self.generation()) & GENERATION_MASK) <= GENERATION_MASK / 2
    }

    /// The generation after this one; never zero, so that no version is [`Version::NONE`].
    pub(crate) const fn next_generation(self) -> u32 {
        (self.generation() + 1) & GENERATION_MASK
    }

    /// The most lines that a pair can lie behind its home.
    pub(crate) const fn span(self) -> u64 {
        self.reach() + 1
    }

    /// The furthest from home that a pair may lie: what the displacement field holds, less than once around.
    #[inline(always)]
    pub(crate) const fn reach(self) -> u64 {
        let field = SIXES * (self.low_quotient() / QUOTIENT + 1);
        let lines = self.lines() - 1;
        if field < lines { field } else { lines }
    }

    /// The bits of a quotient that cannot differ within a line: the places of one line are `chunks` apart in it.
    #[inline(always)]
    const fn low_quotient(self) -> u64 {
        ((1 << self.chunks().ilog2()) - 1) << QUOTIENT_AT
    }

    /// Whether a search may go on from its home line. Always, but for a model's table of one line.
    #[inline(always)]
    pub(crate) const fn has_next_line(self) -> bool {
        CHUNK_BITS > 0 || self.reach() > 0
    }

    /// Where the search for a pair begins.
    #[inline(always)]
    pub(crate) fn seek(self, scope: u32, within: u64) -> Seek {
        let product = u128::from(within) * self.chunks() as u128;
        // Chunk by chunk, the line in the chunk being the top of what is left: so a chunk number needs no shift.
        let (chunk, left) = ((product >> 64) as u64, product as u64);
        let line = chunk << CHUNK_BITS | left >> 1 >> (63 - CHUNK_BITS);
        Seek { line, key: Key { left, rest: u64::from(scope) } }
    }

    /// The next line to look at, and the key as it would be written there.
    #[inline(always)]
    pub(crate) fn step(self, seek: Seek) -> Seek {
        let line = seek.line + 1;
        let word = seek.key.word();
        let word = match word & AWAY {
            UNIT => (word & !self.low_quotient()) + UNIT,
            AWAY => word + QUOTIENT - (SIXES - 1) * UNIT,
            _ => word + UNIT,
        };
        Seek { line: if line == self.lines() { 0 } else { line }, key: Key::of(word) }
    }

    /// How far from home a key word lies, and its quotient.
    fn read(self, key: u64) -> (u64, u64) {
        let (field, quotient) = ((key & AWAY) / UNIT, key & !(QUOTIENT - 1));
        if field == 1 {
            return (0, quotient);
        }
        let sixes = (quotient & self.low_quotient()) / QUOTIENT;
        (SIXES * sixes + field - 1, quotient & !self.low_quotient())
    }

    /// The scope and the place within the segment of a key word found in `line`.
    pub(crate) fn unpack(self, line: u64, key: u64) -> (u32, u64) {
        let lines = self.lines();
        let (displacement, quotient) = self.read(key);
        let home = if displacement > line { line + lines - displacement } else { line - displacement };
        // A quotient lacks at most less than what lies between two places: the place is the first whose product is not
        // below the one kept.
        let floor = home << (WITHIN_BITS - CHUNK_BITS) | quotient >> QUOTIENT_AT;
        let within = floor.div_ceil(self.chunks() as u64);
        ((key & ((1 << SCOPE_BITS) - 1)) as u32, within << (64 - WITHIN_BITS))
    }

    /// The first place whose home is `line` or behind it.
    pub(crate) fn place_of(self, line: u64) -> u64 {
        if line == 0 { 0 } else { ((u128::from(line) << 64).div_ceil(u128::from(self.lines()))) as u64 }
    }
}

/// A line, and the key word that a pair has if it lies there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    pub(crate) line: u64,
    pub(crate) key: Key,
}

/// A key word in two parts: whoever compares it puts them together, by exclusive or.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Shifted up by [`CHUNK_BITS`]: what the multiplication left over.
    pub(crate) left: u64,
    /// Without the one [`UNIT`] that a pair at home has: the scope.
    pub(crate) rest: u64,
}

impl Key {
    /// The key word of a slot that nobody claimed.
    pub(crate) const EMPTY: Key = Key::of(0);

    #[inline(always)]
    const fn of(word: u64) -> Key {
        Key { left: word >> CHUNK_BITS, rest: word & ((1 << CHUNK_BITS) - 1) ^ UNIT }
    }

    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.left << CHUNK_BITS ^ self.rest ^ UNIT
    }
}

/// Which of a line's overflow marks stand for the pair of this key: two, or one twice, each as the slot of the key word that has it
/// and its bit there. A line of which one pair went on has a stranger's two once in 64 times; one mark for each would be met once
/// in 16.
#[inline(always)]
pub(crate) fn marks(key: Key) -> [(usize, u32); 2] {
    mark_numbers(key).map(|number| {
        let number = number as usize;
        (number >> 3 & (SLOTS - 1), MARK_AT + (number >> 2 & 1) as u32)
    })
}

/// The same as numbers, of which only the last [`NUMBER_BITS`] count: a slot, a bit, and two that say nothing. They are the top of
/// the quotient, which says where between two lines the place is, and is the same from line to line.
#[inline(always)]
pub(crate) const fn mark_numbers(key: Key) -> [u64; 2] {
    let first = u64::BITS - CHUNK_BITS - NUMBER_BITS;
    [key.left >> first, key.left >> (first - NUMBER_BITS)]
}

const NUMBER_BITS: u32 = SLOTS.ilog2() + 3;

/// The segment that a place belongs to.
#[inline(always)]
pub(crate) const fn segment_of(place: u64) -> usize {
    // Two shifts: with a single segment one by 64 would overflow.
    (place >> 1 >> (63 - SEGMENT_BITS)) as usize % SEGMENTS
}

/// The place within its segment, at the top of the word.
#[inline(always)]
pub(crate) const fn within(place: u64) -> u64 {
    place << SEGMENT_BITS
}

/// The place again, from its segment and the place within.
pub(crate) const fn place_in(segment: usize, within: u64) -> u64 {
    (segment as u64) << 1 << (63 - SEGMENT_BITS) | within >> SEGMENT_BITS
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_word_gives_its_pair_back(
            chunks in prop_oneof![1..=64usize, 1..=MAX_CHUNKS],
            scope in 0..1u32 << 24,
            place in any::<u64>(),
            steps in 0..20u64,
        ) {
            let version = Version::new(7, 3, chunks);
            let place = place & SPACE_MASK;
            let mut seek = version.seek(scope, within(place));
            let steps = steps.min(version.reach());
            for _ in 0..steps {
                seek = version.step(seek);
            }
            prop_assert!(seek.line < version.lines());
            let key = seek.key.word();
            prop_assert_eq!(key & !UNMARKED, 0);
            prop_assert_eq!(version.read(key).0, steps);
            let (found, inside) = version.unpack(seek.line, key);
            prop_assert_eq!((found, place_in(segment_of(place), inside)), (scope, place));
        }

        #[test]
        fn lines_follow_places_in_order(chunks in 1..=MAX_CHUNKS, a in any::<u64>(), b in any::<u64>()) {
            let version = Version::new(0, 0, chunks);
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(version.seek(0, a).line <= version.seek(0, b).line);
            let line = version.seek(0, a).line;
            prop_assert_eq!(version.seek(0, version.place_of(line)).line, line);
        }

        #[test]
        fn a_version_says_what_it_was_made_of(generation in 0..1u32 << 23, table in 0..1usize << 25, chunks in 1..=MAX_CHUNKS) {
            let version = Version::new(generation, table, chunks);
            prop_assert_eq!((version.generation(), version.table(), version.chunks()), (generation, table, chunks));
            prop_assert_eq!(version.lines(), chunks as u64 * 512);
        }
    }

    #[test]
    fn the_smallest_table_still_holds_displacements() {
        assert_eq!(Version::new(0, 0, 1).reach(), 6);
        assert_eq!(Version::new(0, 0, 64).reach(), 384);
    }
}
