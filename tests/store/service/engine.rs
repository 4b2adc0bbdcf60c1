//! The properties of the storage engine that purges rely on, in the order of the table in `docs/internals/purge.md`.

use super::*;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use std::thread::sleep;
use std::time::Duration;

fn database(path: &Path) -> Database {
    let builder = Database::builder(path).journal_compression(fjall::CompressionType::None);
    builder.open().expect("it opens")
}

fn keyspace(database: &Database, name: &str) -> Keyspace {
    database.keyspace(name, KeyspaceCreateOptions::default).expect("made")
}

fn flush(keyspace: &Keyspace) {
    keyspace.insert("flushed", "x").expect("written");
    keyspace.rotate_memtable_and_wait().expect("flushed");
}

fn journals(path: &Path) -> usize {
    contents(path).keys().filter(|name| name.contains(".jnl")).count()
}

/// Returns whether there are `count` journals within five seconds.
fn becomes(path: &Path, count: usize) -> bool {
    let looks = std::iter::repeat_n((), 250);
    looks.into_iter().any(|()| {
        sleep(Duration::from_millis(20));
        journals(path) == count
    })
}

fn pad(keyspace: &Keyspace, mebibytes: usize) {
    for _ in 0..mebibytes {
        keyspace.insert("padding", vec![0; 1 << 20]).expect("written");
    }
}

#[test]
fn flush_begins_a_journal_above_64_million_bytes_only() {
    let place = tempfile::tempdir().expect("a directory");
    let database = database(place.path());
    let (padding, other) = (keyspace(&database, "padding"), keyspace(&database, "other"));
    other.insert("key", "value").expect("written");
    pad(&padding, 60);
    padding.clear().expect("cleared");
    flush(&padding);
    assert_eq!(journals(place.path()), 1, "60 MiB are not enough");
    pad(&padding, 2);
    padding.clear().expect("cleared");
    flush(&padding);
    assert_eq!(journals(place.path()), 2, "62 MiB are");
    // The other keyspace has unflushed data in the old journal.
    assert!(!becomes_after_a_while(place.path(), 1), "the old journal is needed");
    flush(&other);
    assert!(becomes(place.path(), 1), "and then no more");
}

/// Returns whether there are `count` journals after half a second.
fn becomes_after_a_while(path: &Path, count: usize) -> bool {
    sleep(Duration::from_millis(500));
    journals(path) == count
}

#[test]
fn journal_names_a_cleared_keyspace_after_a_restart_until_that_is_flushed() {
    let place = tempfile::tempdir().expect("a directory");
    let killed = tempfile::tempdir().expect("a directory");
    let engine = database(place.path());
    let (padding, other) = (keyspace(&engine, "padding"), keyspace(&engine, "other"));
    keyspace(&engine, "third").insert("key", "value").expect("written");
    pad(&padding, 62);
    padding.clear().expect("cleared");
    flush(&other);
    assert_eq!(journals(place.path()), 2);
    write_all(killed.path(), &contents(place.path()));
    let engine = database(killed.path());
    let (padding, other) = (keyspace(&engine, "padding"), keyspace(&engine, "other"));
    flush(&other);
    flush(&keyspace(&engine, "third"));
    assert!(!becomes_after_a_while(killed.path(), 1), "the padding is in the way");
    flush(&padding);
    assert!(becomes(killed.path(), 1), "and was all that was");
}

#[test]
fn major_compaction_drops_a_removed_key_once_no_reader_needs_it() {
    let place = tempfile::tempdir().expect("a directory");
    let database = database(place.path());
    let keyspace = keyspace(&database, "keyspace");
    let holds = |needle: &[u8]| {
        let tables = contents(place.path()).into_iter().filter(|(name, _)| name.contains("/tables/"));
        tables.filter_map(|(_, bytes)| bytes).any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    keyspace.insert("removed-key", "removed-value").expect("written");
    flush(&keyspace);
    assert!(holds(b"removed-key") && holds(b"removed-value"));
    let reader = database.snapshot();
    keyspace.remove("removed-key").expect("removed");
    let removed = database.seqno();
    flush(&keyspace);
    let safe = || database.supervisor.snapshot_tracker.get_seqno_safe_to_gc();
    assert!(safe() < removed, "a reader looks at the state before");
    keyspace.major_compact().expect("compacted");
    assert!(holds(b"removed-value"), "the reader could still see it");
    drop(reader);
    flush(&keyspace);
    assert!(safe() >= removed);
    assert_eq!(keyspace.sealed_memtable_count(), 0);
    keyspace.major_compact().expect("compacted");
    flush(&keyspace);
    assert!(!holds(b"removed-key") && !holds(b"removed-value"));
}

#[test]
fn compaction_takes_away_the_removal_that_a_keyspace_flushed_last() {
    let place = tempfile::tempdir().expect("a directory");
    let database = database(place.path());
    let keyspace = keyspace(&database, "keyspace");
    flush(&keyspace);
    let flush_a_removal = || {
        keyspace.remove("flushed").expect("removed");
        keyspace.rotate_memtable_and_wait().expect("flushed");
    };
    flush_a_removal();
    assert!(keyspace.l0_table_count() > 0, "one is not compacted");
    let is_compacted = (0..20).any(|_| {
        flush_a_removal();
        sleep(Duration::from_millis(50));
        keyspace.table_count() == 0
    });
    assert!(is_compacted && keyspace.l0_table_count() == 0);
}
