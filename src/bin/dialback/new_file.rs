//! A file that is complete or does not appear.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that replaces a former one when it is [finished](Self::finish). Until then it is written beside it. Only the
/// user can read it, because what the program writes has whole phone numbers.
///
/// A pipe or a device, such as `/dev/null`, is written directly: a file in its place would be no device any more.
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    /// The file that is written meanwhile. `None` for a pipe or a device.
    beside: Option<PathBuf>,
}

impl NewFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        // A link stays a link: the file that it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_special = fs::metadata(&path).is_ok_and(|about| !about.is_file());
        let beside = if is_special { None } else { Some(beside(&path)?) };
        let mut new = OpenOptions::new();
        new.write(true).create(true).truncate(true).mode(0o600);
        let file = new.open(beside.as_ref().unwrap_or(&path))?;
        Ok(Self { path, file, beside })
    }

    /// Puts the file in its place, durably.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let Some(beside) = &self.beside else { return self.file.flush() };
        self.file.sync_all()?;
        fs::rename(beside, &self.path)?;
        self.beside = None;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // A file that cannot be removed is overwritten by the next run.
            let _ = fs::remove_file(beside);
        }
    }
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(path.with_file_name([name, ".new".as_ref()].into_iter().collect::<OsString>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_file_stays_until_the_new_one_is_finished() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("list");
        fs::write(&path, "former").expect("written");
        let mut unfinished = NewFile::create(&path).expect("created");
        unfinished.write_all(b"new").expect("written");
        drop(unfinished);
        assert_eq!(fs::read_to_string(&path).expect("readable"), "former");
        let mut file = NewFile::create(&path).expect("created");
        file.write_all(b"new").expect("written");
        file.finish().expect("finished");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "new");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[test]
    fn pipe_is_written_and_not_replaced() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("it runs");
        assert!(made.success());
        let read = std::thread::spawn({
            let path = path.clone();
            move || fs::read_to_string(path)
        });
        let mut file = NewFile::create(&path).expect("created");
        file.write_all(b"through").expect("written");
        file.finish().expect("finished");
        assert_eq!(read.join().expect("no panic").expect("readable"), "through");
        assert!(!fs::metadata(&path).expect("it is there").is_file());
    }
}
