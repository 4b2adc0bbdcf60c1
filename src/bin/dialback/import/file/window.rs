//! The part of a stream that is in memory.

use std::io::{self, Read};

/// The size of one read.
pub(in crate::import) const CHUNK: usize = 256 * 1024;

/// The bytes that have been read from a source and not been taken yet. It grows only while its owner takes nothing.
pub(in crate::import) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// The range of the buffer that has not been taken.
    start: usize,
    end: usize,
    /// The number of bytes read from the source.
    read: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    pub(in crate::import) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; CHUNK], start: 0, end: 0, read: 0, ended: false }
    }

    pub(in crate::import) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[cfg(test)]
    pub(in crate::import) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    pub(in crate::import) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Returns the first `length` bytes and removes them from the window.
    pub(in crate::import) fn take(&mut self, length: usize) -> &[u8] {
        let begin = self.start;
        self.start += length;
        &self.buffer[begin..self.start]
    }

    /// Returns the number of bytes that were taken.
    pub(in crate::import) fn position(&self) -> u64 {
        self.read - (self.end - self.start) as u64
    }

    /// Returns whether the source has no more bytes.
    pub(in crate::import) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads more bytes after those in the window.
    pub(in crate::import) fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let got = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        self.end += got;
        self.read += got as u64;
        self.ended = got == 0;
        Ok(())
    }
}
