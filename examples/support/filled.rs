//! Creates a data directory full of pairs.

use dialback::history::Register;
use dialback::slot::{AgentSlot, NumberSlot};
use dialback::store::{Batch, Durability, EventStore, FjallStore};
use dialback::{
    AgentId, Change, Configuration, DialPlan, Direction, E164, EnvironmentId, Lookback, NumberId, Outcome, Timestamp,
};
use std::error::Error;
use std::path::Path;

const NUMBERS: u64 = 1000;
/// The time of the first call.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Creates a directory with this many pairs over a thousand numbers, called within four hours and forty minutes from
/// `first` on.
pub(crate) fn fill(path: &Path, pairs: u64, first: Timestamp) -> Result<(), Box<dyn Error>> {
    let mut store = FjallStore::open(path)?.with_durability(Durability::Buffered);
    let (environment, at) = (EnvironmentId::from_u128(1), first);
    let mut changes =
        vec![Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() }];
    changes.extend((0..NUMBERS).map(|n| Change::NumberAdded {
        id: NumberId::from_u128(u128::from(n) + 1),
        number: E164::from_code(12_125_550_000 + n).expect("a code"),
    }));
    let (id, name) = (AgentId::from_u128(1), "agent".into());
    changes.push(Change::AgentCreated { id, name, label: None, direction: Direction::Outbound });
    let configurations = vec![Configuration::new(1, environment, at, changes)];
    store.commit(&Batch { configurations, ..Batch::default() })?;
    let all: Vec<u64> = (0..pairs).collect();
    for some in all.chunks(10_000) {
        // In no particular order, like real calls.
        let register = |n: &u64| {
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let scope = NumberSlot::new(usize::try_from(mixed % NUMBERS).expect("small")).expect("a slot");
            let contact = E164::from_code(1_000_000_000 + n.wrapping_mul(7919) % 97_000_000_000).expect("a code");
            let at = first.plus_millis(mixed >> 40);
            (scope.into(), contact, Register::call(at, Outcome::NoAnswer, AgentSlot::new(0).expect("a slot")))
        };
        store.commit(&Batch { registers: some.iter().map(register).collect(), ..Batch::default() })?;
    }
    Ok(store.sync()?)
}
