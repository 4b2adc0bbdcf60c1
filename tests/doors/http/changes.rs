//! `GET /changes`: actors, names of their time, pages, and what each token sees.

use crate::support::server::{Client, START, Server};
use axum::http::Method;
use dialback::testing::lasting::LastingStore;
use dialback::{Actor, Change, Role, TokenId};
use serde_json::{Value, json};

const OURS: &str = "+15550001000";

fn server() -> Server {
    Server::start_on(LastingStore::new([7; 32]))
}

async fn changes(client: &Client<'_>, query: &str) -> Vec<Value> {
    client.get(&format!("/changes{query}")).await.data().as_array().expect("a list").clone()
}

/// Returns the entries of all pages, and the number of pages.
async fn all(client: &Client<'_>, query: &str) -> (Vec<Value>, usize) {
    let (mut entries, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let answer = client.get(&format!("/changes?{query}{cursor_part}")).await;
        entries.extend(answer.clone().data().as_array().expect("a list").iter().cloned());
        pages += 1;
        match answer.body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return (entries, pages),
        }
    }
}

fn texts(entry: &Value) -> Vec<&str> {
    entry["changes"].as_array().expect("a list").iter().map(|change| change["text"].as_str().expect("text")).collect()
}

async fn create_agent(client: &Client<'_>, name: &str, direction: &str) -> String {
    let agent = client.post("/agents", json!({"name": name, "direction": direction})).await.data();
    agent["id"].as_str().expect("an id").to_owned()
}

/// Changes through an environment token, by each kind of request, have this token as their actor.
#[tokio::test]
async fn each_request_that_changes_the_configuration_records_its_token() {
    let server = server();
    let client = server.tenant();
    let first = server.generation();
    let number = client.post("/phone-numbers", json!({"number": OURS})).await.data();
    let number = number["id"].as_str().expect("an id");
    let (source, desk) =
        (create_agent(&client, "Reminders", "outbound").await, create_agent(&client, "Desk", "inbound").await);
    for id in [&source, &desk] {
        client.put(&format!("/agents/{id}"), json!({"phone_number_ids": [number]})).await.data();
        client.post(&format!("/agents/{id}/publish"), json!({})).await.data();
    }
    let sources = json!({"source_agent_ids": [source]});
    client.post(&format!("/agents/{desk}/callback"), sources.clone()).await.data();
    client
        .put(&format!("/agents/{desk}/callback"), json!({"source_agent_ids": [source], "lookback_days": 3}))
        .await
        .data();
    client.put(&format!("/phone-numbers/{number}"), json!({"default_agent_id": "nobody"})).await.data();
    client.put(&format!("/agents/{desk}"), json!({"name": "Front desk"})).await.data();
    client.delete(&format!("/agents/{desk}/callback")).await;
    client.post(&format!("/agents/{desk}/unpublish"), json!({})).await.data();
    client.delete(&format!("/agents/{desk}")).await;
    let own = format!("/environments/{}", "00000000-0000-0000-0000-00000000000a");
    client.put(&own, json!({"lookback_days": 9})).await.data();
    let document = client.get("/configuration").await.data();
    let mut document = document.clone();
    document["environment"]["lookback_days"] = json!(8);
    client.put("/configuration", document).await.data();

    let made = server.generation() - first;
    let entries = changes(&client, "").await;
    let token = json!({
        "kind": "token", "id": "00000000-0000-0000-0000-000000000001", "role": "environment", "label": "environment",
    });
    let (ours, before) = entries.split_at(usize::try_from(made).expect("small"));
    assert!(made >= 14, "{made}");
    for entry in ours {
        assert_eq!(entry["actor"], token, "{entry}");
        assert_eq!(entry["actor_text"], "token environment");
        assert_eq!(entry["environment_id"], "00000000-0000-0000-0000-00000000000a");
    }
    assert!(before.iter().all(|entry| entry["actor"] == json!({"kind": "unknown"})), "{before:?}");
    let all_texts: Vec<_> = ours.iter().flat_map(texts).collect();
    for text in [
        "Deleted the agent Front desk.",
        "Gave the agent Desk the name Front desk and no label.",
        "Left without a default agent: the number +15550001000.",
        "Set the callback role of the agent Desk. Its source agents: Reminders. Its look-back: 3 d 0 h.",
        "Published the agent Desk.",
        "Created the inbound agent Desk.",
        "Added the number +15550001000.",
    ] {
        assert!(all_texts.contains(&text), "{text} is not among {all_texts:#?}");
    }
}

