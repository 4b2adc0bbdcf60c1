//! The memory of a pair of a callback agent and a source agent: its tally, its counters, and its entries in the lists
//! of both agents.
//!
//! The allocator of this test binary counts allocated bytes. The binary contains no other test, because its memory
//! would be counted, too.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one passes everything on to the system's")]

use dialback::{AgentId, Change, DialPlan, Direction, Engine, EnvironmentId, Lookback, Timestamp};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is passed unchanged to the system's allocator. Counting accesses no allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller guarantees what `System` requires.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SOURCES: usize = 1000;
const AGENTS: usize = 60;
const PAIRS: usize = SOURCES * AGENTS;
const DAY: u64 = 24 * 60 * 60 * 1000;
const START: Timestamp = Timestamp::from_secs(1_780_315_200);

fn source(index: usize) -> AgentId {
    AgentId::from_u128(1_000_000 + index as u128)
}

fn callback_agent(index: usize) -> AgentId {
    AgentId::from_u128(2_000_000 + index as u128)
}

fn configure(engine: &Engine, days: u64, changes: Vec<Change>) {
    let at = START.plus_millis(days * DAY);
    engine.configure(EnvironmentId::from_u128(1), at, changes).expect("it is valid");
}

fn create(id: AgentId, direction: Direction) -> Change {
    Change::AgentCreated { id, name: String::new(), label: None, direction }
}

/// Makes each callback agent take the callbacks of each source agent in the range.
fn pair_up(engine: &Engine, days: u64, sources: std::ops::Range<usize>) {
    for agent in 0..AGENTS {
        let sources = sources.clone().map(source).collect();
        configure(
            engine,
            days,
            vec![Change::CallbackSet { id: callback_agent(agent), sources, outcomes: None, lookback: None }],
        );
    }
}

fn slots(engine: &Engine) -> usize {
    engine.plan().environment(EnvironmentId::from_u128(1)).expect("it is there").callback_slots()
}

#[test]
fn pair_uses_at_most_64_bytes_also_after_repeated_replacement() {
    let engine = Engine::with_max_pairs(10);
    let settings =
        Change::EnvironmentSet { name: String::new(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let sources = (0..2 * SOURCES).map(|index| create(source(index), Direction::Outbound));
    let agents = (0..AGENTS).map(|index| create(callback_agent(index), Direction::Inbound));
    configure(&engine, 0, [settings].into_iter().chain(sources).chain(agents).collect());
    // The counters of the first 3,840 pairs have a shard for each core, allocated in advance.
    pair_up(&engine, 0, 0..30);
    // An empty change releases the memory that the change before replaced.
    configure(&engine, 0, Vec::new());
    let before = HELD.load(Ordering::Relaxed);
    pair_up(&engine, 0, 0..SOURCES);
    configure(&engine, 0, Vec::new());
    let bytes = (HELD.load(Ordering::Relaxed) - before) / (PAIRS - AGENTS * 30);
    println!("{bytes} bytes a pair");
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair");
    assert_eq!(slots(&engine), PAIRS);

    // Other pairs replace all of them. The first pairs are removed, and their slots rest.
    pair_up(&engine, 1, SOURCES..2 * SOURCES);
    configure(&engine, 1, Vec::new());
    assert_eq!(slots(&engine), 2 * PAIRS);
    let bytes = (HELD.load(Ordering::Relaxed) - before) / (2 * PAIRS - AGENTS * 30);
    println!("{bytes} bytes a pair, half of them removed");
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair, half of them removed");
    // From then on the number of slots does not grow.
    for round in 1..3 {
        let first = round % 2 * SOURCES;
        pair_up(&engine, 1 + 4 * round as u64, SOURCES - first..2 * SOURCES - first);
        assert_eq!(slots(&engine), 2 * PAIRS, "round {round}");
    }
    configure(&engine, 20, Vec::new());
    let bytes = (HELD.load(Ordering::Relaxed) - before) / (2 * PAIRS - AGENTS * 30);
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair in the end");
}
