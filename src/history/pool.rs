//! The memory of the lines: handed out in chunks, taken back, cleared, handed out again; and which chunks a table has.
//! It is address space first and becomes memory chunk by chunk; it goes back to the system with the history.
//!
//! Whoever takes a chunk that is only address space so far has the system find memory for it there and then, so that no
//! page of a table is missing once others know the table. That may take milliseconds, so a keeper [finds](Pool::find_one)
//! chunks ahead.

use super::line::Line;
use super::memory::Chunks;
use super::shape::{CHUNK_BITS, CHUNK_LINES, Version};
use super::stack::{Links, Stack};
use super::table::Tables;
use crate::sync::{AtomicUsize, Ordering, canary, fence};
use std::io;

pub(crate) struct Pool {
    memory: Chunks,
    links: Links,
    /// Zeroed and in memory.
    clean: Stack,
    /// Given back, as they were.
    dirty: Stack,
    /// The first chunk that is only address space.
    fresh: AtomicUsize,
    chunks: usize,
}

impl Pool {
    pub(crate) fn new(chunks: usize, tables: &Tables) -> io::Result<Pool> {
        let pool = Pool {
            memory: Chunks::new(chunks, tables.entries())?,
            links: Links::new(chunks, false)?,
            clean: Stack::new(),
            dirty: Stack::new(),
            fresh: AtomicUsize::new(0),
            chunks,
        };
        // Whoever begins a growth finds the page of its table's directory in place.
        for table in tables.likely() {
            pool.set_chunk(table, 0, 0);
        }
        Ok(pool)
    }

    /// A line of a table.
    #[inline(always)]
    pub(crate) fn line(&self, version: Version, line: u64) -> &Line {
        // A late reader may get a chunk of the table's later life: a chunk all the same, and its version check fails.
        self.memory.line(version.table() + (line >> CHUNK_BITS) as usize, line)
    }

    /// Gives a table its chunk number `at`. Only its maker sees it yet.
    pub(crate) fn set_chunk(&self, table: usize, at: usize, chunk: usize) {
        self.memory.put(table + at, chunk);
    }

    /// A table's chunk number `at`.
    pub(crate) fn chunk(&self, version: Version, at: usize) -> usize {
        self.memory.at(version.table() + at)
    }

    /// A zeroed chunk that is in memory. Clears at most `*clearings` used ones for it, and then has new memory found.
    pub(crate) fn take(&self, clearings: &mut usize) -> Option<usize> {
        if let Some(chunk) = self.clean.pop(&self.links) {
            return Some(chunk);
        }
        if *clearings > 0
            && let Some(chunk) = self.dirty.pop(&self.links)
        {
            *clearings -= 1;
            self.clear(chunk);
            return Some(chunk);
        }
        self.find()
    }

    /// A chunk that was never used. Zero, as the system gives it.
    fn find(&self) -> Option<usize> {
        // Relaxed: nothing is in it that another has to see.
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        while fresh < self.chunks {
            match self.fresh.compare_exchange_weak(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    // One line of each page of the smallest size that there is. By a write: a read would get the
                    // system's page of zeros, and the first write would find a page missing once more.
                    for line in (0..CHUNK_LINES).step_by((4096 / size_of::<Line>()).max(1)) {
                        self.memory.lines(fresh)[line].touch();
                    }
                    // And the page of its link, for whoever gives the chunk back.
                    self.links[fresh].store(0, Ordering::Relaxed);
                    return Some(fresh);
                }
                Err(now) => fresh = now,
            }
        }
        None
    }

    /// Has memory found for one more chunk if fewer than `ahead` are ready. Whether it did.
    pub(crate) fn find_one(&self, ahead: usize) -> bool {
        if self.ready() >= ahead {
            return false;
        }
        let Some(chunk) = self.find() else { return false };
        self.clean.push(&self.links, chunk);
        true
    }

    /// Takes back a chunk that was not written to.
    pub(crate) fn give_clean(&self, chunk: usize) {
        self.clean.push(&self.links, chunk);
    }

    /// Takes back a chunk that nobody writes to any more; late readers there may be.
    pub(crate) fn give(&self, chunk: usize) {
        self.dirty.push(&self.links, chunk);
    }

    /// Clears one chunk that was given back. Whether there was one.
    pub(crate) fn clear_one(&self) -> bool {
        let Some(chunk) = self.dirty.pop(&self.links) else { return false };
        self.clear(chunk);
        self.clean.push(&self.links, chunk);
        true
    }

    fn clear(&self, chunk: usize) {
        // Release: a late reader that meets one of these zeros, and fences, sees what came before: the end of the
        // version that it believes in.
        if !canary("clear fence") {
            fence(Ordering::Release);
        }
        for line in self.memory.lines(chunk) {
            line.clear();
        }
    }

    /// Whether so many chunks are to be had by clearing at most `clearings`, as far as one look can tell.
    pub(crate) fn has(&self, chunks: usize, clearings: usize) -> bool {
        let fresh = self.chunks.saturating_sub(self.fresh.load(Ordering::Relaxed));
        self.clean.len() + self.dirty.len().min(clearings) + fresh >= chunks
    }

    /// Chunks that can be had: used ones and those that are address space so far.
    pub(crate) fn available(&self) -> usize {
        self.ready() + self.chunks.saturating_sub(self.fresh.load(Ordering::Relaxed))
    }

    /// Chunks that were used and are not.
    pub(crate) fn ready(&self) -> usize {
        self.clean.len() + self.dirty.len()
    }

    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Chunks that are memory, used or not.
    pub(crate) fn touched(&self) -> usize {
        self.fresh.load(Ordering::Relaxed).min(self.chunks)
    }
}
