//! With a keeper, no page of the history is missing where a writer comes: counted, not timed.
//!
//! Alone in its program, so that nobody else changes what memory there is. To be run as it is compiled for use too: what is
//! left out there may be the very store that has a page found.

#![cfg(target_os = "linux")]

use dialback::history::{History, Keeper, Register};
use dialback::{E164, Scope};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, mpsc};
use std::thread;

/// The pages that the system has found for this thread so far. Allocates nothing, so that it is not counted itself.
struct Faults(File);

impl Faults {
    fn of_this_thread() -> Faults {
        Faults(File::open("/proc/thread-self/stat").expect("proc"))
    }

    fn count(&self) -> u64 {
        let mut bytes = [0; 1024];
        let read = self.0.read_at(&mut bytes, 0).expect("readable");
        let text = std::str::from_utf8(&bytes[..read]).expect("text");
        // Behind the name, which may have blanks: state is the first field, minor faults the eighth.
        let fields = text.rsplit(')').next().expect("fields");
        fields.split(' ').nth(8).and_then(|field| field.parse().ok()).expect("a count")
    }
}

/// Up to a million pairs: from one chunk a segment through every size up to six or seven.
const PAIRS: u64 = 1_200_000;
/// Pairs between two moments at which everything that is due has been done.
const BETWEEN: u64 = 500;

fn insert(history: &History, at: u64) {
    let contact = E164::from_code(1 + (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15)).expect("in range");
    let scope = Scope::from_bits(7).expect("in range");
    history.merge(scope, contact, Register::from_bits(at + 1).expect("not zero")).expect("room");
}

/// Fills a history and counts the pages that were missing, the first few pairs aside. With a keeper, it gets to do what is
/// due every now and then, as it does in time to spare.
fn missing_pages(kept: bool) -> u64 {
    let history = Arc::new(History::new(usize::try_from(2 * PAIRS).expect("small")));
    let keeper = kept.then(|| Keeper::start(&history).expect("a thread").expect("the first"));
    let faults = Faults::of_this_thread();
    let mut missing = 0;
    // Whoever panics drops an end, and the other does not wait for ever.
    let (ask, asked) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    thread::scope(|threads| {
        let tended = &history;
        threads.spawn(move || {
            for () in asked {
                while kept && tended.tend() {}
                answer.send(()).expect("waited for");
            }
        });
        for first in (0..PAIRS).step_by(usize::try_from(BETWEEN).expect("small")) {
            ask.send(()).expect("there to be asked");
            answered.recv().expect("an answer");
            let before = faults.count();
            (first..first + BETWEEN).for_each(|at| insert(&history, at));
            // The first few meet the writer's own stack and the scope's owner.
            missing += if first < 10 * BETWEEN { 0 } else { faults.count() - before };
        }
        drop(ask);
    });
    assert_eq!(history.len() as u64, PAIRS);
    assert!(history.stats().growths > 4 * 64, "it has grown");
    drop(keeper);
    missing
}

#[test]
fn with_a_keeper_a_writer_finds_every_page_in_place() {
    // Without one the writer has the pages found, which shows that they are counted.
    let alone = missing_pages(false);
    assert!(alone > 0, "nothing was counted");
    // The first finds pages of the program's own, too, whose code nobody has run yet; and the system may take a page away to
    // put it elsewhere. What is missing for want of a keeper is missing every time.
    let kept = [(); 3].map(|()| missing_pages(true));
    assert!(kept.contains(&0), "{kept:?}, {alone} without a keeper");
}
