//! Kills that fall inside a purge or an export.

use crate::support::disk_search::files;
use crate::support::table_file::is_table;
use std::io::{self, Write};
use std::path::Path;
use std::process::abort;
use std::thread::{ScopedJoinHandle, sleep};
use std::time::Duration;

/// The output of a process that is killed inside a purge or an export.
pub(super) const INSIDE: &str = "killed inside of it";

/// What the disk shows of the progress of a purge.
struct Progress {
    newest_journal: u64,
    journals: usize,
    newest_table: u64,
}

impl Progress {
    fn read(data: &Path) -> Self {
        let number = |path: &Path| path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
        let files = files(data);
        let of_journal = |path: &Path| path.extension().is_some_and(|extension| extension == "jnl");
        let journals: Vec<u64> = files.iter().filter(|path| of_journal(path)).filter_map(|path| number(path)).collect();
        let tables = files.iter().filter(|path| is_table(path)).filter_map(|path| number(path));
        Self {
            newest_journal: journals.iter().copied().max().unwrap_or(0),
            journals: journals.len(),
            newest_table: tables.max().unwrap_or(0),
        }
    }
}

/// Kills this process inside the purge that the thread does: at its start, when it has begun a new journal, when the old one
/// is gone, or when it has written one or more tables after that. `step` chooses.
pub(super) fn in_purge<T>(purge: &ScopedJoinHandle<T>, data: &Path, step: u64) -> ! {
    let before = Progress::read(data);
    let mut after_journals = None;
    while !purge.is_finished() {
        let now = Progress::read(data);
        let is_new = now.newest_journal > before.newest_journal;
        if is_new && now.journals == 1 && after_journals.is_none() {
            after_journals = Some(now.newest_table);
        }
        let is_here = match step % 5 {
            0 => true,
            1 => is_new,
            2 => after_journals.is_some(),
            more => after_journals.is_some_and(|table| now.newest_table >= table + (more - 2)),
        };
        if is_here {
            break;
        }
        sleep(Duration::from_micros(200));
    }
    if !purge.is_finished() {
        println!("{INSIDE}");
    }
    abort()
}

/// The output of an export. It kills this process when this many bytes have been written.
pub(super) struct UntilKilled(pub(super) usize);

impl Write for UntilKilled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            println!("{INSIDE}");
            abort();
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
