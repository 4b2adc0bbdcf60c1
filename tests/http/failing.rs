//! Failing stores, panicking clocks and timeouts.

use crate::bodies::{End, chunks};
use crate::server::{Desk, Server};
use axum::http::Method;
use dialback::Engine;
use dialback::http::Limits;
use dialback::store::{Batch, EventStore, MemoryStore, StoreError, Stored};
use serde_json::json;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

/// A store that commits while the switch is off.
struct FailingStore(Arc<Mutex<bool>>);

impl EventStore for FailingStore {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        if *self.0.lock().unwrap() { Err(StoreError::Engine("/secret/path: disk full".into())) } else { Ok(()) }
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn failed_store_rejects_changes_and_still_routes() {
    let fails = Arc::new(Mutex::new(false));
    let server = Server::start_on(FailingStore(Arc::clone(&fails)));
    let client = server.tenant();
    let nobody = server.with_authorization(None);
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    for path in ["/health", "//health"] {
        assert_eq!(nobody.get(path).await.text, r#"{"status":"ok"}"#);
    }

    *fails.lock().unwrap() = true;
    let generation = server.generation();
    let agent = json!({"name": "Late", "direction": "inbound"});
    let mut later = desk.call("busy");
    later["to"] = json!("+15557650000");
    let bulk = later.to_string();
    let Desk { source, callback, number } = &desk;
    // Twice: the first failure, and the store after it, which stays closed even if the disk recovers.
    for _ in 0..2 {
        for answer in [
            client.post("/agents", agent.clone()).await,
            client.post("/calls", later.clone()).await,
            client.bulk(bulk.clone()).await,
            client.post("/phone-numbers", json!({"number": "+15550001001"})).await,
            client.put(&format!("/phone-numbers/{number}"), json!({"default_agent_id": callback})).await,
            client.post(&format!("/agents/{callback}/callback"), json!({"source_agent_ids": [source]})).await,
            client.delete(&format!("/agents/{callback}/callback")).await,
            client.post(&format!("/agents/{source}/unpublish"), json!({})).await,
            client.delete("/contacts/+15557654321").await,
            server.operator().post("/environments", json!({"name": "Late"})).await,
            server.operator().post("/tokens", json!({"role": "gateway"})).await,
        ] {
            answer.is(503, "NOT_DURABLE");
            assert!(!answer.text.contains("secret"), "{}", answer.text);
        }
        *fails.lock().unwrap() = false;
    }
    assert_eq!(server.generation(), generation);
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED");
    assert_eq!(client.get("/route?dialed=+15550001000&caller=+15557650000").await.data()["reason"], "NO_HISTORY");
    let health = nobody.get("/health").await;
    health.is(503, "NOT_DURABLE");
    assert_eq!(health.body["status"], "failing");
    assert!(!health.text.contains("secret"));
}

#[tokio::test]
async fn panic_returns_500_without_detail() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    server.break_clock();
    let answer = server.tenant().post("/calls", desk.call("busy")).await;
    answer.is(500, "INTERNAL");
    assert_eq!(answer.body["message"], "Something went wrong");
    assert_eq!(server.tenant().get("/agents").await.status, 200, "and the next request goes on");
}

/// A store that commits after a signal.
struct SlowStore(mpsc::Receiver<()>);

impl EventStore for SlowStore {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        // If the sender is dropped, all commits pass.
        let _ = self.0.recv();
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn slow_request_returns_timeout() {
    let (go, waits) = mpsc::channel();
    for _ in 0..6 {
        go.send(()).unwrap();
    }
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(50);
    let server = Server::start_with(SlowStore(waits), limits);
    let agent = json!({"name": "Slow", "direction": "inbound"});
    server.tenant().post("/agents", agent).await.is(503, "TIMEOUT");
    drop(go);
}

#[tokio::test]
async fn stalled_body_returns_timeout() {
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(50);
    let server = Server::start_with(MemoryStore, limits);
    for (path, kind) in [("/agents", "application/json"), ("/calls/bulk", "application/x-ndjson")] {
        let body = chunks(b"{", 1, End::Never);
        server.tenant().send(Method::POST, path, Some(kind), body).await.is(503, "TIMEOUT");
    }
}

#[tokio::test]
async fn full_history_rejects_new_contacts() {
    let server = Server::start_engine(Engine::with_max_pairs(1), MemoryStore, Limits::default());
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    let mut second = desk.call("busy");
    second["to"] = json!("+15557650000");
    client.post("/calls", second.clone()).await.is(503, "HISTORY_FULL");
    let answer = client.bulk(format!("{}\n{second}\n", desk.call("voicemail"))).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(1)), "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["line"], 2);
}
