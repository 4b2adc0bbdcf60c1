//! Publishes and loads the current plan. No other module does.

use super::Plan;
use arc_swap::{ArcSwap, Cache, Guard};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The plan that decisions read.
pub(crate) struct Published(ArcSwap<Plan>);

impl Published {
    pub(crate) fn new(plan: Plan) -> Self {
        Self(ArcSwap::from_pointee(plan))
    }

    /// Returns the current plan. Wait-free, except for a reader that holds many plans at once: see the `arc_swap`
    /// manual.
    pub(crate) fn load(&self) -> Guard<Arc<Plan>> {
        self.0.load()
    }

    /// Returns the current plan, to keep it for longer.
    pub(crate) fn load_full(&self) -> Arc<Plan> {
        self.0.load_full()
    }

    /// Makes `plan` the current plan. Decisions that have begun finish with the plan that they loaded.
    pub(crate) fn publish(&self, plan: impl Into<Arc<Plan>>) {
        self.0.store(plan.into());
    }
}

/// A thread's handle to the current plan, through a reference to the [`Published`] that it reads from. While the plan
/// stays the same, a load costs one atomic load.
pub(crate) struct Cached<P: Deref<Target = Published>>(Cache<Way<P>, Arc<Plan>>);

impl<P: Deref<Target = Published>> Cached<P> {
    pub(crate) fn new(published: P) -> Self {
        Self(Cache::new(Way(published)))
    }

    #[inline]
    pub(crate) fn load(&mut self) -> &Plan {
        self.0.load()
    }
}

/// Adapts a reference to [`Published`] to the dereference that the cache needs.
struct Way<P>(P);

impl<P: Deref<Target = Published>> Deref for Way<P> {
    type Target = ArcSwap<Plan>;

    fn deref(&self) -> &ArcSwap<Plan> {
        &self.0.0
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&*self.load()).finish()
    }
}
