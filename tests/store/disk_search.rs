//! The search for numbers on the disk finds every number that is there, and no other.

use crate::support::disk_search::{DiskSearch, Trace, describe, files};
use crate::support::table_file::is_table;
use dialback::history::Register;
use dialback::slot::{AgentSlot, NumberSlot, Scope};
use dialback::store::{Batch, EventStore, FjallStore};
use dialback::{E164, Outcome, Timestamp};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::slice;

const NUMBERS: u64 = 400;
const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Returns numbers that have their first digits in common, like those of a town.
fn numbers(from: u64) -> impl Iterator<Item = E164> {
    (from..from + NUMBERS).map(|number| E164::from_code(493_010_000_000 + number * 7919).expect("a code"))
}

fn written() -> HashSet<E164> {
    numbers(0).collect()
}

fn absent() -> DiskSearch {
    DiskSearch::new(numbers(NUMBERS))
}

/// Returns the traces in each table.
fn by_table(traces: &[Trace]) -> BTreeMap<&Path, HashSet<E164>> {
    let mut tables: BTreeMap<&Path, HashSet<E164>> = BTreeMap::new();
    for trace in traces.iter().filter(|trace| is_table(&trace.file)) {
        tables.entry(&trace.file).or_default().extend(trace.number);
    }
    tables
}

#[test]
fn number_in_a_file_is_found_wherever_it_lies_and_as_text_and_integer() {
    let place = tempfile::tempdir().expect("a directory");
    let [other, number] = [1, 2].map(|number| E164::from_code(493_010_000_000 + number).expect("a code"));
    let code = number.code();
    let forms = [
        number.to_plus_form().as_bytes().to_vec(),
        code.to_be_bytes()[1..].to_vec(),
        code.to_be_bytes().to_vec(),
        code.to_le_bytes()[..7].to_vec(),
        code.to_le_bytes().to_vec(),
    ];
    let file = place.path().join("file");
    for form in forms {
        for at in [0, 1, 4089, 4090, 4092, 4095, 4096, 1 << 20] {
            let mut bytes = vec![0; at];
            bytes.extend_from_slice(&form);
            fs::write(&file, &bytes).expect("written");
            let traces = DiskSearch::new([other, number]).traces(place.path());
            assert_eq!(traces.iter().map(|trace| trace.number).collect::<Vec<_>>(), [Some(number)], "at {at}");
            assert_eq!(DiskSearch::new([number]).files(place.path()), slice::from_ref(&file));
            assert_eq!(DiskSearch::new([other]).traces(place.path()), []);
        }
    }
}

/// A hole in a file is not read. The zeros at its edges can belong to a number.
#[cfg(target_os = "linux")]
#[test]
fn number_at_the_edge_of_a_hole_is_found() {
    use std::os::unix::fs::FileExt;
    let place = tempfile::tempdir().expect("a directory");
    let number = E164::from_code(493_010_000_002).expect("a code");
    let file = fs::File::create(place.path().join("file")).expect("made");
    file.set_len(1 << 30).expect("a hole");
    file.write_all_at(&number.code().to_be_bytes()[3..], 1 << 24).expect("written");
    let mut reversed = number.code().to_le_bytes();
    reversed[5..].fill(0);
    file.write_all_at(&reversed[..5], (1 << 25) - 5).expect("written");
    assert_eq!(DiskSearch::new([number]).traces(place.path()).len(), 2);
}

/// After a purge the journal is new, and the tables are compressed.
#[test]
fn every_number_is_found_in_the_journal_and_in_compressed_tables_and_no_other() {
    let place = tempfile::tempdir().expect("a directory");
    let mut store = FjallStore::open(place.path()).expect("it opens");
    let scope: Scope = NumberSlot::new(0).expect("a slot").into();
    let register = Register::call(AT, Outcome::Busy, AgentSlot::new(0).expect("a slot"));
    let registers = written().into_iter().map(|number| (scope, number, register)).collect();
    store.commit(&Batch { registers, ..Batch::default() }).expect("written");
    let search = DiskSearch::new(written());
    let traces = search.traces(place.path());
    assert!(by_table(&traces).is_empty(), "in the journal only: {}", describe(&traces));
    assert_eq!(search.numbers(place.path()), written());
    store.upkeep().purge(None, AT).expect("purged");
    let traces = search.traces(place.path());
    assert!(traces.iter().all(|trace| trace.file.components().any(|part| part.as_os_str() == "tables")), "tables");
    assert_eq!(by_table(&traces).into_values().collect::<Vec<_>>(), [written()]);
    assert_eq!(absent().traces(place.path()), []);
}

fn flush(keyspace: &Keyspace) {
    keyspace.rotate_memtable_and_wait().expect("flushed");
}

#[test]
fn old_versions_and_removals_and_unused_tables_are_found() {
    let place = tempfile::tempdir().expect("a directory");
    let database = Database::builder(place.path()).open().expect("it opens");
    let keyspace = database.keyspace("registers", KeyspaceCreateOptions::default).expect("made");
    let key = |number: E164| [&[0, 0, 1], &number.code().to_be_bytes()[1..]].concat();
    for number in written() {
        keyspace.insert(key(number), [7; 8]).expect("written");
    }
    flush(&keyspace);
    for number in written() {
        keyspace.remove(key(number)).expect("written");
    }
    flush(&keyspace);
    let search = DiskSearch::new(written());
    let traces = search.traces(place.path());
    let tables = by_table(&traces);
    assert_eq!(tables.values().cloned().collect::<Vec<_>>(), [written(), written()], "each has all");
    let (table, _) = tables.first_key_value().expect("two");
    let unused = table.with_file_name("12345");
    fs::copy(table, &unused).expect("copied");
    assert_eq!(by_table(&search.traces(place.path()))[unused.as_path()], written());
    assert_eq!(absent().traces(place.path()), []);
}

/// Nothing is known about the rest of such a table. A table that is finished soon is not reported.
#[test]
fn table_that_cannot_be_decoded_is_reported() {
    let place = tempfile::tempdir().expect("a directory");
    let database = Database::builder(place.path()).open().expect("it opens");
    let keyspace = database.keyspace("registers", KeyspaceCreateOptions::default).expect("made");
    keyspace.insert("key", "value").expect("written");
    flush(&keyspace);
    assert_eq!(absent().traces(place.path()), []);
    let table = files(place.path()).into_iter().find(|file| is_table(file)).expect("one");
    let bytes = fs::read(&table).expect("readable");
    fs::write(&table, &bytes[..20]).expect("written");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            fs::write(&table, &bytes).expect("written");
        });
        assert_eq!(absent().traces(place.path()), []);
    });
    for end in [0, 40, bytes.len() - 1] {
        fs::write(&table, &bytes[..end]).expect("written");
        let traces = absent().traces(place.path());
        assert_eq!(traces.iter().map(|trace| trace.number).collect::<Vec<_>>(), [None], "{end} bytes");
        assert_eq!(absent().files(place.path()), slice::from_ref(&table));
    }
}
