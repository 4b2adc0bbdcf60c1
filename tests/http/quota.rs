//! The limits of an environment: it cannot use up the share of others.

use crate::server::{OURS, Server};
use dialback::http::Limits;
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
