//! The content of a store: an environment with a number, two agents, calls and erasures.

use crate::judge;
use crate::print::Print;
use crate::problem::Problem;
use crate::purge;
use crate::workload::{contact, environment};
use dialback::history::Register;
use dialback::slot::{AgentSlot, NumberSlot, Scope};
use dialback::store::{Batch, EventStore, FjallStore, StoreError};
use dialback::testing::universe::{Agent, Dialed, Number, START, Tenant};
use dialback::{Change, Configuration, DialPlan, Direction, E164, Lookback, Outcome, Timestamp};
use std::path::Path;

/// A pair and its register.
pub(super) type Pair = (Scope, E164, Register);

/// The first `erased` contacts were called and then erased. The next `calls` contacts were called.
#[derive(Clone, Copy)]
pub(super) struct Shop {
    pub(super) erased: usize,
    pub(super) calls: usize,
}

impl Shop {
    /// Returns the only configuration: two agents of one number, of which the second takes the callbacks of the first.
    pub(super) fn configuration() -> Configuration {
        let lookback = Lookback::default();
        let mut changes = vec![
            Change::EnvironmentSet { name: "shop".into(), dial_plan: DialPlan::NONE, lookback },
            Change::NumberAdded { id: Number(0).id(), number: Dialed(0).number() },
        ];
        for (agent, direction) in [(Agent(0), Direction::Outbound), (Agent(1), Direction::Inbound)] {
            let numbers = Some(vec![Number(0).id()]);
            changes.push(Change::AgentCreated { id: agent.id(), name: "agent".into(), label: None, direction });
            changes.push(Change::CallingSet { id: agent.id(), direction, numbers });
        }
        let sources = vec![Agent(0).id()];
        changes.push(Change::CallbackSet { id: Agent(1).id(), sources, outcomes: None, lookback: None });
        Configuration::new(1, Tenant(0).id(), START, changes)
    }

    /// Returns the scope of the number.
    pub(super) fn number() -> Scope {
        NumberSlot::new(0).expect("a slot").into()
    }

    /// Returns the calls that are held.
    pub(super) fn held(&self) -> impl Iterator<Item = Pair> {
        (self.erased..self.erased + self.calls).map(called)
    }

    /// Returns the erasures, under the environment's scope.
    pub(super) fn erasures(&self) -> impl Iterator<Item = Pair> {
        self.forgotten().map(|index| (environment(), contact(index), until()))
    }

    /// Returns the erased contacts.
    pub(super) fn forgotten(&self) -> std::ops::Range<usize> {
        0..self.erased
    }

    /// Returns the fingerprint of a store with this content.
    pub(super) fn print(&self) -> Print {
        let mut print = Print::default();
        print.add_configuration(&Self::configuration());
        self.held().chain(self.erasures()).for_each(|(scope, contact, register)| print.add(scope, contact, register));
        print
    }

    /// Creates a data directory with this content.
    pub(super) fn fill(&self, path: &Path) -> FjallStore {
        let mut store = open(path).expect("it opens");
        let mut commit = |batch: &Batch| store.commit(batch).expect("durable");
        commit(&Batch { configurations: vec![Self::configuration()], ..Batch::default() });
        let calls: Vec<_> = (0..self.erased + self.calls).map(called).collect();
        let forgotten = self.forgotten().map(|index| (Self::number(), contact(index), until()));
        let erasures: Vec<_> = self.erasures().chain(forgotten).collect();
        for registers in calls.chunks(1000).chain([&erasures[..]]) {
            commit(&Batch { registers: registers.to_vec(), ..Batch::default() });
        }
        store
    }

    /// Opens the data directory, which must have exactly this content.
    pub(super) fn expect_at(&self, path: &Path) -> Result<FjallStore, Problem> {
        let (store, print) = judge::open(|| open(path), self.erased)?;
        if print == self.print().0 { Ok(store) } else { Err(Problem::Incomplete("the content differs".into())) }
    }

    /// Purges the data directory. No erased contact is in a file after that, the disk space is bounded, and the content
    /// is the same.
    pub(super) fn purge(&self, path: &Path) -> Result<(), Problem> {
        let forgotten: Vec<_> = self.forgotten().collect();
        purge::run(path, &forgotten, false).map_err(Problem::NotPurged)?;
        self.expect_at(path).map(drop)
    }
}

/// Opens a data directory with tables that are small enough for some flushes, and large enough for few.
pub(super) fn open(path: &Path) -> Result<FjallStore, StoreError> {
    FjallStore::open_with_small_tables(path, 30_000)
}

fn called(index: usize) -> Pair {
    let register = Register::call(START, Outcome::Busy, AgentSlot::new(0).expect("a slot"));
    (Shop::number(), contact(index), register)
}

/// Returns the register of an erasure: later than each call.
pub(super) fn until() -> Register {
    Register::erasure_ahead(Timestamp::from_millis(START.millis() + 1000))
}
