//! The memory of the lines, in chunks: handed out, taken back, cleared and handed out again. It also records which
//! chunks a table has. The memory is address space at first. The system provides it chunk by chunk, and gets it back
//! when the history is dropped.
//!
//! A thread that takes a chunk of mere address space makes the system provide its memory at once. No page of a table is
//! therefore missing when other threads learn of the table. This may take milliseconds, so a keeper
//! [prepares](Pool::find_one) chunks ahead of need.

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
    /// Chunks that are zeroed and in memory.
    clean: Stack,
    /// Chunks that were given back and not cleared.
    dirty: Stack,
    /// The first chunk that is still mere address space.
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
        // A thread that begins a growth then finds the page of its table's directory in memory.
        for table in tables.likely() {
            pool.set_chunk(table, 0, 0);
        }
        Ok(pool)
    }

    /// Returns a line of a table.
    #[inline(always)]
    pub(crate) fn line(&self, version: Version, line: u64) -> &Line {
        // A late reader may get a chunk of the table's next life. It is a valid chunk, and the reader's check of the
        // version fails.
        self.memory.line(version.table() + (line >> CHUNK_BITS) as usize, line)
    }

    /// Sets chunk number `at` of a table. Only the thread that builds the table knows it yet.
    pub(crate) fn set_chunk(&self, table: usize, at: usize, chunk: usize) {
        self.memory.put(table + at, chunk);
    }

    /// Returns chunk number `at` of a table.
    pub(crate) fn chunk(&self, version: Version, at: usize) -> usize {
        self.memory.at(version.table() + at)
    }

    /// Takes a zeroed chunk that is in memory. Clears at most `*clearings` used ones for it. If that is not enough,
    /// makes the system provide memory.
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

    /// Takes a chunk that was never used. It is zero, as the system provides it.
    fn find(&self) -> Option<usize> {
        // Relaxed: the chunk contains nothing that another thread has to see.
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        while fresh < self.chunks {
            match self.fresh.compare_exchange_weak(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    // Write to one line of each page, of the smallest page size that exists. A read would get the
                    // system's page of zeros, and the first write would find the page missing again.
                    for line in (0..CHUNK_LINES).step_by((4096 / size_of::<Line>()).max(1)) {
                        self.memory.lines(fresh)[line].touch();
                    }
                    // This also provides the page of its link, for the thread that gives the chunk back.
                    self.links[fresh].store(0, Ordering::Relaxed);
                    return Some(fresh);
                }
                Err(now) => fresh = now,
            }
        }
        None
    }

    /// Makes the system provide memory for one more chunk if fewer than `ahead` are ready. Returns whether it did.
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

    /// Takes back a chunk that no thread writes to any more. Late readers may still read it.
    pub(crate) fn give(&self, chunk: usize) {
        self.dirty.push(&self.links, chunk);
    }

    /// Clears one chunk that was given back. Returns whether there was one.
    pub(crate) fn clear_one(&self) -> bool {
        let Some(chunk) = self.dirty.pop(&self.links) else { return false };
        self.clear(chunk);
        self.clean.push(&self.links, chunk);
        true
    }

    fn clear(&self, chunk: usize) {
        // Release: a late reader that reads one of these zeros, and fences, sees what came before, including the end of
        // the version that it relies on.
        if !canary("clear fence") {
            fence(Ordering::Release);
        }
        for line in self.memory.lines(chunk) {
            line.clear();
        }
    }

    /// Returns whether `chunks` chunks can be taken while at most `clearings` are cleared, as far as one look shows.
    pub(crate) fn has(&self, chunks: usize, clearings: usize) -> bool {
        let fresh = self.chunks.saturating_sub(self.fresh.load(Ordering::Relaxed));
        self.clean.len() + self.dirty.len().min(clearings) + fresh >= chunks
    }

    /// Returns the number of chunks that can be taken: the ready ones, and those that are mere address space.
    pub(crate) fn available(&self) -> usize {
        self.ready() + self.chunks.saturating_sub(self.fresh.load(Ordering::Relaxed))
    }

    /// Returns the number of chunks that are in memory and not in use.
    pub(crate) fn ready(&self) -> usize {
        self.clean.len() + self.dirty.len()
    }

    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Returns the number of chunks that are in memory, in use or not.
    pub(crate) fn touched(&self) -> usize {
        self.fresh.load(Ordering::Relaxed).min(self.chunks)
    }
}
