//! With a keeper, no writer waits for a missing page of the history. The test counts page faults and measures no
//! time.
//!
//! It is alone in its program, so that no other test changes the process's memory. Run it with and without
//! optimization: the optimizer may remove the store that touches a page.

use crate::support::own_process::in_own_process;
use dialback::E164;
use dialback::history::{History, Keeper, Register};
use dialback::slot::Scope;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, mpsc};
use std::thread;

/// Returns the page faults of this thread so far. Allocates nothing, so that the function itself causes no faults.
struct Faults(File);

impl Faults {
    fn of_this_thread() -> Faults {
        Faults(File::open("/proc/thread-self/stat").expect("proc"))
    }

    fn count(&self) -> u64 {
        let mut bytes = [0; 1024];
        let read = self.0.read_at(&mut bytes, 0).expect("readable");
        let text = std::str::from_utf8(&bytes[..read]).expect("text");
        // The fields follow the name, which may contain blanks: state is the first, minor faults the eighth.
        let fields = text.rsplit(')').next().expect("fields");
        fields.split(' ').nth(8).and_then(|field| field.parse().ok()).expect("a count")
    }
}

/// The number of pairs: up to a million, from one chunk a segment through every size up to six or seven.
const PAIRS: u64 = 1_200_000;
/// The number of pairs between two points at which all pending work of the keeper is done.
const BETWEEN: u64 = 500;

fn insert(history: &History, at: u64) {
    let contact = E164::from_code(1 + (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15)).expect("in range");
    let scope = Scope::from_bits(7).expect("in range");
    history.merge(scope, contact, Register::from_bits(at + 1).expect("not zero")).expect("room");
}

/// Fills a history and counts the missing pages, without the first few pairs. The keeper runs regularly and completes
/// its pending work, as it does when it is in time.
fn missing_pages(kept: bool) -> u64 {
    let history = Arc::new(History::new(usize::try_from(2 * PAIRS).expect("small")));
    let keeper = kept.then(|| Keeper::start(&history).expect("a thread").expect("the first"));
    let faults = Faults::of_this_thread();
    let mut missing = 0;
    // If one thread panics it drops its end of the channel, so that the other does not wait forever.
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
            // The first few pairs touch the writer's own stack and the scope's owner.
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
fn writer_with_keeper_faults_in_no_page() {
    if !in_own_process(|| ()) {
        return;
    }
    // Without a keeper, the writer faults pages in itself. This shows that the count works.
    let alone = missing_pages(false);
    assert!(alone > 0, "nothing was counted");
    // The first run also faults in pages of the program's own code, and the system may move pages. Faults caused by a
    // missing keeper occur in every run.
    let kept = [(); 3].map(|()| missing_pages(true));
    assert!(kept.contains(&0), "{kept:?}, {alone} without a keeper");
}
