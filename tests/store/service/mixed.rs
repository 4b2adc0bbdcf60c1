//! Mixed files of two data directories, and files that a copy left out.

use super::*;
use dialback::store::verify;
use std::path::PathBuf;

/// Creates two directories with the same contents and the same commit numbers.
fn two() -> [tempfile::TempDir; 2] {
    [(); 2].map(|()| {
        let directory = directories::used();
        let store = FjallStore::open(directory.path()).expect("it opens");
        store.upkeep().purge(None, START).expect("purged");
        let service = start(store);
        service.record(vec![call_to(400, Moment(2), Outcome::Busy)]).expect("it is durable");
        drop(service);
        directory
    })
}

fn journal(path: &Path) -> PathBuf {
    let names = contents(path).into_keys().map(PathBuf::from);
    let mut journals = names.filter(|name| name.extension().is_some_and(|extension| extension == "jnl"));
    journals.next().expect("there is one")
}

/// Opening and verifying must both fail and name the reason.
fn expect_found(path: &Path, what: &str) {
    let error = FjallStore::open(path).expect_err("it must not open").to_string();
    assert!(error.contains("another data directory"), "{what}: {error}");
    let verified = verify(path).expect("it can be looked at");
    assert!(!verified.is_good(), "{what}");
    assert!(verified.damages.iter().any(|(_, what)| what.contains("another data directory")), "{what}: {verified:?}");
}

#[test]
fn journal_of_another_directory_is_damage() {
    let [ours, theirs] = two();
    for directory in [&ours, &theirs] {
        assert!(verify(directory.path()).expect("verified").is_good());
    }
    let (here, there) = (ours.path().join(journal(ours.path())), theirs.path().join(journal(theirs.path())));
    fs::copy(there, &here).expect("copied");
    expect_found(ours.path(), "a journal");
}

#[test]
fn keyspace_of_another_directory_is_damage() {
    let [ours, theirs] = two();
    let folders: Vec<String> = contents(ours.path())
        .into_iter()
        .filter(|(name, bytes)| bytes.is_none() && name.starts_with("store/keyspaces/") && !name.ends_with("tables"))
        .map(|(name, _)| name)
        .filter(|name| !name.ends_with("/0"))
        .collect();
    assert_eq!(folders.len(), 13, "{folders:?}");
    for folder in folders {
        let mixed = tempfile::tempdir().expect("a directory");
        let of = |all: &tempfile::TempDir, ours: bool| {
            let all = contents(all.path()).into_iter();
            all.filter(|(name, _)| (name == &folder || name.starts_with(&format!("{folder}/"))) != ours)
                .collect::<BTreeMap<_, _>>()
        };
        write_all(mixed.path(), &of(&ours, true));
        write_all(mixed.path(), &of(&theirs, false));
        expect_found(mixed.path(), &folder);
    }
}

/// A directory of an earlier version has no empty files, and a copy may leave them out.
#[test]
fn directory_without_its_empty_files_opens_and_recreates_them() {
    let directory = directories::used();
    let before = ask_all(&open(directory.path()));
    let empty = |path: &Path| {
        let all = contents(path).into_iter();
        all.filter(|(_, bytes)| bytes.as_ref().is_some_and(Vec::is_empty)).map(|(name, _)| name).collect::<Vec<_>>()
    };
    let names = empty(directory.path());
    assert!(names.iter().any(|name| name == "store/lock"), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains("installation-")).count(), 14, "{names:?}");
    for name in &names {
        fs::remove_file(directory.path().join(name)).expect("removed");
    }
    assert!(verify(directory.path()).expect("verified").is_good());
    assert_eq!(ask_all(&open(directory.path())), before);
    assert_eq!(empty(directory.path()), names);
}

#[cfg(unix)]
#[test]
fn open_directory_that_others_can_read_is_tightened() {
    use std::os::unix::fs::PermissionsExt;
    let directory = directories::used();
    let path = directory.path();
    let set = |name: &Path, mode| fs::set_permissions(name, fs::Permissions::from_mode(mode)).expect("changed");
    let all: Vec<(PathBuf, bool)> =
        contents(path).into_iter().map(|(name, bytes)| (path.join(name), bytes.is_none())).collect();
    set(path, 0o755);
    for (name, is_directory) in &all {
        set(name, if *is_directory { 0o755 } else { 0o644 });
    }
    let store = FjallStore::open(path).expect("it opens");
    assert!(store.modes().tightened > all.len() / 2, "{:?}", store.modes());
    for (name, is_directory) in all.iter().filter(|(name, _)| name.exists()) {
        let mode = fs::metadata(name).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, if *is_directory { 0o700 } else { 0o600 }, "{}", name.display());
    }
    assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o700);
    drop(store);
    assert_eq!(FjallStore::open(path).expect("it opens").modes().tightened, 0);
}
