//! Times, days and look-backs as values. The library reads no clock: its callers pass the current time.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A function that returns the current time. The program gives one to each door that it starts.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The earliest time that the history can hold: 2020-01-01T00:00:00Z. An earlier time counts as this one.
    pub const EARLIEST: Self = Self(1_577_836_800_000);

    /// The latest time that the history can hold, in 2089: 2^41 - 2 ms after [`EARLIEST`](Self::EARLIEST). The
    /// history uses the register values of the following millisecond for itself.
    pub const LATEST: Self = Self(Self::EARLIEST.0 + (1 << 41) - 2);

    /// Returns the time this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the time this many seconds after the Unix epoch, or the latest possible time if that overflows.
    ///
    /// ```
    /// # use dialback::Timestamp;
    /// assert_eq!(Timestamp::from_secs(1), Timestamp::from_millis(1000));
    /// assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::from_millis(u64::MAX));
    /// ```
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Returns the milliseconds since `earlier`. Zero if `earlier` is later than this time.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time this many milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the UTC day of this time.
    ///
    /// ```
    /// # use dialback::{Day, Timestamp};
    /// assert_eq!(Timestamp::from_secs(86_399).day(), Day::from_index(0));
    /// assert_eq!(Timestamp::from_secs(86_400).day(), Day::from_index(1));
    /// ```
    pub const fn day(self) -> Day {
        let index = self.0 / (24 * 60 * 60 * 1000);
        #[expect(clippy::cast_possible_truncation, reason = "what is more is the last day that there is")]
        Day(if index > u32::MAX as u64 { u32::MAX } else { index as u32 })
    }

    /// Returns the nearest time that the history can hold.
    #[must_use]
    pub fn clamped(self) -> Self {
        self.clamp(Self::EARLIEST, Self::LATEST)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimeError;

    /// # Errors
    /// The time is before 1970, or more than 584 million years after it.
    fn try_from(time: SystemTime) -> Result<Self, TimeError> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| TimeError)?;
        since.as_millis().try_into().map(Self).map_err(|_| TimeError)
    }
}

/// A time that [`Timestamp`] cannot express: before 1970, or too far in the future.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeError;

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time before 1970, or more than 64 bits of milliseconds after it")
    }
}

impl std::error::Error for TimeError {}

/// A day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Day(u32);

impl Day {
    /// 1970-01-01.
    pub const FIRST: Self = Self(0);

    /// The last possible day.
    pub const LAST: Self = Self(u32::MAX);

    /// Returns the day this many days after 1970-01-01.
    pub const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// Returns the number of days since 1970-01-01.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Returns the day this many days later.
    #[must_use]
    pub const fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Returns the day this many days earlier.
    #[must_use]
    pub const fn minus(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

/// A look-back: the greatest age, in whole seconds, at which an outbound call still counts for its contact's
/// callback.
///
/// ```
/// use dialback::Lookback;
/// assert_eq!(Lookback::default(), Lookback::from_days(30));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Lookback(u32);

impl Lookback {
    /// Creates a look-back of this many days, at most 49,710 (136 years).
    pub const fn from_days(days: u32) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// Creates a look-back of this many seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs)
    }

    /// Returns the seconds.
    pub const fn secs(self) -> u32 {
        self.0
    }

    /// Returns the days, rounded down.
    pub const fn days(self) -> u32 {
        self.0 / 86_400
    }

    /// Returns the days, or `None` if it is not a whole number of days.
    pub const fn whole_days(self) -> Option<u32> {
        if self.0.is_multiple_of(86_400) { Some(self.0 / 86_400) } else { None }
    }

    /// Returns whether a call of this age counts. A call exactly as old as the look-back counts.
    pub const fn covers_millis(self, age_millis: u64) -> bool {
        age_millis <= self.0 as u64 * 1000
    }
}

impl Default for Lookback {
    /// Returns thirty days.
    fn default() -> Self {
        Self::from_days(30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn system_time_converts_if_it_is_not_before_1970() {
        let after = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500_999);
        assert_eq!(Timestamp::try_from(after), Ok(Timestamp::from_millis(1500)));
        assert_eq!(Timestamp::try_from(SystemTime::UNIX_EPOCH), Ok(Timestamp::from_millis(0)));
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(Timestamp::try_from(before), Err(TimeError));
    }
}
