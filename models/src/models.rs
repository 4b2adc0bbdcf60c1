//! Loom explores each interleaving, and each value that weak memory allows, of a few threads on a tiny index.
//! `../scripts/models` also runs the canaries.
//!
//! A line holds one pair, and a chunk is one line. A table begins with one chunk and grows at once. A model asserts
//! what must never be seen, and it asserts the *set* of results that it saw. A checker that explored nothing would
//! pass the first assertion and fail the second.

use super::index::dropped::Unobserved;
use super::index::Index;
use super::index::limits::HistoryLimits;
use super::index::memory::CHUNK_BYTES;
use super::index::shape::Version;
use crate::sync::Ordering;
use loom::thread;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

/// The bound on preemptions in the models of growth. Models with fewer steps use a higher bound.
const BOUND: usize = 2;

/// Places in the first and the second half of the hash space, so that two lines hold one each.
const LEFT: u64 = 0x20 << 56;
const RIGHT: u64 = 0xA0 << 56;
/// Two more places in the first half, with different marks. Pairs there must continue past `LEFT`'s line.
const BESIDE: u64 = 0x30 << 56;
const OTHER: u64 = 0x48 << 56;

/// Runs the model and compares the results that it saw with the expected set.
fn explore<T: Ord + Debug + Send + 'static>(
    bound: usize,
    expected: impl IntoIterator<Item = T>,
    model: impl Fn() -> T + Send + Sync + 'static,
) {
    let seen = Arc::new(Mutex::new((BTreeSet::new(), 0u64)));
    let results = Arc::clone(&seen);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = 20_000;
    builder.check(move || {
        let outcome = model();
        let mut results = results.lock().unwrap();
        results.0.insert(outcome);
        results.1 += 1;
    });
    let (seen, runs) = &*seen.lock().unwrap();
    println!("{runs} executions saw {seen:?}");
    assert_eq!(*seen, expected.into_iter().collect(), "what there is to see");
    assert!(*runs > 100, "explored");
}

/// Runs the parts of a model concurrently and returns the result of the first.
///
/// Each part is a separate thread that begins with a read-modify-write on a common word. If a thread's first
/// operation is a load, loom may explore a single execution only (tokio-rs/loom#392).
fn together<const N: usize>(index: &Arc<Index>, parts: [fn(&Index) -> (u64, u64); N]) -> [(u64, u64); N] {
    let start = Arc::new(crate::sync::AtomicU64::new(0));
    parts
        .map(|part| {
            let (index, start) = (Arc::clone(index), Arc::clone(&start));
            thread::spawn(move || {
                start.fetch_add(1, Ordering::Relaxed);
                part(&index)
            })
        })
        .map(|thread| thread.join().unwrap())
}

fn index(chunks: usize) -> Arc<Index> {
    Arc::new(Index::new(HistoryLimits { max_pairs: 100, max_bytes: chunks * CHUNK_BYTES }, Arc::new(Unobserved)).unwrap())
}

/// Creates an index without memory for a second table, so that nothing grows.
fn fixed() -> Arc<Index> {
    index(2)
}

/// Two writers claim one pair: it gets one slot and the greater register.
#[test]
fn claim() {
    explore(3, [(0, 5), (7, 0)], || {
        let index = fixed();
        let writer = {
            let index = Arc::clone(&index);
            thread::spawn(move || index.merge(1, LEFT, 7).unwrap())
        };
        let five = index.merge(1, LEFT, 5).unwrap();
        let seven = writer.join().unwrap();
        assert_eq!(index.get(1, LEFT), 7);
        assert_eq!(index.len(), 1);
        // If two writers raise one register, one of them is the first.
        (five, seven)
    });
}

/// Creates a table of two lines, with `LEFT` in the first.
fn two_lines() -> Arc<Index> {
    let index = index(12);
    index.merge(1, LEFT, 1).unwrap();
    settle(&index);
    assert_eq!(index.version(0).chunks(), 2);
    index
}

