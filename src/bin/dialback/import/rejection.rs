//! Why a line was not taken.

use super::map::Field;
use super::moment::MomentError;
use dialback::NumberError;
use std::fmt;

/// Why a line was rejected. Says nothing that a phone number could be read from: digits of what it quotes are masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rejection {
    UnclosedQuote,
    TooLong {
        limit: usize,
    },
    Columns {
        found: usize,
        expected: String,
    },
    NotText(Field),
    Number(Field, NumberError),
    ForeignNumber,
    NotOurNumber,
    NumberTooShort,
    Time(MomentError, Quoted),
    NoAgent,
    UnknownAgent(Quoted),
    AmbiguousAgent(Quoted),
    InboundAgent(Quoted),
    AgentName(Quoted),
    Status(Quoted),
    /// The history is at its ceiling.
    Refused(String),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedQuote => f.write_str("a quoted value does not end"),
            Self::TooLong { limit } => write!(f, "longer than {limit} bytes"),
            Self::Columns { found: 1, expected } => write!(f, "1 column where {expected} are expected"),
            Self::Columns { found, expected } => write!(f, "{found} columns where {expected} are expected"),
            Self::NotText(field) => write!(f, "`{}` is not UTF-8", field.name()),
            Self::Number(field, error) => write!(f, "`{}`: {error}", field.name()),
            Self::ForeignNumber => f.write_str("`from` is a number of another environment"),
            Self::NotOurNumber => f.write_str("`from` is not a number of this environment"),
            Self::NumberTooShort => f.write_str("`from` is not a number that could be added: no international form"),
            Self::Time(MomentError::Empty, _) => f.write_str("`at`: there is no time"),
            Self::Time(MomentError::NotATime, text) => write!(f, "`at`: {text} is not a time"),
            Self::Time(MomentError::TooEarly, _) => f.write_str("`at`: before 2020"),
            Self::Time(MomentError::InTheFuture, _) => f.write_str("`at`: more than a day in the future"),
            Self::NoAgent => f.write_str("`agent`: there is none"),
            Self::UnknownAgent(name) => write!(f, "`agent`: {name} is no agent of this environment"),
            Self::AmbiguousAgent(name) => write!(f, "`agent`: {name} is the name or label of several agents"),
            Self::InboundAgent(name) => write!(f, "`agent`: {name} is an inbound agent"),
            Self::AgentName(name) => write!(f, "`agent`: {name} cannot be an agent's name"),
            Self::Status(word) => write!(f, "`status`: {word} is not known"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// A value as a message may show it: short, on one line, and masked where it has as many digits as a phone number might. A
/// line whose columns have slipped has its numbers anywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Quoted(String);

impl Quoted {
    const LONGEST: usize = 40;
    const MOST_DIGITS: usize = 4;

    pub(super) fn new(text: &str) -> Self {
        let masked = text.chars().filter(|c| c.is_numeric()).count() > Self::MOST_DIGITS;
        let shown = |c: char| if masked && c.is_numeric() { '*' } else { c };
        let mut quoted: String = text.chars().take(Self::LONGEST).map(shown).flat_map(char::escape_debug).collect();
        if text.chars().nth(Self::LONGEST).is_some() {
            quoted.push('…');
        }
        Self(quoted)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_gives_no_number_away() {
        for (text, shown) in [
            ("sales-bot-12", "\"sales-bot-12\""),
            ("+1 555 0100", "\"+* *** ****\""),
            ("2025-13-01 12:00:00", "\"****-**-** **:**:**\""),
            ("two\nlines \u{1b}[31m", "\"two\\nlines \\u{1b}[31m\""),
            ("", "\"\""),
        ] {
            assert_eq!(Quoted::new(text).to_string(), shown);
        }
        let long = Quoted::new(&"x".repeat(100)).to_string();
        assert_eq!(long.chars().count(), Quoted::LONGEST + 3);
        // Also where the digits are too far behind to be shown.
        assert!(!Quoted::new(&format!("12{}34567", "x".repeat(60))).to_string().contains('1'));
    }
}
