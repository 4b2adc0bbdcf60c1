//! The watermark: the highest commit number known to be durable, in a small file beside the store.
//!
//! The storage engine cannot distinguish a damaged journal from one that a crash cut short, and drops all later
//! batches. The watermark distinguishes the two. It is written after a commit's sync and before its acknowledgement, so
//! each watermark that survives a crash names a commit that survived, too.
//!
//! The watermark itself is not synced, which would double the cost of a commit. A power failure may restore an older
//! watermark, which claims less and is never wrong.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

pub(in crate::store) const NAME: &str = "watermark";

/// The open file of the watermark.
#[derive(Debug)]
pub(in crate::store) struct Watermark(File);

impl Watermark {
    pub(in crate::store) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Opens the file, and creates it if it does not exist.
    pub(in crate::store) fn open(directory: &Path) -> io::Result<Self> {
        let path = Self::path(directory);
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map(Self)
    }

    /// Reads the watermark: 0 if the file does not exist or is empty, `None` if its content is invalid.
    pub(in crate::store) fn read(directory: &Path) -> io::Result<Option<u64>> {
        match std::fs::read(Self::path(directory)) {
            Ok(bytes) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Writes a higher watermark.
    pub(in crate::store) fn write(&self, number: u64) -> io::Result<()> {
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
    /// Syncs the file, so that the watermark of a closed store is up to date.
    fn drop(&mut self) {
        let _ = self.0.sync_data();
    }
}

/// Encodes a number with a checksum. One disk sector holds both, so a crash cannot tear them.
fn encode(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&xxh3_64(&number.to_be_bytes()).to_be_bytes());
    bytes
}

/// Decodes a watermark, or returns `None` if it is invalid. All zeros mean a file whose first watermark did not reach
/// the disk.
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
    fn an_encoded_watermark_decodes_and_one_with_a_flipped_bit_is_rejected() {
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
