//! Responses that are kept under the idempotency keys of their requests.

use std::fmt;

/// The response to a request with an `Idempotency-Key`. A repeated request with that key gets this response again.
///
/// The key and the request may contain anything, so only their digests are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Answer {
    /// The first half of the key's SHA-256.
    pub key: [u8; 16],
    /// The first half of the SHA-256 of the request. Two requests with equal digests count as equal.
    pub request: [u8; 16],
    /// The HTTP status.
    pub status: u16,
    /// The version of the entity in the response, if it has versions.
    pub revision: Option<u64>,
    /// The response body. `None` if it may be shown only once.
    pub body: Option<AnswerBody>,
}

/// The text of a response. It may contain phone numbers, so `Debug` prints its length only.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct AnswerBody(pub String);

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerBody({} bytes)", self.0.len())
    }
}
