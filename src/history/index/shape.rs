//! The shape of a table: converts a place in the key space to a line and a key word, and back.
//!
//! A *place* is a number of [`SPACE_BITS`] bits, held at the top of a word. Its first [`SEGMENT_BITS`] bits select the
//! segment. The remaining bits, taken as a fraction, times the number of lines give the home line. The remainder of
//! this multiplication is the *quotient*. Line and quotient give the place back, so the key word needs to hold only
//!
//! ```text
//! 63..29   | 28..26         | 25..24 | 23..0
//! quotient | displacement+1 | marks  | scope
//! ```
//!
//! At the home line, the quotient is the remainder of the multiplication, unshifted. Away from its home line, a key
//! stores displacement ÷ 6 in the quotient's lowest bits. These bits cannot differ within a line, and a larger table
//! has more of them. Lines follow places in order, so a copy into a table of another size reads and writes both from
//! front to back.

#[cfg(not(loom))]
mod size {
    pub(crate) const SPACE_BITS: u32 = 50;
    pub(crate) const SEGMENT_BITS: u32 = 6;
    /// As few as the key words permit: their other bits hold the scope, which is shorter in a small history.
    pub(crate) const CHUNK_BITS: u32 = if cfg!(small) { 3 } else { 9 };
    pub(crate) const BLOCK_BITS: u32 = 3;
    pub(crate) const SLOTS: usize = 8;
    pub(crate) const SEATS: usize = 128;
    pub(crate) const TABLES: usize = 512;
}

/// Small enough that a model checker sees a growth, in a space where every place can be named.
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

/// The number of segments of the key space. Each grows by itself.
pub(crate) const SEGMENTS: usize = 1 << SEGMENT_BITS;
/// The number of lines in a chunk, the unit in which memory is handed out (64 KiB; 1 KiB in a small history).
pub(crate) const CHUNK_LINES: usize = 1 << CHUNK_BITS;
/// The number of lines that one step of a growth moves.
pub(crate) const BLOCK_LINES: usize = 1 << BLOCK_BITS;
/// The number of steps for a chunk.
pub(crate) const CHUNK_BLOCKS: usize = CHUNK_LINES / BLOCK_LINES;

/// The number of overflow marks in a key word.
pub(crate) const MARK_BITS: u32 = 2;
/// The number of bits of a scope. A short scope leaves more of the key word to the quotient, and so permits small tables:
/// `--cfg small` is for the simulation of a fleet, which makes many small histories.
pub(crate) const SCOPE_BITS: u32 = if cfg!(small) { 18 } else { 24 };
/// The position of the marks in a key word. It is not at an end, so that the mask without them is a short immediate.
pub(crate) const MARK_AT: u32 = SCOPE_BITS;
/// One line further from home, in a key word.
pub(crate) const UNIT: u64 = 1 << (MARK_AT + MARK_BITS);
/// The mask of the displacement field. The field is 1 for a pair at home, from 2 on for other pairs, and never 0.
const AWAY: u64 = 7 * UNIT;
/// The number of displacements away from home that the field can hold.
const SIXES: u64 = 6;
/// The lowest bit of a quotient. Away from home it stands for six lines.
const QUOTIENT: u64 = 1 << QUOTIENT_AT;
const QUOTIENT_AT: u32 = 64 - WITHIN_BITS + CHUNK_BITS;
/// All bits of a key word except its marks.
pub(crate) const UNMARKED: u64 = !(((1 << MARK_BITS) - 1) << MARK_AT);
/// The number of bits of a place below its segment.
const WITHIN_BITS: u32 = SPACE_BITS - SEGMENT_BITS;
/// The mask of a place: the top [`SPACE_BITS`] bits. Kept at the top because a mask of the low 50 bits compiles to
/// `bzhi` where the processor has it, with a false dependency on the register it writes.
#[cfg(test)]
pub(crate) const SPACE_MASK: u64 = !(u64::MAX >> SPACE_BITS);

const GENERATION_AT: u32 = 16;
const GENERATION_MASK: u32 = (1 << (TABLE_AT - GENERATION_AT)) - 1;
const TABLE_AT: u32 = 39;

