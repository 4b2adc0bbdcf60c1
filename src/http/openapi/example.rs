//! The entities in the examples of the API description: one small tenant. `tests/doors/http/openapi.rs` creates it and
//! replays all examples.

use serde_json::{Value, json};

/// A published outbound agent that calls from [`NUMBER`].
pub(in crate::http) const SOURCE: &str = "5b1f0c9e-2a64-4d5e-9a3b-6f0d1c2e3a41";

/// A published inbound agent that owns [`NUMBER`] and takes the callbacks of [`SOURCE`].
pub(in crate::http) const CALLBACK: &str = "c7d2a8f4-91b3-4e0a-8f57-2b6c9d1e0f83";

/// An inbound agent that is a draft and owns nothing.
pub(in crate::http) const DRAFT: &str = "e3a90b76-5c18-4f2d-b64e-7d8c0a1f2b95";

/// The id of an agent that an example creates.
pub(in crate::http) const NEW_AGENT: &str = "9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a";

/// The id of the number [`DIALED`].
pub(in crate::http) const NUMBER: &str = "0d4e6f28-7b9a-4c13-a5d6-8e7f9b0c1d2a";

/// The id of a number that no agent owns.
pub(in crate::http) const UNUSED_NUMBER: &str = "b2c3d4e5-f607-4819-aa2b-3c4d5e6f7081";

/// The id of a number that an example adds.
pub(in crate::http) const NEW_NUMBER: &str = "7a6b5c4d-3e2f-4101-9283-a4b5c6d7e8f9";

/// The number from which [`SOURCE`] called [`CONTACT`].
pub(in crate::http) const DIALED: &str = "+15551234567";

/// The contact that [`SOURCE`] called an hour before; the call was not answered.
pub(in crate::http) const CONTACT: &str = "+15557654321";

/// The id under which that call was reported.
pub(in crate::http) const CALL: &str = "call-4711";

/// The id of a decision.
pub(in crate::http) const DECISION: &str = "2f1e0d9c-8b7a-4695-a483-72615f4e3d2c";

/// The id of the tenant.
pub(in crate::http) const ENVIRONMENT: &str = "00000000-0000-0000-0000-00000000000a";

/// The id of a tenant without agents and numbers.
pub(in crate::http) const EMPTY_ENVIRONMENT: &str = "00000000-0000-0000-0000-00000000000b";

/// The id of a token.
pub(in crate::http) const TOKEN: &str = "00000000-0000-0000-0000-000000000001";

/// When the call was placed.
pub(in crate::http) const CALLED_AT: &str = "2026-06-01T11:00:00.000Z";

/// When the tenant was configured.
pub(in crate::http) const CREATED_AT: &str = "2026-06-01T12:00:00.000Z";

/// The agent [`SOURCE`] in a response.
pub(in crate::http) fn agent() -> Value {
    json!({
        "id": SOURCE, "name": "Reminders", "label": null, "direction": "outbound", "current_status": "published",
        "is_ready_to_publish": true,
        "phone_numbers": [{"id": NUMBER, "number": DIALED, "current_status": "active"}],
        "created_at": CREATED_AT, "updated_at": CREATED_AT,
    })
}

/// The agent [`NEW_AGENT`] in a response.
pub(in crate::http) fn new_agent() -> Value {
    json!({
        "id": NEW_AGENT, "name": "Winback", "label": "EMEA", "direction": "outbound", "current_status": "draft",
        "is_ready_to_publish": true, "phone_numbers": [], "created_at": CREATED_AT, "updated_at": CREATED_AT,
    })
}

/// The number [`NUMBER`] in a response.
pub(in crate::http) fn number() -> Value {
    json!({
        "id": NUMBER, "number": DIALED, "current_status": "active", "country_code": "US",
        "formatted_number": "(555) 123-4567", "international_number": "+1 555-123-4567", "type": "voice",
        "default_agent_id": CALLBACK, "default_agent_setting": CALLBACK,
        "agent_ids": [SOURCE, CALLBACK],
    })
}

