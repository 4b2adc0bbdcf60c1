//! A node of a fleet that was away, and merges a snapshot into its store.
//!
//! The stream is another machine, which keeps its power. The node may have published to it before its power failed.

use super::fleet_node::{self, FleetNode};
use super::stream::InMemory;
use super::{Upkeep, detects, one_in, survives};
use crate::diary::Diary;
use crate::judge::Judge;
use crate::memory;
use crate::problem::Problem;
use crate::workload::{contact, environment};
use crate::{purge, recording};
use dialback::fleet::Node;
use dialback::store::{Batch, EventStore, FjallStore, Stored, StoredFleetState};
use dialback::testing::universe::START;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

/// The ids of the node that stays and of the node that was away.
const OTHER: u8 = 1;
const NODE: u8 = 2;
/// Contacts that the other node called before the node was away.
const EARLY: Range<usize> = 0..200;
/// Contacts that the node called. It published only the first calls.
const OWN: Range<usize> = 200..300;
/// Contacts that the other node called while the node was away. They are stored in two pieces.
const MISSED: Range<usize> = 300..16_900;
/// Early contacts that the other node called again meanwhile, and others that were erased.
const AGAIN: Range<usize> = 100..150;
const ERASED: Range<usize> = 0..20;
/// Contacts that the other node called after the snapshot.
const LATE: Range<usize> = 16_900..17_100;

const STREAM: &str = "DIALBACK_CRASH_STREAM";
/// Set to store the place before the snapshot: the position.
const PLANTED: &str = "DIALBACK_CRASH_PLACE";

struct Merge {
    /// The saved stream, before and after the merge.
    folder: tempfile::TempDir,
    positions: OnceLock<Positions>,
    after: OnceLock<InMemory>,
    is_planted: bool,
}

/// Positions in the stream.
#[derive(Clone, Copy, Debug)]
struct Positions {
    snapshot: u64,
    end: u64,
}

impl Merge {
    fn new(is_planted: bool) -> Self {
        Self { folder: memory(), positions: OnceLock::new(), after: OnceLock::new(), is_planted }
    }

    fn positions(&self) -> Positions {
        *self.positions.get().expect("prepared")
    }

    /// Opens the node's store, and returns the node's place. The store must hold what the place claims.
    fn place(&self, path: &Path) -> Result<u64, Problem> {
        let refused = |error: dialback::store::StoreError| Problem::Refused(error.to_string());
        let mut store = fleet_node::open(path).map_err(refused)?;
        let fleet_state = store.fleet_state().expect("it keeps one");
        let place = position(&*fleet_state).map_err(refused)?;
        let held = Held::of(&mut store).map_err(refused)?;
        let Positions { snapshot, end } = self.positions();
        let is_merged = place >= snapshot;
        let mut ranges = vec![(ERASED.end..EARLY.end, 1), (OWN, 2)];
        if is_merged {
            ranges.extend([(MISSED, 3), (AGAIN, 3)]);
        }
        ranges.extend((place >= end).then_some((LATE, 4)));
        for (contacts, after) in ranges {
            if let Some(missing) = contacts.into_iter().find(|index| !held.has_call(*index, after)) {
                return Err(Problem::Incomplete(format!("the place is {place}, and call {missing} is missing")));
            }
        }
        if is_merged && held.configurations < 2 {
            return Err(Problem::Incomplete(format!("the place is {place}, and a configuration is missing")));
        }
        let is_erased = |index: &usize| {
            let erasure = store.erasure(environment(), contact(*index)).expect("readable");
            erasure.is_some() && !held.has_call(*index, 0)
        };
        match ERASED.into_iter().find(|index| is_merged && !is_erased(index)) {
            Some(index) => Err(Problem::Incomplete(format!("the place is {place}, and {index} is not erased"))),
            None => Ok(place),
        }
    }

    /// Merges again, which gives the whole content.
    fn merge_again(&self, path: &Path) -> Result<(), Problem> {
        let after = self.after.get_or_init(|| InMemory::load(&self.folder.path().join("after")));
        let mut node = FleetNode::start(path, &Arc::new(after.copy()), NODE);
        node.consume().map_err(Problem::NotContinued)?;
        drop(node);
        match self.place(path)? {
            place if place < self.positions().end => Err(Problem::NotContinued(format!("the place is {place}"))),
            _ => Ok(()),
        }
    }
}

/// Returns the position of a node's place, or 0 without a place.
fn position(fleet_state: &dyn StoredFleetState) -> Result<u64, dialback::store::StoreError> {
    let word = |place: Vec<u8>| u64::from_be_bytes(place[8..16].try_into().expect("eight bytes"));
    Ok(fleet_state.place()?.map_or(0, word))
}

/// The content of a node's store.
#[derive(Default)]
struct Held {
    configurations: usize,
    /// The time of the last call of each contact, in milliseconds after the start.
    calls: HashMap<u64, u64>,
}

