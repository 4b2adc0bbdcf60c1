//! The written pieces of a sparse file.

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Returns each piece of the file between its holes, with its position.
pub fn pieces(file: &File) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    loop {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(pieces),
            Err(error) => return Err(error.into()),
        };
        at = seek(file, SeekFrom::Hole(start))?;
        let mut piece = vec![0; usize::try_from(at - start).expect("small")];
        file.read_exact_at(&mut piece, start)?;
        pieces.push((start, piece));
    }
}