/// Completes the growth in progress.
fn settle(index: &Index) {
    let version = index.version(0);
    let seat = index.seats.sit(0, version);
    while index.next(index.version(0)).is_some() {
        assert!(index.help_on(&seat, 0, index.version(0)));
    }
}

/// A pair that continued past a full line is found by each thread that learned of the pair.
#[test]
fn overflow() {
    explore(8, [0, 4], || {
        let index = two_lines();
        let told = Arc::new(crate::sync::AtomicU64::new(0));
        let writer = {
            let (index, told) = (Arc::clone(&index), Arc::clone(&told));
            thread::spawn(move || {
                index.merge(1, BESIDE, 4).unwrap();
                told.store(1, Ordering::Release);
            })
        };
        let was_told = told.load(Ordering::Acquire) == 1;
        let got = index.get(1, BESIDE);
        assert!(!was_told || got == 4, "told and not found");
        writer.join().unwrap();
        assert_eq!((index.get(1, BESIDE), index.get(1, LEFT)), (4, 1));
        got
    });
}

/// Begins a growth without moving anything.
fn begin(index: &Index) -> Version {
    let version = index.version(0);
    index.grow(0, version, super::index::growth::Trigger::NoRoom).unwrap();
    version
}

/// Moves everything, as one thread's part.
fn move_all(index: &Index, version: Version) {
    let seat = index.seats.sit(0, version);
    while index.version(0) == version && index.help_on(&seat, 0, version) {}
}

/// Creates a table of one line that grows at the first claim, in its initial state: one pair, and growth not begun.
///
/// Loom's work grows with the memory, so a model has no more than it needs.
fn one_pair(chunks: usize) -> Arc<Index> {
    let index = index(chunks);
    // Does what a merge does up to the claim, without the steps that follow a claim.
    let version = index.version(0);
    let seat = index.seats.sit(0, version);
    index.raise(Some(&seat), version, 1, LEFT, 1);
    drop(seat);
    index
}

/// Reads twice, one read after the other.
fn read_twice(index: &Index) -> (u64, u64) {
    twice(|| index.get(1, LEFT))
}

/// Reads twice, but the reader never finds the segment intact. The additional steps of a read in the home line have
/// their own models. Both together are too much to explore with three threads or two growths.
fn read_twice_unless_intact(index: &Index) -> (u64, u64) {
    twice(|| index.get_far(1, LEFT))
}

fn twice(read: impl Fn() -> u64) -> (u64, u64) {
    let (first, second) = (read(), read());
    assert!(first <= second, "a register went back");
    (first, second)
}

fn grow_once(index: &Index) -> (u64, u64) {
    let version = begin(index);
    move_all(index, version);
    (0, 0)
}

fn raise(index: &Index) -> (u64, u64) {
    let before = index.merge(1, LEFT, 5).unwrap();
    assert_eq!(index.get_far(1, LEFT), 5, "an acknowledged register is there");
    (before, 5)
}

/// A writer raises a pair while another thread grows its segment and a reader reads twice. No register goes back, and
/// none is lost.
#[test]
fn raise_while_growing() {
    explore(BOUND, [(1, 1), (1, 5), (5, 5)], || {
        let index = one_pair(8);
        let [seen, _, _] = together(&index, [read_twice_unless_intact, grow_once, raise]);
        assert_eq!((index.get(1, LEFT), index.len()), (5, 1));
        seen
    });
}

/// A writer adds a new pair, whose slot the growth may seal first, while another thread grows the segment and a
/// reader reads twice.
#[test]
fn claim_while_growing() {
    explore(BOUND, [(0, 5)], || {
        let index = index(8);
        let [seen, _] = together(&index, [raise, grow_once]);
        assert_eq!((index.get(1, LEFT), index.len()), (5, 1));
        seen
    });
}

