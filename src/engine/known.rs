//! The lookups before the rule is evaluated. They are the only part of a decision that waits for memory.

use crate::decision::{Decision, SourceCall};
use crate::history::{History, LastCall, Register, Spot};
use crate::number::{Caller, E164};
use crate::outcome::Outcome;
use crate::plan::{AgentEntry, NumberEntry, Plan};
use crate::slot::{NumberSlot, Scope};
use crate::time::Timestamp;

/// The number of calls that are looked up together: somewhat more than the cache misses that a core can have
/// outstanding.
pub(super) const BATCH: usize = 32;

/// The facts about a call that the rule reads.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The dialed number's entry, if the number is in the plan.
    pub(super) number: Option<&'a NumberEntry>,
    /// Whether the caller is a number.
    pub(super) is_number: bool,
    /// The last call to the caller from the dialed number. `None` if there is none, or if it was erased.
    pub(super) last: Option<LastKnown<'a>>,
}

/// A last call, and the agent that placed it.
#[derive(Clone, Copy)]
pub(super) struct LastKnown<'a> {
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) source: &'a AgentEntry,
}

impl<'a> Known<'a> {
    #[inline(always)]
    pub(super) fn of(plan: &'a Plan, history: &History, dialed: E164, caller: Caller) -> Self {
        // The pair's place follows from the two numbers alone, so its line is loaded while the plan is read.
        let contact = prefetch(history, dialed, caller);
        let number = plan.dialed_entry(dialed);
        let register = register(history, number, contact);
        let last = register.and_then(|register| LastKnown::of(plan, register));
        Self { number, is_number: contact.is_some(), last }
    }
}

/// Decides up to [`BATCH`] calls. The lookups are done one kind after another, each for all calls before the first
/// result is used. These loops are so short that the processor overlaps many of their iterations without explicit
/// prefetches.
#[inline(always)]
pub(super) fn decide_each<'a>(
    plan: &'a Plan,
    history: &History,
    calls: &[(E164, Caller)],
    decisions: &mut [Decision],
    decide: impl Fn(&Known<'a>) -> Decision,
) {
    let mut numbers = [None; BATCH];
    for (number, (dialed, _)) in numbers.iter_mut().zip(calls) {
        *number = plan.dialed_entry(*dialed);
    }
    // Calls without a pair look up a default one. An earlier line of the rule decides them, so the result is not used.
    let mut pairs = [(Scope::from(NumberSlot::default()), Spot::default()); BATCH];
    for (pair, ((dialed, caller), number)) in pairs.iter_mut().zip(calls.iter().zip(&numbers)) {
        if let (Some(number), Some(caller)) = (number, caller.number()) {
            *pair = (number.slot.into(), history.spot(*dialed, caller));
        }
    }
    let mut registers = [None; BATCH];
    history.get_batch(&pairs[..calls.len()], &mut registers[..calls.len()]);
    let known = calls.iter().zip(&numbers).zip(&registers);
    for (decision, (((_, caller), number), register)) in decisions.iter_mut().zip(known) {
        let last = register.and_then(|register| LastKnown::of(plan, register));
        *decision = decide(&Known { number: *number, is_number: caller.number().is_some(), last });
    }
}

impl<'a> LastKnown<'a> {
    #[inline(always)]
    pub(super) fn call(self) -> SourceCall {
        SourceCall { agent: self.source.id, at: self.at, outcome: self.outcome }
    }

    #[inline(always)]
    fn of(plan: &'a Plan, register: Register) -> Option<Self> {
        match register.read() {
            LastCall::Placed { at, outcome, source } => {
                // An agent that this plan does not know counts as no history: the call came with a later configuration.
                let source = plan.agent_entry(source)?;
                Some(Self { at, outcome, source })
            }
            LastCall::Erased { .. } => None,
        }
    }
}

/// Prefetches the pair's line. Returns the pair's place, or `None` if the caller is not a number.
#[inline(always)]
fn prefetch(history: &History, dialed: E164, caller: Caller) -> Option<Spot> {
    let spot = history.spot(dialed, caller.number()?);
    history.prefetch(spot);
    Some(spot)
}

#[inline(always)]
fn register(history: &History, number: Option<&NumberEntry>, contact: Option<Spot>) -> Option<Register> {
    history.get_at(number?.slot.into(), contact?)
}
