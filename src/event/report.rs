//! Reports of calls that the platform can name: with an id, and with what the call was about.

use super::Call;
use crate::id::EnvironmentId;
use crate::number::E164;
use crate::outcome::Outcome;
use crate::time::Timestamp;
use std::fmt;

/// The platform's own id of a call, unique in its environment: 1 to 128 visible ASCII characters.
///
/// An id may contain a phone number, so `Debug` prints its length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(Box<str>);

impl CallId {
    /// The most characters of an id.
    pub const MAX: usize = 128;

    /// Returns the id with this text. `None` if it is empty or too long, or contains a space, a control character or
    /// anything else that is not visible ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let is_valid = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(text.into()))
    }

    /// Returns the text of the id. It may contain a phone number: never log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({} characters)", self.0.len())
    }
}

/// The context of a call: a JSON object, as the text in which it was received.
///
/// The text is checked once, when it is received, and then carried as it is. `Debug` prints its length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(Box<str>);

impl Context {
    /// The most bytes of a context.
    pub const MAX: usize = 4096;

    /// Returns the context with this text, which must be a JSON object without a key that occurs twice in one object.
    ///
    /// # Errors
    /// [`ContextError`] if the text is too long or is not such an object.
    #[cfg(feature = "serde")]
    pub fn new(text: &str) -> Result<Self, ContextError> {
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        if text.len() > Self::MAX {
            return Err(ContextError::TooLong);
        }
        let distinct::Distinct(value) = serde_json::from_str(text).map_err(|_| ContextError::NotAnObject)?;
        if value.is_object() { Ok(Self(text.into())) } else { Err(ContextError::NotAnObject) }
    }

    /// Returns the context of a text that was checked when it was received, after a look at its size and its ends.
    #[cfg_attr(not(feature = "store"), allow(dead_code, reason = "only a store keeps contexts"))]
    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        let is_object = text.len() <= Self::MAX && text.starts_with('{') && text.ends_with('}');
        is_object.then(|| Self(text.into()))
    }

    /// Returns the text. It may contain personal data: never log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} bytes)", self.0.len())
    }
}

/// Why a text is not a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextError {
    /// The text has more than [`Context::MAX`] bytes.
    TooLong,
    /// The text is not a JSON object, or an object in it has a key twice.
    NotAnObject,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "must have at most {} bytes as JSON", Context::MAX),
            Self::NotAnObject => f.write_str("must be a JSON object, and no object in it may have a key twice"),
        }
    }
}

impl std::error::Error for ContextError {}

/// The details of a report, besides the call.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Details {
    /// The platform's id of the call.
    pub id: Option<CallId>,
    /// The context of the call. It replaces the context that the call had.
    pub context: Option<Context>,
}

impl Details {
    /// Returns whether there is neither an id nor a context.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.context.is_none()
    }
}

/// A report of a call with details.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The call.
    pub call: Call,
    /// Its id and its context.
    pub details: Details,
}

/// A later report of a call, which names the call by its id alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// The tenant.
    pub environment: EnvironmentId,
    /// The id under which the call was reported.
    pub id: CallId,
    /// The number that the call was placed from. If it is given, it must be that of the call.
    pub from: Option<E164>,
    /// The status of the call so far.
    pub outcome: Outcome,
    /// A new context, which replaces the one that the call had.
    pub context: Option<Context>,
}

/// What a node of a fleet knows of a call after a report with an id or a context, for the other nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The call, with the outcome of all its reports together.
    pub call: Call,
    /// The id of the call.
    pub id: Option<CallId>,
    /// The context of the call, and when it was reported, by the clock of the node that received the report. Other nodes
    /// keep this time: of two contexts, the later one counts everywhere.
    pub context: Option<(Timestamp, Context)>,
    /// Whether the call counts.
    pub counted: Counted,
}

/// Whether a call counts, at the node to which it was reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// The call does not count.
    No,
    /// The call counts with this outcome.
    As(Outcome),
    /// The call counts, and the history of each node receives it as an event of its own.
    Apart,
}

impl Joined {
    /// Returns the bytes of memory that the report takes beside its own size.
    pub(crate) fn heap_bytes(&self) -> usize {
        let context = self.context.as_ref().map_or(0, |(_, context)| context.0.len());
        self.id.as_ref().map_or(0, |id| id.0.len()) + context
    }
}

impl Update {
    /// Returns the bytes of memory that the update takes beside its own size.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.id.0.len() + self.context.as_ref().map_or(0, |context| context.0.len())
    }
}

impl Report {
    /// Returns the bytes of memory that the report takes beside its own size.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Details { id, context } = &self.details;
        id.as_ref().map_or(0, |id| id.0.len()) + context.as_ref().map_or(0, |context| context.0.len())
    }
}

#[cfg(feature = "serde")]
pub(crate) mod distinct;

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn id_is_visible_ascii_of_limited_length() {
        let longest = "x".repeat(CallId::MAX);
        for text in ["1", "!~", "+15551234567/7?%", &longest] {
            assert_eq!(CallId::new(text).expect("an id").as_str(), text);
        }
        for text in ["", " ", "a b", "a\n", "\u{7f}", "ä", &format!("{longest}x")] {
            assert_eq!(CallId::new(text), None, "{text:?}");
        }
        assert_eq!(format!("{:?}", CallId::new("+15551234567")), "Some(CallId(12 characters))");
    }

    #[test]
    fn context_keeps_the_text_that_was_received() {
        for text in [
            "{}",
            r#"{ "b" : 1.10, "a":1e400,"c":[{"d":12345678901234567890123}]}"#,
            r#"{"$serde_json::private::RawValue":"[1"}"#,
            r#"{"$serde_json::private::Number":"x","ä":"\ud83d\ude00"}"#,
        ] {
            if text.contains("1e400") {
                // serde_json reads no number that a double cannot hold.
                assert_eq!(Context::new(text), Err(ContextError::NotAnObject));
                continue;
            }
            let context = Context::new(&format!(" {text}\n")).expect("an object");
            assert_eq!(context.as_str(), text);
            assert_eq!(Context::from_stored(text), Some(context));
        }
        assert_eq!(format!("{:?}", Context::new(r#"{"n":"+15551234567"}"#)), "Ok(Context(20 bytes))");
    }

    #[test]
    fn text_that_is_no_object_or_has_a_key_twice_or_is_too_long_is_no_context() {
        for text in ["", "null", "[]", "7", "\"{}\"", "{", "{}{}", r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"\u0061":2}]}"#]
        {
            assert_eq!(Context::new(text), Err(ContextError::NotAnObject), "{text}");
        }
        let of = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(Context::new(&of(Context::MAX)).map(|context| context.as_str().len()), Ok(Context::MAX));
        assert_eq!(Context::new(&of(Context::MAX + 1)), Err(ContextError::TooLong));
        assert_eq!(Context::from_stored(&of(Context::MAX + 1)), None);
        assert_eq!(Context::from_stored("[]"), None);
    }
}
