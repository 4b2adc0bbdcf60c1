//! The engine: applies the rule to the plan and the history.

#![allow(
    clippy::inline_always,
    reason = "measured: the facts about a call stay in registers, and a decision takes a tenth fewer instructions"
)]

mod known;
mod noted;
mod reader;
mod rule;

use crate::decision::{Decision, Trace};
use crate::event::{Call, Change, Configuration, Erasure, Event};
use crate::history::{Full, History, HistoryLimits, Keeper, LastCall, NoRoom, Register};
use crate::id::EnvironmentId;
use crate::metrics::Metrics;
use crate::number::{Caller, E164};
use crate::plan::{ConfigError, Plan, Published, Retired};
use crate::slot::{Scope, TallySlot};
use crate::sync::{Ordering, fence};
use crate::tally::Tallies;
use crate::time::{Clock, Timestamp};
use known::{BATCH, Known, decide_each};
pub(crate) use noted::{Examined, Noted};
use rule::Observer;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

pub use reader::Reader;

/// The default maximum number of pairs of an engine: a hundred million.
pub const DEFAULT_MAX_PAIRS: usize = 100_000_000;

/// Decides which agent answers an inbound call. Share it by reference or in an [`Arc`]: every method takes `&self`.
///
/// # Cost
/// [`resolve`](Self::resolve) does not allocate, read a clock or lock the plan. For a call, [`apply`](Self::apply)
/// writes once to the history. For a configuration, it copies a few chunks of the plan.
pub struct Engine {
    plan: Published,
    history: Arc<History>,
    metrics: Metrics,
    tallies: Tallies,
    clock: Option<Clock>,
    max_pairs_per_environment: Option<usize>,
    /// Serialises changes of the configuration. Decisions never use it.
    configuring: Mutex<Retired>,
}

impl Engine {
    /// Returns an engine with an empty plan, and an empty history for up to [`DEFAULT_MAX_PAIRS`] pairs.
    pub fn new() -> Self {
        Self::with_max_pairs(DEFAULT_MAX_PAIRS)
    }

    /// Returns an engine whose history holds up to `max_pairs` pairs.
    ///
    /// # Panics
    /// The system does not provide the address space; see [`try_with_max_pairs`](Self::try_with_max_pairs).
    pub fn with_max_pairs(max_pairs: usize) -> Self {
        Self::try_with_max_pairs(max_pairs).expect("address space for the history")
    }

    /// Returns an engine whose history holds up to `max_pairs` pairs.
    ///
    /// # Errors
    /// Returns [`NoRoom`] if the system does not provide the address space.
    pub fn try_with_max_pairs(max_pairs: usize) -> Result<Self, NoRoom> {
        let limits = HistoryLimits::from(max_pairs);
        let history = History::try_new(limits).map_err(|_| NoRoom::new(limits))?;
        Ok(Self {
            plan: Published::new(Plan::new()),
            history: Arc::new(history),
            metrics: Metrics::new(),
            tallies: Tallies::new(),
            clock: None,
            max_pairs_per_environment: None,
            configuring: Mutex::default(),
        })
    }

