//! Bit rot: a flipped byte in any file of a data directory that was used, flushed, compacted and restarted.
//!
//! Each flipped byte must be found when the store opens, or by `verify`, which names the file. Otherwise it must be
//! harmless: the store opens with the same data, and `verify` finds no damage. The store never serves wrong data.
//!
//! `ROT_EVERY=1` flips all bytes. By default, one byte of 101 is flipped, and each byte near the ends of a file. Above
//! that, the bytes near the ends become fewer, too.

use super::disk::{Disk, State};
use super::print::Print;
use super::workload::{self, ERASED, Workload};
use super::{memory, setting};
use crate::support::random::Random;
use dialback::store::{self, StoreError};
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

/// The result of a flipped byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fate {
    /// The store does not open, and names this file as damaged.
    NamedAtOpen,
    /// The store opens or reports another error; `verify` names this file.
    NamedByVerify,
    /// The store holds the same data, and `verify` finds no damage.
    Harmless,
}

/// Returns a fingerprint of the data of the store in `root`, if it opens.
fn held(root: &Path) -> Result<u128, StoreError> {
    let mut store = workload::open(&root.join("data"))?;
    Ok(Print::of(&mut store, ERASED)?.0)
}

fn fate(state: &State, name: &str, root: &Path, before: u128) -> Fate {
    let file = root.join(name);
    let fresh = || {
        let _ = fs::remove_dir_all(root);
        state.write(root);
    };
    fresh();
    let opened = catch_unwind(AssertUnwindSafe(|| held(root))).unwrap_or_else(|_| panic!("{name}: the store panicked"));
    if let Err(StoreError::Damaged { path, what }) = &opened
        && names(path, what, &file)
    {
        return Fate::NamedAtOpen;
    }
    assert!(opened.as_ref().is_ok_and(|held| *held == before) || opened.is_err(), "{name}: something else was served");
    fresh();
    let verified =
        catch_unwind(|| store::verify(root.join("data"))).unwrap_or_else(|_| panic!("{name}: verify panicked"));
    match verified {
        Err(StoreError::Newer { path, .. }) if name.ends_with("dialback.json") => {
            assert!(file.starts_with(path));
            Fate::NamedByVerify
        }
        Err(error) => panic!("{name}: {error}"),
        Ok(verified) if verified.damages.iter().any(|(path, what)| names(path, what, &file)) => Fate::NamedByVerify,
        Ok(verified) => {
            assert!(verified.is_good(), "{name}: another file is blamed: {:?}", verified.damages);
            let still = held(root).unwrap_or_else(|error| panic!("{name}: verify found it good: {error}"));
            assert!(
                opened.is_ok() && still == before,
                "{name}: verify found it good, and it does not open: {opened:?}"
            );
            Fate::Harmless
        }
    }
}

/// Returns whether the error names the file as damaged. A list and the file with its checksum are named together. So
/// are two journals of which one does not follow the other.
fn names(path: &Path, what: &str, file: &Path) -> bool {
    let name = file.file_name().expect("a name").display().to_string();
    path == file || (path.parent() == file.parent() && what.contains(&format!("`{name}`")))
}

/// Returns the positions to flip in a file of length `len`, of which `written` bytes were written.
fn places(written: usize, len: usize, every: usize) -> Vec<usize> {
    const NEAR: usize = 48;
    let is_near = |at: usize| (at < NEAR || at + NEAR >= written) && at.is_multiple_of((every / 101).max(1));
    let mut places: Vec<usize> = (0..written).filter(|at| is_near(*at) || at.is_multiple_of(every)).collect();
    // Also flip some bytes of the unused, pre-allocated part.
    places.extend(
        [written, written + 1, written + 5000, len.saturating_sub(1)]
            .into_iter()
            .filter(|at| (written..len).contains(at)),
    );
    places.dedup();
    places
}

#[test]
fn flipped_byte_is_found_and_named_or_harmless() {
    let every = usize::try_from(setting("ROT_EVERY", 101)).expect("small");
    let workload = Workload { seed: 11, first: 1, batches: 75, reopen_every: 60, purge_every: 40 };
    let record = workload.run(&Disk::default());
    record.expect_rotations();
    let mut disk = Disk::default();
    for step in &record.steps {
        disk.apply(step);
    }
    let state = disk.everything();
    let place = memory();
    state.write(&place.path().join("root"));
    let before = held(&place.path().join("root")).expect("it opens");

    let flips: Vec<(String, usize)> = state
        .lengths()
        .flat_map(|(name, written, len)| places(written, len, every).into_iter().map(move |at| (name.clone(), at)))
        .collect();
    let (next, fates) = (Mutex::new(flips.iter()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = memory();
                loop {
                    let Some((name, at)) = next.lock().expect("no panic").next() else { return };
                    let mask = 1 << Random::new(11, *at as u64).below(8);
                    let fate = fate(&state.flipped(name, *at, mask), name, &place.path().join("root"), before);
                    *fates.lock().expect("no panic").entry((kind(&state, name), fate)).or_insert(0_u64) += 1;
                }
            });
        }
    });
    let fates = fates.into_inner().expect("no panic");
    println!("{} bytes flipped: {fates:?}", flips.len());
    for ((kind, fate), count) in &fates {
        // Harmless flips: bytes after the last batch, and that batch's sequence if it stays above the one before. Also
        // replaced lists, which the engine removes when it opens.
        let may_be_harmless = ["journal", "old list"].contains(kind);
        assert!(*fate != Fate::Harmless || may_be_harmless, "{count} flips in a {kind} were not found");
    }
    for kind in ["marker", "mark", "journal", "version", "current", "list", "table"] {
        assert!(
            fates.keys().any(|(seen, fate)| *seen == kind && *fate != Fate::Harmless),
            "no flip in a {kind} was found"
        );
    }
}

fn kind(state: &State, name: &str) -> &'static str {
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    let in_force = || {
        let version = state.bytes(&format!("{folder}/current"))[..8].try_into().expect("8 bytes");
        last == format!("v{}", u64::from_le_bytes(version))
    };
    match last {
        "dialback.json" => "marker",
        "watermark" => "mark",
        "version" => "version",
        "current" => "current",
        _ if last.ends_with(".jnl") => "journal",
        _ if name.contains("/tables/") => "table",
        _ if last.starts_with('v') => {
            if in_force() {
                "list"
            } else {
                "old list"
            }
        }
        _ => "other",
    }
}
