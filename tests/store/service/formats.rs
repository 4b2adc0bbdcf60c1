//! Data directories of older formats.

use super::*;
use dialback::history::Register;
use dialback::{E164, Timestamp};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

/// The first slots of a number and of an environment.
const NUMBER: u32 = 0;
const ENVIRONMENT: u32 = 0xFF_FFFF;

fn contact(number: u64) -> E164 {
    E164::from_code(49_000 + number).expect("a code")
}

/// Writes a directory as older versions did: `configurations` by sequence, and all registers with erasures under scope
/// and contact. From format 2 on, also `commits` with the last batch's number, and a watermark, which may be behind.
fn write(format: u64, path: &Path, configurations: &[Vec<Change>], registers: &[(u32, E164, Register)]) {
    fs::create_dir_all(path).expect("made");
    fs::write(path.join("lock"), "").expect("written");
    let database = Database::builder(path.join("store")).open().expect("it opens");
    let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default).expect("made");
    let (plans, pairs) = (keyspace("configurations"), keyspace("registers"));
    let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
    for (changes, sequence) in configurations.iter().zip(1u64..) {
        let (environment, changes) = (Tenant(0).id(), changes.clone());
        let configuration = dialback::Configuration::new(sequence, environment, START, changes);
        batch.insert(&plans, sequence.to_be_bytes(), serde_json::to_vec(&configuration).expect("JSON"));
    }
    for (scope, contact, register) in registers {
        let key = [&scope.to_be_bytes()[1..], &contact.code().to_be_bytes()[1..]].concat();
        batch.insert(&pairs, key, register.bits().to_be_bytes());
    }
    if format > 1 {
        let mark = [7u64.to_be_bytes(), 6u64.to_be_bytes()].concat();
        batch.insert(&keyspace("commits"), "commit", mark);
    }
    batch.commit().expect("written");
    mark(path, format);
}

fn mark(path: &Path, format: u64) {
    fs::write(path.join("dialback.json"), format!("{{\"format\":{format}}}\n")).expect("written");
}

fn slot() -> dialback::slot::AgentSlot {
    dialback::slot::AgentSlot::new(0).expect("a slot")
}

fn ago(hours: u64) -> Timestamp {
    Timestamp::from_millis(START.millis() - hours * 3_600_000)
}

/// Returns calls, of which the first half has been erased.
fn registers(pairs: u64) -> Vec<(u32, E164, Register)> {
    let call = Register::call(ago(2), Outcome::Busy, slot());
    let erasure = Register::erasure(ago(1));
    let erased = (0..pairs / 2).flat_map(|n| [NUMBER, ENVIRONMENT].map(|scope| (scope, contact(n), erasure)));
    erased.chain((pairs / 2..pairs).map(|n| (NUMBER, contact(n), call))).collect()
}

fn check(path: &Path, pairs: u64) {
    let service = open(path);
    let late = (0..pairs).map(|n| call_to(n, Moment(2), Outcome::Initiated));
    let did = service.record(late.collect()).expect("it is durable");
    for (n, did) in (0..pairs).zip(did) {
        // The report is an hour old: it was just erased, or is an hour later than the known call.
        let (expected, reason) =
            if n < pairs / 2 { (Applied::Ignored, Reason::NoHistory) } else { (Applied::Recorded, Reason::Matched) };
        assert_eq!(did, Ok(expected), "{n}");
        let caller = Caller::Number(contact(n));
        assert_eq!(service.resolve(Dialed(0).number(), caller, START).reason, reason, "{n}");
    }
}

#[test]
fn directory_of_an_older_format_is_converted() {
    for format in [1, 2] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        write(format, &path, &[changes()], &registers(10_000));
        check(&path, 10_000);
        let marker = fs::read_to_string(path.join("dialback.json")).expect("there");
        assert_eq!(marker, "{\"format\":10}\n");
        // The directory is in the current format: it is not converted again, and the erasures are still there.
        let service = open(&path);
        assert_eq!(service.record(vec![call_to(0, Moment(2), Outcome::Busy)]), Ok(vec![Ok(Applied::Ignored)]));
        assert_eq!(ask(&service, 299).reason, Reason::NoHistory);
    }
}

#[test]
fn interrupted_conversion_continues() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    write(1, &path, &[changes()], &registers(6000));
    drop(open(&path));
    // The conversion moved some records and was interrupted. The others are in the old place.
    let database = Database::builder(path.join("store")).open().expect("it opens");
    let pairs = database.keyspace("registers", KeyspaceCreateOptions::default).expect("there");
    for (scope, contact, register) in &registers(6000)[2000..6000] {
        let key = [&scope.to_be_bytes()[1..], &contact.code().to_be_bytes()[1..]].concat();
        pairs.insert(key, register.bits().to_be_bytes()).expect("written");
    }
    drop((pairs, database));
    mark(&path, 1);
    check(&path, 6000);
}

