//! The tracked set: the ratios of the last recorded run, and how much the current run differs. Nothing here fails
//! because of time.

use super::args::grouped;
use super::checks::{CHECKS, short};
use super::records::Records;

/// The directory of the last recorded run, and its ratios.
pub(crate) const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/recorded");
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/recorded/ratios.csv");
/// The contender name of a line that holds a required ratio or amount.
const TRACKED: &str = "tracked";

/// Returns the required figures only.
pub(crate) fn of(records: &Records) -> Records {
    let mut tracked = Records::default();
    for pairs in records.sizes() {
        for check in CHECKS {
            if let Some(value) = (check.value)(records, pairs) {
                tracked.add(0, pairs, TRACKED, &check.name.replace(',', ";"), value);
            }
        }
    }
    tracked
}

/// Returns the difference of `now` from `recorded` for each figure at the sizes of both.
pub(crate) fn drift(recorded: &Records, now: &Records) -> String {
    let now = of(now);
    let mut text = String::from("| pairs | figure | recorded | now | drift |\n| --- | --- | --- | --- | --- |\n");
    for pairs in now.sizes() {
        for check in CHECKS {
            let name = check.name.replace(',', ";");
            let of = |records: &Records| records.first(pairs, TRACKED, &name);
            let (Some(before), Some(after)) = (of(recorded), of(&now)) else { continue };
            let drift = (after / before - 1.0) * 100.0;
            let better = if check.bar.is_ceiling() { drift < 0.0 } else { drift > 0.0 };
            let word = if drift.abs() < 5.0 {
                "as before"
            } else if better {
                "better"
            } else {
                "worse"
            };
            text += &format!(
                "| {} | {} | {} | {} | {drift:+.0} %, {word} |\n",
                grouped(pairs),
                check.name,
                short(before),
                short(after)
            );
        }
    }
    text
}