/// The number of entries of all directories. Each version word refers to entries below it.
pub(crate) const DIRECTORY: usize = (1 << (64 - TABLE_AT)) + MAX_CHUNKS;

/// The maximum number of chunks in a table.
pub(crate) const MAX_CHUNKS: usize = 0xFFFF;

const _: () = assert!(TABLES * (MAX_CHUNKS + 1) <= 1 << (64 - TABLE_AT), "where a directory begins fits its field");
const _: () = assert!(QUOTIENT_AT >= MARK_AT + MARK_BITS + 3, "a quotient lies above the displacement");
const _: () = assert!(
    QUOTIENT_AT + MAX_CHUNKS.ilog2() <= 64 - 2 * NUMBER_BITS || cfg!(loom),
    "what says the marks is in every key"
);
const _: () = assert!(MARK_BITS == 2, "one bit of a number says which");
const _: () = assert!(CHUNK_BLOCKS <= 64, "one word of done marks per chunk");

/// One version of a segment's table, in one word: everything that a reader needs before it accesses a line.
///
/// From the top: the table, as the beginning of its directory (25 bits), the generation (23 bits), the number of chunks
/// (16 bits). The two fields that every search needs are at the ends, where at most one shift extracts them. Zero is no
/// version.
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

    /// Returns the table, as the beginning of its directory.
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

    /// Returns the word of a segment whose version is no longer intact. It is no version, because it has no chunks.
    pub(crate) const fn ending(self) -> u64 {
        self.0 & !(MAX_CHUNKS as u64)
    }

    /// Returns whether this version is `other` or came before it. Generations wrap.
    pub(crate) const fn is_up_to(self, other: u32) -> bool {
        (other.wrapping_sub(self.generation()) & GENERATION_MASK) <= GENERATION_MASK / 2
    }

    /// Returns the generation after this one.
    pub(crate) const fn next_generation(self) -> u32 {
        (self.generation() + 1) & GENERATION_MASK
    }

    /// Returns the maximum number of lines after its home that a pair can lie.
    pub(crate) const fn span(self) -> u64 {
        self.reach() + 1
    }

    /// Returns the greatest distance from home at which a pair may lie: what the displacement field holds, but less
    /// than once around the table.
    #[inline(always)]
    pub(crate) const fn reach(self) -> u64 {
        let field = SIXES * (self.low_quotient() / QUOTIENT + 1);
        let lines = self.lines() - 1;
        if field < lines { field } else { lines }
    }

    /// Returns the mask of the quotient bits that cannot differ within a line. The places of one line are `chunks`
    /// apart in the quotient.
    #[inline(always)]
    const fn low_quotient(self) -> u64 {
        ((1 << self.chunks().ilog2()) - 1) << QUOTIENT_AT
    }

    /// Returns whether a search may continue after its home line. Only a model's table of one line has no next line.
    #[inline(always)]
    pub(crate) const fn has_next_line(self) -> bool {
        CHUNK_BITS > 0 || self.reach() > 0
    }

    /// Begins the search for a pair.
    #[inline(always)]
    pub(crate) fn seek(self, scope: u32, within: u64) -> Seek {
        let product = u128::from(within) * self.chunks() as u128;
        // By chunk, with the line in the chunk as the top of the remainder: a chunk number then needs no shift.
        let (chunk, left) = ((product >> 64) as u64, product as u64);
        let line = chunk << CHUNK_BITS | left >> 1 >> (63 - CHUNK_BITS);
        Seek { line, key: Key { left, rest: u64::from(scope) } }
    }

    /// Returns the next line of a search, and the key as it would be written there.
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

    /// Returns how far from home a key word lies, and its quotient.
    fn read(self, key: u64) -> (u64, u64) {
        let (field, quotient) = ((key & AWAY) / UNIT, key & !(QUOTIENT - 1));
        if field == 1 {
            return (0, quotient);
        }
        let sixes = (quotient & self.low_quotient()) / QUOTIENT;
        (SIXES * sixes + field - 1, quotient & !self.low_quotient())
    }

    /// Returns the scope, and the place within the segment, of a key word in `line`.
    pub(crate) fn unpack(self, line: u64, key: u64) -> (u32, u64) {
        let lines = self.lines();
        let (displacement, quotient) = self.read(key);
        let home = if displacement > line { line + lines - displacement } else { line - displacement };
        // A quotient lacks less than the distance between two places. The place is therefore the first one whose
        // product is not below the stored one.
        let floor = home << (WITHIN_BITS - CHUNK_BITS) | quotient >> QUOTIENT_AT;
        let within = floor.div_ceil(self.chunks() as u64);
        ((key & ((1 << SCOPE_BITS) - 1)) as u32, within << (64 - WITHIN_BITS))
    }

    /// Returns the first place whose home is `line` or a later line.
    pub(crate) fn place_of(self, line: u64) -> u64 {
        if line == 0 { 0 } else { ((u128::from(line) << 64).div_ceil(u128::from(self.lines()))) as u64 }
    }
}

