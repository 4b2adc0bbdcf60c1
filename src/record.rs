//! Decision records: what is kept of a routed call, with the names of its time.

use crate::decision::Reason;
use crate::id::AgentId;
use crate::named::named;
use crate::number::E164;
use crate::outcome::Outcome;
use crate::time::{Lookback, Timestamp};

/// The door through which a call was routed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecordedDoor {
    /// `GET /route`.
    Http,
    /// The SIP redirect server.
    Sip,
    /// The FastAGI server.
    FastAgi,
    /// A program that embeds the library.
    Library,
}

impl RecordedDoor {
    /// All doors.
    pub const ALL: [Self; 4] = [Self::Http, Self::Sip, Self::FastAgi, Self::Library];

    /// Returns the name used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sip => "sip",
            Self::FastAgi => "fastagi",
            Self::Library => "library",
        }
    }
}

named!(RecordedDoor, "a door");

/// The decision about a routed call, and the facts that it examined. Its id and its time are stored beside it.
///
/// Its size is bounded: it keeps at most [`MAX_CANDIDATES`](Self::MAX_CANDIDATES) candidates.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DecisionRecord {
    /// The door through which the call came.
    #[cfg_attr(feature = "serde", serde(with = "name"))]
    pub door: RecordedDoor,
    /// The dialed number, which the environment has.
    #[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))]
    pub dialed: E164,
    /// The caller, or `None` if it showed no number.
    #[cfg_attr(feature = "serde", serde(with = "optional_number"))]
    pub caller: Option<E164>,
    /// The agent that the call was routed to, or `None` if the call was unrouted.
    pub agent: Option<RecordedAgent>,
    /// The line of the rule that decided.
    #[cfg_attr(feature = "serde", serde(with = "name"))]
    pub reason: Reason,
    /// The version of the environment's configuration that decided.
    pub revision: u64,
    /// The outbound call behind the decision, if the rule got far enough to find one.
    pub call: Option<RecordedCall>,
    /// Whether the agent that placed that call still existed.
    pub source_exists: bool,
    /// The number of callback agents of that agent.
    pub callback_agents: u32,
    /// The first candidates that were examined. The one whose role was configured last comes first. The agent that takes a
    /// callback is always among them.
    pub candidates: Vec<RecordedCandidate>,
    /// How many of the examined candidates reached each of the lines 5 to 9, and no later one.
    pub reached: [u32; 5],
}

/// An agent of a record, with the name that it had.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RecordedAgent {
    /// The agent.
    pub id: AgentId,
    /// Its name, or `None` if it had been deleted.
    pub name: Option<String>,
}

/// The outbound call behind a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RecordedCall {
    /// The number that the call was placed from.
    #[cfg_attr(feature = "serde", serde(with = "crate::number::serde_text"))]
    pub from: E164,
    /// The agent that placed it.
    pub source: RecordedAgent,
    /// When it was placed.
    pub at: Timestamp,
    /// Its last known status.
    pub outcome: Outcome,
}

/// A callback agent that was considered.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RecordedCandidate {
    /// The agent.
    pub agent: RecordedAgent,
    /// The line that rejected it, or [`Reason::Matched`].
    #[cfg_attr(feature = "serde", serde(with = "name"))]
    pub reached: Reason,
    /// The look-back that applied.
    pub lookback: Lookback,
}

impl DecisionRecord {
    /// The most candidates that a record keeps.
    pub const MAX_CANDIDATES: usize = 20;

    /// Returns about how many bytes of memory the record uses.
    pub fn bytes(&self) -> usize {
        let name = |agent: &RecordedAgent| agent.name.as_ref().map_or(0, String::len);
        let agents = self.agent.iter().chain(self.call.as_ref().map(|call| &call.source));
        let candidates = self.candidates.iter().map(|candidate| size_of_val(candidate) + name(&candidate.agent));
        size_of_val(self) + agents.map(name).sum::<usize>() + candidates.sum::<usize>()
    }
}

/// Writes a value as its name.
#[cfg(feature = "serde")]
mod name {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
    {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Writes a phone number as text, and a missing one as null.
#[cfg(feature = "serde")]
mod optional_number {
    use crate::number::E164;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "crate::number::serde_text")] E164);

    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's `with` calls")]
    pub(super) fn serialize<S: Serializer>(number: &Option<E164>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(Text).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<E164>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(number)| number))
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    fn record() -> DecisionRecord {
        let number = |digits| E164::from_digits(digits).expect("digits");
        let agent = |id, name: &str| RecordedAgent { id: AgentId::from_u128(id), name: Some(name.into()) };
        let source = RecordedAgent { id: AgentId::from_u128(1), name: None };
        let (at, outcome) = (Timestamp::from_secs(1_780_311_600), Outcome::NoAnswer);
        DecisionRecord {
            door: RecordedDoor::FastAgi,
            dialed: number("15551234567"),
            caller: Some(number("15557654321")),
            agent: Some(agent(2, "Desk")),
            reason: Reason::Matched,
            revision: 7,
            call: Some(RecordedCall { from: number("15551234567"), source, at, outcome }),
            source_exists: true,
            callback_agents: 1,
            candidates: vec![RecordedCandidate {
                agent: agent(2, "Desk"),
                reached: Reason::Matched,
                lookback: Lookback::default(),
            }],
            reached: [0, 0, 0, 0, 1],
        }
    }

    #[test]
    fn record_reads_back_and_its_debug_output_masks_numbers() {
        for record in [record(), DecisionRecord { caller: None, agent: None, call: None, ..record() }] {
            let text = serde_json::to_string(&record).expect("JSON");
            assert_eq!(serde_json::from_str::<DecisionRecord>(&text).expect("it was just written"), record);
        }
        let debug = format!("{:?}", record());
        assert!(!debug.contains("5551234") && !debug.contains("5557654"), "{debug}");
    }

    /// The texts that are stored may not change without a new data format.
    #[test]
    fn stored_text_is_the_one_of_this_data_format() {
        let text =
            serde_json::to_string(&DecisionRecord { candidates: Vec::new(), call: None, ..record() }).expect("JSON");
        let expected = r#"{"door":"fastagi","dialed":"+15551234567","caller":"+15557654321","agent":{"id":"00000000-0000-0000-0000-000000000002","name":"Desk"},"reason":"MATCHED","revision":7,"call":null,"source_exists":true,"callback_agents":1,"candidates":[],"reached":[0,0,0,0,1]}"#;
        assert_eq!(text, expected);
    }
}
