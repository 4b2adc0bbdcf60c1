//! The limits of an environment: it cannot use up the share of others.

use crate::support::server::{OURS, START, Server};
use dialback::Engine;
use dialback::http::Limits;
use dialback::plan::REST_DAYS;
use dialback::store::MemoryStore;
use serde_json::json;

fn start(agents: usize, numbers: usize) -> Server {
    let mut limits = Limits::default();
    (limits.agents, limits.numbers) = (agents, numbers);
    Server::start_with(MemoryStore, limits)
}

#[tokio::test]
async fn creating_and_deleting_agents_uses_up_only_the_own_limit() {
    let server = start(5, 100);
    let client = server.tenant();
    let known = json!({"name": "A", "direction": "inbound", "id": "00000000-0000-4000-8000-00000000000a"});
    assert_eq!(client.post("/agents", known.clone()).await.status, 201);
    let fresh = json!({"name": "A", "direction": "inbound"});
    for _ in 0..4 {
        let id = client.post("/agents", fresh.clone()).await.id();
        assert_eq!(client.delete(&format!("/agents/{id}")).await.status, 200);
    }
    let generation = server.generation();
    for _ in 0..3 {
        client.post("/agents", fresh.clone()).await.is(409, "QUOTA_EXCEEDED");
    }
    assert_eq!(server.generation(), generation);
    // An id that exists or existed uses up no further slot.
    assert_eq!(client.post("/agents", known.clone()).await.status, 200);
    assert_eq!(client.delete("/agents/00000000-0000-4000-8000-00000000000a").await.status, 200);
    assert_eq!(client.post("/agents", known).await.status, 201);
    client.post("/agents", fresh.clone()).await.is(409, "QUOTA_EXCEEDED");
    assert_eq!(server.other().post("/agents", fresh).await.status, 201);
}

#[tokio::test]
async fn adding_and_releasing_numbers_uses_up_only_the_own_limit() {
    let server = start(100, 3);
    let client = server.tenant();
    for last in 0..3 {
        let id = client.number(&format!("+1555000100{last}")).await;
        assert_eq!(client.delete(&format!("/phone-numbers/{id}")).await.status, 200);
    }
    let generation = server.generation();
    let another = json!({"number": "+15550001009"});
    client.post("/phone-numbers", another.clone()).await.is(409, "QUOTA_EXCEEDED");
    assert_eq!(server.generation(), generation);
    assert_eq!(client.post("/phone-numbers", json!({"number": OURS})).await.status, 201, "it was held before");
    client.post("/phone-numbers", another.clone()).await.is(409, "QUOTA_EXCEEDED");
    assert_eq!(server.other().post("/phone-numbers", another).await.status, 201);
}

#[tokio::test]
async fn tenant_that_fills_the_history_leaves_space_for_another_tenant() {
    let server = Server::start_engine(Engine::with_max_pairs(80), MemoryStore, Limits::default());
    let (greedy, other) = (server.tenant(), server.other());
    let mut lines = Vec::new();
    for (client, ours) in [(&greedy, "+15550001000"), (&other, "+15550002000")] {
        let agent = client.post("/agents", json!({"name": "A", "direction": "outbound"})).await.id();
        client.number(ours).await;
        lines.push(move |contact: u32| {
            let to = format!("+1555765{contact:04}");
            json!({"agent_id": agent, "from": ours, "to": to, "status": "busy", "started_at": "2026-06-01T11:00:00Z"})
        });
    }
    let bulk: Vec<_> = (0..100).map(|contact| format!("{}\n", lines[0](contact))).collect();
    let answer = greedy.bulk(bulk.concat()).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(70), &json!(30)), "{}", answer.text);
    let refused = greedy.post("/calls", lines[0](200)).await;
    refused.is(409, "QUOTA_EXCEEDED");
    let message = refused.body["message"].as_str().expect("a text");
    assert!(message.contains("holds 70 contacts and may hold 40"), "{message}");
    for contact in 0..10 {
        assert_eq!(other.post("/calls", lines[1](contact)).await.status, 202);
    }
    other.post("/calls", lines[1](10)).await.is(503, "HISTORY_FULL");
    // Erasures succeed although the history is full.
    assert_eq!(greedy.delete("/contacts/+15557650000").await.status, 200);
    assert_eq!(other.delete("/contacts/+15557650001").await.status, 200);
}

#[tokio::test]
async fn adding_callback_pairs_uses_up_only_the_own_limit_and_removed_pairs_count_until_rest_days_pass() {
    let mut limits = Limits::default();
    limits.callback_pairs = 4;
    let server = Server::start_with(MemoryStore, limits);
    let client = server.tenant();
    let mut sources = Vec::new();
    for name in ["A", "B", "C", "D", "E"] {
        sources.push(client.agent(name, "outbound").await);
    }
    let path = format!("/agents/{}/callback", client.agent("F", "inbound").await);
    let role = |range: std::ops::Range<usize>| json!({"source_agent_ids": sources[range]});
    client.post(&path, role(0..5)).await.is(409, "QUOTA_EXCEEDED");
    assert_eq!(client.post(&path, role(0..3)).await.status, 200);
    // Pairs that are kept or restored use up no further places.
    assert_eq!(client.put(&path, role(1..4)).await.status, 200);
    assert_eq!(client.delete(&path).await.status, 200);
    assert_eq!(client.post(&path, role(0..4)).await.status, 200);
    let generation = server.generation();
    let refused = client.put(&path, role(1..5)).await;
    refused.is(409, "QUOTA_EXCEEDED");
    assert!(refused.text.contains("4 pairs of a callback agent and a source agent"), "{}", refused.text);
    let keyed = client.given(("Idempotency-Key", "k"), axum::http::Method::POST, &path, Some(role(1..5))).await;
    keyed.is(409, "QUOTA_EXCEEDED");
    assert_eq!(server.generation(), generation);
    // Another tenant has a limit of its own.
    let other = server.other();
    let source = other.agent("A", "outbound").await;
    let theirs = format!("/agents/{}/callback", other.agent("B", "inbound").await);
    assert_eq!(other.post(&theirs, json!({"source_agent_ids": [source]})).await.status, 200);
    // A removed pair frees its place only after the rest days.
    assert_eq!(client.put(&path, role(1..4)).await.status, 200);
    let days = |days: u32| START.plus_millis(u64::from(days) * 24 * 60 * 60 * 1000);
    server.set_now(days(REST_DAYS - 1));
    client.put(&path, role(1..5)).await.is(409, "QUOTA_EXCEEDED");
    server.set_now(days(REST_DAYS));
    assert_eq!(client.put(&path, role(1..5)).await.status, 200);
}
