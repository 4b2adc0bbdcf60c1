//! The purge after a crash, in a separate process. The recorder makes the engine's journals short there, too, so that a
//! purge needs no padding of 64 MB.

use super::recording::{self, Shortened};
use super::sparse;
use super::workload::{self, open};
use dialback::history::Register;
use dialback::{E164, Timestamp};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "DIALBACK_CRASH_PURGE";
const FORGOTTEN: &str = "DIALBACK_CRASH_FORGOTTEN";
/// The output of the purge process if there was data to remove.
const HAD_SOME: &str = "there was something to remove";
/// The most disk space of a store with a few hundred pairs after a purge.
const MOST_BYTES: u64 = 3 << 20;

/// Set to purge as an older version did, which flushed all keyspaces but the padding.
const OLD_FLUSH: &str = "DIALBACK_CRASH_OLD_FLUSH";

/// Purges the directory, and searches it for data that must be gone. Returns whether there was any before.
pub(super) fn run(path: &Path, forgotten: &[usize], is_planted: bool) -> Result<bool, String> {
    let list: Vec<String> = forgotten.iter().map(ToString::to_string).collect();
    let mut process = recording::child("purge::purge_in_this_process");
    process.env(DIRECTORY, path).env(FORGOTTEN, list.join(","));
    if is_planted {
        process.env(OLD_FLUSH, "1");
    }
    let output = process.shortened(path, Path::new("/dev/null")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said.contains(HAD_SOME)) } else { Err(said) }
}

/// Not a test by itself: the child process that purges.
#[test]
#[ignore = "other tests run it in a child process"]
fn purge_in_this_process() {
    let Ok(path) = std::env::var(DIRECTORY).map(PathBuf::from) else { return };
    if std::env::var(OLD_FLUSH).is_ok() {
        return flush_as_the_first_edition(&path.join("store"));
    }
    let list = std::env::var(FORGOTTEN).expect("a list");
    let indices = list.split(',').filter(|index| !index.is_empty());
    let forgotten: Vec<E164> = indices.map(|index| workload::contact(index.parse().expect("an index"))).collect();
    let expired = |store: &mut dialback::store::FjallStore| {
        use dialback::store::{EventStore, Stored};
        let count = std::sync::atomic::AtomicUsize::new(0);
        let see = |stored| {
            if let Stored::Registers(pairs) = stored {
                let expired = pairs.iter().filter(|(_, _, register)| workload::is_expired(*register)).count();
                count.fetch_add(expired, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        };
        store.recover(&see).expect("readable");
        count.into_inner()
    };
    let mut store = open(&path).expect("it opens");
    if expired(&mut store) > 0 || !files_with(&path, &forgotten).is_empty() {
        println!("{HAD_SOME}");
    }
    let floor: Register = workload::floor();
    let purged = store.upkeep().purge(Some(floor), Timestamp::from_secs(1_700_000_000)).expect("purged");
    assert_eq!(purged.journals, 1, "journals are left: {purged:?}");
    assert!(purged.bytes_after < MOST_BYTES, "the disk is not bounded: {purged:?}");
    assert_eq!(files_with(&path, &forgotten), Vec::<PathBuf>::new(), "a number was erased and is there");
    assert_eq!(expired(&mut store), 0, "expired registers are there");
}

/// Flushes as an older version did. Fails if an old journal is left after a while.
fn flush_as_the_first_edition(engine: &Path) {
    let database = fjall::Database::builder(engine).open().expect("it opens");
    let names = ["configurations", "registers", "commits", "erasures", "settings", "statistics", "outbox"];
    let keyspace = |name: &str| database.keyspace(name, fjall::KeyspaceCreateOptions::default).expect("there");
    let keyspaces = names.map(keyspace);
    let mut batch = database.batch();
    for keyspace in &keyspaces {
        batch.remove(keyspace, [0]);
    }
    batch.commit().expect("written");
    for keyspace in &keyspaces {
        keyspace.rotate_memtable_and_wait().expect("flushed");
    }
    for _ in 0..100 {
        if database.journal_count() == 1 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{} journals are left", database.journal_count());
}

/// Returns the content of a file without its holes, which make up most of a journal's 64 MiB. Zeros follow each piece, as
/// in the file.
fn data(path: &Path) -> io::Result<Vec<u8>> {
    let pieces = sparse::pieces(&File::open(path)?)?;
    Ok(pieces.into_iter().flat_map(|(_, piece)| piece.into_iter().chain([0; 8])).collect())
}

/// Returns the files that hold one of these numbers, as the bytes of an integer. Zeros are skipped.
fn files_with(path: &Path, contacts: &[E164]) -> Vec<PathBuf> {
    const PIECE: usize = 4096;
    let form = |contact: &E164| contact.code().to_be_bytes()[3..].to_vec();
    let forms: HashSet<Vec<u8>> = contacts.iter().map(form).collect();
    let holds = |bytes: &[u8]| {
        let mut starts = (0..bytes.len()).step_by(PIECE).filter(|start| {
            let piece = &bytes[*start..(start + PIECE).min(bytes.len())];
            piece != &[0; PIECE][..piece.len()]
        });
        starts.any(|start| {
            let piece = &bytes[start..(start + PIECE + 4).min(bytes.len())];
            piece.windows(5).any(|window| window[0] != 0 && forms.contains(window))
        })
    };
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            match data(&path) {
                Ok(bytes) if holds(&bytes) => found.push(path),
                Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn number_in_a_file_is_found_wherever_it_lies() {
    let place = tempfile::tempdir().expect("a directory");
    let contacts = [1, 2].map(workload::contact);
    for at in [0, 4090, 4092, 4095, 4096, 1 << 20] {
        let mut bytes = vec![0; at];
        bytes.extend_from_slice(&contacts[1].code().to_be_bytes()[3..]);
        fs::write(place.path().join("file"), bytes).expect("written");
        assert_eq!(files_with(place.path(), &contacts).len(), 1, "at {at}");
        assert_eq!(files_with(place.path(), &contacts[..1]).len(), 0, "at {at}");
    }
}
