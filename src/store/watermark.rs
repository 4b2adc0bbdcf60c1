//! The highest commit number known to be durable, in a small file beside the store.
//!
//! The storage engine takes a journal that is cut short for one that a crash cut short, and drops what followed. The mark
//! tells the two apart: it is written after a commit's sync and before its acknowledgement, so whatever of it survives a
//! crash names a commit that survived, too. It is not synced itself, which would double the price of a commit: a power
//! failure may bring back an older one, which claims less and is never wrong.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const NAME: &str = "watermark";

/// The mark's file, held open.
#[derive(Debug)]
pub(super) struct Watermark(File);

impl Watermark {
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Opens the file, and makes one where there is none.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = Self::path(directory);
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map(Self)
    }

    /// What the file says: 0 where there is none or nothing in it, `None` where nobody wrote what is in it.
    pub(super) fn read(directory: &Path) -> io::Result<Option<u64>> {
        match std::fs::read(Self::path(directory)) {
            Ok(bytes) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Raises the mark.
    pub(super) fn write(&self, number: u64) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_all_at(&self.0, &encode(number), 0);
        #[cfg(not(unix))]
        {
            use std::io::{Seek, SeekFrom, Write};
            (&self.0).seek(SeekFrom::Start(0))?;
            (&self.0).write_all(&encode(number))
        }
    }
}

impl Drop for Watermark {
    /// So that the mark of a store that was closed is as young as the store.
    fn drop(&mut self) {
        let _ = self.0.sync_data();
    }
}

/// One disk sector holds it, so no crash tears it.
fn encode(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&xxh3_64(&number.to_be_bytes()).to_be_bytes());
    bytes
}

/// `None` for what nobody wrote. Nothing but zeros is a file that was made and whose first mark did not reach the disk.
fn decode(bytes: &[u8]) -> Option<u64> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(0);
    }
    let number = u64::from_be_bytes(*bytes.first_chunk()?);
    (*bytes == encode(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_flipped_one_says_nothing() {
        for number in [0, 1, 77, u64::MAX] {
            let bytes = encode(number);
            assert_eq!(decode(&bytes), Some(number));
            for bit in 0..128 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&flipped), None, "bit {bit}");
            }
        }
        assert_eq!(decode(&[]), Some(0));
        assert_eq!(decode(&[0; 16]), Some(0));
        assert_eq!(decode(&encode(5)[..9]), None);
    }
}