impl Held {
    fn of(store: &mut FjallStore) -> Result<Self, dialback::store::StoreError> {
        let held = Mutex::new(Self::default());
        store.recover(&|stored| {
            let mut held = held.lock().expect("no panic");
            match stored {
                Stored::Configuration(_) => held.configurations += 1,
                Stored::Registers(pairs) => held.calls.extend(pairs.into_iter().map(|(_, contact, register)| {
                    let dialback::history::LastCall::Placed { at, .. } = register.read() else { panic!("no call") };
                    (contact.code(), at.millis() - START.millis())
                })),
                Stored::Tally(_) | Stored::Answered(_) => {}
            }
            Ok(())
        })?;
        Ok(held.into_inner().expect("no panic"))
    }

    /// Returns whether a call to the contact is held that was placed at least `after` milliseconds after the start.
    fn has_call(&self, index: usize, after: u64) -> bool {
        self.calls.get(&contact(index).code()).is_some_and(|at| *at >= after)
    }
}

impl Upkeep for Merge {
    fn prepare(&self, root: &Path) {
        let stream = Arc::new(InMemory::default());
        let (path, place) = (root.join("data"), memory());
        let mut other = FleetNode::start(&place.path().join("other"), &stream, OTHER);
        other.follow();
        other.configure();
        other.call(EARLY, 1);
        other.follow();
        let mut node = FleetNode::start(&path, &stream, NODE);
        let (published, kept) = (OWN.start..OWN.start + 50, OWN.start + 50..OWN.end);
        node.follow();
        node.call(published, 2);
        node.follow();
        // The node is away from here on.
        node.call(kept, 2);
        drop(node);
        let away = stream.last();
        other.follow();
        other.rename();
        other.call(MISSED, 3);
        other.call(AGAIN, 3);
        other.erase(ERASED);
        other.follow();
        other.write_snapshot();
        let snapshot = stream.removed() + 1;
        other.call(LATE, 4);
        other.follow();
        assert!(away < snapshot && snapshot < stream.last(), "{away}, {snapshot}, {}", stream.last());
        self.positions.set(Positions { snapshot, end: stream.last() }).expect("prepared once");
        stream.save(&self.folder.path().join("before"));
        assert!(self.place(&path).expect("it opens") <= away);
    }

    fn process(&self, _: &Path) -> Command {
        let mut process = recording::child("upkeep::merge::merge_in_this_process");
        process.env(STREAM, self.folder.path());
        if self.is_planted {
            process.env(PLANTED, self.positions().end.to_string());
        }
        process
    }
}

/// Not a test by itself: the child process that is recorded.
#[test]
#[ignore = "other tests run it in a child process"]
fn merge_in_this_process() {
    let Some(root) = recording::root() else { return };
    let folder = PathBuf::from(std::env::var_os(STREAM).expect("a stream"));
    let stream = Arc::new(InMemory::load(&folder.join("before")));
    let end = stream.last();
    let mut diary = Diary::begin(&root);
    diary.begun(1);
    let mut store = fleet_node::open(&root.join("data")).expect("it opens");
    if let Ok(planted) = std::env::var(PLANTED) {
        place_early(&mut store, planted.parse().expect("a position"));
    }
    let began = Instant::now();
    let day = Duration::from_secs(24 * 3600);
    let now = move || u64::try_from((day + began.elapsed()).as_millis()).expect("small");
    let (link, service) = fleet_node::connect(store, &stream, NODE, now);
    let node = Node::start(link, Arc::clone(&service), Arc::new(|error| eprintln!("{error}"))).expect("threads");
    let fleet_state = service.fleet_state().expect("it keeps one");
    let is_merged = || service.history().len() >= LATE.end - ERASED.end;
    while !is_merged() || position(&*fleet_state).expect("readable") < end {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not merge");
        sleep(Duration::from_millis(1));
    }
    drop((node, service));
    diary.acknowledged(1);
    stream.save(&folder.join("after"));
}

/// Stores a place as if the node had consumed the stream up to there.
fn place_early(store: &mut FjallStore, position: u64) {
    let mut place: Vec<u8> = [1, position, 0, 0, 0, 0].into_iter().flat_map(u64::to_be_bytes).collect();
    place.extend(xxh3_64(&place).to_be_bytes());
    store.commit(&Batch { place: Some(place), ..Batch::default() }).expect("durable");
}

impl Judge for Merge {
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem> {
        let path = &root.join("data");
        let place = self.place(path)?;
        if hash % one_in(24) == 1 {
            self.merge_again(path)?;
            let forgotten: Vec<_> = ERASED.collect();
            purge::run(path, &forgotten, false).map_err(Problem::NotPurged)?;
            self.place(path)?;
        }
        Ok(u64::from(place >= self.positions().end))
    }
}

#[test]
fn merge_that_lost_power_claims_no_more_than_the_store_holds() {
    survives("merge", &Merge::new(false));
}

#[test]
fn planted_place_before_the_snapshot_is_detected() {
    let found = detects(&Merge::new(true), None);
    assert!(matches!(found.problem, Problem::Incomplete(_)), "{found}");
}
