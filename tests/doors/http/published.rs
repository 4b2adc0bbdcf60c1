//! Sends the examples of the public API's reference, for the endpoints that exist here, and checks each field that the
//! reference shows in its answers.
//!
//! Fields that are missing here are listed by name in [`ABSENT`] and, for numbers within an agent, in
//! [`ABSENT_WITHIN`]. docs/http.md names them too. A listed field that appears fails the test as well.

use crate::support::server::{Answer, CONTACT, Client, OURS, Server};
use serde_json::{Value, json};

/// The fields that the reference shows and this API does not have.
const ABSENT: &[&str] = &[
    "description",
    "language",
    "voice",
    "initial_message",
    "interrupt_sensitivity",
    "conversation_speed",
    "initial_message_delay",
    "ask_if_human_present_on_idle",
    "who_speaks_first",
    "is_sandbox",
    "trainings",
    "actions",
    "has_voice",
    "has_sms",
    "has_mms",
    "has_fax",
    "has_whatsapp",
    "current_price",
    "currency",
    "renewal_date",
    "auto_renewal",
    "monthly_renewal_cost",
    "days_until_monthly_renewal",
    "is_due_for_monthly_renewal",
];

/// The fields of numbers that are missing within an agent.
const ABSENT_WITHIN: &[&str] = &["country_code", "formatted_number", "international_number"];

/// The times of a number are missing.
const ABSENT_OF_NUMBERS: &[&str] = &["created_at", "updated_at"];

/// Returns the documented fields that the answer lacks or has with another type, and those that are wrongly listed as absent.
fn differences(documented: &Value, answer: &Value, path: &str, found: &mut Vec<String>) {
    match (documented, answer) {
        (Value::Object(documented), Value::Object(answer)) => {
            for (field, shown) in documented {
                let within = path.ends_with("/phone_numbers/0") && ABSENT_WITHIN.contains(&field.as_str());
                let of_number = path.starts_with("number") && ABSENT_OF_NUMBERS.contains(&field.as_str());
                let is_absent = ABSENT.contains(&field.as_str()) || within || of_number;
                match answer.get(field) {
                    Some(_) if is_absent => found.push(format!("{path}/{field} is there")),
                    Some(value) => differences(shown, value, &format!("{path}/{field}"), found),
                    None if is_absent => {}
                    None => found.push(format!("{path}/{field} is missing")),
                }
            }
        }
        (Value::Array(documented), Value::Array(answer)) => match (documented.first(), answer.first()) {
            (Some(shown), Some(value)) => differences(shown, value, &format!("{path}/0"), found),
            (Some(_), None) => found.push(format!("{path} is empty")),
            (None, _) => {}
        },
        // The message of an answer is part of the reference.
        (Value::String(shown), Value::String(value)) if path.ends_with("/message") && shown != value => {
            found.push(format!("{path} is {value}"));
        }
        (shown, value) if std::mem::discriminant(shown) != std::mem::discriminant(value) => {
            found.push(format!("{path} is {value}"));
        }
        _ => {}
    }
}

#[track_caller]
fn expect(answer: &Answer, status: u16, what: &str, documented: &Value) {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
    let mut found = Vec::new();
    differences(documented, &answer.body, what, &mut found);
    assert!(found.is_empty(), "{what}: {found:?} in {}", answer.text);
}

/// The body of the reference for a new agent.
fn new_agent(name: &str, direction: &str) -> Value {
    json!({
        "label": "Customer Support Agent", "description": "Handles customer inquiries and support requests",
        "name": name, "language": "en-US", "initial_message": "Hello, how can I help you today?",
        "interrupt_sensitivity": "medium", "endpointing_sensitivity": "auto", "ivr_navigation_mode": "off",
        "conversation_speed": 1.0, "initial_message_delay": 0, "ask_if_human_present_on_idle": false,
        "idle_time_seconds": 5, "llm_temperature": 0.7, "enable_recording": true, "direction": direction,
        "who_speaks_first": "agent",
    })
}

/// An agent as the reference shows it.
fn agent() -> Value {
    json!({
        "id": "550e8400-e29b-41d4-a716-446655440000", "name": "SupportBot", "label": "Customer Support Agent",
        "description": "Handles customer inquiries and support requests", "language": "en-US", "voice": null,
        "initial_message": "Hello, how can I help you today?", "interrupt_sensitivity": "medium",
        "conversation_speed": 1.0, "initial_message_delay": 0, "ask_if_human_present_on_idle": false,
        "direction": "inbound", "who_speaks_first": "agent", "current_status": "draft", "is_sandbox": false,
        "is_ready_to_publish": false, "created_at": "2024-01-15T10:30:00Z", "updated_at": "2024-01-15T10:30:00Z",
        "trainings": [], "actions": [], "phone_numbers": [],
    })
}

fn agent_with_a_number() -> Value {
    let mut agent = agent();
    agent["phone_numbers"] = json!([{
        "id": "phone-uuid", "number": "+1234567890", "country_code": "US", "formatted_number": "(123) 456-7890",
        "international_number": "+1 234 567 890", "current_status": "active",
    }]);
    agent
}

