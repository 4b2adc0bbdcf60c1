//! Damage to the storage engine's files, one file at a time: gone, empty, half, a bit flipped in several places.
//!
//! What was found, and is held here: nothing panics, and every damage is an error or does not matter, but for the journal. A
//! journal that is cut short looks like one whose last write was: the engine takes what comes before the cut, and says
//! nothing. No answer comes out of that that was not right at some time; acknowledged events can be missing from it.

use super::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Error,
    Same,
    Less,
}

fn found(path: &Path, before: &[Decision]) -> Found {
    let open = || {
        let service = Service::start(FjallStore::open(path)?, Engine::new(), |_| {})?;
        Ok::<_, StoreError>(ask_all(&service))
    };
    let Ok(after) = open() else { return Found::Error };
    if after == before {
        return Found::Same;
    }
    for decision in after {
        assert!(matches!(decision.reason, Reason::UnknownNumber | Reason::NoHistory | Reason::Matched));
    }
    Found::Less
}

fn write_all(path: &Path, all: &BTreeMap<String, Option<Vec<u8>>>) {
    for (name, bytes) in all {
        match bytes {
            None => fs::create_dir_all(path.join(name)).expect("made"),
            Some(bytes) => fs::write(path.join(name), bytes).expect("written"),
        }
    }
}

fn variants(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        ("flipped", Some(bytes))
    };
    // Also near the front, where lengths are.
    let places = [0, 1, 2, 3, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)];
    let places = places.into_iter().filter(|at| *at < bytes.len());
    let cuts = [("gone", None), ("empty", Some(vec![])), ("half", Some(bytes[..bytes.len() / 2].to_vec()))];
    cuts.into_iter().chain(places.map(flipped)).collect()
}

#[test]
fn damage_is_an_error_or_does_not_matter_or_has_cut_the_journal_short() {
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
            let is_journal = Path::new(name).extension().is_some_and(|extension| extension == "jnl");
            assert!(found != Found::Less || (is_journal && what != "gone"), "{name} {what}");
            errors += u32::from(found == Found::Error);
        }
    }
    assert!(errors > 50, "{errors} damages were found");
}
