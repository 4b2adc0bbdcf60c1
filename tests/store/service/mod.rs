//! The service with its stores. Acknowledged changes are present after a restart, and a change that cannot be stored is
//! not in force. A data directory that is foreign, unreadable or locked stays unchanged.

mod actors;
mod ceiling;
mod counting;
mod damage;
mod directories;
mod durability;
mod engine;
mod exports;
mod failures;
mod feed;
mod formats;
mod groups;
mod known_calls;
mod mixed;
mod ordering;
mod purges;
mod records;
mod retention;
mod shared_calls;
mod shares;

use dialback::history::Full;
use dialback::store::{Batch, Durability, EventStore, FjallStore, StoreError, Stored};
use dialback::testing::driver::Driver;
use dialback::testing::failing::{FailingStore, Hang, HangingStore};
use dialback::testing::op::initial_state;
use dialback::testing::recording::RecordingStore;
use dialback::testing::universe::{Agent, Dialed, Moment, Number, START, Tenant};
use dialback::{
    Applied, Call, Caller, Change, ConfigError, Decision, DialPlan, Direction, Engine, Erasure, Event, Lookback,
    Outcome, Reason, Service, ServiceError,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};

fn start(store: impl EventStore) -> Service {
    Service::builder(store).start().expect("what is stored fits")
}

fn open(path: &Path) -> Service {
    start(FjallStore::open(path).expect("it opens"))
}

fn settings() -> Change {
    Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() }
}

/// Returns changes with a source (agent 0), its callback agent (agent 3) and number 0.
fn changes() -> Vec<Change> {
    let numbers = || Some(vec![Number(0).id()]);
    let mut changes = vec![settings(), Change::NumberAdded { id: Number(0).id(), number: Dialed(0).number() }];
    for (agent, direction) in [(Agent(0), Direction::Outbound), (Agent(3), Direction::Inbound)] {
        changes.push(Change::AgentCreated { id: agent.id(), name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id: agent.id(), direction, numbers: numbers() });
        changes.push(Change::AgentPublished { id: agent.id() });
    }
    let sources = vec![Agent(0).id()];
    changes.push(Change::CallbackSet { id: Agent(3).id(), sources, outcomes: None, lookback: None });
    changes
}

fn configure(service: &Service, changes: Vec<Change>) -> Result<u64, ServiceError> {
    service.configure(Tenant(0).id(), START, |_| Ok(changes)).map(|plan| plan.generation())
}

fn call_to(contact: u64, at: Moment, outcome: Outcome) -> Event {
    Event::Call(Call {
        environment: Tenant(0).id(),
        agent: Agent(0).id(),
        from: Dialed(0).number(),
        to: dialback::E164::from_code(49_000 + contact).expect("a code"),
        at: at.at(START),
        outcome,
    })
}

fn erase(contact: u64, until: Moment) -> Event {
    let contact = dialback::E164::from_code(49_000 + contact).expect("a code");
    Event::Erasure(Erasure { environment: Tenant(0).id(), contact, until: until.at(START), is_ahead: false })
}

fn ask(service: &Service, contact: u64) -> Decision {
    let caller = Caller::Number(dialback::E164::from_code(49_000 + contact).expect("a code"));
    service.resolve(Dialed(0).number(), caller, START)
}

fn ask_all(service: &Service) -> Vec<Decision> {
    (0..300).map(|contact| ask(service, contact)).collect()
}

/// Returns the names and bytes of all files in a directory.
fn contents(path: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let entry = entry.expect("a readable directory").path();
            let name = entry.strip_prefix(path).expect("below it").display().to_string();
            if entry.is_dir() {
                all.insert(name, None);
                waiting.push(entry);
            } else {
                all.insert(name, Some(fs::read(&entry).expect("a readable file")));
            }
        }
    }
    all
}

/// Creates a directory with these contents.
fn write_all(path: &Path, all: &BTreeMap<String, Option<Vec<u8>>>) {
    for (name, bytes) in all {
        match bytes {
            None => fs::create_dir_all(path.join(name)).expect("made"),
            Some(bytes) => fs::write(path.join(name), bytes).expect("written"),
        }
    }
}
