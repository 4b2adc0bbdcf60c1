//! The reasons why a line is rejected.

use super::map::Field;
use super::moment::MomentError;
use dialback::NumberError;
use std::fmt;

/// The reason why a line was rejected. It reveals no phone number: digits of quoted values are masked.
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
    /// The environment has as many entities of a kind as it may have.
    Quota {
        kind: &'static str,
        limit: usize,
    },
    /// The service rejected the call, for example because the history is full.
    Refused(String),
}

impl Rejection {
    pub(super) fn quota(kind: &'static str, limit: usize) -> Self {
        Self::Quota { kind, limit }
    }

    /// Returns the reason without the values that it quotes, so that equal reasons can be counted together.
    pub(super) fn reason(&self) -> String {
        let text = self.to_string();
        let mut reason = String::with_capacity(text.len());
        let (mut is_quoted, mut is_escaped) = (false, false);
        for c in text.chars() {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => {
                    is_quoted = !is_quoted;
                    reason.push_str(if is_quoted { "\"…" } else { "\"" });
                }
                _ if is_quoted => {}
                c => reason.push(c),
            }
        }
        reason
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedQuote => f.write_str("a quote is not closed"),
            Self::TooLong { limit } => write!(f, "the line is longer than {limit} bytes"),
            Self::Columns { found: 1, expected } => write!(f, "the line has 1 column, but {expected} are expected"),
            Self::Columns { found, expected } => write!(f, "the line has {found} columns, but {expected} are expected"),
            Self::NotText(field) => write!(f, "`{}` is not UTF-8", field.name()),
            Self::Number(field, error) => write!(f, "`{}`: {error}", field.name()),
            Self::ForeignNumber => f.write_str("`from` is a number of another environment: release it there, or choose that environment with --environment"),
            Self::NotOurNumber => f.write_str("`from` is not a number of this environment: add the number, or use --create-missing"),
            Self::NumberTooShort => f.write_str("`from` cannot be added as a number: it has no international form"),
            Self::Time(MomentError::Empty, _) => f.write_str("`at`: the time is missing"),
            Self::Time(MomentError::NotATime, text) => write!(f, "`at`: {text} is not a time"),
            Self::Time(MomentError::TooEarly, _) => f.write_str("`at`: the time is before 2020"),
            Self::Time(MomentError::InTheFuture, _) => f.write_str("`at`: the time is more than a day in the future"),
            Self::NoAgent => f.write_str("`agent`: the agent is missing"),
            Self::UnknownAgent(name) => write!(f, "`agent`: {name} is not an agent of this environment: create it, or use --create-missing"),
            Self::AmbiguousAgent(name) => write!(f, "`agent`: {name} is the name or label of several agents: use an id"),
            Self::InboundAgent(name) => write!(f, "`agent`: {name} is an inbound agent; outbound calls need an outbound agent"),
            Self::AgentName(name) => write!(f, "`agent`: {name} is not a valid name for an agent"),
            Self::Status(word) => write!(f, "`status`: {word} is not a known status: see `dialback import --help`"),
            Self::Quota { kind, limit } => {
                write!(f, "This environment has reached its limit of {limit} {kind}; deleted ones count too")
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// A value for an error message: short, on one line, and masked if it has as many digits as a phone number. If the
/// columns of a line are shifted, a phone number can be in any of them.
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
    fn reason_leaves_out_quoted_values() {
        for (text, reason) in [
            ("perhaps", "`status`: \"…\" is not a known status: see `dialback import --help`"),
            ("a \"quoted\" \\ word\\", "`status`: \"…\" is not a known status: see `dialback import --help`"),
            ("", "`status`: \"…\" is not a known status: see `dialback import --help`"),
        ] {
            assert_eq!(Rejection::Status(Quoted::new(text)).reason(), reason);
        }
        assert_eq!(Rejection::UnclosedQuote.reason(), "a quote is not closed");
    }

    #[test]
    fn quoted_value_masks_phone_numbers() {
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
        // Digits are masked even if they are beyond the part that is shown.
        assert!(!Quoted::new(&format!("12{}34567", "x".repeat(60))).to_string().contains('1'));
    }
}
