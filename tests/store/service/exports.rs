//! Exports: equal states have equal bytes, an export shows one commit, and an incomplete export is rejected.

use super::*;
use dialback::store::{Exported, restore};
use dialback::{E164, Timestamp};

fn export(store: &FjallStore) -> Vec<u8> {
    let mut out = Vec::new();
    store.exporter().export(&mut out, false).expect("readable");
    out
}

fn export_of(path: &Path) -> Vec<u8> {
    export(&FjallStore::open(path).expect("it opens"))
}

/// Records all kinds of data: several configurations, calls of two agents to national and international numbers, calls
/// of a deleted agent and from a released number, the lowest possible call, erasures, and later calls.
fn furnish(path: &Path) {
    let service = open(path);
    configure(&service, changes()).expect("it is valid");
    let (agent, line) = (Agent(1).id(), Number(1).id());
    let other = vec![
        Change::NumberAdded { id: line, number: Dialed(1).number() },
        Change::AgentCreated {
            id: agent,
            name: "Möwe \"7\"".into(),
            label: Some("\u{1F426}".into()),
            direction: Direction::Outbound,
        },
        Change::CallingSet { id: agent, direction: Direction::Outbound, numbers: Some(vec![line]) },
    ];
    configure(&service, other).expect("it is valid");
    let call =
        |from, agent, to, at, outcome| Event::Call(Call { environment: Tenant(0).id(), agent, from, to, at, outcome });
    let contact = |digits| E164::from_digits(digits).expect("digits");
    let mut events: Vec<Event> =
        (0..500).zip(Outcome::ALL.into_iter().cycle()).map(|(n, went)| call_to(n, Moment(2), went)).collect();
    for digits in ["0911", "000", "999999999999999", "1", "15551234567"] {
        events.push(call(Dialed(1).number(), agent, contact(digits), START, Outcome::Voicemail));
    }
    for (at, digits) in [(Timestamp::EARLIEST, "7700"), (Timestamp::LATEST, "7701")] {
        events.push(call(Dialed(0).number(), Agent(0).id(), contact(digits), at, Outcome::Initiated));
    }
    service.record(events).expect("it is durable");
    let erased = (0..50).map(|n| erase(n, Moment(0))).chain([call_to(3, Moment(10), Outcome::Busy)]);
    service.record(erased.collect()).expect("it is durable");
    let gone = vec![
        Change::CallingSet { id: agent, direction: Direction::Outbound, numbers: Some(vec![]) },
        Change::AgentDeleted { id: agent },
        Change::NumberReleased { id: line },
    ];
    configure(&service, gone).expect("it is valid");
}

#[test]
fn imported_export_gives_an_equal_state_and_an_equal_export() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, copy) = (directory.path().join("data"), directory.path().join("copy"));
    furnish(&path);
    let exported = export_of(&path);
    let restored = restore(&copy, &exported[..]).expect("it is whole");
    let Exported { configurations, calls, erasures, passed_over, .. } = restored;
    assert_eq!((configurations, calls, erasures, passed_over), (3, 500 - 49 + 7, 50, 0));
    assert!(export_of(&copy) == exported, "byte for byte");
    // Decisions are equal, and the erasures still hold.
    let (service, other) = (open(&path), open(&copy));
    assert_eq!(ask_all(&service), ask_all(&other));
    assert_eq!(service.plan().generation(), other.plan().generation());
    let late = || vec![call_to(7, Moment(1), Outcome::Voicemail), call_to(400, Moment(1), Outcome::Voicemail)];
    let expected = Ok(vec![Ok(Applied::Ignored), Ok(Applied::Recorded)]);
    assert_eq!((service.record(late()), other.record(late())), (expected.clone(), expected));
    drop((service, other));
    assert!(export_of(&copy) == export_of(&path), "also after the same events");
    // No erased number is in the export.
    let text = String::from_utf8(exported).expect("UTF-8");
    assert!(text.contains("\"+49400\"") && !text.contains("\"+49007\"") && text.contains("\"+49003\""));
}

#[test]
fn empty_export_gives_an_empty_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, copy) = (directory.path().join("data"), directory.path().join("copy"));
    drop(open(&path));
    let exported = export_of(&path);
    assert_eq!(restore(&copy, &exported[..]).expect("it is whole"), Exported::default());
    assert!(export_of(&copy) == exported);
}

