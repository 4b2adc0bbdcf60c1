//! The time of day.

use dialback::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time. This is the only clock of the program; the library gets the time from its caller.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
