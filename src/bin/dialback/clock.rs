//! The time of day.

use dialback::Timestamp;
use std::time::SystemTime;

/// Returns the current time. This is the only clock of the program; the library gets the time from its caller.
pub(crate) fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::from_millis(0))
}