/// The table has two lines. A new pair finds its home line full and continues to the next one, which the growth may
/// seal.
#[test]
fn overflow_while_growing() {
    fn raise_both(index: &Index) -> (u64, u64) {
        let before = (index.merge(1, OTHER, 6).unwrap(), index.merge(1, BESIDE, 5).unwrap());
        assert_eq!((index.get_far(1, OTHER), index.get_far(1, BESIDE)), (6, 5), "acknowledged registers are there");
        before
    }
    explore(3, [(0, 0)], || {
        let index = two_lines();
        // Keeps the writer from completing the growth itself.
        index.kept.store(true, Ordering::Relaxed);
        let version = index.version(0);
        index.next_or_grow(0, version).unwrap();
        let [seen, _] = together(
            &index,
            [raise_both, |index| {
                let version = index.version(0);
                let seat = index.seats.sit(0, version);
                // Moves only the second line, so that the growth is not complete.
                if index.next(version).is_some() {
                    assert!(index.move_block(&seat, 0, version, 1));
                }
                (0, 0)
            }],
        );
        settle(&index);
        let registers = [BESIDE, OTHER, LEFT].map(|place| index.get(1, place));
        assert_eq!((registers, index.len()), ([5, 6, 1], 3));
        seen
    });
}

/// A reader of a pair whose slot is sealed before it is claimed follows the growth, and does not read an older
/// register.
#[test]
fn sealed_while_reading() {
    fn raise_in_next(index: &Index) -> (u64, u64) {
        // Keeps the writer from completing the growth itself.
        index.kept.store(true, Ordering::Relaxed);
        let version = begin(index);
        let seat = index.seats.sit(0, version);
        assert!(index.move_block(&seat, 0, version, 0));
        drop(seat);
        let before = index.merge(1, LEFT, 5).unwrap();
        assert_eq!(index.get(1, LEFT), 5, "an acknowledged register is there");
        move_all(index, version);
        (before, 5)
    }
    explore(BOUND, [(0, 0), (0, 5), (5, 5)], || {
        let index = index(8);
        let [seen, _] = together(&index, [read_twice, raise_in_next]);
        seen
    });
}

/// A writer knows only that a slot has ended, and a reader reads after it.
#[test]
fn ended_while_reading() {
    explore(BOUND, [(1, 1)], || {
        let index = one_pair(8);
        let [seen, _] = together(&index, [read_twice, grow_once]);
        seen
    });
}

/// Two writers of one pair; one of them grows its segment. There are no other threads.
#[test]
fn two_writers_one_growing() {
    explore(BOUND, [(5, 1), (1, 7)], || {
        let index = one_pair(8);
        let [(five, _), _, (seven, _)] =
            together(&index, [raise_and_grow, grow_once, |index| (index.merge(1, LEFT, 7).unwrap(), 7)]);
        assert_eq!((index.get(1, LEFT), index.len()), (7, 1));
        (seven, five)
    });
}

fn raise_and_grow(index: &Index) -> (u64, u64) {
    let before = index.merge(1, LEFT, 5).unwrap();
    assert!(index.get_far(1, LEFT) >= 5, "an acknowledged register is there");
    (before, 5)
}

/// Two threads move one table of two lines while a third reads. The pairs that either thread moved are visible to
/// all.
#[test]
fn two_movers() {
    fn mover(index: &Index) -> (u64, u64) {
        let version = index.version(0);
        let seat = index.seats.sit(0, version);
        index.help_on(&seat, 0, version);
        (0, 0)
    }
    explore(BOUND, [(1, 3)], || {
        let index = two_lines();
        index.merge(1, RIGHT, 3).unwrap();
        let version = index.version(0);
        index.next_or_grow(0, version).unwrap();
        let [seen, _, _] = together(&index, [|index| (index.get_far(1, LEFT), index.get_far(1, RIGHT)), mover, mover]);
        settle(&index);
        assert_eq!((index.get(1, LEFT), index.get(1, RIGHT), index.len()), (1, 3, 2));
        seen
    });
}

