//! What counts for no decision any more.

use crate::history::Register;
use crate::plan::Plan;
use crate::time::Timestamp;

/// How much longer than the longest look-back a call is kept: for the clock of a gateway that is behind, and for an operator who
/// shortens a look-back by mistake.
const GRACE_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The register below which nothing counts for a decision of this plan any more. Looks at all agents.
pub(super) fn floor(plan: &Plan, now: Timestamp) -> Register {
    let kept = u64::from(plan.longest_lookback().secs()) * 1000 + GRACE_MILLIS;
    Register::floor(Timestamp::from_millis(now.millis().saturating_sub(kept)))
}
