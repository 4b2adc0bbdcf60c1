//! The purge after a crash, in a separate process. The recorder makes the engine's journals short there, too, so that a
//! purge needs no padding of 64 MB.

use super::recording::{self, Shortened};
use super::workload::{self, open};
use crate::support::disk_search::{DiskSearch, describe};
use dialback::history::Register;
use dialback::store::{EventStore, FjallStore, Stored};
use dialback::{E164, Timestamp};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    let forgotten = DiskSearch::new(forgotten.into_iter().chain(workload::expired_contacts()));
    let mut store = open(&path).expect("it opens");
    if stored(&mut store).1 > 0 || !forgotten.traces(&path).is_empty() {
        println!("{HAD_SOME}");
    }
    let floor: Register = workload::floor();
    let purged = store.upkeep().purge(Some(floor), Timestamp::from_secs(1_700_000_000)).expect("purged");
    assert_eq!(purged.journals, 1, "journals are left: {purged:?}");
    assert!(purged.bytes_after < MOST_BYTES, "the disk is not bounded: {purged:?}");
    let left = forgotten.traces(&path);
    assert!(left.is_empty(), "a number was erased and is there, or has expired: {}", describe(&left));
    let (kept, expired) = stored(&mut store);
    assert_eq!(expired, 0, "expired registers are there");
    assert_eq!(DiskSearch::new(kept.iter().copied()).numbers(&path), kept, "the search finds what is kept");
}

/// Returns the contacts with a call, and how many of the calls have expired.
fn stored(store: &mut FjallStore) -> (HashSet<E164>, usize) {
    let seen = Mutex::new((HashSet::new(), 0));
    let see = |stored| {
        if let Stored::Registers(pairs) = stored {
            let (contacts, expired) = &mut *seen.lock().expect("no panic");
            let calls = pairs.iter().filter(|(_, _, register)| !register.is_erasure());
            for (_, contact, register) in calls {
                contacts.insert(*contact);
                *expired += usize::from(workload::is_expired(*register));
            }
        }
        Ok(())
    };
    store.recover(&see).expect("readable");
    seen.into_inner().expect("no panic")
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