#[tokio::test]
async fn tenant_sees_its_own_changes_only_and_no_operator_token_by_id_or_label() {
    let server = server();
    let operator = server.operator();
    let path = format!("/environments/{}", server.environment);
    operator.put(&path, json!({"lookback_days": 5})).await.data();
    let token = operator.post("/tokens", json!({"role": "gateway", "label": "Trunk"})).await.data();
    create_agent(&server.other(), "Theirs", "inbound").await;

    let entries = changes(&server.tenant(), "").await;
    assert_eq!(entries[0]["actor"], json!({"kind": "token", "role": "operator"}));
    assert_eq!(entries[0]["actor_text"], "a token of an operator");
    let text = serde_json::to_string(&entries).expect("JSON");
    for hidden in ["Theirs", "Trunk", "00000000-0000-0000-0000-00000000000b", "000000000004"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    let operators = "?actor=00000000-0000-0000-0000-000000000004";
    assert!(changes(&server.tenant(), operators).await.is_empty());
    assert_eq!(changes(&operator, operators).await.len(), 2);

    let everything = changes(&operator, "").await;
    let text = serde_json::to_string(&everything).expect("JSON");
    assert!(text.contains("Theirs") && text.contains("Issued the gateway token Trunk."), "{text}");
    assert!(!text.contains(token["token"].as_str().expect("a secret")), "{text}");
    assert!(!text.contains("digest"), "{text}");
    assert_eq!(everything.len() as u64, server.generation());
    assert_eq!(everything[0]["generation"], server.generation());
    let tenant = server.tenant();
    tenant.get(&format!("/changes?environment_id={}", server.other_environment)).await.is(404, "ENVIRONMENT_NOT_FOUND");
    tenant.get("/changes?environment_id=AAA").await.is(422, "VALIDATION_ERROR");
    assert_eq!(tenant.get(&format!("/changes?environment_id={}", server.environment)).await.status, 200);
    let one = changes(&operator, &format!("?environment_id={}", server.other_environment)).await;
    assert!(one.iter().all(|entry| entry["environment_id"] == server.other_environment.to_string()) && one.len() == 3);
    server.gateway().get("/changes").await.is(403, "UNAUTHORIZED");
}

#[tokio::test]
async fn pages_together_have_each_change_once_with_falling_generations() {
    let server = server();
    let client = server.tenant();
    for place in 0..130 {
        create_agent(&client, &format!("Agent {place}"), "inbound").await;
        // Another tenant's changes lie between.
        create_agent(&server.other(), "Theirs", "inbound").await;
    }
    let (entries, pages) = all(&client, "actor=token").await;
    assert_eq!((entries.len(), pages), (130, 2));
    let revision = server.service.plan().environment(server.environment).expect("there").revision();
    for (entry, place) in entries.iter().zip((0..130).rev()) {
        assert_eq!(texts(entry), [format!("Created the inbound agent Agent {place}.")]);
        assert_eq!(entry["generation"], revision - (129 - place));
    }
    let (everything, _) = all(&server.operator(), "").await;
    assert_eq!(everything.len() as u64, server.generation());

    let answer = client.get("/changes").await;
    let cursor = answer.body["meta"]["next_cursor"].as_str().expect("a cursor").to_owned();
    server.other().get(&format!("/changes?cursor={cursor}")).await.is(422, "VALIDATION_ERROR");
    server.operator().get(&format!("/changes?cursor={cursor}")).await.is(422, "VALIDATION_ERROR");
    for wrong in ["cursor=7", "actor=me", "since=today", "until=2026-06-01T12:00:00Z"] {
        client.get(&format!("/changes?{wrong}")).await.is(422, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn changes_can_be_limited_by_time_and_actor() {
    let server = server();
    let client = server.tenant();
    server.set_now(START.plus_millis(60_000));
    create_agent(&client, "First", "inbound").await;
    server.set_now(START.plus_millis(120_000));
    create_agent(&client, "Second", "inbound").await;
    let change = Change::AttestationRequired { level: None };
    let at = Actor::Import.at(START.plus_millis(180_000));
    server.service.configure(server.environment, at, |_| Ok(vec![change])).expect("valid");
    assert_eq!(changes(&client, "?since=2026-06-01T12:02:00Z").await.len(), 2);
    assert_eq!(changes(&client, "?since=2026-06-03T12:02:00Z").await.len(), 0);
    let imports = changes(&client, "?actor=import").await;
    assert_eq!(imports.len(), 1);
    assert_eq!(imports[0]["at"], "2026-06-01T12:03:00.000Z");
    assert_eq!(changes(&client, "?actor=token").await.len(), 2);
    assert_eq!(changes(&client, "?actor=00000000-0000-0000-0000-000000000001").await.len(), 2);
    assert_eq!(changes(&client, "?actor=command").await.len(), 0);
}

/// The label and the role of a token stay in the list after the token was revoked.
#[tokio::test]
async fn stored_responses_are_not_shown_and_labels_outlive_their_tokens() {
    let server = server();
    let operator = server.operator();
    let new = json!({"role": "environment", "environment_id": server.environment.to_string(), "label": "CRM"});
    let issued = operator.post("/tokens", new).await.data();
    let (id, secret) = (issued["id"].as_str().expect("an id"), issued["token"].as_str().expect("a secret"));
    let client = server.with_token(secret);
    let key = ("idempotency-key", "secret-key-1");
    let agent = json!({"name": "Desk", "direction": "inbound"});
    client.given(key, Method::POST, "/agents", Some(agent)).await.data();
    operator.delete(&format!("/tokens/{id}")).await;

    let entries = changes(&server.tenant(), "").await;
    assert_eq!(texts(&entries[0]), ["Revoked the token CRM."]);
    assert_eq!(entries[1]["actor"]["label"], "CRM");
    assert_eq!(texts(&entries[1]), ["Created the inbound agent Desk."]);
    assert_eq!((entries[1]["changes_total"].as_u64(), entries[1]["actor"]["id"].as_str()), (Some(1), Some(id)));
    assert_eq!(texts(&entries[2]), ["Issued the environment token CRM."]);
}

#[tokio::test]
async fn long_changes_are_shortened_and_say_how_many_there_are() {
    let server = server();
    let client = server.tenant();
    let numbers: Vec<_> = (0..60).map(|place| json!({"number": format!("+1555000{:04}", 2000 + place)})).collect();
    let desk = json!({"name": "Desk", "direction": "inbound", "numbers": numbers.iter().map(|n| n["number"].clone()).collect::<Vec<_>>()});
    let document = json!({"environment": {"name": "Ours"}, "numbers": numbers, "agents": [desk]});
    client.put("/configuration", document).await.data();
    let entries = changes(&client, "?actor=token").await;
    assert_eq!(entries[0]["changes"].as_array().expect("a list").len(), 50);
    assert!(entries[0]["changes_total"].as_u64() > Some(60), "{}", entries[0]["changes_total"]);

    let ids: Vec<_> = client
        .get("/phone-numbers")
        .await
        .data()
        .as_array()
        .expect("a list")
        .iter()
        .map(|number| number["id"].clone())
        .collect();
    let agent = client.get("/agents").await.data()[0]["id"].as_str().expect("an id").to_owned();
    client.put(&format!("/agents/{agent}"), json!({"phone_number_ids": ids[..30]})).await.data();
    let change = &changes(&client, "?actor=token").await[0]["changes"][0];
    assert_eq!(change["numbers"].as_array().expect("a list").len(), 20);
    assert_eq!(change["more"], 10);
    assert!(change["text"].as_str().expect("text").ends_with("+15550002004 and 25 more."), "{change}");
}

#[tokio::test]
async fn service_without_a_store_has_no_list_of_changes() {
    Server::start().tenant().get("/changes").await.is(501, "NOT_STORED");
}

/// An explanation names the last change of the hour before the call. A change of tokens is none.
#[tokio::test]
async fn explanation_names_the_last_change_and_its_actor() {
    let server = server();
    let client = server.tenant();
    client.post("/phone-numbers", json!({"number": OURS})).await.data();
    let label = "x".repeat(200);
    let change = Change::AttestationRequired { level: None };
    let id = TokenId::from_u128(4);
    let by = |role| Actor::Token { id, role, label: label.clone() }.at(START);
    let path = |at: &str| format!("/route?dialed=%2B15550001000&caller=anonymous&explain=true&at=2026-06-01T{at}Z");
    for (role, text) in
        [(Role::Environment, format!("token {}", "x".repeat(64))), (Role::Operator, "a token of an operator".into())]
    {
        let change = change.clone();
        server.service.configure(server.environment, by(role), |_| Ok(vec![change])).expect("valid");
        let explained = client.get(&path("12:04:00")).await.data();
        let last = &explained["last_change"];
        assert_eq!(last["text"], format!("The configuration changed 4 min 0 s before this call, by {text}."));
        assert_eq!(last["changed_at"], "2026-06-01T12:00:00.000Z");
        assert_eq!(last["actor"]["role"], role.name());
    }
    let operators = server.operator().get(&path("12:04:00")).await.data();
    assert_eq!(operators["last_change"]["actor"]["id"], id.to_string());
    let before = client.get(&path("11:58:30")).await.data();
    let text = "The configuration changed 1 min 30 s after this moment, by a token of an operator.";
    assert_eq!(before["last_change"]["text"], text);
    let new = json!({"role": "environment", "environment_id": server.environment.to_string()});
    server.set_now(START.plus_millis(59 * 60_000));
    server.operator().post("/tokens", new).await.data();
    assert!(client.get(&path("12:59:59")).await.data()["last_change"].is_object());
    assert!(client.get(&path("13:00:00")).await.data().get("last_change").is_none());
}