    /// Sets the clock of the engine. A [`Service`](crate::Service) uses it to find expired pairs when the history is
    /// full. Decisions do not read it.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Some(Arc::new(clock)), ..self }
    }

    /// Sets the most pairs that one environment may hold. A [`Service`](crate::Service) rejects further pairs.
    #[must_use]
    pub fn with_max_pairs_per_environment(self, max_pairs: usize) -> Self {
        Self { max_pairs_per_environment: Some(max_pairs), ..self }
    }

    /// Decides where a call from `caller` to `dialed` goes: the first line of the rule that applies.
    ///
    /// The result depends only on the plan, the history and the arguments. This function never fails, blocks, allocates
    /// or reads a clock.
    pub fn resolve(&self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.resolve_on(&self.plan.load(), dialed, caller, now)
    }

    /// Decides a call as [`resolve`](Self::resolve) does, on a plan that the caller already holds. Use it to read more
    /// from that plan than the decision. The plan must be a current or earlier plan of this engine.
    pub fn resolve_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        let decision = rule::decide(plan, &Known::of(plan, &self.history, dialed, caller), now, &mut ());
        self.metrics.count(&decision);
        decision
    }

    /// Decides a call as [`resolve`](Self::resolve) does, and returns each line that was tried and the facts it
    /// compared. Runs the code of `resolve`, but allocates, and does not count the decision in the metrics.
    pub fn explain(&self, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.explain_on(&self.plan.load(), dialed, caller, now)
    }

    /// Explains a decision on a plan that the caller already holds. It may be a current or earlier plan of this engine,
    /// or one derived from it, to see the effect of a change.
    pub fn explain_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        let mut steps = Vec::new();
        let decision = rule::decide(plan, &Known::of(plan, &self.history, dialed, caller), now, &mut steps);
        Trace { decision, steps }
    }

    /// Returns a handle for one worker thread. While the plan stays the same, a decision through the handle loads it
    /// with one atomic load.
    pub fn reader(&self) -> Reader<&Self> {
        Reader::new(self)
    }

    /// Applies an event. An event that is applied twice changes nothing the second time. Calls and erasures converge in
    /// any order.
    ///
    /// # Errors
    /// Returns [`ApplyError::Config`] if a configuration is invalid or does not follow the last one, and
    /// [`ApplyError::Full`] if the history has reached its maximum size.
    pub fn apply(&self, event: &Event) -> Result<Applied, ApplyError> {
        match event {
            Event::Call(call) => Ok(self.record(call)?),
            Event::Report(report) => Ok(self.record(&report.call)?),
            Event::Update(_) | Event::Joined(_) => Ok(Applied::Ignored),
            Event::Erasure(erasure) => Ok(self.erase(erasure)?),
            Event::Configuration(configuration) => Ok(self.follow(configuration)?),
        }
    }

    /// Builds the next configuration from these changes and applies it, for programs that use no store. All changes
    /// take effect together, for each decision that begins after this function has returned.
    ///
    /// # Errors
    /// Returns the error of the first invalid change. Then none of the changes is made.
    pub fn configure(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Configuration, ConfigError> {
        let mut retired = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.plan.load_full();
        let configuration = Configuration::new(plan.generation() + 1, environment, at, changes);
        let next = plan.with(&configuration)?;
        self.replace(&mut retired, plan, next);
        Ok(configuration)
    }

    /// Decides many calls at the same moment and on the same plan, without allocating. The memory accesses of the calls
    /// overlap, which makes a batch faster than single decisions.
    ///
    /// # Panics
    /// Panics if the slices have different lengths.
    pub fn resolve_batch(&self, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        self.resolve_batch_on(&self.plan.load(), calls, now, decisions);
    }

    /// Decides many calls as [`resolve_batch`](Self::resolve_batch) does, on a plan that the caller already holds. See
    /// [`resolve_on`](Self::resolve_on) for the plan.
    ///
    /// # Panics
    /// Panics if the slices have different lengths.
    pub fn resolve_batch_on(&self, plan: &Plan, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        assert_eq!(calls.len(), decisions.len(), "a decision for each call");
        for (calls, decisions) in calls.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
            decide_each(plan, &self.history, calls, decisions, |known| rule::decide(plan, known, now, &mut ()));
        }
        self.metrics.count_all(decisions);
    }

    /// Starts the thread that grows the history, so that writers need not. Returns `None` if there is already one.
    /// Without this thread, writers grow the history in small steps. The thread ends when the handle is dropped. In a
    /// process that forks, start it after the fork.
    ///
    /// # Errors
    /// Returns an error if the system cannot create the thread.
    pub fn keeper(&self) -> io::Result<Option<Keeper>> {
        Keeper::start(&self.history)
    }

    /// Returns the plan that decisions read.
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// Returns the plan that decisions read, for a short time: this costs as little as a decision's own load.
    #[cfg(feature = "capi")]
    pub(crate) fn read_plan(&self) -> impl std::ops::Deref<Target = Arc<Plan>> + '_ {
        self.plan.load()
    }

    /// Returns the history that decisions read.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// Decisions that count in the statistics.
impl Engine {
    /// Decides a call that is really routed, as [`resolve_on`](Self::resolve_on) does, and counts it in the statistics.
    pub(crate) fn route_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Routed {
        self.route_observed(plan, (dialed, caller), now, &mut None, |tally| *tally)
    }

