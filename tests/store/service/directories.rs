//! Data directories that are foreign, incomplete or locked.

use super::*;

/// Returns a data directory that was used and closed.
pub(super) fn used() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let service = open(directory.path());
    configure(&service, changes()).expect("it is valid");
    let events = (0..300).map(|contact| call_to(contact, Moment(2), Outcome::Busy)).collect();
    service.record(events).expect("it is durable");
    drop(service);
    directory
}

/// Opening must fail with the expected error and change nothing.
fn refused(path: &Path, expected: impl FnOnce(&StoreError) -> bool) {
    let before = contents(path);
    let error = FjallStore::open(path).expect_err("it must not open");
    assert!(expected(&error), "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()), "it says where: {error}");
    assert!(contents(path) == before, "the directory was touched");
}

#[cfg(unix)]
#[test]
fn new_directory_is_accessible_to_its_own_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("not/there/yet");
    drop(open(&path));
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "phone numbers are in it");
}

#[test]
fn open_directory_is_locked() {
    let directory = used();
    let held = FjallStore::open(directory.path()).expect("it opens");
    refused(directory.path(), |error| matches!(error, StoreError::Locked(_)));
    drop(held);
    FjallStore::open(directory.path()).expect("it is free again");
}

#[test]
fn directory_with_other_files_is_foreign() {
    for name in ["notes.txt", "lock.bak", ".hidden", "store", "watermark"] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(name), "keep me").expect("written");
        refused(directory.path(), |error| matches!(error, StoreError::Foreign(_)));
    }
}

#[test]
fn incomplete_directory_is_created_again() {
    for (marker, store) in [("{\"format\":1}\n", true), ("{\"format\":1}\n", false), ("{\"for", false), ("", false)] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("dialback.json.new"), marker).expect("written");
        fs::write(directory.path().join("lock"), "").expect("written");
        if store {
            fs::create_dir(directory.path().join("store")).expect("made");
            fs::write(directory.path().join("store/version"), "FJL").expect("written");
            fs::write(directory.path().join("watermark"), "of what is gone").expect("written");
        }
        let service = open(directory.path());
        configure(&service, changes()).expect("it is valid");
        let before = ask_all(&service);
        drop(service);
        assert_eq!(ask_all(&open(directory.path())), before);
    }
}

#[test]
fn store_without_a_marker_is_not_an_incomplete_directory() {
    // A complete directory that lost its marker, and other directories with the same file names.
    let directory = used();
    fs::remove_file(directory.path().join("dialback.json")).expect("removed");
    refused(directory.path(), |error| matches!(error, StoreError::Foreign(_)));
    for (marker, name) in [("{\"for", "store"), ("{}", "lock"), ("{\"format\":1}\n", "notes.txt")] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("dialback.json.new"), marker).expect("written");
        fs::write(directory.path().join(name), "keep me").expect("written");
        refused(directory.path(), |error| matches!(error, StoreError::Foreign(_)));
    }
}

#[test]
fn directory_of_a_newer_format_is_rejected_as_newer() {
    for lock in [true, false] {
        let directory = used();
        fs::write(directory.path().join("dialback.json"), "{\"format\":11}").expect("written");
        if !lock {
            fs::remove_file(directory.path().join("lock")).expect("removed");
        }
        refused(directory.path(), |error| matches!(error, StoreError::Newer { found: 11, known: 10, .. }));
    }
}

/// Converts a data directory to format 1: without commits, their keyspace and their watermark.
fn of_format_1(path: &Path) -> tempfile::TempDir {
    use fjall::{Database, KeyspaceCreateOptions as Options};
    let directory = tempfile::tempdir().expect("a directory");
    let from = Database::builder(path.join("store")).open().expect("it opens");
    let to = Database::builder(directory.path().join("store")).open().expect("it opens");
    for name in ["configurations", "registers"] {
        let from = from.keyspace(name, Options::default).expect("it is there");
        let to = to.keyspace(name, Options::default).expect("it is made");
        for item in from.iter() {
            let (key, value) = item.into_inner().expect("readable");
            to.insert(key, value).expect("written");
        }
    }
    fs::write(directory.path().join("dialback.json"), "{\"format\":1}\n").expect("written");
    directory
}

#[test]
fn directory_of_format_1_is_converted() {
    let original = used();
    let before = ask_all(&open(original.path()));
    let directory = of_format_1(original.path());
    let path = directory.path();
    let service = open(path);
    assert_eq!(ask_all(&service), before);
    service.record(vec![call_to(700, Moment(2), Outcome::Busy)]).expect("it is durable");
    drop(service);
    assert_eq!(fs::read_to_string(path.join("dialback.json")).expect("readable"), "{\"format\":10}\n");
    let service = open(path);
    assert_eq!(ask_all(&service), before);
    assert_eq!(ask(&service, 700).reason, Reason::Matched);
}

#[test]
fn damaged_marker_is_reported_as_damage() {
    for marker in [&b""[..], b"{}", b"{\"format\":-1}", b"{\"format\":0}", b"{\"format\":\"1\"}", b"\xFF\xFE", b"[1]"] {
        let directory = used();
        fs::write(directory.path().join("dialback.json"), marker).expect("written");
        refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
    }
}

#[test]
fn directory_without_its_store_is_damaged() {
    for lock in [true, false] {
        let directory = used();
        fs::remove_dir_all(directory.path().join("store")).expect("removed");
        if !lock {
            fs::remove_file(directory.path().join("lock")).expect("removed");
        }
        refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
    }
}

#[test]
fn directory_with_an_emptied_store_is_damaged() {
    let directory = used();
    fs::remove_dir_all(directory.path().join("store")).expect("removed");
    fs::create_dir(directory.path().join("store")).expect("made");
    refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
}

#[test]
fn file_in_place_of_the_directory_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, "keep me").expect("written");
    FjallStore::open(&path).expect_err("it must not open");
    assert_eq!(fs::read(&path).expect("there"), b"keep me");
}