/// Grows, releases the old memory, clears it and reuses it.
fn grow_and_use_again(index: &Index) -> (u64, u64) {
    let version = begin(index);
    move_all(index, version);
    while index.give_back() {}
    while index.pool.clear_one() {}
    let version = begin(index);
    move_all(index, version);
    (0, 0)
}

/// A late reader reads memory that has been reused, detects that, and returns the right result.
#[test]
fn late_reader() {
    explore(BOUND, [(1, 1)], || {
        let index = one_pair(12);
        let [seen, _] = together(&index, [read_twice_unless_intact, grow_and_use_again]);
        seen
    });
}

/// A late reader reads reused memory that a third thread has cleared. Only that thread's fence lets the reader detect
/// it.
#[test]
fn late_reader_of_cleared_memory() {
    fn grow_and_give_back(index: &Index) -> (u64, u64) {
        grow_once(index);
        index.give_back();
        (0, 0)
    }
    explore(BOUND, [(1, 1)], || {
        let index = one_pair(8);
        let [seen, ..] = together(
            &index,
            [read_twice, grow_and_give_back, |index| {
                index.pool.clear_one();
                (0, 0)
            }],
        );
        seen
    });
}

/// A late reader reads reused memory that holds the same pair again, in the same line and under the same key word.
#[test]
fn late_reader_of_the_same_pair() {
    explore(BOUND, [(1, 1)], || rewritten_while(read_twice_unless_intact));
}

/// A late reader, which reads once, takes the reused memory for that of an intact segment.
#[test]
fn late_reader_of_the_same_pair_at_home() {
    explore(BOUND, [(1, 1)], || rewritten_while(|index| (1, index.get(1, LEFT))));
}

fn rewritten_while(read: fn(&Index) -> (u64, u64)) -> (u64, u64) {
    fn rewrite_twice(index: &Index) -> (u64, u64) {
        for _ in 0..2 {
            let version = index.version(0);
            index.grow(0, version, super::index::growth::Trigger::Reclaim).unwrap();
            move_all(index, version);
            while index.give_back() {}
            while index.pool.clear_one() {}
        }
        (0, 0)
    }
    let index = one_pair(8);
    let [seen, _] = together(&index, [read, rewrite_twice]);
    assert_eq!((index.get(1, LEFT), index.version(0).chunks()), (1, 1));
    seen
}

/// A late writer keeps the memory that it writes to from being reused.
#[test]
fn late_writer() {
    explore(BOUND, [(1, 5)], || {
        let index = one_pair(12);
        let [seen, _] = together(&index, [raise, grow_and_use_again]);
        while index.give_back() {}
        while index.pool.clear_one() {}
        // Cleared memory is like new memory: a late write would appear in the table that uses it next.
        grow_once(&index);
        assert_eq!((index.get(1, LEFT), index.len()), (5, 1));
        seen
    });
}

/// Two threads push to and pop from one stack. No element is returned twice.
#[test]
fn stack() {
    use super::index::stack::{Links, Stack};
    explore(3, [(Some(0), Some(1)), (Some(1), Some(0)), (Some(1), Some(1))], || {
        let links = Arc::new(Links::new(2, false).unwrap());
        let stack = Arc::new(Stack::new());
        let owned = Arc::new([0, 1].map(|_| loom::cell::UnsafeCell::new(0)));
        stack.push(&links, 0);
        stack.push(&links, 1);
        let take = |stack: Arc<Stack>, links: Arc<Links>, owned: Arc<[loom::cell::UnsafeCell<i32>; 2]>| {
            let first = stack.pop(&links);
            if let Some(number) = first {
                // Loom reports concurrent accesses of one cell.
                owned[number].with_mut(|_| ());
                stack.push(&links, number);
            }
            first
        };
        let other = {
            let (stack, links, owned) = (Arc::clone(&stack), Arc::clone(&links), Arc::clone(&owned));
            thread::spawn(move || take(stack, links, owned))
        };
        let mine = take(Arc::clone(&stack), Arc::clone(&links), owned);
        (mine, other.join().unwrap())
    });
}
