//! The contacts of the week: who is called when, who is erased, and what the disk holds of them.

use super::KEPT_HOURS;
use crate::support::disk_search::{DiskSearch, describe};
use dialback::E164;
use std::path::Path;

/// Of the contacts that are not erased, one in so many calls is searched for on the disk.
const SAMPLED: u64 = 250;

/// Returns the contact of a call. Half of the contacts are new, the others were called before.
pub(super) fn contact(call: u64) -> E164 {
    let number = if call.is_multiple_of(2) { call } else { call / 3 * 2 };
    E164::from_code(493_000_000_000 + number * 7).expect("a code")
}

/// Returns whether the contact is erased right after this call.
pub(super) fn is_erased(call: u64) -> bool {
    call.is_multiple_of(100)
}

/// The calls that were recorded when a purge began.
pub(super) struct Recorded {
    /// The number of calls, and of calls in each hour.
    pub(super) calls: u64,
    pub(super) calls_an_hour: u64,
    /// The hour of the purge.
    pub(super) hour: u64,
}

impl Recorded {
    /// Searches the disk after the purge. Fails if it holds a contact that was erased or whose calls have all expired, or
    /// does not hold a contact with a call that is in force. Returns how many contacts must be gone, and how many there.
    pub(super) fn expect_on_disk(&self, data: &Path) -> (usize, usize) {
        let firsts = (0..self.calls).step_by(2).filter(|first| is_erased(*first) || first % SAMPLED == 2);
        let (live, gone): (Vec<u64>, Vec<u64>) = firsts.partition(|first| self.is_in_force(*first));
        let [live, gone] = [live, gone].map(|firsts| firsts.into_iter().map(contact).collect::<Vec<E164>>());
        let left = DiskSearch::new(gone.iter().copied()).traces(data);
        assert!(left.is_empty(), "hour {}, erased or expired: {}", self.hour, describe(&left));
        let found = DiskSearch::new(live.iter().copied()).numbers(data);
        assert_eq!(found.len(), live.len(), "hour {}: the search finds what is in force", self.hour);
        (gone.len(), live.len())
    }

    /// Returns whether a call of this contact is in force, which is named by its first call.
    fn is_in_force(&self, first: u64) -> bool {
        let hour = |call: u64| call / self.calls_an_hour;
        // The first call is erased at once. A later call in the same hour has the time of the erasure, and is ignored.
        let again = (first / 2 * 3..).take(3).filter(|call| call % 2 == 1 && *call < self.calls);
        let again = again.filter(|call| *call != first && (!is_erased(first) || hour(*call) > hour(first)));
        let own = Some(first).filter(|first| !is_erased(*first));
        own.into_iter().chain(again).any(|call| hour(call) + KEPT_HOURS >= self.hour)
    }
}
