//! The packed register: the state of one (scope, contact) pair, in one word whose order is the order of events.

use crate::outcome::Outcome;
use crate::slot::AgentSlot;
use crate::time::Timestamp;
use std::fmt;
use std::num::NonZeroU64;

/// The last outbound call to a contact, or the erasure of the contact. From the top bits down: time, outcome rank,
/// source agent.
///
/// *A merge is the integer maximum.* It is commutative, associative and idempotent. Duplicates, reordering, overlapping
/// replays and concurrent writes of two gateways therefore converge without coordination. An erasure is a register too.
/// It is greater than every call up to its moment, so a late event cannot bring an erased contact back.
///
/// | bits | what |
/// | --- | --- |
/// | 63..23 | milliseconds since [`Timestamp::EARLIEST`] (41 bits: until 2089) |
/// | 22..20 | outcome rank; 7 in an erasure |
/// | 19..0 | source agent's slot; all ones in an erasure, or all ones but the last in an erasure that reached ahead |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(NonZeroU64);

const TIME_SHIFT: u32 = 23;
const OUTCOME_SHIFT: u32 = 20;
const SOURCE_MASK: u64 = (1 << OUTCOME_SHIFT) - 1;
const OUTCOME_MASK: u64 = 7 << OUTCOME_SHIFT;
/// The low bits of an erasure. They are above those of every call in the same millisecond, because no agent has the
/// slot of all ones.
const ERASED: u64 = (1 << TIME_SHIFT) - 1;
/// The low bits of an erasure that reached ahead: above every call, and below the other kind. Of two erasures up to one
/// moment, the one that was ordered at that moment is the later one.
const ERASED_AHEAD: u64 = ERASED - 1;

impl Register {
    /// Returns the register of a call.
    pub fn call(at: Timestamp, outcome: Outcome, source: AgentSlot) -> Self {
        Self::pack(at, u64::from(outcome.rank()) << OUTCOME_SHIFT | source.index() as u64)
    }

    /// Returns the register of an erasure of everything up to and including this moment.
    pub fn erasure(until: Timestamp) -> Self {
        Self::pack(until, ERASED)
    }

    /// Returns the register of an erasure that was ordered before the last moment that it erases.
    pub fn erasure_ahead(until: Timestamp) -> Self {
        Self::pack(until, ERASED_AHEAD)
    }

    /// Returns the register of an erasure of either kind.
    pub(crate) fn erased(until: Timestamp, is_ahead: bool) -> Self {
        if is_ahead { Self::erasure_ahead(until) } else { Self::erasure(until) }
    }

    /// Returns the lowest register of this moment. All registers below it are of an earlier moment.
    pub fn floor(at: Timestamp) -> Self {
        Self::pack(at, 0)
    }

    /// Unpacks the register.
    pub fn read(self) -> LastCall {
        let at = Timestamp::EARLIEST.plus_millis(self.0.get() >> TIME_SHIFT);
        let low = self.0.get() & ERASED;
        match AgentSlot::from_bits(low & SOURCE_MASK) {
            Some(source) => LastCall::Placed { at, outcome: Outcome::from_rank(low >> OUTCOME_SHIFT), source },
            None => LastCall::Erased { until: at, is_ahead: low == ERASED_AHEAD },
        }
    }

    /// Returns the time up to which an erasure covers calls, or `None` for a call.
    pub fn erased_until(self) -> Option<Timestamp> {
        match self.read() {
            LastCall::Erased { until, .. } => Some(until),
            LastCall::Placed { .. } => None,
        }
    }

    /// Returns whether the register is an erasure.
    pub const fn is_erasure(self) -> bool {
        self.0.get() & SOURCE_MASK >= ERASED_AHEAD & SOURCE_MASK
    }

    /// Returns the register as a word.
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// Returns the register with these bits. Returns `None` for zero, which is the word of a pair that was never
    /// written.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// Returns the word for data directories. It has the outcome's code in place of its rank, so a directory does not
    /// change when the ranks do.
    pub fn to_stored(self) -> u64 {
        let code = Outcome::from_rank(self.bits() >> OUTCOME_SHIFT).code();
        self.bits() & !OUTCOME_MASK | u64::from(code) << OUTCOME_SHIFT
    }

    /// Returns the register of a word that [`to_stored`](Self::to_stored) made, or `None` for zero.
    pub fn from_stored(bits: u64) -> Option<Self> {
        let rank = Outcome::from_code(bits >> OUTCOME_SHIFT).rank();
        Self::from_bits(bits & !OUTCOME_MASK | u64::from(rank) << OUTCOME_SHIFT)
    }

