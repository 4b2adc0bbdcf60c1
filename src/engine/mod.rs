//! The engine: the plan and the history, joined by the rule.

#![allow(
    clippy::inline_always,
    reason = "measured: what is known of a call stays in registers, and a decision takes a tenth fewer instructions"
)]

mod known;
mod rule;

use crate::decision::{Decision, Trace};
use crate::event::{Call, Change, Configuration, Erasure, Event};
use crate::history::{Full, History, Keeper, LastCall, Limits, NoRoom, Register};
use crate::id::EnvironmentId;
use crate::metrics::Metrics;
use crate::number::{Caller, E164};
#[cfg(feature = "capi")]
use crate::plan::CachedBy;
use crate::plan::{Cached, ConfigError, Plan, Published, Retired};
use crate::slot::{Scope, TallySlot};
use crate::sync::{Ordering, fence};
use crate::tally::Tallies;
use crate::time::Timestamp;
use known::{BATCH, Known, decide_each};
use std::fmt;
use std::io;
#[cfg(feature = "capi")]
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs that an engine takes unless told otherwise: a hundred million.
pub const DEFAULT_MAX_PAIRS: usize = 100_000_000;

/// Decides which agent takes an inbound call. Share it by reference or in an [`Arc`]; every method takes `&self`.
///
/// # Cost
/// [`resolve`](Self::resolve) allocates nothing, reads no clock and takes no lock on the plan.
/// [`apply`](Self::apply) of a call is one write to the history; of a configuration it copies a few chunks of the plan.
#[derive(Debug)]
pub struct Engine {
    plan: Published,
    history: Arc<History>,
    metrics: Metrics,
    tallies: Tallies,
    /// Configurations are applied one after another. Decisions never touch this.
    configuring: Mutex<Retired>,
}

impl Engine {
    /// An engine with an empty plan and an empty history of up to [`DEFAULT_MAX_PAIRS`].
    pub fn new() -> Self {
        Self::with_max_pairs(DEFAULT_MAX_PAIRS)
    }

    /// An engine whose history takes up to `max_pairs` pairs.
    ///
    /// # Panics
    /// Where the system does not give the address space; see [`try_with_max_pairs`](Self::try_with_max_pairs).
    pub fn with_max_pairs(max_pairs: usize) -> Self {
        Self::try_with_max_pairs(max_pairs).expect("address space for the history")
    }

    /// An engine whose history takes up to `max_pairs` pairs.
    ///
    /// # Errors
    /// [`NoRoom`] where the system does not give the address space.
    pub fn try_with_max_pairs(max_pairs: usize) -> Result<Self, NoRoom> {
        let limits = Limits::from(max_pairs);
        let history = History::try_new(limits).map_err(|_| NoRoom::new(limits))?;
        Ok(Self {
            plan: Published::new(Plan::new()),
            history: Arc::new(history),
            metrics: Metrics::new(),
            tallies: Tallies::new(),
            configuring: Mutex::default(),
        })
    }

    /// Decides where a call from `caller` to `dialed` goes: the first line of the rule that applies.
    ///
    /// A pure function of the plan, the history and its arguments. Never fails, blocks, allocates or reads a clock.
    pub fn resolve(&self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.resolve_on(&self.plan.load(), dialed, caller, now)
    }

