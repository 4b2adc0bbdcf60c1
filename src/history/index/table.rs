//! The header of a table: its successor, and the progress of its growth.

use super::memory::Region;
use super::shape::{CHUNK_BLOCKS, SEGMENTS, Version};
use super::stack::{Links, Stack};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, order};
use std::io;

/// Which pairs a growth does not copy, in addition to those of retired scopes.
#[derive(Clone, Copy)]
pub(crate) struct Leaves {
    /// Registers below this one.
    pub(crate) floor: u64,
    /// Whether it leaves out erasures.
    pub(crate) forgets: bool,
}

impl Leaves {
    /// A growth that copies all pairs.
    pub(crate) const NONE: Leaves = Leaves { floor: 0, forgets: false };
}

impl Table {
    /// Returns which pairs the growth into this table leaves out.
    pub(crate) fn leaves(&self) -> Leaves {
        Leaves { floor: self.floor.load(Ordering::Relaxed), forgets: self.forgets.load(Ordering::Relaxed) }
    }
}

/// One table. A small number of tables is used again and again. The version word distinguishes their lives.
pub(crate) struct Table {
    /// The segment and the version of this life, for the thread that gives the table back.
    pub(crate) segment: AtomicUsize,
    pub(crate) version: AtomicU64,
    /// The version of the successor. Zero until there is one, then fixed for this life.
    pub(crate) next: AtomicU64,
    /// The next block to move.
    pub(crate) cursor: AtomicUsize,
    /// The number of slots that writers and movers have claimed here.
    pub(crate) claimed: AtomicUsize,
    /// The number of claimed slots at which the table should get a successor.
    pub(crate) full: AtomicUsize,
    /// The floor of the growth into this table. All threads that take part use it.
    pub(crate) floor: AtomicU64,
    /// Whether the growth into this table leaves out erasures. All threads that take part use it.
    pub(crate) forgets: AtomicBool,
}

/// All tables of one history. A table is named by the beginning of its directory.
#[allow(clippy::struct_field_names, reason = "the tables of the tables")]
pub(crate) struct Tables {
    tables: Box<[Table]>,
    /// A word for each chunk of a table, with a bit for each block that was moved.
    done: Region<AtomicU64>,
    /// The maximum number of chunks in a table. The directories are further apart, by a power of two.
    max_chunks: usize,
    stride_bits: u32,
    links: Links,
    free: Stack,
    /// Tables that are out of use and may still be written to. They are looked at by moving them from one stack to the
    /// other, so that those that are still held hide no other ones.
    retired: [Stack; 2],
    /// The stack that tables are taken from.
    looked_at: AtomicUsize,
}

impl Tables {
    pub(crate) fn new(tables: usize, max_chunks: usize) -> io::Result<Tables> {
        let stride_bits = max_chunks.next_power_of_two().trailing_zeros();
        let links = Links::new(tables, false)?;
        let free = Stack::new();
        for table in (0..tables).rev() {
            free.push(&links, table);
        }
        let made = Tables {
            tables: (0..tables)
                .map(|_| Table {
                    segment: AtomicUsize::new(0),
                    version: AtomicU64::new(0),
                    next: AtomicU64::new(0),
                    cursor: AtomicUsize::new(0),
                    claimed: AtomicUsize::new(0),
                    full: AtomicUsize::new(0),
                    floor: AtomicU64::new(0),
                    forgets: AtomicBool::new(false),
                })
                .collect(),
            done: Region::new(tables << stride_bits, false)?,
            max_chunks,
            stride_bits,
            links,
            free,
            retired: [Stack::new(), Stack::new()],
            looked_at: AtomicUsize::new(0),
        };
        // A thread that begins a growth then finds their pages in memory.
        for table in made.likely() {
            made.done[table].store(0, Ordering::Relaxed);
        }
        Ok(made)
    }

    #[inline(always)]
    pub(crate) fn get(&self, version: Version) -> &Table {
        &self.tables[version.table() >> self.stride_bits]
    }

    /// Returns the maximum number of chunks in a table.
    pub(crate) fn max_chunks(&self) -> usize {
        self.max_chunks
    }

    /// Takes a table that is not in use.
    pub(crate) fn take(&self) -> Option<usize> {
        Some(self.free.pop(&self.links)? << self.stride_bits)
    }

