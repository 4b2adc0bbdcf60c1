//! Reading a file up to the end of its data.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Returns the bytes of a file up to the end of its data. The storage engine allocates journals of 64 MiB in advance,
/// and most of a journal is a hole.
pub(in crate::store) fn read_to_data_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let end = data_end(&file)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(end).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(not(unix))]
fn data_end(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

#[cfg(unix)]
fn data_end(file: &File) -> io::Result<u64> {
    use rustix::fs::{SeekFrom, seek};
    let len = file.metadata()?.len();
    let mut end = 0;
    // A file system without holes reports the whole file as data.
    while end < len {
        match seek(file, SeekFrom::Data(end)) {
            Ok(data) => end = seek(file, SeekFrom::Hole(data))?,
            Err(rustix::io::Errno::NXIO) => return Ok(end),
            Err(_) => return Ok(len),
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn written_bytes_are_read_and_a_trailing_hole_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let file = File::create(&path).expect("created");
        file.set_len(1 << 30).expect("a hole");
        assert!(read_to_data_end(&path).expect("readable").len() < 1 << 20);
        for at in [0, 5 << 20] {
            file.write_all_at(b"x", at).expect("written");
            let bytes = read_to_data_end(&path).expect("readable");
            assert_eq!(bytes.iter().rposition(|byte| *byte == b'x'), usize::try_from(at).ok());
            assert!(bytes.len() < 6 << 20, "{}", bytes.len());
        }
        file.set_len(0).expect("empty");
        assert_eq!(read_to_data_end(&path).expect("readable"), b"");
    }
}
