//! The outcome of an outbound call.

use crate::named::{NameError, named};
use std::fmt;
use std::str::FromStr;

/// The last known status of an outbound call, ordered by rank.
///
/// A later status of a call outranks an earlier one, so reports of one call converge in any order. The outcomes that
/// say most about the contact rank highest. So a platform that closes each call with `completed` does not hide a
/// `voicemail`. `failed` ranks below `answered`: a second trunk that succeeds outranks the first one that failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Outcome {
    /// Placed; no further status is known.
    Initiated = 0,
    /// The contact's phone is ringing.
    Ringing = 1,
    /// Could not be placed, or broke off.
    Failed = 2,
    /// A person or a machine picked up.
    Answered = 3,
    /// Ended after it was answered.
    Completed = 4,
    /// Not answered before ringing ended.
    #[cfg_attr(feature = "serde", serde(alias = "no-answer"))]
    NoAnswer = 5,
    /// The contact was on another call.
    Busy = 6,
    /// A machine answered.
    Voicemail = 7,
}

impl Outcome {
    /// All outcomes, lowest rank first.
    pub const ALL: [Self; 8] = [
        Self::Initiated,
        Self::Ringing,
        Self::Failed,
        Self::Answered,
        Self::Completed,
        Self::NoAnswer,
        Self::Busy,
        Self::Voicemail,
    ];

    /// Returns the rank, 0 to 7.
    pub const fn rank(self) -> u8 {
        self as u8
    }

    /// Returns the outcome with this rank. Only the three low bits count.
    pub const fn from_rank(rank: u64) -> Self {
        match rank & 7 {
            0 => Self::Initiated,
            1 => Self::Ringing,
            2 => Self::Failed,
            3 => Self::Answered,
            4 => Self::Completed,
            5 => Self::NoAnswer,
            6 => Self::Busy,
            _ => Self::Voicemail,
        }
    }

    /// Returns the number of the outcome in data directories, messages and the C interface, 0 to 7. It never changes,
    /// also if the ranks do.
    pub const fn code(self) -> u8 {
        match self {
            Self::Initiated => 0,
            Self::Ringing => 1,
            Self::Answered => 2,
            Self::Completed => 3,
            Self::Failed => 4,
            Self::NoAnswer => 5,
            Self::Busy => 6,
            Self::Voicemail => 7,
        }
    }

    /// Returns the outcome with this code. Only the three low bits count.
    pub const fn from_code(code: u64) -> Self {
        match code & 7 {
            0 => Self::Initiated,
            1 => Self::Ringing,
            2 => Self::Answered,
            3 => Self::Completed,
            4 => Self::Failed,
            5 => Self::NoAnswer,
            6 => Self::Busy,
            _ => Self::Voicemail,
        }
    }

    /// Returns the name, such as `no_answer`. The control API writes [`public_name`](Self::public_name).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::Voicemail => "voicemail",
        }
    }

    /// Returns the name as the control API writes it: `no-answer`, and the other names as they are.
    pub const fn public_name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no-answer",
            other => other.name(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Outcome {
    type Err = NameError;

    /// Returns the outcome with this name. `no-answer` is accepted for `no_answer`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = if text == "no-answer" { "no_answer" } else { text };
        Self::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or(NameError::new("an outcome"))
    }
}

/// The status from which the calls of an environment count. A report of a call that does not count is acknowledged, and
/// leaves the history as it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum CountsFrom {
    /// Each report counts.
    #[default]
    Initiated,
    /// A call counts if it went beyond dialing: each outcome but `initiated` and `failed`.
    Ringing,
    /// A call counts if a person or a machine picked up: `answered`, `completed` and `voicemail`.
    Answered,
}

impl CountsFrom {
    /// All thresholds, the lowest one first.
    pub const ALL: [Self; 3] = [Self::Initiated, Self::Ringing, Self::Answered];

    /// Returns `initiated`, `ringing` or `answered`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
        }
    }

    /// Returns whether a report with this outcome counts.
    pub const fn counts(self, outcome: Outcome) -> bool {
        match self {
            Self::Initiated => true,
            Self::Ringing => !matches!(outcome, Outcome::Initiated | Outcome::Failed),
            Self::Answered => matches!(outcome, Outcome::Answered | Outcome::Completed | Outcome::Voicemail),
        }
    }
}