    /// The same on a plan that the caller holds, for those who read more of it than the decision. The plan is this engine's,
    /// current or not.
    pub fn resolve_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        let decision = rule::decide(plan, &Known::of(plan, &self.history, dialed, caller), now, &mut ());
        self.metrics.count(&decision);
        decision
    }

    /// The same decision from the same code, with every line tried and what it saw. Allocates; is not counted.
    pub fn explain(&self, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.explain_on(&self.plan.load(), dialed, caller, now)
    }

    /// The same on a plan that the caller holds: this engine's, current or not, or one made from it to see what would be.
    pub fn explain_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        let mut steps = Vec::new();
        let decision = rule::decide(plan, &Known::of(plan, &self.history, dialed, caller), now, &mut steps);
        Trace { decision, steps }
    }

    /// A handle for one worker thread, which pays a single load for the plan while it stays the same.
    pub fn reader(&self) -> Reader<'_> {
        Reader { plan: self.plan.cached(), engine: self }
    }

    /// Applies an event. A replayed event changes nothing; calls and erasures converge whatever their order.
    ///
    /// # Errors
    /// [`ApplyError::Config`] for a configuration that is invalid or does not follow the last one,
    /// [`ApplyError::Full`] at the history's ceiling.
    pub fn apply(&self, event: &Event) -> Result<Applied, ApplyError> {
        match event {
            Event::Call(call) => Ok(self.record(call)?),
            Event::Erasure(erasure) => Ok(self.erase(erasure)?),
            Event::Configuration(configuration) => Ok(self.follow(configuration)?),
        }
    }

    /// Makes the next configuration of these changes and applies it: for embedders without a store. They take effect
    /// together, for every decision that begins after this returns.
    ///
    /// # Errors
    /// The first change that cannot be made; then none is.
    pub fn configure(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Configuration, ConfigError> {
        let mut retired = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.plan.load_full();
        let configuration = Configuration { sequence: plan.generation() + 1, environment, at, changes };
        let next = plan.with(&configuration)?;
        self.replace(&mut retired, plan, next);
        Ok(configuration)
    }

    /// Decides many calls at once: their pairs' lines are all on their way before the first is decided. All at the same
    /// moment and on the same plan. Allocates nothing.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn resolve_batch(&self, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        self.resolve_batch_on(&self.plan.load(), calls, now, decisions);
    }

    /// The same on a plan that the caller holds, as [`resolve_on`](Self::resolve_on).
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn resolve_batch_on(&self, plan: &Plan, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        assert_eq!(calls.len(), decisions.len(), "a decision for each call");
        for (calls, decisions) in calls.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
            decide_each(plan, &self.history, calls, decisions, |known| rule::decide(plan, known, now, &mut ()));
        }
        self.metrics.count_all(decisions);
    }

    /// Starts the thread that grows the history so that its writers need not; `None` where there is one already. Without
    /// one, writers do all of that in small steps. Ends when dropped. Start it after a fork, not before.
    ///
    /// # Errors
    /// Where the system does not give a thread.
    pub fn keeper(&self) -> io::Result<Option<Keeper>> {
        Keeper::start(&self.history)
    }

    /// The plan that decisions read now.
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// The same for a moment: as cheap as a decision's own load.
    #[cfg(feature = "capi")]
    pub(crate) fn read_plan(&self) -> impl Deref<Target = Arc<Plan>> + '_ {
        self.plan.load()
    }

    /// The history that decisions read.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// Decisions that are part of the statistics.
impl Engine {
    /// As [`resolve_on`](Self::resolve_on), of a call that is there to be routed and not only asked about: it is counted.
    pub(crate) fn route_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        let mut tally = None;
        let known = Known::of(plan, &self.history, dialed, caller);
        let decision = rule::decide(plan, &known, now, &mut tally);
        self.metrics.count(&decision);
        if let Some(slot) = tally {
            self.tallies.count(slot, now.day());
        }
        Routed { decision, tally }
    }

    /// What has been counted and not carried over yet.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.tallies
    }
}

/// What a service does besides: it validates and logs before it applies.
impl Engine {
    /// Replaces the plan by one that was made from it.
    pub(crate) fn publish(&self, plan: impl Into<Arc<Plan>>) {
        let mut retired = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(&mut retired, self.plan.load_full(), plan);
    }

    /// Puts back many of what an earlier run had: their lines are on their way before the first is written.
    pub(crate) fn restore_all(&self, registers: &[Write]) -> Result<(), Full> {
        for some in registers.chunks(BATCH) {
            for (scope, contact, _) in some {
                self.history.prefetch(self.history.spot_in(*scope, *contact));
            }
            for (scope, contact, register) in some {
                self.restore(*scope, *contact, *register)?;
            }
        }
        Ok(())
    }

    /// Puts back what an earlier run had.
    pub(crate) fn restore(&self, scope: Scope, contact: E164, register: Register) -> Result<(), Full> {
        self.history.merge(scope, contact, register).map(|_| ())
    }
}

impl Engine {
    /// Puts `plan` in the place of `before`. The history is told of new numbers first: decisions on the new plan look for
    /// their pairs where the dialed number says.
    fn replace(&self, retired: &mut Retired, before: Arc<Plan>, plan: impl Into<Arc<Plan>>) {
        let plan = plan.into();
        for (slot, number) in plan.numbers_since(&before) {
            let assigned = self.history.assign(slot.into(), number);
            debug_assert!(assigned, "nothing is written under a slot before it is given");
        }
        self.tallies.make_room(plan.tally_count());
        self.plan.publish(plan);
        retired.keep(before);
    }

    fn record(&self, call: &Call) -> Result<Applied, Full> {
        let plan = self.plan.load();
        let held = |scope, contact| self.history.get(scope, contact);
        let Some((scope, contact, register)) = call_write(&plan, call, held) else {
            return Ok(Applied::Ignored);
        };
        let before = self.history.merge(scope, contact, register)?;
        self.erase_again(&plan, call, scope, register)?;
        Ok(if before >= Some(register) { Applied::Unchanged } else { Applied::Recorded })
    }

    /// An erasure may have passed between the look at it and the write of the call. It publishes itself before it looks
    /// for pairs, the call publishes its pair before it looks for an erasure, and a fence stands between the two on either
    /// side: at least one of them sees the other.
    fn erase_again(&self, plan: &Plan, call: &Call, scope: Scope, register: Register) -> Result<(), Full> {
        fence(Ordering::SeqCst);
        let environment = plan.environment_slot(call.environment).map(Scope::from);
        match environment.and_then(|environment| self.history.get(environment, call.to)) {
            Some(erasure) if erasure >= register => self.restore(scope, call.to, erasure),
            _ => Ok(()),
        }
    }