/// The answer to a change after which the callback agent answers by the order of assignment.
pub(in crate::http) fn number_by_order() -> Value {
    let mut number = number();
    number["default_agent_setting"] = "auto".into();
    let warning = format!("Callback agent {CALLBACK} takes all other calls of phone number {NUMBER} from now on");
    json!({"success": true, "data": number, "warnings": [warning]})
}

/// The number [`UNUSED_NUMBER`] in a response.
pub(in crate::http) fn unused_number() -> Value {
    json!({
        "id": UNUSED_NUMBER, "number": "+15551230001", "current_status": "inactive", "country_code": "US",
        "formatted_number": "(555) 123-0001", "international_number": "+1 555-123-0001", "type": "voice",
        "default_agent_id": null, "default_agent_setting": "auto", "agent_ids": [],
    })
}

/// A callback role with all optional members.
pub(in crate::http) fn limited_config() -> Value {
    json!({
        "source_agent_ids": [SOURCE], "callback_trigger_statuses": ["no-answer", "busy", "voicemail"], "lookback_days": 7,
    })
}

/// A bulk body of two lines. The second one is not a valid report.
pub(in crate::http) fn bulk() -> String {
    let call = json!({
        "agent_id": SOURCE, "from": DIALED, "to": CONTACT, "started_at": CALLED_AT, "status": "voicemail",
    });
    format!("{call}\nnot a call\n")
}

/// The environment [`ENVIRONMENT`] in a response.
pub(in crate::http) fn environment() -> Value {
    json!({
        "id": ENVIRONMENT, "name": "Acme", "region": "US", "country_code": "1", "national_prefix": "1",
        "international_prefix": "011", "national_number_lengths": [],
        "lookback_days": 30, "lookback_seconds": 2_592_000, "counts_from": "initiated",
    })
}

/// The tenant as one document.
pub(in crate::http) fn document() -> Value {
    json!({
        "environment": {
            "name": "Acme", "country_code": "1", "national_prefix": "1", "international_prefix": "011", "lookback_days": 30,
        },
        "numbers": [{"number": DIALED, "id": NUMBER, "default_agent": "Callback Handler"}],
        "agents": [
            {"id": SOURCE, "name": "Reminders", "direction": "outbound", "numbers": [DIALED]},
            {"id": CALLBACK, "name": "Callback Handler", "direction": "inbound", "numbers": [DIALED],
             "callback": {"sources": ["Reminders"]}},
        ],
    })
}

/// The token [`TOKEN`] in a response.
pub(in crate::http) fn token() -> Value {
    json!({
        "id": TOKEN, "role": "environment", "environment_id": ENVIRONMENT, "label": "CRM", "issued_at": CREATED_AT,
        "expires_at": null, "last_used_at": null,
    })
}

/// The response that shows the secret of [`TOKEN`] once.
pub(in crate::http) fn issued() -> Value {
    let mut issued = token();
    issued["token"] = "talq_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE".into();
    issued
}

/// The response that shows the secret of a token in place of [`TOKEN`].
pub(in crate::http) fn rotated() -> Value {
    let mut rotated = issued();
    rotated["id"] = "4a5b6c7d-8e9f-4a0b-9c1d-2e3f4a5b6c7d".into();
    rotated["replaces"] = json!({"id": TOKEN, "expires_at": "2026-06-02T12:00:00.000Z"});
    rotated
}

/// The record of a call of [`CONTACT`] to [`DIALED`].
pub(in crate::http) fn record() -> Value {
    json!({
        "decision_id": DECISION, "at": CREATED_AT, "door": "http", "dialed": DIALED, "caller": CONTACT,
        "decision": "callback", "agent": {"id": CALLBACK, "name": "Callback Handler"}, "reason": "MATCHED",
        "generation": 12,
        "call": {
            "source_agent": {"id": SOURCE, "name": "Reminders"}, "from": DIALED, "called_at": CALLED_AT,
            "status": "no-answer",
        },
        "answered_at": null,
    })
}

/// A cursor of the feed.
pub(in crate::http) const CURSOR: &str = "6e1f2a3b6a1d7c4000000005";

/// The event of a call.
pub(in crate::http) fn events() -> Value {
    let call = json!({
        "call_id": CALL, "agent_id": SOURCE, "from": DIALED, "to": CONTACT, "started_at": CALLED_AT,
        "status": "no-answer",
    });
    json!([{"cursor": CURSOR, "type": "call.recorded", "at": CREATED_AT, "data": call}])
}

