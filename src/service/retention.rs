//! The age from which calls no longer count for any decision.

use crate::history::Register;
use crate::plan::Plan;
use crate::time::Timestamp;

/// How much longer than the longest look-back a call is kept. This covers a gateway whose clock is behind, and a
/// look-back that an operator shortens by mistake.
const GRACE_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Returns the oldest register that can still count for a decision of this plan. Reads all agents.
pub(super) fn floor(plan: &Plan, now: Timestamp) -> Register {
    Register::floor(oldest(plan, now))
}

/// Returns the time before which no call counts for a decision of this plan, and no erasure is kept. Reads all agents.
pub(super) fn oldest(plan: &Plan, now: Timestamp) -> Timestamp {
    let kept = u64::from(plan.longest_lookback().secs()) * 1000 + GRACE_MILLIS;
    Timestamp::from_millis(now.millis().saturating_sub(kept))
}