    pub(crate) fn give(&self, table: usize) {
        self.free.push(&self.links, table >> self.stride_bits);
    }

    /// Begins the life of a table under `version`. Only the thread that builds it knows it yet.
    pub(crate) fn begin(&self, segment: usize, version: Version, leaves: Leaves, full: usize) {
        let table = self.get(version);
        // Relaxed: published with the version word.
        table.segment.store(segment, Ordering::Relaxed);
        table.version.store(version.bits(), Ordering::Relaxed);
        table.next.store(0, Ordering::Relaxed);
        table.cursor.store(0, Ordering::Relaxed);
        table.claimed.store(0, Ordering::Relaxed);
        table.full.store(full, Ordering::Relaxed);
        table.floor.store(leaves.floor, Ordering::Relaxed);
        table.forgets.store(leaves.forgets, Ordering::Relaxed);
        for chunk in 0..version.chunks() {
            self.done[version.table() + chunk].store(0, Ordering::Relaxed);
        }
    }

    /// Returns the number of entries in the directories of all tables.
    pub(crate) fn entries(&self) -> usize {
        self.tables.len() << self.stride_bits
    }

    /// Returns the tables that exist while each segment grows, because these are taken first.
    pub(crate) fn likely(&self) -> impl Iterator<Item = usize> {
        let stride_bits = self.stride_bits;
        (0..self.tables.len().min(2 * SEGMENTS)).map(move |table| table << stride_bits)
    }

    /// Marks a block as moved. Several threads may have moved it.
    pub(crate) fn set_done(&self, version: Version, block: usize) {
        let word = &self.done[version.table() + block / CHUNK_BLOCKS];
        // Release: a thread that sees all blocks done sees every copy that was made. The acquire is in `not_done`.
        word.fetch_or(1 << (block % CHUNK_BLOCKS), order!(Release, "done"));
    }

    /// Returns a block that is not marked as moved. The search begins at `from` and wraps around.
    pub(crate) fn not_done(&self, version: Version, from: usize) -> Option<usize> {
        let all = u64::MAX >> (64 - CHUNK_BLOCKS);
        let chunks = version.chunks();
        (0..chunks).map(|offset| (from + offset) % chunks).find_map(|chunk| {
            // Acquire: see `set_done`.
            let word = self.done[version.table() + chunk].load(order!(Acquire, "done look"));
            (word != all).then(|| chunk * CHUNK_BLOCKS + (!word).trailing_zeros() as usize)
        })
    }

    /// Puts a table where the next look finds it.
    pub(crate) fn retire(&self, version: Version) {
        // Relaxed, here and below: any of the two stacks is right. The other one is only looked at later.
        self.keep_in(self.looked_at.load(Ordering::Relaxed), version);
    }

    /// Puts a table back that is still held. It is found again when all others have been looked at.
    pub(crate) fn put_back(&self, version: Version) {
        self.keep_in(self.looked_at.load(Ordering::Relaxed) ^ 1, version);
    }

    fn keep_in(&self, stack: usize, version: Version) {
        self.retired[stack].push(&self.links, version.table() >> self.stride_bits);
    }

    /// Takes a table that is out of use, to be given or put back.
    pub(crate) fn pop_retired(&self) -> Option<(usize, Version)> {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        let table = self.retired[looked_at].pop(&self.links).or_else(|| {
            let other = looked_at ^ 1;
            self.looked_at.store(other, Ordering::Relaxed);
            self.retired[other].pop(&self.links)
        })?;
        let table = &self.tables[table];
        Some((table.segment.load(Ordering::Relaxed), Version::from_bits(table.version.load(Ordering::Relaxed))))
    }

    pub(crate) fn retired(&self) -> usize {
        self.retired.iter().map(Stack::len).sum()
    }

    /// Returns the resident bytes of the tables without their lines, as far as they were accessed.
    pub(crate) fn bytes(&self, chunks_a_table: usize) -> usize {
        let pages = |bytes: usize| bytes.next_multiple_of(4096);
        self.tables.len() * (size_of::<Table>() + 4) + 2 * SEGMENTS * 2 * pages(chunks_a_table * 8)
    }
}