#[tokio::test]
async fn published_examples_of_agents_and_numbers_are_answered_as_documented() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let number = client.number(OURS).await;

    let made = client.post("/agents", new_agent("SupportBot", "inbound")).await;
    expect(&made, 201, "create", &json!({"success": true, "message": "Agent created successfully", "data": agent()}));
    assert!(made.headers["x-dialback-ignored"].to_str().unwrap().contains("language"), "the answer says so");
    let path = format!("/agents/{}", made.id());
    let calling = json!({"direction": "inbound", "phone_number_ids": [number]});
    let documented = json!({
        "success": true, "message": "Agent calling settings updated successfully",
        "data": {
            "id": "550e8400-e29b-41d4-a716-446655440000", "name": "SupportBot", "direction": "outbound",
            "current_status": "draft", "phone_numbers": agent_with_a_number()["phone_numbers"],
            "updated_at": "2024-01-15T10:45:00Z",
        },
    });
    expect(&client.put(&format!("{path}/calling"), calling).await, 200, "calling", &documented);
    for (action, status) in [("publish", "published"), ("unpublish", "draft")] {
        let documented = json!({
            "success": true, "message": format!("Agent {action}ed successfully"),
            "data": {
                "id": "550e8400-e29b-41d4-a716-446655440000", "name": "SupportBot", "current_status": status,
                "is_ready_to_publish": true, "updated_at": "2024-01-15T10:50:00Z",
            },
        });
        // The reference sends no body.
        let path = format!("{path}/{action}");
        let answer = client.send(axum::http::Method::POST, &path, None, "".into()).await;
        expect(&answer, 200, action, &documented);
        assert_eq!(answer.body["data"]["current_status"], status);
    }
    let one = json!({"success": true, "data": agent_with_a_number()});
    expect(&client.get(&path).await, 200, "get", &one);
    let page = json!({
        "success": true, "data": [agent_with_a_number()],
        "meta": {"current_page": 1, "per_page": 10, "total": 25, "last_page": 3},
    });
    expect(
        &client.get("/agents?status=&direction=inbound&search=Support&per_page=10&page=1").await,
        200,
        "list",
        &page,
    );

    let documented = json!({"success": true, "data": [{
        "id": "phone-uuid-1", "number": "+1234567890", "country_code": "US", "formatted_number": "(123) 456-7890",
        "international_number": "+1 234 567 890", "type": "voice", "has_voice": true, "has_sms": true,
        "has_mms": false, "has_fax": false, "has_whatsapp": false, "current_status": "active", "is_sandbox": false,
        "current_price": 1.00, "currency": "USD", "renewal_date": "2024-02-15", "auto_renewal": true,
        "created_at": "2024-01-15T10:30:00Z", "updated_at": "2024-01-15T10:30:00Z", "monthly_renewal_cost": 1.00,
        "days_until_monthly_renewal": 15, "is_due_for_monthly_renewal": false,
    }]});
    for query in ["", "?type=voice", "?search=5550001000"] {
        expect(&client.get(&format!("/phone-numbers{query}")).await, 200, "numbers", &documented);
    }
    let gone = client.delete(&path).await;
    assert_eq!((gone.status.as_u16(), &gone.body["success"]), (200, &json!(true)));
}

/// Creates a source agent and an agent for callbacks from the bodies of the reference.
async fn agents(client: &Client<'_>) -> [String; 2] {
    let number = client.number(OURS).await;
    let mut ids = Vec::new();
    for (name, direction) in [("Sales Outbound", "outbound"), ("Callback Handler", "inbound")] {
        let id = client.post("/agents", new_agent(name, direction)).await.id();
        let calling = json!({"direction": direction, "phone_number_ids": [number]});
        client.put(&format!("/agents/{id}/calling"), calling).await.data();
        client.post(&format!("/agents/{id}/publish"), json!({})).await.data();
        ids.push(id);
    }
    ids.try_into().expect("two")
}

