//! What is looked up by number before the rule is asked: the one part of a decision that waits for memory.

use crate::decision::SourceCall;
use crate::history::{History, LastCall, Register, Spot};
use crate::number::{Caller, E164};
use crate::plan::{AgentEntry, NumberEntry, Plan};
use crate::slot::{NumberSlot, Scope};
use crate::time::Lookback;

/// Calls that are looked up together: as many misses as a core can have open, and some.
pub(super) const BATCH: usize = 32;

/// What is known of a call.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// The dialed number, if it is ours.
    pub(super) number: Option<KnownNumber<'a>>,
    /// Where the pair lies; `None`: the caller is no number.
    pub(super) contact: Option<Spot>,
    /// The pair's last call, if it is one that counts.
    pub(super) last: Option<LastKnown<'a>>,
}

/// A number of ours.
#[derive(Clone, Copy)]
pub(super) struct KnownNumber<'a> {
    slot: NumberSlot,
    pub(super) entry: &'a NumberEntry,
    /// Its environment's.
    pub(super) lookback: Lookback,
}

/// A last call, and the agent that placed it.
#[derive(Clone, Copy)]
pub(super) struct LastKnown<'a> {
    pub(super) call: SourceCall,
    pub(super) source: &'a AgentEntry,
}

impl<'a> Known<'a> {
    #[inline(always)]
    pub(super) fn of(plan: &'a Plan, history: &History, dialed: E164, caller: Caller) -> Self {
        // Where the pair lies follows from the two numbers alone: its line is on its way while the plan is read.
        let contact = prefetch(history, dialed, caller);
        let number = plan.dialed_slot(dialed).and_then(|slot| KnownNumber::of(plan, slot));
        let register = number.zip(contact).and_then(|(number, contact)| history.get_at(number.slot.into(), contact));
        Self { number, contact, last: register.and_then(|register| LastKnown::of(plan, register)) }
    }

    /// The same of up to [`BATCH`] calls, one kind of look-up after the other: each kind is on its way for all of them
    /// before the first is waited for. Loops this short have many rounds under way at once, without being told to.
    pub(super) fn of_each(plan: &'a Plan, history: &History, calls: &[(E164, Caller)]) -> [Self; BATCH] {
        let mut known = [Self::default(); BATCH];
        for (known, (dialed, caller)) in known.iter_mut().zip(calls) {
            known.contact = prefetch(history, *dialed, *caller);
        }
        let mut slots = [None; BATCH];
        for (slot, (dialed, _)) in slots.iter_mut().zip(calls) {
            *slot = plan.dialed_slot(*dialed);
        }
        let mut whose = [0; BATCH];
        let mut pairs = [(Scope::from(NumberSlot::default()), Spot::default()); BATCH];
        let mut many = 0;
        for (at, (known, slot)) in known.iter_mut().zip(slots).enumerate() {
            known.number = slot.and_then(|slot| KnownNumber::of(plan, slot));
            if let Some((number, contact)) = known.number.zip(known.contact) {
                whose[many] = at;
                pairs[many] = (number.slot.into(), contact);
                many += 1;
            }
        }
        for number in known.iter().filter_map(|known| known.number) {
            number.bring_agent(plan);
        }
        let mut registers = [None; BATCH];
        history.get_batch(&pairs[..many], &mut registers[..many]);
        for (&at, register) in whose[..many].iter().zip(registers) {
            known[at].last = register.and_then(|register| LastKnown::of(plan, register));
        }
        known
    }
}

impl<'a> KnownNumber<'a> {
    #[inline(always)]
    fn of(plan: &'a Plan, slot: NumberSlot) -> Option<Self> {
        let entry = plan.number_entry(slot)?;
        Some(Self { slot, entry, lookback: plan.lookback(entry.environment) })
    }

    /// Reads of the agent that will answer, most likely, so that it is near when it is asked for: whoever takes a callback
    /// owns the number. In a batch only; for a single call it costs as much as it saves.
    #[inline(always)]
    fn bring_agent(self, plan: &Plan) {
        if let Some(&slot) = self.entry.owners.first() {
            std::hint::black_box(plan.agent_entry(slot).is_some_and(|agent| agent.published));
        }
    }
}

impl<'a> LastKnown<'a> {
    #[inline(always)]
    fn of(plan: &'a Plan, register: Register) -> Option<Self> {
        match register.read() {
            LastCall::Placed { at, outcome, source } => {
                // An agent that this plan does not know yet counts as none: the call came with a later configuration.
                let source = plan.agent_entry(source)?;
                Some(Self { call: SourceCall { agent: source.id, at, outcome }, source })
            }
            LastCall::Erased { .. } => None,
        }
    }
}

/// Brings near what the history knows of the two numbers; where that is. `None`: the caller is no number.
fn prefetch(history: &History, dialed: E164, caller: Caller) -> Option<Spot> {
    let spot = history.spot(dialed, caller.number()?);
    history.prefetch(spot);
    Some(spot)
}