    /// Decides a call as [`route_on`](Self::route_on) does, and returns the facts for a record. Allocates.
    pub(crate) fn route_noting(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> (Routed, Noted) {
        let mut noted = Noted::default();
        let routed = self.route_observed(plan, (dialed, caller), now, &mut noted, |noted| noted.tally);
        (routed, noted)
    }

    /// Decides a call and counts it in the tally that the observer received.
    #[inline]
    fn route_observed<O: Observer>(
        &self,
        plan: &Plan,
        (dialed, caller): (E164, Caller),
        now: Timestamp,
        observer: &mut O,
        tally: impl FnOnce(&O) -> Option<TallySlot>,
    ) -> Routed {
        let known = Known::of(plan, &self.history, dialed, caller);
        let decision = rule::decide(plan, &known, now, observer);
        self.metrics.count(&decision);
        let tally = tally(observer);
        if let Some(slot) = tally {
            self.tallies.count(slot, now.day());
        }
        Routed { decision, tally }
    }

    /// Returns the counts that were not yet copied to the store.
    pub(crate) fn tallies(&self) -> &Tallies {
        &self.tallies
    }
}

/// Functions for a service, which validates and logs a change before it applies it.
impl Engine {
    /// Replaces the plan with one that was derived from it.
    pub(crate) fn publish(&self, plan: impl Into<Arc<Plan>>) {
        let mut retired = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(&mut retired, self.plan.load_full(), plan);
    }

    /// Restores many pairs of an earlier run. Their lines are prefetched before the first one is written.
    pub(crate) fn restore_all(&self, registers: &[Write]) -> Result<(), Full> {
        for some in registers.chunks(BATCH) {
            for (scope, contact, _) in some {
                self.history.prefetch(self.history.spot_in(*scope, *contact));
            }
            self.history.merge_all(some)?;
        }
        Ok(())
    }

    /// Returns the current time, or `None` if the engine has no clock.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock())
    }

    /// Returns the most pairs that one environment may hold.
    pub(crate) fn max_pairs_per_environment(&self) -> usize {
        self.max_pairs_per_environment.unwrap_or(usize::MAX)
    }

    /// Erases a contact up to a moment. With `remembers`, the history also remembers the erasure. Returns how many
    /// pairs were erased, and whether the history had room to remember the erasure.
    pub(crate) fn forget(&self, erasure: &Erasure, remembers: bool) -> (u64, Result<(), Full>) {
        let plan = self.plan.load();
        let Some(environment) = plan.environment_slot(erasure.environment) else { return (0, Ok(())) };
        let register = Register::erased(erasure.until, erasure.is_ahead);
        let merge = |scope, register| self.history.merge_counted(scope, erasure.contact, register);
        let remembered = if remembers { merge(environment.into(), register).map(|_| ()) } else { Ok(()) };
        // This is the erasure's fence; `erase_again` has the call's.
        fence(Ordering::SeqCst);
        let mut pairs = 0;
        let held = |scope, contact| self.history.get(scope, contact);
        for (scope, _, register) in erasure_writes(&plan, erasure, held).into_iter().skip(1) {
            // If a growth has just removed this pair, it is erased already, and it does not matter whether there is
            // room for it.
            let before = merge(scope, register).ok().flatten();
            let was_call = before.is_some_and(|before| matches!(before.read(), LastCall::Placed { .. }));
            pairs += u64::from(was_call && before < Some(register));
        }
        (pairs, remembered)
    }

    /// Restores a pair of an earlier run.
    pub(crate) fn restore(&self, scope: Scope, contact: E164, register: Register) -> Result<(), Full> {
        self.history.merge_counted(scope, contact, register).map(|_| ())
    }
}

impl Engine {
    /// Replaces the plan `before` with `plan`. First tells the history about new numbers, because decisions on the new
    /// plan look for a pair at the place that is computed from the dialed number. Also retires the scopes of deleted
    /// environments, whose pairs the history then drops as it grows.
    fn replace(&self, retired: &mut Retired, before: Arc<Plan>, plan: impl Into<Arc<Plan>>) {
        let plan = plan.into();
        for (slot, number) in plan.numbers_since(&before) {
            let assigned = self.history.assign(slot.into(), number);
            debug_assert!(assigned, "nothing is written under a slot before it is given");
            plan.environment_of_number(slot.into())
                .into_iter()
                .for_each(|holder| self.history.belongs(slot.into(), holder));
        }
        // No decision reads the pairs of a deleted environment: it holds no number that could be dialed.
        plan.retired_since(&before).for_each(|scope| self.history.retire(scope));
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
        if !plan.counts(call) {
            return Ok(Applied::Uncounted);
        }
        let before = self.history.merge(scope, contact, register)?;
        self.erase_again(&plan, call, scope, register)?;
        Ok(if before >= Some(register) { Applied::Unchanged } else { Applied::Recorded })
    }

