//! A worker thread's handle for decisions.

use super::Engine;
use crate::decision::Decision;
use crate::number::{Caller, E164};
use crate::plan::{Cached, Plan, Published};
use crate::time::Timestamp;
use std::fmt;
use std::ops::Deref;

/// A handle for decisions on one worker thread. `E` is the reference to the engine: `&Engine`, or `Arc<Engine>` for a
/// reader that can be kept and moved without a lifetime.
///
/// ```
/// use dialback::{Caller, DialPlan, E164, Engine, Reader, Timestamp};
/// use std::sync::Arc;
///
/// let engine = Arc::new(Engine::new());
/// let mut reader = Reader::new(Arc::clone(&engine));
/// let dialed = E164::parse("+12125550100", &DialPlan::NONE)?;
/// std::thread::spawn(move || reader.resolve(dialed, Caller::Withheld, Timestamp::from_secs(1_800_000_000)));
/// # Ok::<(), dialback::NumberError>(())
/// ```
pub struct Reader<E: Deref<Target = Engine>> {
    engine: E,
    plan: Cached<PlanOf<E>>,
}

struct PlanOf<E>(E);

impl<E: Deref<Target = Engine>> Deref for PlanOf<E> {
    type Target = Published;

    fn deref(&self) -> &Published {
        &self.0.plan
    }
}

impl<E: Deref<Target = Engine> + Clone> Reader<E> {
    /// Returns a reader of this engine.
    pub fn new(engine: E) -> Self {
        Self { plan: Cached::new(PlanOf(engine.clone())), engine }
    }
}

impl<E: Deref<Target = Engine>> Reader<E> {
    /// Decides where a call goes, as [`Engine::resolve`] does.
    pub fn resolve(&mut self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve_on(self.plan.load(), dialed, caller, now)
    }

    /// Returns the plan that decisions read now. It stays in memory until the next use of this reader.
    #[inline]
    pub fn plan(&mut self) -> &Plan {
        self.plan.load()
    }
}

impl<E: Deref<Target = Engine>> fmt::Debug for Reader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