#[test]
fn erasure_among_calls_is_damage() {
    for (scope, contact, register) in &registers(10)[..2] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        write(1, &path, &[changes()], &registers(10));
        drop(open(&path));
        let database = Database::builder(path.join("store")).open().expect("it opens");
        let pairs = database.keyspace("registers", KeyspaceCreateOptions::default).expect("there");
        let key = [&scope.to_be_bytes()[1..], &contact.code().to_be_bytes()[1..]].concat();
        pairs.insert(key, register.bits().to_be_bytes()).expect("written");
        drop((pairs, database));
        let store = FjallStore::open(&path).expect("it opens");
        let error = Service::builder(store).start().expect_err("damaged");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}

#[test]
fn older_directory_gets_statistics_and_one_that_lost_them_is_damaged() {
    let directory = directories::used();
    let before = ask_all(&open(directory.path()));
    // Keep what format 3 had.
    let older = tempfile::tempdir().expect("a directory");
    let path = older.path();
    let databases =
        [directory.path(), path].map(|path| Database::builder(path.join("store")).open().expect("it opens"));
    for name in ["configurations", "registers", "commits", "erasures", "settings", "padding"] {
        let [from, to] = databases
            .each_ref()
            .map(|database| database.keyspace(name, KeyspaceCreateOptions::default).expect("there"));
        for item in from.iter() {
            let (key, value) = item.into_inner().expect("readable");
            if *key != *b"decision_key" {
                to.insert(key, value).expect("written");
            }
        }
    }
    drop(databases);
    fs::write(path.join("lock"), "").expect("written");

    mark(path, 4);
    let error = FjallStore::open(path).expect_err("this format has them");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    mark(path, 3);
    let service = open(path);
    assert_eq!(ask_all(&service), before);
    let secret = service.secret().expect("a key");
    drop(service);
    // Remove the outbox, which format 4 did not have.
    let database = Database::builder(path.join("store")).open().expect("it opens");
    let outbox = database.keyspace("outbox", KeyspaceCreateOptions::default).expect("there");
    database.delete_keyspace(outbox).expect("gone");
    drop(database);
    let error = FjallStore::open(path).expect_err("this format has one");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    mark(path, 4);
    assert_eq!(ask_all(&open(path)), before);
    assert_eq!(fs::read_to_string(path.join("dialback.json")).expect("there"), "{\"format\":10}\n");
    assert_eq!(open(path).secret(), Some(secret), "made once");
    // Remove the webhooks, which format 9 did not have, then also the feed, which format 8 did not have, the decision records,
    // which format 7 did not have, and the ids and contexts, which format 6 did not have.
    for (format, newer) in [
        (9, &["webhooks"][..]),
        (8, &["webhooks", "feed"]),
        (7, &["webhooks", "feed", "records"]),
        (6, &["webhooks", "feed", "records", "contexts", "call_ids"]),
    ] {
        let database = Database::builder(path.join("store")).open().expect("it opens");
        for name in newer {
            let keyspace = database.keyspace(name, KeyspaceCreateOptions::default).expect("there");
            database.delete_keyspace(keyspace).expect("gone");
        }
        drop(database);
        let error = FjallStore::open(path).expect_err("this format has them");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        mark(path, format);
        assert_eq!(ask_all(&open(path)), before);
        assert_eq!(fs::read_to_string(path.join("dialback.json")).expect("there"), "{\"format\":10}\n");
    }
}

#[test]
fn statistics_by_slot_are_converted_to_agents() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let service = open(path);
    let day = START.day();
    configure(&service, changes()).expect("it is valid");
    // A second pair, and a removed one.
    let role = |agent, source| Change::CallbackSet {
        id: Agent(agent).id(),
        sources: vec![Agent(source).id()],
        outcomes: None,
        lookback: None,
    };
    let other =
        Change::AgentCreated { id: Agent(1).id(), name: "other".into(), label: None, direction: Direction::Outbound };
    configure(&service, vec![other, role(3, 1), role(3, 0)]).expect("it is valid");
    drop(service);
    // Write counts as format 5 did: unmatched calls, and the two pairs in the order of their first configuration.
    let database = Database::builder(path.join("store")).open().expect("it opens");
    let statistics = database.keyspace("statistics", KeyspaceCreateOptions::default).expect("there");
    for slot in 0..3_u32 {
        let key = [&b"t"[..], &0_u32.to_be_bytes(), &day.index().to_be_bytes(), &slot.to_be_bytes()].concat();
        let counts = [u64::from(slot) + 5, u64::from(slot)].map(u64::to_be_bytes).concat();
        statistics.insert(key, counts).expect("written");
    }
    drop((statistics, database));
    mark(path, 5);
    for _ in 0..2 {
        let found = open(path).statistics(Tenant(0).id(), &(day..=day));
        assert_eq!(found.unmatched, 5);
        let callbacks =
            found.callbacks.iter().map(|one| (one.source, one.agent, one.count.received, one.count.answered));
        let mut expected = [(Agent(0).id(), Agent(3).id(), 6, 1), (Agent(1).id(), Agent(3).id(), 7, 2)];
        expected.sort();
        assert_eq!(callbacks.collect::<Vec<_>>(), expected);
    }
}
