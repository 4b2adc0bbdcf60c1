//! The memory of a pair of a callback agent and a source agent: its tally, its counters, and its entries in the lists
//! of both agents.
//!
//! The allocator of this program counts allocated bytes. The test runs in a process of its own, because the memory of other
//! tests would be counted, too.

use crate::held;
use crate::support::own_process::in_own_process;
use dialback::{AgentId, Change, DialPlan, Direction, Engine, EnvironmentId, Lookback, Timestamp};

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
    if !in_own_process(|| ()) {
        return;
    }
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
    let before = held();
    pair_up(&engine, 0, 0..SOURCES);
    configure(&engine, 0, Vec::new());
    let bytes = (held() - before) / (PAIRS - AGENTS * 30);
    println!("{bytes} bytes a pair");
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair");
    assert_eq!(slots(&engine), PAIRS);

    // Other pairs replace all of them. The first pairs are removed, and their slots rest.
    pair_up(&engine, 1, SOURCES..2 * SOURCES);
    configure(&engine, 1, Vec::new());
    assert_eq!(slots(&engine), 2 * PAIRS);
    let bytes = (held() - before) / (2 * PAIRS - AGENTS * 30);
    println!("{bytes} bytes a pair, half of them removed");
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair, half of them removed");
    // From then on the number of slots does not grow.
    for round in 1..3 {
        let first = round % 2 * SOURCES;
        pair_up(&engine, 1 + 4 * round as u64, SOURCES - first..2 * SOURCES - first);
        assert_eq!(slots(&engine), 2 * PAIRS, "round {round}");
    }
    configure(&engine, 20, Vec::new());
    let bytes = (held() - before) / (2 * PAIRS - AGENTS * 30);
    assert!((40..=64).contains(&bytes), "{bytes} bytes a pair in the end");
}
