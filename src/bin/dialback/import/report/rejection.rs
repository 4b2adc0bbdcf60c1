//! The reasons why a line is rejected.

use crate::import::columns::map::Field;
use crate::import::fields::moment::MomentError;
use crate::import::fields::phone::PhoneError;
use dialback::ContextError;
use std::fmt;

/// The reason why a line was rejected. It reveals no phone number: digits of quoted values are masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::import) enum Rejection {
    /// A quote is not closed, so the record may have this number of lines.
    UnclosedQuote {
        lines: u64,
    },
    TooLong {
        limit: usize,
        lines: u64,
    },
    /// A carriage return outside of quotes, in a file whose lines end with line feeds.
    CarriageReturn,
    /// The last line has no line end, and its last value is used.
    MayBeCut,
    Sql,
    /// The quotes in a value are not doubled.
    Quotes(String),
    /// The number of columns depends on how quotes are read that are not doubled.
    UncertainColumns,
    NotJson,
    /// The file ends inside the record, or before the end of the list.
    CutJson,
    /// The JSON value is an object or a list in place of a text or a number, or the reverse.
    NotAValue(String),
    /// The JSON object has the field twice.
    Repeated(String),
    /// The JSON object lacks a field that the format needs.
    Missing(&'static str),
    /// The format does not know whether records with this value are calls to contacts.
    Direction(&'static str, Quoted),
    Columns {
        found: usize,
        expected: String,
    },
    /// A column that the options name may be this one of the line, or not exist.
    WhichColumn {
        found: usize,
        column: usize,
    },
    NotText(Field),
    /// The id or a field of the context, and what is wrong with it.
    Detail(String, &'static str),
    Context(ContextError),
    Number(Field, PhoneError),
    ForeignNumber,
    NotOurNumber,
    /// The daemon did not add the number.
    NumberNotAdded,
    NumberTooShort,
    Time(MomentError, Quoted),
    NoAgent,
    UnknownAgent(Quoted),
    AmbiguousAgent(Quoted),
    InboundAgent(Quoted),
    AgentName(Quoted),
    UnknownId(Quoted),
    Status(Quoted),
    /// A text that is neither yes nor no, in a field that says so.
    Unclear(Field, Quoted),
    /// The environment has as many entities of a kind as it may have.
    Quota {
        kind: &'static str,
        limit: usize,
    },
    /// The service rejected the call, for example because the history is full.
    Refused(String),
}

impl Rejection {
    pub(in crate::import) fn quota(kind: &'static str, limit: usize) -> Self {
        Self::Quota { kind, limit }
    }

    /// Returns the rejection of a record that turned out to have this number of lines.
    pub(in crate::import) fn of_lines(self, lines: u64) -> Self {
        match self {
            Self::TooLong { limit, .. } => Self::TooLong { limit, lines },
            other => other,
        }
    }

    /// Returns the reason without the values that it quotes, so that equal reasons can be counted together.
    pub(in crate::import) fn reason(&self) -> String {
        match self {
            Self::UnclosedQuote { .. } => return "a quote is not closed".into(),
            Self::TooLong { limit, .. } => return Self::TooLong { limit: *limit, lines: 1 }.to_string(),
            _ => {}
        }
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
            Self::UnclosedQuote { lines: 1 } => f.write_str("a quote is not closed"),
            Self::UnclosedQuote { lines } => write!(f, "a quote is not closed, so the record may have {lines} lines"),
            Self::TooLong { limit, lines: 1 } => write!(f, "the record is longer than {limit} bytes"),
            Self::TooLong { limit, lines } => write!(f, "the record is longer than {limit} bytes and has {lines} lines: check whether a quote is not closed"),
            Self::CarriageReturn => f.write_str("a carriage return is inside the line, but the first line ends with a line feed"),
            Self::MayBeCut => f.write_str("the last line has no line end, so its last value may be cut short: add a line end if it is complete"),
            Self::Sql => f.write_str("the line is an SQL statement"),
            Self::Quotes(name) => write!(f, "{name}: a quote inside the value is not doubled"),
            Self::UncertainColumns => f.write_str("quotes inside a value are not doubled, so the columns are not certain"),
            Self::NotJson => f.write_str("the record is not a JSON object"),
            Self::CutJson => f.write_str("the file ends before the end of its JSON"),
            Self::NotAValue(name) => write!(f, "{name}: the JSON value there is not a text or a number"),
            Self::Repeated(name) => write!(f, "{name}: the JSON object has this field twice"),
            Self::Missing(field) => write!(f, "`{field}`: the JSON object does not have this field"),
            Self::Direction(field, word) => write!(f, "`{field}`: {word} is not known as the value of a call to a contact, nor of another record: add --only {field}=VALUE if it is one"),
            Self::Columns { found: 1, expected } => write!(f, "the line has 1 column, but {expected} are expected"),
            Self::Columns { found, expected } => write!(f, "the line has {found} columns, but {expected} are expected"),
            Self::WhichColumn { found, column } => write!(f, "the line has {found} columns, so column {column} is `uniqueid` or `userfield`, as Asterisk is configured: name columns from there on by number, such as --map agent={column}"),
            Self::NotText(field) => write!(f, "`{}` is not UTF-8", field.name()),
            Self::Detail(name, why) => write!(f, "{name} {why}"),
            Self::Context(error) => write!(f, "`context` {error}"),
            Self::Number(field, error) => write!(f, "`{}`: {error}", field.name()),
            Self::ForeignNumber => f.write_str("`from` is a number of another environment: release it there, or choose that environment with --environment"),
            Self::NotOurNumber => f.write_str("`from` is not a number of this environment: add the number, or use --create-missing"),
            Self::NumberNotAdded => f.write_str("`from` is not a number of this environment, and the daemon did not add it: check the number, and that the token is that of your environment"),
            Self::NumberTooShort => f.write_str("`from` cannot be added as a number: it has no international form"),
            Self::Time(MomentError::Empty, _) => f.write_str("`at`: the time is missing"),
            Self::Time(MomentError::NotATime, text) => write!(f, "`at`: {text} is not a time"),
            Self::Time(MomentError::WhichOrder, text) => write!(f, "`at`: the order of day and month in {text} is not known: add --dates D/M/Y or --dates M/D/Y"),
            Self::Time(MomentError::TooEarly, _) => f.write_str("`at`: the time is before 2020"),
            Self::Time(MomentError::InTheFuture, _) => f.write_str("`at`: the time is more than a day in the future"),
            Self::NoAgent => f.write_str("`agent`: the agent is missing"),
            Self::UnknownAgent(name) => write!(f, "`agent`: {name} is not an agent of this environment: create it, or use --create-missing"),
            Self::UnknownId(id) => write!(f, "`agent`: {id} is the id of no agent of this environment: correct it, or create the agent with this id first"),
            Self::AmbiguousAgent(name) => write!(f, "`agent`: {name} is the name or label of several agents: use an id"),
            Self::InboundAgent(name) => write!(f, "`agent`: {name} is an inbound agent; outbound calls need an outbound agent"),
            Self::AgentName(name) => write!(f, "`agent`: {name} cannot be the name of a new agent: it is longer than 200 bytes, has a character that is not visible, or is a word for no value"),
            Self::Status(word) => write!(f, "`status`: {word} is not a known status: see `dialback import --help`"),
            Self::Unclear(field, text) => write!(f, "`{}`: {text} says neither yes nor no", field.name()),
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
pub(in crate::import) struct Quoted(String);

impl Quoted {
    const LONGEST: usize = 40;
    const MOST_DIGITS: usize = 4;

    pub(in crate::import) fn new(text: &str) -> Self {
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
        assert_eq!(Rejection::UnclosedQuote { lines: 3 }.reason(), "a quote is not closed");
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