named!(CountsFrom, "a status from which calls count: initiated, ringing or answered");

/// A set of outcomes. A callback agent accepts the contacts whose last call has one of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "u8", into = "u8"))]
pub struct OutcomeSet(u8);

impl OutcomeSet {
    /// All outcomes, including calls that were not answered.
    pub const EVERY: Self = Self(0xFF);

    /// Returns whether the outcome is in the set.
    pub const fn contains(self, outcome: Outcome) -> bool {
        self.0 & (1 << outcome.rank()) != 0
    }

    /// Returns the outcomes of the set, lowest rank first.
    pub fn iter(self) -> impl Iterator<Item = Outcome> {
        Outcome::ALL.into_iter().filter(move |&outcome| self.contains(outcome))
    }
}

/// The set as it is stored in a configuration: one bit for each outcome, at the place of its code.
impl From<OutcomeSet> for u8 {
    fn from(set: OutcomeSet) -> Self {
        set.iter().fold(0, |bits, outcome| bits | 1 << outcome.code())
    }
}

impl From<u8> for OutcomeSet {
    fn from(bits: u8) -> Self {
        Outcome::ALL.into_iter().filter(|outcome| bits & (1 << outcome.code()) != 0).collect()
    }
}

impl FromIterator<Outcome> for OutcomeSet {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        Self(outcomes.into_iter().fold(0, |bits, outcome| bits | 1 << outcome.rank()))
    }
}

impl fmt::Debug for OutcomeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers in data directories, messages and the C interface.
    #[test]
    fn codes_are_those_of_the_first_version() {
        let codes = "initiated ringing answered completed failed no_answer busy voicemail";
        for (code, name) in (0..).zip(codes.split(' ')) {
            let outcome: Outcome = name.parse().expect("an outcome");
            assert_eq!((u64::from(outcome.code()), Outcome::from_code(code)), (code, outcome));
        }
        for bits in 0..=u8::MAX {
            assert_eq!(u8::from(OutcomeSet::from(bits)), bits);
        }
        assert_eq!(u8::from([Outcome::Failed].into_iter().collect::<OutcomeSet>()), 1 << 4);
    }

    #[test]
    fn an_answer_outranks_a_failure_and_what_says_more_outranks_an_answer() {
        assert!(Outcome::Failed < Outcome::Answered && Outcome::Failed > Outcome::Ringing);
        assert!(Outcome::Completed < Outcome::NoAnswer);
    }

    /// The table of docs/rule.md.
    #[test]
    fn each_threshold_counts_its_outcomes() {
        let counted = |from: CountsFrom| {
            let counted = Outcome::ALL.into_iter().filter(move |outcome| from.counts(*outcome));
            counted.map(Outcome::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(CountsFrom::default(), CountsFrom::Initiated);
        let expected = [
            "initiated ringing failed answered completed no_answer busy voicemail",
            "ringing answered completed no_answer busy voicemail",
            "answered completed voicemail",
        ];
        assert_eq!(CountsFrom::ALL.map(counted), expected);
        for from in CountsFrom::ALL {
            assert_eq!(from.to_string().parse(), Ok(from));
        }
        assert!("busy".parse::<CountsFrom>().is_err());
    }

    #[test]
    fn rank_and_name_convert_back_to_the_outcome() {
        for (rank, outcome) in (0..).zip(Outcome::ALL) {
            assert_eq!((outcome.rank(), Outcome::from_rank(rank)), (u8::try_from(rank).expect("three bits"), outcome));
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
            assert_eq!(outcome.public_name().parse(), Ok(outcome));
        }
        assert_eq!("no-answer".parse(), Ok(Outcome::NoAnswer));
        assert_eq!(Outcome::NoAnswer.public_name(), "no-answer");
        let refused = "NO_ANSWER".parse::<Outcome>().expect_err("another case");
        assert_eq!(refused.to_string(), "not an outcome");
        assert_eq!(format!("{:>9}", Outcome::Busy), "     busy");
    }

    #[test]
    fn set_contains_the_outcomes_it_was_built_from() {
        let set = OutcomeSet::from_iter([Outcome::Busy, Outcome::Initiated]);
        assert!(set.iter().eq([Outcome::Initiated, Outcome::Busy]));
        assert!(OutcomeSet::EVERY.iter().eq(Outcome::ALL));
    }
}
