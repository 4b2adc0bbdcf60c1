//! A small set of tenants, agents, numbers, contacts and times, so that random operations often refer to the same
//! ones.
//!
//! Each value is one byte, taken modulo the number of entities, so that every byte is meaningful to a fuzzer.

use crate::{AgentId, CountsFrom, E164, EnvironmentId, Lookback, NumberId, Outcome, OutcomeSet, Timestamp, TokenId};
use arbitrary::Arbitrary;

/// The time at which each run begins: 2026-03-01T12:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_772_366_400_000);

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Two tenants and, rarely, the installation itself, which can hold no agents or numbers.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenant(pub u8);

impl Tenant {
    /// Returns the tenant's id.
    pub fn id(self) -> EnvironmentId {
        match self.0 % 8 {
            7 => EnvironmentId::SYSTEM,
            other => EnvironmentId::from_u128(0xE0 + u128::from(other % 2)),
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $id:ident, $base:expr, $count:expr) => {
        $(#[$doc])*
        #[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(pub u8);

        impl $name {
            /// The number of different values.
            pub const COUNT: u8 = $count;

            /// Returns the id. Both tenants use the same ids, which must not collide across tenants.
            pub fn id(self) -> $id {
                $id::from_u128($base + u128::from(self.0 % Self::COUNT))
            }
        }
    };
}

name! {
    /// One of six agents.
    Agent, AgentId, 0xA0, 6
}
name! {
    /// One of four numbers, by id.
    Number, NumberId, 0xD0, 4
}
name! {
    /// One of four tokens.
    Token, TokenId, 0xF0, 4
}

/// One of six phone numbers that belong to tenants.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dialed(pub u8);

impl Dialed {
    /// The number of different values.
    pub const COUNT: u8 = 6;

    /// Returns the phone number.
    pub fn number(self) -> E164 {
        E164::from_code(15_550_100 + u64::from(self.0 % Self::COUNT)).expect("a code")
    }
}

/// One of four contacts. The last one is also a number of a tenant.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact(pub u8);

impl Contact {
    /// The number of different values.
    pub const COUNT: u8 = 4;

    /// Returns the phone number.
    pub fn number(self) -> E164 {
        match self.0 % Self::COUNT {
            3 => Dialed(0).number(),
            // A leading zero: the number is held as it is, in another range of codes.
            2 => E164::from_digits("0911123").expect("digits"),
            other => E164::from_code(49_301_234_567 + u64::from(other)).expect("a code"),
        }
    }
}

/// A time relative to the driver's current time.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(pub u8);

impl Moment {
    /// The number of different values.
    pub const COUNT: u8 = 14;

    /// Returns the time: around `now`, around the limits of the look-backs, and at and beyond the limits of the
    /// history.
    pub fn at(self, now: Timestamp) -> Timestamp {
        let ago = |millis| Timestamp::from_millis(now.millis() - millis);
        match self.0 % Self::COUNT {
            0 => now,
            1 => ago(1),
            2 => ago(HOUR),
            3 => ago(HOUR - 1),
            4 => ago(DAY),
            5 => ago(DAY + 1),
            6 => ago(3 * DAY),
            7 => ago(30 * DAY),
            8 => ago(30 * DAY + 1),
            9 => now.plus_millis(1),
            10 => now.plus_millis(HOUR),
            11 => Timestamp::EARLIEST,
            12 => Timestamp::from_millis(0),
            _ => Timestamp::from_millis(u64::MAX),
        }
    }
}

/// A step of the driver's time.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub u8);

impl Span {
    /// Returns the step in milliseconds.
    pub fn millis(self) -> u64 {
        [1, HOUR - 1, HOUR, DAY, 29 * DAY][usize::from(self.0 % 5)]
    }
}

/// A look-back: zero, an hour, a day, thirty days, or unlimited.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Back(pub u8);

impl Back {
    /// Returns the look-back.
    pub fn lookback(self) -> Lookback {
        [0, 3600, 86_400, 30 * 86_400, u32::MAX].map(Lookback::from_secs)[usize::from(self.0 % 5)]
    }
}

/// The outcome of a call.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Went(pub u8);

impl Went {
    /// Returns the outcome.
    pub fn outcome(self) -> Outcome {
        Outcome::from_rank(u64::from(self.0))
    }
}

/// A status from which calls count.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold(pub u8);

impl Threshold {
    /// Returns the status.
    pub fn from(self) -> CountsFrom {
        CountsFrom::ALL[usize::from(self.0 % 3)]
    }
}

/// A set of outcomes, one bit for each.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wents(pub u8);

impl Wents {
    /// Returns the set.
    pub fn outcomes(self) -> OutcomeSet {
        Outcome::ALL.into_iter().filter(|outcome| self.0 & (1 << outcome.rank()) != 0).collect()
    }
}