/// A line, and the key word of a pair that lies there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seek {
    pub(crate) line: u64,
    pub(crate) key: Key,
}

/// A key word in two parts. A comparison combines them by exclusive or.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The remainder of the multiplication. In the key word it is shifted up by [`CHUNK_BITS`].
    pub(crate) left: u64,
    /// The scope. The [`UNIT`] that the key word of a pair at home has in addition is left out.
    pub(crate) rest: u64,
}

impl Key {
    /// The key word of an empty slot.
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

/// Returns the two overflow marks of a line that stand for the pair of this key: for each, the slot whose key word has
/// it, and the bit there. Both can be the same mark. If one pair has gone on from a line, another pair finds both of
/// its marks set once in 64 times. With one mark for a pair, it would be once in 16 times.
#[inline(always)]
pub(crate) fn marks(key: Key) -> [(usize, u32); 2] {
    mark_numbers(key).map(|number| {
        let number = number as usize;
        (number >> 3 & (SLOTS - 1), MARK_AT + (number >> 2 & 1) as u32)
    })
}

/// Returns the two marks as numbers, of which only the last [`NUMBER_BITS`] bits count: a slot, a bit, and two bits
/// without a meaning. They are the top of the quotient, which says where between two lines the place is, and does not
/// change from line to line.
#[inline(always)]
pub(crate) const fn mark_numbers(key: Key) -> [u64; 2] {
    let first = u64::BITS - CHUNK_BITS - NUMBER_BITS;
    [key.left >> first, key.left >> (first - NUMBER_BITS)]
}

const NUMBER_BITS: u32 = SLOTS.ilog2() + 3;

/// Returns the segment of a place.
#[inline(always)]
pub(crate) const fn segment_of(place: u64) -> usize {
    // Two shifts: with a single segment one by 64 would overflow.
    (place >> 1 >> (63 - SEGMENT_BITS)) as usize % SEGMENTS
}

/// Returns the place within its segment, at the top of the word.
#[inline(always)]
pub(crate) const fn within(place: u64) -> u64 {
    place << SEGMENT_BITS
}

/// Returns the place with this segment and this place within it.
pub(crate) const fn place_in(segment: usize, within: u64) -> u64 {
    (segment as u64) << 1 << (63 - SEGMENT_BITS) | within >> SEGMENT_BITS
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_word_and_its_line_give_the_pair_back(
            chunks in prop_oneof![1..=64usize, 1..=MAX_CHUNKS],
            scope in 0..1u32 << SCOPE_BITS,
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
        fn a_version_unpacks_to_its_parts(generation in 0..1u32 << 23, table in 0..1usize << 25, chunks in 1..=MAX_CHUNKS) {
            let version = Version::new(generation, table, chunks);
            prop_assert_eq!((version.generation(), version.table(), version.chunks()), (generation, table, chunks));
            prop_assert_eq!(version.lines(), (chunks * CHUNK_LINES) as u64);
        }
    }

    #[test]
    fn the_reach_is_six_lines_in_the_smallest_table_and_grows_with_it() {
        assert_eq!(Version::new(0, 0, 1).reach(), 6);
        assert_eq!(Version::new(0, 0, 64).reach(), 384);
    }
}