#[tokio::test]
async fn published_examples_of_callback_agents_are_answered_as_documented() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let [source, callback] = agents(&client).await;
    let (path, body) = (format!("/agents/{callback}/callback"), json!({"source_agent_ids": [source]}));
    let config = json!({"source_agent_ids": ["agent-uuid-2"]});
    let set = client.post(&path, body.clone()).await;
    let documented = json!({"success": true, "data": {
        "id": "agent-uuid-1", "name": "Callback Handler", "direction": "inbound", "callback_config": config,
    }});
    expect(&set, 200, "set", &documented);
    let documented = json!({"success": true, "data": {"id": "agent-uuid-1", "callback_config": config}});
    expect(&client.put(&path, body.clone()).await, 200, "update", &documented);
    let refused = client.post(&format!("/agents/{source}/callback"), body).await;
    let message = "Agent must have direction=inbound to serve as a callback";
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body, json!({"success": false, "message": message, "code": "INVALID_AGENT_DIRECTION"}));

    let documented = json!({"success": true, "data": [{
        "id": "agent-uuid-1", "name": "Callback Handler", "label": "Callback", "direction": "inbound",
        "current_status": "published", "callback_config": config,
    }]});
    expect(&client.get("/callback-agents").await, 200, "list", &documented);
    let documented = json!({"success": true, "data": [{
        "id": "agent-uuid-2", "name": "Sales Outbound", "direction": "outbound", "current_status": "published",
    }]});
    expect(&client.get("/callback-agents/source-agents").await, 200, "sources", &documented);
    let documented = json!({"success": true, "data": {
        "agent": {"id": "agent-uuid-1", "name": "Callback Handler", "direction": "inbound", "current_status": "published"},
        "source_agents": [{"id": "agent-uuid-2", "name": "Sales Outbound"}],
        "stats": {"total_callbacks_received": 184, "callbacks_answered": 142},
    }});
    expect(&client.get(&format!("/callback-agents/{callback}")).await, 200, "one", &documented);
    let unknown = client.get(&format!("/callback-agents/{source}")).await;
    let message = "Agent is not configured as a callback agent";
    expect(&unknown, 404, "none", &json!({"success": false, "message": message}));

    let call = json!({"agent_id": source, "from": OURS, "to": CONTACT, "started_at": "2026-06-01T11:00:00Z", "status": "busy"});
    client.post("/calls", call).await;
    client.get(&format!("/route?dialed={}&caller={}", &OURS[1..], &CONTACT[1..])).await.data();
    let documented = json!({"success": true, "data": {
        "period": {"start": "2026-05-02", "end": "2026-06-01"}, "total_callbacks_received": 184,
        "callbacks_answered": 142, "callbacks_unmatched": 12,
        "callbacks_by_source_agent": [{"source_agent_id": "agent-uuid-2", "name": "Sales Outbound", "count": 98}],
    }});
    let stats = client.get("/callback-agents/stats?start_date=2026-05-02&end_date=2026-06-01").await;
    expect(&stats, 200, "stats", &documented);

    let check = format!("/callback-agents/{callback}/check-constraints");
    let body = json!({
        "is_callback_agent": true, "callback_source_agents": [source],
        "callback_trigger_statuses": ["no_answer", "voicemail", "busy"],
    });
    expect(
        &client.post(&check, body).await,
        200,
        "check",
        &json!({"success": true, "message": "Configuration is valid"}),
    );
    let check = format!("/callback-agents/{source}/check-constraints");
    let wrong = client.post(&check, json!({"is_callback_agent": true, "callback_source_agents": [callback]})).await;
    let errors = ["Agent must be inbound to serve as a callback agent"];
    let documented = json!({"success": false, "message": "Configuration has errors", "errors": errors});
    expect(&wrong, 422, "check", &documented);
    assert_eq!(wrong.body["errors"][0], errors[0]);
    let removed = client.delete(&path).await;
    expect(&removed, 200, "remove", &json!({"success": true, "message": "Callback role removed"}));
}

#[tokio::test]
async fn errors_have_the_documented_form() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let invalid = client.post("/agents", json!({"direction": "sideways"})).await;
    let documented = json!({
        "success": false, "message": "The given data was invalid.", "code": "VALIDATION_ERROR",
        "errors": {"name": ["The name field is required."], "direction": ["…"]},
    });
    expect(&invalid, 422, "invalid", &documented);
    let [missing, nobody] =
        [client.get("/agents/nonsense").await, server.with_authorization(None).get("/agents").await];
    expect(&missing, 404, "missing", &json!({"success": false, "code": "AGENT_NOT_FOUND"}));
    expect(&nobody, 401, "nobody", &json!({"success": false, "code": "INVALID_TOKEN"}));
}

/// Canary: the comparison must find each kind of difference.
#[test]
fn missing_and_changed_fields_are_found() {
    let documented = json!({"success": true, "message": "Done", "data": {"id": "x", "count": 1, "list": [{"a": 1}]}});
    for (answer, expected) in [
        (json!({"success": true, "message": "Done", "data": {"count": 1, "list": [{"a": 1}]}}), "x/data/id is missing"),
        (
            json!({"success": true, "message": "Done", "data": {"id": 1, "count": 1, "list": [{"a": 1}]}}),
            "x/data/id is 1",
        ),
        (
            json!({"success": true, "message": "Did", "data": {"id": "", "count": 1, "list": [{"a": 1}]}}),
            "x/message is",
        ),
        (
            json!({"success": true, "message": "Done", "data": {"id": "", "count": 1, "list": []}}),
            "x/data/list is empty",
        ),
    ] {
        let mut found = Vec::new();
        differences(&documented, &answer, "x", &mut found);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
    let mut found = Vec::new();
    differences(&json!({"voice": null}), &json!({"voice": null}), "x", &mut found);
    assert_eq!(found, ["x/voice is there"]);
}
