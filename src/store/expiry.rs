//! Leaving expired registers behind where the storage engine rewrites its files.

use super::keyspaces::read_register;
use crate::history::Register;
use crate::sync::{AtomicU64, Ordering};
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use std::sync::Arc;

/// Registers below this have expired. Only rises; zero until somebody with a clock says.
#[derive(Clone, Default)]
pub(super) struct Floor(Arc<AtomicU64>);

impl Floor {
    pub(super) fn raise(&self, floor: Register) {
        // Relaxed: one word, and nothing hangs on when a rewriting learns of it.
        self.0.fetch_max(floor.bits(), Ordering::Relaxed);
    }

    /// Whether this register has expired already.
    pub(super) fn is_above(&self, register: Register) -> bool {
        register.bits() < self.bits()
    }

    fn bits(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the filters that the engine asks for.
pub(super) struct Expiry(Arc<FloorFactory>);

impl Expiry {
    pub(super) fn new(floor: Floor) -> Self {
        Self(Arc::new(FloorFactory(floor)))
    }

    /// The filter of a keyspace, if what it keeps expires.
    pub(super) fn filter(&self, keyspace: &str) -> Option<Arc<dyn Factory>> {
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
    /// Older values of the key that this one hid may come to light. They have expired as well: a register only rises.
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let expired = read_register(&item.value()?).is_some_and(|register| register.bits() < self.0);
        Ok(if expired { Verdict::Destroy } else { Verdict::Keep })
    }
}