    fn erase(&self, erasure: &Erasure) -> Result<Applied, Full> {
        let plan = self.plan.load();
        let Some(environment) = plan.environment_slot(erasure.environment) else {
            return Ok(Applied::Ignored);
        };
        let register = Register::erasure(erasure.until);
        // Even where there is no room to remember the erasure, what is there goes.
        let remembered = self.history.merge(environment.into(), erasure.contact, register);
        fence(Ordering::SeqCst);
        let mut pairs = 0;
        let held = |scope, contact| self.history.get(scope, contact);
        for (scope, contact, register) in erasure_writes(&plan, erasure, held).into_iter().skip(1) {
            let before = self.history.merge(scope, contact, register)?;
            let was_call = before.is_some_and(|before| matches!(before.read(), LastCall::Placed { .. }));
            pairs += u64::from(was_call && before < Some(register));
        }
        remembered.map(|_| Applied::Erased { pairs })
    }

    fn follow(&self, configuration: &Configuration) -> Result<Applied, ConfigError> {
        let mut retired = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.plan.load_full();
        if configuration.sequence <= plan.generation() {
            return Ok(Applied::Unchanged);
        }
        let next = plan.with(configuration)?;
        self.replace(&mut retired, plan, next);
        Ok(Applied::Configured { generation: configuration.sequence })
    }
}

/// A pair and the register that it must reach.
pub(crate) type Write = (Scope, E164, Register);

/// What a call writes, given what is `held` so far: nothing where its agent or number was never ours, or where it has been
/// erased already.
pub(crate) fn call_write(plan: &Plan, call: &Call, held: impl Fn(Scope, E164) -> Option<Register>) -> Option<Write> {
    let (environment, number, agent) = plan.call_slots(call)?;
    let register = Register::call(call.at, call.outcome, agent);
    let erased = held(environment.into(), call.to).is_some_and(|erasure| erasure >= register);
    (!erased).then(|| (number.into(), call.to, register))
}

/// What an erasure writes, given what is `held` so far: itself, kept under the environment, then every pair it reaches.
pub(crate) fn erasure_writes(
    plan: &Plan,
    erasure: &Erasure,
    held: impl Fn(Scope, E164) -> Option<Register>,
) -> Vec<Write> {
    let Some(environment) = plan.environment_slot(erasure.environment) else {
        return Vec::new();
    };
    let register = Register::erasure(erasure.until);
    let reached = |scope: &Scope| held(*scope, erasure.contact).is_some_and(|held| held < register);
    std::iter::once(Scope::from(environment))
        .chain(plan.number_scopes(environment).filter(reached))
        .map(|scope| (scope, erasure.contact, register))
        .collect()
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

/// A decision that was counted, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routed {
    /// Where the call goes.
    pub decision: Decision,
    /// What it counts for; `None` where the dialed number is no callback agent's.
    pub tally: Option<TallySlot>,
}

/// One worker thread's way to decisions.
#[derive(Debug)]
pub struct Reader<'a> {
    plan: Cached<'a>,
    engine: &'a Engine,
}

impl Reader<'_> {
    /// As [`Engine::resolve`].
    pub fn resolve(&mut self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve_on(self.plan.load(), dialed, caller, now)
    }
}

/// A thread's way to the plan, which keeps the engine alive.
#[cfg(feature = "capi")]
pub(crate) struct KeptPlan(CachedBy<PublishedOf>);

#[cfg(feature = "capi")]
struct PublishedOf(Arc<Engine>);

#[cfg(feature = "capi")]
impl Deref for PublishedOf {
    type Target = Published;

    fn deref(&self) -> &Published {
        &self.0.plan
    }
}

#[cfg(feature = "capi")]
impl KeptPlan {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self(CachedBy::new(PublishedOf(engine)))
    }

    /// The plan that decisions read now. The one that was read last stays in memory until this is asked again.
    #[inline]
    pub(crate) fn load(&mut self) -> &Plan {
        self.0.load()
    }
}

/// What an event did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The call is the pair's last one now, or its outcome is.
    Recorded,
    /// It was known already, or something later was.
    Unchanged,
    /// It belongs to no agent and number of the plan, or to what has been erased.
    Ignored,
    /// So many pairs were forgotten.
    Erased {
        /// How many.
        pairs: u64,
    },
    /// The configuration is in force.
    Configured {
        /// The plan's generation from now on.
        generation: u64,
    },
}

/// Why an event was not applied.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ApplyError {
    /// The configuration is invalid, or does not follow the last one.
    Config(ConfigError),
    /// The history is at its ceiling.
    Full(Full),
}

impl From<ConfigError> for ApplyError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<Full> for ApplyError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {}