/// The webhook.
pub(in crate::http) const WEBHOOK: &str = "4c3b2a19-0817-4f6e-9d5c-4b3a29180716";

/// The address that the webhook sends to.
pub(in crate::http) const RECEIVER: &str = "https://crm.example.com/dialback";

/// The webhook without its secret.
pub(in crate::http) fn webhook() -> Value {
    json!({
        "id": WEBHOOK, "url": RECEIVER, "types": ["call.recorded", "route.decided"], "description": "CRM",
        "status": "active", "disabled_reason": null, "disabled_at": null, "failing_since": null, "waiting": 0,
        "missed": 0, "old_secret_until": null, "created_at": CREATED_AT,
    })
}

/// The webhook with its secret.
pub(in crate::http) fn webhook_with_secret() -> Value {
    let mut webhook = webhook();
    webhook["secret"] = "whsec_Q0hBTkdFTUVDSEFOR0VNRUNIQU5HRU1FQ0hBTkdFTUU=".into();
    webhook
}

/// A message that was accepted.
pub(in crate::http) fn attempt() -> Value {
    json!({
        "message_id": format!("msg_{CURSOR}"), "type": "call.recorded", "at": CREATED_AT, "attempt": 1,
        "is_accepted": true, "response_status": 204, "error": null, "took_ms": 31,
    })
}

/// A test message whose receiver did not answer.
pub(in crate::http) fn test_attempt() -> Value {
    json!({
        "message_id": "msg_test_4c3b2a1908174f6e9d5c4b3a29180716", "type": "webhook.test", "at": CREATED_AT,
        "attempt": 1, "is_accepted": false, "response_status": null, "error": "the connection was refused",
        "took_ms": 2,
    })
}

/// That record with its summary and its steps.
pub(in crate::http) fn traced_record() -> Value {
    let mut traced = record();
    traced["summary"] =
        "Callback Handler takes the callback: it is the callback agent of the agent that called this contact last."
            .into();
    traced["steps"] = steps();
    traced
}

/// The lines of the rule that were tried for a call of [`CONTACT`] to [`DIALED`].
pub(in crate::http) fn steps() -> Value {
    let callback = json!({"id": CALLBACK, "name": "Callback Handler"});
    let candidates = |line: u8, reason: &str, text: &str, applies: bool| {
        let candidate = json!({
            "id": CALLBACK, "name": "Callback Handler", "remains": true, "lookback_days": 30, "lookback_seconds": 2_592_000,
        });
        json!({
            "line": line, "reason": reason, "applies": applies, "text": text, "saw": {"candidates": [candidate]},
        })
    };
    let call = json!({
        "source_agent": {"id": SOURCE, "name": "Reminders"}, "called_at": CALLED_AT, "status": "no-answer",
        "age_seconds": 3600,
    });
    json!([
        {"line": 1, "reason": "UNKNOWN_NUMBER", "applies": false, "text": "The dialed number is known.",
         "saw": {"environment_id": ENVIRONMENT}},
        {"line": 2, "reason": "ANONYMOUS_CALLER", "applies": false, "text": "The caller shows a number.",
         "saw": {"is_number": true}},
        {"line": 3, "reason": "NO_HISTORY", "applies": false,
         "text": "Reminders placed the last call 1 h 0 min before: no-answer.", "saw": {"call": call}},
        {"line": 4, "reason": "NO_CALLBACK_AGENT", "applies": false, "text": "Its callback agents: Callback Handler.",
         "saw": {"exists": true, "callback_agents": [callback]}},
        candidates(5, "NUMBER_NOT_OWNED", "Callback Handler: owns the dialed number.", false),
        candidates(6, "CALLBACK_AGENT_UNPUBLISHED", "Callback Handler: published.", false),
        candidates(7, "OUTCOME_NOT_ELIGIBLE", "Callback Handler: accepts this outcome.", false),
        candidates(8, "EXPIRED", "Callback Handler: the call is within the look-back.", false),
        candidates(9, "MATCHED", "Callback Handler is the only one left.", true),
    ])
}
