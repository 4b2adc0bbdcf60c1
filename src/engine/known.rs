//! What is looked up by number before the rule is asked: the one part of a decision that waits for memory.

use crate::decision::{Decision, SourceCall};
use crate::history::{History, LastCall, Register, Spot};
use crate::number::{Caller, E164};
use crate::outcome::Outcome;
use crate::plan::{AgentEntry, NumberEntry, Plan};
use crate::slot::{NumberSlot, Scope};
use crate::time::Timestamp;

/// Calls that are looked up together: as many misses as a core can have open, and some.
pub(super) const BATCH: usize = 32;

/// What is known of a call.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The dialed number, if it is ours.
    pub(super) number: Option<&'a NumberEntry>,
    /// Whether the caller is a number.
    pub(super) is_number: bool,
    /// The pair's last call, if it is one that counts.
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
        // Where the pair lies follows from the two numbers alone: its line is on its way while the plan is read.
        let contact = prefetch(history, dialed, caller);
        let number = plan.dialed_entry(dialed);
        let register = register(history, number, contact);
        let last = register.and_then(|register| LastKnown::of(plan, register));
        Self { number, is_number: contact.is_some(), last }
    }
}

/// Decides up to [`BATCH`] calls. One kind of look-up follows the other, each on its way for all calls before the first is waited
/// for: loops this short have many rounds under way at once, without being told to.
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
    // Where there is no pair, nobody looks at what is found instead: a line of the rule before that decides.
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
                // An agent that this plan does not know yet counts as none: the call came with a later configuration.
                let source = plan.agent_entry(source)?;
                Some(Self { at, outcome, source })
            }
            LastCall::Erased { .. } => None,
        }
    }
}

/// Brings near what the history knows of the two numbers; where that is. `None`: the caller is no number.
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