    fn pack(at: Timestamp, low: u64) -> Self {
        let time = at.clamped().millis() - Timestamp::EARLIEST.millis();
        // The one call that would pack to zero (first millisecond, first outcome, first agent) is dated one millisecond
        // later. Zero stays the word of an empty register.
        Self(NonZeroU64::new(time << TIME_SHIFT | low).unwrap_or(NonZeroU64::MIN.saturating_add(ERASED)))
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

/// An unpacked register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastCall {
    /// The last outbound call to the contact.
    Placed {
        /// The time at which the call was placed.
        at: Timestamp,
        /// The outcome of the call, as far as it is known.
        outcome: Outcome,
        /// The agent that placed the call.
        source: AgentSlot,
    },
    /// Everything up to this moment was erased. Late reports of it do not count.
    Erased {
        /// The last moment that was erased.
        until: Timestamp,
        /// Whether the erasure was ordered before that moment. A call up to it may then be newer than the erasure.
        is_ahead: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(index: usize) -> AgentSlot {
        AgentSlot::new(index).expect("in range")
    }

    #[test]
    fn a_call_reads_back_as_it_was_packed() {
        for at in [Timestamp::EARLIEST.plus_millis(1), Timestamp::from_secs(1_800_000_000), Timestamp::LATEST] {
            for outcome in Outcome::ALL {
                for source in [agent(0), agent(1), agent(AgentSlot::LIMIT - 1)] {
                    assert_eq!(Register::call(at, outcome, source).read(), LastCall::Placed { at, outcome, source });
                }
            }
        }
    }

    #[test]
    fn stored_words_have_codes_in_place_of_ranks() {
        let at = Timestamp::from_secs(1_800_000_000);
        for outcome in Outcome::ALL {
            let register = Register::call(at, outcome, agent(5));
            assert_eq!(register.to_stored() >> OUTCOME_SHIFT & 7, u64::from(outcome.code()));
            assert_eq!(Register::from_stored(register.to_stored()), Some(register));
        }
        for register in [Register::erasure(at), Register::erasure_ahead(at), Register::floor(at)] {
            assert_eq!(register.to_stored(), register.bits());
        }
        assert_eq!(Register::from_stored(0), None);
    }

    #[test]
    fn order_is_time_then_rank_then_source() {
        let t = Timestamp::from_secs(1_800_000_000);
        let later = Register::call(t.plus_millis(1), Outcome::Initiated, agent(0));
        let earlier = Register::call(t, Outcome::Voicemail, agent(AgentSlot::LIMIT - 1));
        assert!(later > earlier);
        assert!(Register::call(t, Outcome::Answered, agent(0)) > Register::call(t, Outcome::Ringing, agent(9)));
    }

    #[test]
    fn an_erasure_outranks_every_call_up_to_its_moment_and_none_after() {
        let t = Timestamp::from_secs(1_800_000_000);
        let erasure = Register::erasure(t);
        let ahead = Register::erasure_ahead(t);
        assert!(erasure > ahead && ahead > Register::call(t, Outcome::Voicemail, agent(AgentSlot::LIMIT - 1)));
        assert!(erasure < Register::call(t.plus_millis(1), Outcome::Initiated, agent(0)));
        assert_eq!(erasure.read(), LastCall::Erased { until: t, is_ahead: false });
        assert_eq!(ahead.read(), LastCall::Erased { until: t, is_ahead: true });
        assert!(
            erasure.is_erasure()
                && ahead.is_erasure()
                && !Register::call(t, Outcome::Voicemail, AgentSlot::LAST).is_erasure()
        );
    }

    #[test]
    fn a_call_that_would_pack_to_zero_is_dated_one_millisecond_later() {
        let register = Register::call(Timestamp::EARLIEST, Outcome::Initiated, agent(0));
        assert_eq!(
            register.read(),
            LastCall::Placed { at: Timestamp::EARLIEST.plus_millis(1), outcome: Outcome::Initiated, source: agent(0) }
        );
    }

    #[test]
    fn times_outside_the_range_are_clamped_to_its_ends() {
        let before = Register::call(Timestamp::from_millis(0), Outcome::Busy, agent(3));
        assert_eq!(before, Register::call(Timestamp::EARLIEST, Outcome::Busy, agent(3)));
        let after = Register::call(Timestamp::from_millis(u64::MAX), Outcome::Busy, agent(3));
        assert_eq!(after, Register::call(Timestamp::LATEST, Outcome::Busy, agent(3)));
    }
}
