//! Publishes and loads the current plan. No other module does.

use super::Plan;
use arc_swap::{ArcSwap, Cache, Guard};
use std::fmt;
#[cfg(feature = "capi")]
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

    /// Returns a handle for one thread. While the plan stays the same, a load through the handle costs one atomic load.
    pub(crate) fn cached(&self) -> Cached<'_> {
        Cached(Cache::new(&self.0))
    }
}

/// A thread's handle to the current plan.
pub(crate) struct Cached<'a>(Cache<&'a ArcSwap<Plan>, Arc<Plan>>);

impl Cached<'_> {
    pub(crate) fn load(&mut self) -> &Plan {
        self.0.load()
    }
}

/// A thread's handle to the current plan, which also owns the reference to the [`Published`] that it reads from.
#[cfg(feature = "capi")]
pub(crate) struct CachedBy<P: Deref<Target = Published>>(Cache<Way<P>, Arc<Plan>>);

#[cfg(feature = "capi")]
impl<P: Deref<Target = Published>> CachedBy<P> {
    pub(crate) fn new(published: P) -> Self {
        Self(Cache::new(Way(published)))
    }

    #[inline]
    pub(crate) fn load(&mut self) -> &Plan {
        self.0.load()
    }
}

/// Adapts a reference to [`Published`] to the dereference that the cache needs.
#[cfg(feature = "capi")]
struct Way<P>(P);

#[cfg(feature = "capi")]
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

impl fmt::Debug for Cached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").finish_non_exhaustive()
    }
}
