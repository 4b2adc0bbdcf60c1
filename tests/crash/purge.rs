//! The purge after a crash, in a process of its own: the recorder makes the engine's journals short there, too, so that it takes
//! no padding of 64 MB.

use super::workload::{self, open};
use super::{RECORDER, Shortened};
use dialback::history::Register;
use dialback::{E164, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIRECTORY: &str = "DIALBACK_CRASH_PURGE";
const FORGOTTEN: &str = "DIALBACK_CRASH_FORGOTTEN";
/// What the purge process says where there was something to remove.
const HAD_SOME: &str = "there was something to remove";
/// What a store of a few hundred pairs may take on the disk after a purge.
const MOST_BYTES: u64 = 3 << 20;

/// Set where the purge is to be that of the first edition, which flushed all keyspaces but the padding.
const OLD_FLUSH: &str = "DIALBACK_CRASH_OLD_FLUSH";

/// Purges the directory, and looks for what must be gone then. Whether any of it was there before.
pub(super) fn run(path: &Path, forgotten: &[usize], is_planted: bool) -> Result<bool, String> {
    let list: Vec<String> = forgotten.iter().map(ToString::to_string).collect();
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    process.args(["--exact", "purge::purge_in_this_process", "--ignored", "--nocapture", "--test-threads=1"]);
    process.env(DIRECTORY, path).env(FORGOTTEN, list.join(","));
    if is_planted {
        process.env(OLD_FLUSH, "1");
    }
    let output = process.shortened(&RECORDER, path, Path::new("/dev/null")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said.contains(HAD_SOME)) } else { Err(said) }
}

/// Not a test: the process that purges.
#[test]
#[ignore = "run by the others, in a process of its own"]
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
    if expired(&mut store) > 0 || forgotten.iter().any(|contact| !files_with(&path, *contact).is_empty()) {
        println!("{HAD_SOME}");
    }
    let floor: Register = workload::floor();
    let purged = store.upkeep().purge(Some(floor), Timestamp::from_secs(1_700_000_000)).expect("purged");
    assert_eq!(purged.journals, 1, "journals are left: {purged:?}");
    assert!(purged.bytes_after < MOST_BYTES, "the disk is not bounded: {purged:?}");
    for contact in forgotten {
        assert_eq!(files_with(&path, contact), Vec::<PathBuf>::new(), "a number was erased and is there");
    }
    assert_eq!(expired(&mut store), 0, "expired registers are there");
}

/// Fails where a journal is left after a while.
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

/// The files that hold the number, as the bytes of an integer.
fn files_with(path: &Path, contact: E164) -> Vec<PathBuf> {
    let code: Vec<u8> = contact.code().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_default();
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if bytes[..written].windows(code.len()).any(|window| window == code) {
                found.push(path);
            }
        }
    }
    found
}
