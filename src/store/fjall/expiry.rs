//! Removing expired registers while the storage engine rewrites its files.

use crate::history::Register;
use crate::store::records::register::read_register;
use crate::sync::{AtomicU64, Ordering};
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use std::sync::Arc;

/// The expiry floor: registers below it have expired. It only rises, and is zero until a service with a clock sets it.
#[derive(Clone, Default)]
pub(in crate::store) struct Floor(Arc<AtomicU64>);

impl Floor {
    pub(in crate::store) fn raise(&self, floor: Register) {
        // Relaxed: the floor is a single word, and it does not matter when a running compaction sees a new one.
        self.0.fetch_max(floor.bits(), Ordering::Relaxed);
    }

    /// Returns whether this register has expired.
    pub(in crate::store) fn is_above(&self, register: Register) -> bool {
        register.bits() < self.bits()
    }

    fn bits(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Creates the compaction filters that the engine requests.
pub(in crate::store) struct Expiry(Arc<FloorFactory>);

impl Expiry {
    pub(in crate::store) fn new(floor: Floor) -> Self {
        Self(Arc::new(FloorFactory(floor)))
    }

    /// Returns the filter of a keyspace whose entries expire, or `None` for other keyspaces.
    pub(in crate::store) fn filter(&self, keyspace: &str) -> Option<Arc<dyn Factory>> {
        matches!(keyspace, "registers" | "erasures").then(|| Arc::clone(&self.0) as Arc<dyn Factory>)
    }
}

struct FloorFactory(Floor);

impl Factory for FloorFactory {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(BelowFloor(self.0.bits()))
    }
}

struct BelowFloor(u64);

impl CompactionFilter for BelowFloor {
    /// Removes expired registers. An older value of the same key may become visible; it has expired as well, because a
    /// register only rises.
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let expired = read_register(&item.value()?).is_some_and(|register| register.bits() < self.0);
        Ok(if expired { Verdict::Destroy } else { Verdict::Keep })
    }
}
