//! The messages of webhooks, as the Standard Webhooks specification describes them.

use super::sender::Message;
use super::settings::Settings;
use crate::http::response::event::ShownEvent;
use crate::http::response::time_text;
use crate::id::EnvironmentId;
use crate::time::Timestamp;
use serde::Serialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook as Signer};

/// The longest body in bytes, as the specification recommends.
pub(super) const LONGEST: usize = 20_000;

/// A message without its signature.
#[derive(Clone)]
pub(super) struct Unsigned {
    /// It does not change from attempt to attempt, so that the receiver can find repetitions.
    pub(super) id: String,
    pub(super) kind: &'static str,
    body: Vec<u8>,
}

#[derive(Serialize)]
struct Content<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: &'a str,
    data: T,
}

/// The data of an event that is too long for a message.
#[derive(Serialize)]
struct LeftOut<'a> {
    is_left_out: bool,
    /// `GET /events` has the event behind this place.
    cursor: &'a str,
}

#[derive(Serialize)]
struct Test<'a> {
    webhook_id: &'a str,
}

/// The type of a test message.
const TEST: &str = "webhook.test";

impl Unsigned {
    /// Returns the message of an event. `before` is the cursor after which `GET /events` begins with it.
    pub(super) fn of_event(event: &ShownEvent, before: &str) -> Self {
        let (kind, timestamp) = (event.kind(), event.at());
        let body = written(&Content { kind, timestamp, data: event.data() });
        let body = if body.len() <= LONGEST {
            body
        } else {
            written(&Content { kind, timestamp, data: LeftOut { is_left_out: true, cursor: before } })
        };
        Self { id: format!("msg_{}", event.cursor()), kind, body }
    }

    /// Returns a test message.
    pub(super) fn test(webhook: &str, number: &str, now: Timestamp) -> Self {
        let data = Test { webhook_id: webhook };
        let body = written(&Content { kind: TEST, timestamp: &time_text::render(now), data });
        Self { id: format!("msg_test_{number}"), kind: TEST, body }
    }

    /// Returns the message of an attempt now, signed with each secret that is valid.
    pub(super) fn signed(self, environment: EnvironmentId, settings: &Settings, now: Timestamp) -> Message {
        let seconds = now.millis() / 1000;
        let time = i64::try_from(seconds).unwrap_or(i64::MAX);
        let sign = |secret| Signer::new(secret).and_then(|signer| signer.sign(&self.id, time, &self.body));
        let signatures: Vec<_> = settings.secrets(now).filter_map(|secret| sign(secret).ok()).collect();
        let headers = [
            (HEADER_WEBHOOK_ID, self.id.clone()),
            (HEADER_WEBHOOK_TIMESTAMP, time.to_string()),
            (HEADER_WEBHOOK_SIGNATURE, signatures.join(" ")),
        ];
        Message { environment, url: settings.url.clone(), headers, body: self.body }
    }
}

fn written(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("every message can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::response::event::shown;
    use crate::http::webhooks::settings::Wanted;
    use crate::id::AgentId;
    use crate::number::E164;
    use crate::outcome::Outcome;
    use crate::store::{EventContent, EventKind, FeedCall, StoredEvent};

    /// The specification's own example: <https://github.com/standard-webhooks/standard-webhooks>, `libraries/python`.
    #[test]
    fn signature_is_that_of_the_specification() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.expect("text"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn event_that_is_too_long_is_left_out_and_says_where_it_is() {
        let body = |len: usize| {
            let number = |digits| E164::from_digits(digits).expect("digits");
            let call = FeedCall {
                agent: AgentId::from_u128(1),
                from: number("15550001000"),
                to: number("15557654321"),
                at: Timestamp::from_secs(1),
                outcome: Outcome::Busy,
                call_id: Some("x".repeat(len)),
            };
            let (kind, at) = (EventKind::CallRecorded, Timestamp::from_secs(1));
            let event = StoredEvent { sequence: 7, kind, at, id: None, content: Some(EventContent::Called(call)) };
            Unsigned::of_event(&shown(&event, "7".into()).expect("whole"), "6").body
        };
        let rest = body(0).len();
        assert_eq!(body(LONGEST - rest).len(), LONGEST);
        let content: serde_json::Value = serde_json::from_slice(&body(LONGEST - rest + 1)).expect("JSON");
        assert_eq!(content["data"], serde_json::json!({"is_left_out": true, "cursor": "6"}));
        assert_eq!(content["type"], "call.recorded");
    }

    #[test]
    fn message_is_signed_with_each_valid_secret() {
        let now = Timestamp::from_secs(1_800_000_000);
        let url = "https://example.com/".to_owned();
        let first = Settings::new(Wanted { url, types: None, description: String::new() }, now);
        let second = first.rotated(now.plus_millis(1000));
        let signed =
            |settings: &Settings, now| Unsigned::test("1", "2", now).signed(EnvironmentId::SYSTEM, settings, now);
        let message = signed(&second, now);
        let [(_, id), (_, time), (_, signature)] = &message.headers;
        assert_eq!((id.as_str(), time.as_str()), ("msg_test_2", "1800000000"));
        let (new, old) = signature.split_once(' ').expect("two");
        assert_eq!(old, signed(&first, now).headers[2].1);
        assert_eq!(signed(&second, now.plus_millis(1000)).headers[2].1.split(' ').count(), 1);
        assert_ne!(new, old);
        let text = String::from_utf8(message.body).expect("text");
        assert!(text.starts_with(r#"{"type":"webhook.test","timestamp":"2027-01-15T"#), "{text}");
    }
}