    /// Erases the call again if an erasure was applied between the lookup of erasures and the write of the call.
    ///
    /// The erasure is published before it searches for pairs. The call publishes its pair before it looks for an
    /// erasure. Between the two steps, each side has a `SeqCst` fence. At least one side therefore sees the other.
    fn erase_again(&self, plan: &Plan, call: &Call, scope: Scope, register: Register) -> Result<(), Full> {
        fence(Ordering::SeqCst);
        let environment = plan.environment_slot(call.environment).map(Scope::from);
        match environment.and_then(|environment| self.history.get(environment, call.to)) {
            Some(erasure) if erasure >= register => self.restore(scope, call.to, erasure),
            _ => Ok(()),
        }
    }

    fn erase(&self, erasure: &Erasure) -> Result<Applied, Full> {
        if self.plan.load().environment_slot(erasure.environment).is_none() {
            return Ok(Applied::Ignored);
        }
        // Existing pairs are erased even if there is no room to remember the erasure.
        let (pairs, remembered) = self.forget(erasure, true);
        remembered.map(|()| Applied::Erased { pairs })
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

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("plan", &self.plan)
            .field("history", &self.history)
            .field("metrics", &self.metrics)
            .field("tallies", &self.tallies)
            .field("max_pairs_per_environment", &self.max_pairs_per_environment)
            .finish_non_exhaustive()
    }
}

/// A pair and the register that it must reach.
pub(crate) type Write = (Scope, E164, Register);

/// Returns the write that a call causes, given the registers that are `held` so far. Returns `None` if the plan never
/// had the agent or the number, or if the call is already erased.
pub(crate) fn call_write(plan: &Plan, call: &Call, held: impl Fn(Scope, E164) -> Option<Register>) -> Option<Write> {
    let (environment, number, agent) = plan.call_slots(call)?;
    let register = Register::call(call.at, call.outcome, agent);
    let erased = held(environment.into(), call.to).is_some_and(|erasure| erasure >= register);
    (!erased).then(|| (number.into(), call.to, register))
}

/// Returns the writes that an erasure causes, given the registers that are `held` so far. The first is the erasure
/// itself, under the environment's scope. One follows for each pair that it erases.
pub(crate) fn erasure_writes(
    plan: &Plan,
    erasure: &Erasure,
    held: impl Fn(Scope, E164) -> Option<Register>,
) -> Vec<Write> {
    let Some(environment) = plan.environment_slot(erasure.environment) else {
        return Vec::new();
    };
    let register = Register::erased(erasure.until, erasure.is_ahead);
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

/// A decision that was counted, and the tally that counted it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Routed {
    /// Where the call goes.
    pub decision: Decision,
    /// The tally of this decision, or `None` if no callback agent owns the dialed number.
    pub tally: Option<TallySlot>,
}

/// The effect of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an event with an unknown agent or number is `Ignored`, without an error"]
#[non_exhaustive]
pub enum Applied {
    /// The call, or its outcome, is now the last one of the pair.
    Recorded,
    /// The event was known already, or the history has a later one.
    Unchanged,
    /// The agent or the number is not in the plan, or the call was already erased.
    Ignored,
    /// The call does not count, because the calls of its environment count from a later status on: see
    /// [`Change::CountsFromSet`]. A [`Service`](crate::Service) knows it by its id or its context all the same.
    Uncounted,
    /// The erasure removed pairs.
    Erased {
        /// The number of pairs that were removed.
        pairs: u64,
    },
    /// The configuration is in force.
    Configured {
        /// The new generation of the plan.
        generation: u64,
    },
}

/// The reason why an event was not applied.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ApplyError {
    /// The configuration is invalid, or does not follow the last one.
    Config(ConfigError),
    /// The history has reached its maximum size.
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

impl std::error::Error for ApplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Full(full) => Some(full),
        }
    }
}