#[test]
fn export_during_commits_shows_one_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let store = FjallStore::open(&path).expect("it opens");
    let exporter = store.exporter();
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    let (stop, stopped) = mpsc::channel();
    let writing = std::thread::spawn(move || {
        let mut round = 0;
        while stopped.try_recv().is_err() {
            // One commit with the first and the last key, and some between.
            let at = START.plus_millis(round);
            let call = |contact: u64| {
                let Event::Call(call) = call_to(contact, Moment(0), Outcome::Busy) else {
                    unreachable!("it is a call")
                };
                Event::Call(Call { at, ..call })
            };
            service.record([0, 1000, 40_000].map(call).to_vec()).expect("it is durable");
            round += 1;
        }
        round
    });
    let mut seen: Vec<u64> = Vec::new();
    // Export until commits certainly happened meanwhile.
    while seen.len() < 5 {
        let mut out = Vec::new();
        exporter.export(&mut out, false).expect("readable");
        let text = String::from_utf8(out).expect("UTF-8");
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let times: Vec<u64> = lines.filter_map(|line| line["call"]["at"].as_u64()).collect();
        assert!(times.is_empty() || times.len() == 3, "{times:?}");
        assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "{times:?}");
        seen.extend(times.first());
        seen.dedup();
    }
    stop.send(()).expect("it goes on");
    assert!(writing.join().expect("no panic") > 0);
}

#[test]
fn incomplete_export_or_existing_directory_is_rejected_without_a_new_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    furnish(&path);
    let exported = export_of(&path);
    let lines: Vec<&[u8]> = exported.split_inclusive(|byte| *byte == b'\n').collect();
    let without = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().concat()
    };
    let last = lines.len() - 1;
    let replaced =
        |from: &str, to: &str| String::from_utf8(exported.clone()).expect("UTF-8").replacen(from, to, 1).into_bytes();
    let cases = [
        ("empty", vec![]),
        ("no header", without(0)),
        ("no configuration", without(1)),
        ("a call less", without(10)),
        ("an erasure less", without(last - 1)),
        ("no end", without(last)),
        ("cut in a line", exported[..exported.len() / 2].to_vec()),
        ("something behind", [&exported[..], b"{}\n"].concat()),
        ("twice", exported.repeat(2)),
        ("another outcome", replaced("\"busy\"", "\"ringing\"")),
        (
            "a call of nobody",
            replaced("00000000-0000-0000-0000-0000000000a0\"}}", "00000000-0000-0000-0000-0000000000ff\"}}"),
        ),
        ("another field", replaced("{\"call\":{", "{\"call\":{\"more\":1,")),
        ("no JSON", replaced("{\"call\":{", "{\"call\":")),
    ];
    for (what, damaged) in cases {
        assert!(damaged != exported, "{what} changes something");
        let copy = directory.path().join(what);
        let error = restore(&copy, &damaged[..]).expect_err(what);
        let is_told = matches!(error, StoreError::Damaged { .. } | StoreError::Configuration(_));
        assert!(is_told, "{what}: {error}");
        assert!(!error.to_string().contains("49"), "{what} shows no number: {error}");
        assert!(!copy.exists(), "{what} leaves no directory");
        // A directory that was there stays. The next process that opens it finds it empty.
        fs::create_dir(&copy).expect("created");
        restore(&copy, &damaged[..]).expect_err(what);
        assert_eq!(open(&copy).plan().generation(), 0, "{what}");
    }
    let newer = replaced("{\"dialback_export\":2", "{\"dialback_export\":3");
    let error = restore(directory.path().join("newer"), &newer[..]).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found: 3, known: 2, .. }), "{error}");
    let before = export_of(&path);
    let error = restore(&path, &exported[..]).expect_err("there is one");
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    assert!(export_of(&path) == before);
}

#[test]
fn undamaged_records_can_be_salvaged() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let store = FjallStore::open(&path).expect("it opens");
    let upkeep = store.upkeep();
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    let events = (0..20_000).map(|contact| call_to(contact, Moment(2), Outcome::Busy)).collect();
    service.record(events).expect("it is durable");
    upkeep.purge(None, START).expect("into one table");
    drop((service, upkeep));
    let all = contents(&path);
    let largest = all.iter().filter(|(name, _)| name.contains("/tables/"));
    let (name, bytes) = largest.max_by_key(|(_, bytes)| bytes.as_ref().map_or(0, Vec::len)).expect("a table");
    let bytes = bytes.clone().expect("a file");
    // Damage the middle of one block of many, then of two.
    let mut damaged = bytes.clone();
    let mut calls_before = 20_000;
    for place in [bytes.len() / 4, bytes.len() / 2] {
        damaged[place] ^= 0x40;
        fs::write(path.join(name), &damaged).expect("written");
        let store = FjallStore::open(&path).expect("it opens");
        store.exporter().export(&mut Vec::new(), false).expect_err("it is damaged");
        let mut out = Vec::new();
        let exported = store.exporter().export(&mut out, true).expect("it goes on");
        assert!(exported.passed_over > 0 && exported.configurations == 1, "{exported:?}");
        assert!(exported.calls < calls_before && exported.calls > 15_000, "{exported:?}");
        calls_before = exported.calls;
        // The salvaged records equal the original ones.
        let copy = directory.path().join(format!("copy {place}"));
        assert_eq!(restore(&copy, &out[..]).expect("it is whole"), exported);
        let service = open(&copy);
        let found = (0..20_000).filter(|contact| ask(&service, *contact).reason == Reason::Matched).count();
        assert_eq!(found as u64, exported.calls);
    }
}
