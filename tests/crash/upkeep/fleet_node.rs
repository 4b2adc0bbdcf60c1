//! A node of a fleet, over a stream in memory.

use super::shop::Shop;
use super::stream::InMemory;
use crate::workload::contact;
use dialback::fleet::{Link, Settings, Stepper};
use dialback::store::FjallStore;
use dialback::testing::universe::{Agent, Dialed, START, Tenant};
use dialback::{Call, Change, Engine, Erasure, Event, Outcome, Service, Timestamp};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Large enough that a snapshot does not keep the engine flushing, and small enough that it flushes.
const TABLE_BYTES: u64 = 200_000;
const HOUR: u64 = 3_600_000;

/// A node that does one step at a time.
pub(super) struct FleetNode {
    pub(super) service: Arc<Service>,
    stepper: Stepper,
    now: Arc<AtomicU64>,
}

/// Opens the data directory of a node.
pub(super) fn open(path: &Path) -> Result<FjallStore, dialback::store::StoreError> {
    FjallStore::open_with_small_tables(path, TABLE_BYTES)
}

/// Returns the settings of a node, and a link and a service with them.
pub(super) fn connect(
    store: FjallStore,
    stream: &Arc<InMemory>,
    id: u8,
    now: impl Fn() -> u64 + Send + Sync + 'static,
) -> (Arc<Link>, Arc<Service>) {
    let mut settings = Settings::new(move || Timestamp::from_millis(START.millis() + now()));
    settings.node = [id; 16];
    settings.settle = Duration::from_millis(100);
    settings.beat_every = Duration::from_millis(50);
    settings.snapshot_every = Duration::from_millis(1000 * HOUR);
    let link = Link::new(settings, Arc::clone(stream) as _);
    let service =
        Service::builder(store).engine(Engine::with_max_pairs(50_000)).sequencer(Arc::clone(&link) as _).start();
    (link, Arc::new(service.expect("it starts")))
}

impl FleetNode {
    pub(super) fn start(path: &Path, stream: &Arc<InMemory>, id: u8) -> Self {
        let now = Arc::new(AtomicU64::new(HOUR));
        let clock = Arc::clone(&now);
        let store = open(path).expect("it opens");
        let (link, service) = connect(store, stream, id, move || clock.load(Ordering::SeqCst));
        let stepper = Stepper::new(&link, &service).expect("it has an outbox");
        Self { service, stepper, now }
    }

    /// Reads the stream to its end.
    pub(super) fn consume(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            while self.stepper.consume().map_err(|error| error.to_string())? {}
            self.now.fetch_add(2000, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Reads the stream, publishes everything, and reads it again.
    pub(super) fn follow(&mut self) {
        for _ in 0..3 {
            self.consume().expect("it follows");
            while self.stepper.publish().expect("it publishes") {}
        }
        self.consume().expect("it follows");
    }

    /// Writes a snapshot and removes what it covers from the stream.
    pub(super) fn write_snapshot(&mut self) {
        for _ in 0..2 {
            assert!(self.stepper.keep().expect("a snapshot"), "it is due");
            self.consume().expect("it follows");
        }
    }

    pub(super) fn configure(&self) {
        let changes = Shop::configuration().changes;
        self.service.configure(Tenant(0).id(), START, move |_| Ok(changes)).expect("in force");
    }

    /// Changes the name of the environment.
    pub(super) fn rename(&self) {
        let Some(Change::EnvironmentSet { dial_plan, lookback, .. }) = Shop::configuration().changes.into_iter().next()
        else {
            panic!("the environment comes first")
        };
        let change = Change::EnvironmentSet { name: "another shop".into(), dial_plan, lookback };
        self.service.configure(Tenant(0).id(), START, move |_| Ok(vec![change])).expect("in force");
    }

    /// Records calls to the contacts, which were placed `after` milliseconds.
    pub(super) fn call(&self, contacts: Range<usize>, after: u64) {
        let call = |index| Call {
            environment: Tenant(0).id(),
            agent: Agent(0).id(),
            from: Dialed(0).number(),
            to: contact(index),
            at: Timestamp::from_millis(START.millis() + after),
            outcome: Outcome::Busy,
        };
        self.service.record(contacts.map(call).map(Event::Call).collect()).expect("durable");
    }

    /// Erases contacts.
    pub(super) fn erase(&self, contacts: Range<usize>) {
        let until = Timestamp::from_millis(START.millis() + HOUR);
        let erasure = |index| Erasure { environment: Tenant(0).id(), contact: contact(index), until, is_ahead: false };
        self.service.record(contacts.map(erasure).map(Event::Erasure).collect()).expect("durable");
    }
}
