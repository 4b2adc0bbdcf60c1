//! Responses that are kept under the idempotency keys of their requests.

use crate::id::{AgentId, NumberId};
use std::fmt;

/// The response to a request with an `Idempotency-Key`. A repeated request with that key gets this response again.
///
/// The key and the request may contain anything, so only their digests are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StoredAnswer {
    /// The first half of the key's SHA-256.
    pub key: [u8; 16],
    /// The first half of the SHA-256 of the request. Two requests with equal digests count as equal.
    pub request: [u8; 16],
    /// The HTTP status.
    pub status: u16,
    /// The version of the entity in the response, if it has versions.
    pub revision: Option<u64>,
    /// The response body. `None` if it may be shown only once, or is rebuilt from what it is [about](Self::about).
    pub body: Option<StoredAnswerBody>,
    /// The entity that a long response showed. Such a response is not stored as text, but rebuilt from the
    /// configuration.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub about: Option<StoredAnswerSubject>,
}

/// The entity that a stored response showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum StoredAnswerSubject {
    /// An agent.
    Agent(AgentId),
    /// A callback agent, with its sources.
    Callback(AgentId),
    /// A number.
    Number(NumberId),
}

/// The text of a response. It may contain phone numbers, so `Debug` prints its length only.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct StoredAnswerBody(pub String);

impl fmt::Debug for StoredAnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredAnswerBody({} bytes)", self.0.len())
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn answers_stored_by_earlier_versions_are_read_and_short_ones_are_stored_alike() {
        let stored = r#"{"key":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"request":[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2],"status":201,"revision":7,"body":"{}"}"#;
        let answer: StoredAnswer = serde_json::from_str(stored).expect("an earlier version wrote it");
        let body = Some(StoredAnswerBody("{}".into()));
        let expected =
            StoredAnswer { key: [1; 16], request: [2; 16], status: 201, revision: Some(7), body, about: None };
        assert_eq!(answer, expected);
        assert_eq!(serde_json::to_string(&answer).expect("JSON"), stored);
    }
}
