//! Damage to the storage engine's files, one file at a time: missing, empty, cut in half, or with a flipped bit in
//! several positions.
//!
//! Nothing panics. Each damage is either an error or harmless. The engine alone would silently accept a truncated
//! journal as the result of a crash. The store's check before the engine opens, and its watermark, find it.

use super::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Error,
    Same,
    Other,
}

fn found(path: &Path, before: &[Decision]) -> Found {
    let open = || {
        let service = Service::builder(FjallStore::open(path)?).start()?;
        Ok::<_, StoreError>(ask_all(&service))
    };
    let Ok(after) = open() else { return Found::Error };
    if after == before { Found::Same } else { Found::Other }
}

fn variants(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        ("flipped", Some(bytes))
    };
    // Some positions are near the start, where lengths are stored.
    let places = [0, 1, 2, 3, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)];
    let places = places.into_iter().filter(|at| *at < bytes.len());
    let cuts = [("gone", None), ("empty", Some(vec![])), ("half", Some(bytes[..bytes.len() / 2].to_vec()))];
    cuts.into_iter().chain(places.map(flipped)).collect()
}

#[test]
fn damage_is_an_error_or_harmless() {
    let original = directories::used();
    let before = ask_all(&open(original.path()));
    let all = contents(original.path());
    let mut errors = 0;
    for (name, bytes) in &all {
        for (what, damaged) in bytes.iter().flat_map(|bytes| variants(bytes)) {
            let mut damaged_all = all.clone();
            match damaged {
                None => damaged_all.remove(name),
                damaged => damaged_all.insert(name.clone(), damaged),
            };
            let copy = tempfile::tempdir().expect("a directory");
            write_all(copy.path(), &damaged_all);
            let found = found(copy.path(), &before);
            assert!(found != Found::Other, "{name} {what}");
            errors += u32::from(found == Found::Error);
        }
    }
    assert!(errors > 50, "{errors} damages were found");
}

/// Records that a purge writes into the journal before it is killed. The engine then uses their sequences again.
#[test]
fn interrupted_purge_is_no_damage() {
    let directory = directories::used();
    let path = directory.path();
    let database = fjall::Database::builder(path.join("store")).open().expect("it opens");
    let padding = database.keyspace("padding", fjall::KeyspaceCreateOptions::default).expect("it is there");
    for _ in 0..5 {
        padding.insert([0], [0; 100]).expect("written");
    }
    padding.clear().expect("cleared");
    drop((padding, database));
    for contact in 700..703 {
        let service = open(path);
        service.record(vec![call_to(contact, Moment(2), Outcome::Busy)]).expect("it is durable");
        drop(service);
    }
    let service = open(path);
    assert!((700..703).all(|contact| ask(&service, contact).reason == Reason::Matched));
}
