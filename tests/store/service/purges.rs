//! Interrupted purges, and the next purge after them.

use super::retention::{FIRST, LAST, MIDDLE, before, call, expect_others, files_with, forget, reason, used};
use super::*;
use dialback::history::Register;
use dialback::store::Upkeep;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

/// The keyspaces that an older version's purge flushed. It left out `padding`.
const FLUSHED: [&str; 7] = ["configurations", "registers", "commits", "erasures", "settings", "statistics", "outbox"];

/// The engine's files, opened without the store.
struct EngineFiles {
    database: Database,
    padding: Keyspace,
    flushed: Vec<Keyspace>,
}

impl EngineFiles {
    fn open(path: &Path) -> Self {
        let builder = Database::builder(path.join("store")).journal_compression(fjall::CompressionType::None);
        let database = builder.open().expect("it opens");
        let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default).expect("it is there");
        let (padding, flushed) = (keyspace("padding"), FLUSHED.map(keyspace).to_vec());
        Self { database, padding, flushed }
    }

    fn pad(&self) {
        for piece in 1..=62 {
            self.padding.insert([0], vec![0; 1 << 20]).expect("written");
            if piece % 16 == 0 {
                self.padding.clear().expect("cleared");
            }
        }
        self.padding.clear().expect("cleared");
    }

    /// Writes the batch that gives each keyspace but the padding data to flush.
    fn remove_nothing(&self) {
        let mut batch = self.database.batch();
        for keyspace in &self.flushed {
            batch.remove(keyspace, [0]);
        }
        batch.commit().expect("written");
    }

    fn flush(&self, keyspaces: usize) {
        let flushed = self.flushed.iter().take(keyspaces);
        flushed.for_each(|keyspace| keyspace.rotate_memtable_and_wait().expect("flushed"));
    }
}

fn journals(path: &Path) -> usize {
    let names = contents(path).into_keys();
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "jnl")).count()
}

/// Returns a directory that an older version's purge left behind. The purge was killed after the engine had begun a new
/// journal and before it deleted the old one. Later purges of that version failed and left `failed` more journals.
fn stuck(failed: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let (service, _) = used(path);
    let forgotten = [FIRST, MIDDLE, LAST].map(|digits| forget(digits, before(1)));
    service.record(forgotten.to_vec()).expect("it is durable");
    drop(service);
    let killed = tempfile::tempdir().expect("a directory");
    let engine = EngineFiles::open(path);
    engine.pad();
    engine.remove_nothing();
    engine.flush(1);
    assert_eq!(journals(path), 2, "the old journal is there still");
    write_all(killed.path(), &contents(path));
    drop(engine);
    for _ in 0..failed {
        let engine = EngineFiles::open(killed.path());
        engine.pad();
        engine.remove_nothing();
        engine.flush(FLUSHED.len());
        assert!(engine.database.journal_count() > 1, "an edition that leaves out the padding is stuck");
    }
    assert!(journals(killed.path()) >= 2 + failed, "it grows");
    killed
}

fn expect_clean(path: &Path, upkeep: &Upkeep) {
    let purged = upkeep.purge(None, START).expect("a purge gets it going again");
    assert_eq!((purged.journals, journals(path)), (1, 1));
    for digits in [FIRST, MIDDLE, LAST] {
        assert_eq!(files_with(path, digits), Vec::<String>::new(), "{digits}");
    }
    expect_others(path);
    assert!(purged.bytes_after < 4 << 20, "{purged:?}");
}

#[test]
fn purge_of_a_directory_that_an_older_purge_left_stuck_succeeds() {
    for failed in [0, 2] {
        let directory = stuck(failed);
        let path = directory.path();
        let verified = dialback::store::verify(path).expect("it can be looked at");
        assert!(verified.is_good() && verified.has_old_journals() == (failed > 0), "{verified:?}");
        let store = FjallStore::open(path).expect("it opens");
        let upkeep = store.upkeep();
        let service = start(store);
        expect_clean(path, &upkeep);
        assert_eq!(upkeep.disk_use().expect("readable"), upkeep.purge(None, START).expect("purged").bytes_after);
        assert_eq!(reason(&service, "442000000000"), Reason::Matched, "others are untouched");
        assert_eq!(reason(&service, FIRST), Reason::NoHistory);
        expect_clean(path, &upkeep);
        drop(service);
        let verified = dialback::store::verify(path).expect("it can be looked at");
        assert!(verified.is_good() && !verified.has_old_journals(), "{verified:?}");
    }
}

/// Canary: a flush without the padding must be detected.
#[test]
fn planted_flush_without_the_padding_keeps_the_journal() {
    let directory = stuck(0);
    let engine = EngineFiles::open(directory.path());
    engine.remove_nothing();
    engine.flush(FLUSHED.len());
    assert!(engine.database.journal_count() > 1);
    engine.padding.insert([0], []).expect("written");
    engine.padding.rotate_memtable_and_wait().expect("flushed");
    let asked = std::iter::repeat_n((), 500);
    let gone = asked.into_iter().any(|()| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        engine.database.journal_count() == 1
    });
    assert!(gone, "the padding was all that was in the way");
}

#[test]
fn purge_with_nothing_removed_and_nothing_expired_rewrites_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (service, upkeep) = used(directory.path());
    let purge = |floor: Option<u64>| {
        let floor = floor.map(|hours| Register::floor(before(hours)));
        upkeep.purge(floor, START).expect("purged").rewritten
    };
    assert!(purge(None) > 0, "the first after a start does everything");
    assert_eq!((purge(None), purge(Some(3))), (0, 0));
    service.record(vec![call(MIDDLE, before(1))]).expect("it is durable");
    assert_eq!(purge(Some(3)), 0, "a newer call is no removal");
    service.record(vec![forget(MIDDLE, before(1))]).expect("it is durable");
    assert!(purge(Some(3)) > 0);
    assert_eq!(files_with(directory.path(), MIDDLE), Vec::<String>::new());
    // The call is below the floor when it is written. A compaction may remove it at once, but the journal still has it.
    let late = "493088877766";
    assert_eq!(service.record(vec![call(late, before(4))]), Ok(vec![Ok(Applied::Recorded)]));
    assert!(purge(Some(3)) > 0);
    assert_eq!(files_with(directory.path(), late), Vec::<String>::new());
    // The floor now covers the existing call.
    assert!(purge(Some(1)) > 0);
    assert_eq!(files_with(directory.path(), FIRST), Vec::<String>::new());
    assert_eq!(purge(Some(1)), 0);
}

#[test]
fn purge_interrupted_at_its_end_is_repeated_after_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let (service, upkeep) = used(directory.path());
    upkeep.purge(None, before(1)).expect("purged");
    drop(service);
    for _ in 0..3 {
        let store = FjallStore::open(directory.path()).expect("it opens");
        assert!(store.upkeep().purge(None, START).expect("purged").rewritten > 0);
        assert_eq!(journals(directory.path()), 1);
    }
}

#[test]
fn disk_use_stays_bounded_after_many_purges() {
    let directory = tempfile::tempdir().expect("a directory");
    let (service, upkeep) = used(directory.path());
    let mut bytes = Vec::new();
    for round in 0..6 {
        service.record(vec![call(MIDDLE, before(2)), forget(MIDDLE, before(1))]).expect("it is durable");
        let purged = upkeep.purge(None, START).expect("purged");
        assert_eq!(purged.journals, 1, "round {round}");
        bytes.push(purged.bytes_after);
    }
    assert!(bytes.iter().all(|now| *now < 2 << 20), "{bytes:?}");
}
