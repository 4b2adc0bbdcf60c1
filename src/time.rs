//! Time as a value. Nothing here reads a clock: whoever asks for a decision brings the time along.

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The first moment that the history can hold: 2020-01-01T00:00:00Z. What is earlier counts as this.
    pub const EARLIEST: Self = Self(1_577_836_800_000);

    /// The last moment that the history can hold, in 2089: 2^41 - 2 ms after [`EARLIEST`](Self::EARLIEST). The words of the
    /// millisecond behind it are the history's own.
    pub const LATEST: Self = Self(Self::EARLIEST.0 + (1 << 41) - 2);

    /// The moment this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment this many seconds after the Unix epoch; the last one that there is where that is further off.
    ///
    /// ```
    /// # use dialback::Timestamp;
    /// assert_eq!(Timestamp::from_secs(1), Timestamp::from_millis(1000));
    /// assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::from_millis(u64::MAX));
    /// ```
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was, in milliseconds; zero where it lies in the future.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The day, in UTC, on which it lies.
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

    /// The nearest moment that the history can hold.
    #[must_use]
    pub fn clamped(self) -> Self {
        self.clamp(Self::EARLIEST, Self::LATEST)
    }
}

/// A day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Day(u32);

impl Day {
    /// 1970-01-01.
    pub const FIRST: Self = Self(0);

    /// The last day that there is.
    pub const LAST: Self = Self(u32::MAX);

    /// The day so many days after 1970-01-01.
    pub const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// How many days after 1970-01-01.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// So many days later.
    #[must_use]
    pub const fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// So many days earlier.
    #[must_use]
    pub const fn minus(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

/// How far back an outbound call may lie for its contact's callback to count, in whole seconds.
///
/// ```
/// use dialback::Lookback;
/// assert_eq!(Lookback::default(), Lookback::from_days(30));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Lookback(u32);

impl Lookback {
    /// So many days. Up to 49,710 of them (136 years); more counts as that.
    pub const fn from_days(days: u32) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// So many seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs)
    }

    /// Seconds.
    pub const fn secs(self) -> u32 {
        self.0
    }

    /// Whole days, rounded down.
    pub const fn days(self) -> u32 {
        self.0 / 86_400
    }

    /// Whether a call of this age is still within the look-back. A call exactly as old as the look-back is.
    pub const fn covers_millis(self, age_millis: u64) -> bool {
        age_millis <= self.0 as u64 * 1000
    }
}

impl Default for Lookback {
    /// Thirty days.
    fn default() -> Self {
        Self::from_days(30)
    }
}
