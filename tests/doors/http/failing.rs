//! Failing stores, panicking clocks and timeouts.

use crate::http::bodies::{End, chunks};
use crate::support::server::{Answer, Desk, Server};
use axum::http::Method;
use dialback::http::Limits;
use dialback::metrics::UpkeepCounts;
use dialback::store::{Batch, EventStore, MemoryStore, StoreError, Stored};
use dialback::testing::failing::{Hang, HangingStore};
use dialback::{E164, Engine};
use serde_json::json;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

/// Returns limits with little time for a request. The first use of the regions' metadata, which takes half a second
/// without optimization, must not be in that time.
fn impatient(millis: u64) -> Limits {
    let _ = E164::from_digits("12125550100").expect("digits").written();
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(millis);
    limits
}

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
    answer.is(500, "SERVER_ERROR");
    assert_eq!(answer.body["message"], "An internal error occurred");
    // A valid token's use is recorded with its time, so only a request without one needs no clock.
    server.with_authorization(None).get("/agents").await.is(401, "INVALID_TOKEN");
    assert_eq!(server.with_authorization(None).get("//health").await.status, 200, "and the next request goes on");
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
    let limits = impatient(50);
    let server = Server::start_with(SlowStore(waits), limits);
    let agent = json!({"name": "Slow", "direction": "inbound"});
    server.tenant().post("/agents", agent).await.is(503, "OUTCOME_UNKNOWN");
    drop(go);
}

#[tokio::test]
async fn request_whose_body_does_not_arrive_in_time_is_answered_at_its_time_limit() {
    let mut limits = Limits::default();
    limits.patience = Duration::from_secs(2);
    let server = Server::start_with(MemoryStore, limits);
    let client = &server.tenant();
    let json = "application/json";
    let ask = async |path: &str, kind: &str| {
        let begun = Instant::now();
        let body = chunks(b"{\"name\":", 3, End::Never);
        let answer = client.send(Method::POST, path, Some(kind), body).await;
        answer.is(503, "TIMEOUT");
        assert_eq!(answer.headers["connection"], "close");
        // Reading the rest of the body would take the time limit a second time.
        let took = begun.elapsed();
        assert!((limits.patience..2 * limits.patience).contains(&took), "{path}: {took:?}");
    };
    tokio::join!(ask("/agents", json), ask("/calls", json), ask("/calls/bulk", "application/x-ndjson"));
}

/// Requests the health until it satisfies the condition.
async fn health_when(server: &Server, fits: impl Fn(&Answer) -> bool) -> Answer {
    let nobody = server.with_authorization(None);
    for _ in 0..600 {
        let health = nobody.get("/health").await;
        if fits(&health) {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the health does not change: {}", nobody.get("/health").await.text);
}

#[tokio::test]
async fn store_that_hangs_shows_in_health_and_timed_out_writes_are_safe_to_repeat() {
    let limits = impatient(200);
    let hang = Hang::default();
    let server = Server::start_with(HangingStore::new(&hang, MemoryStore), limits);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let nobody = server.with_authorization(None);
    assert_eq!(nobody.get("/health").await.body["status"], "ok");

    let agent = json!({"name": "Late", "direction": "inbound"});
    let keyed = async || client.given(("idempotency-key", "one"), Method::POST, "/agents", Some(agent.clone())).await;
    let hanging = hang.begin();
    for _ in 0..2 {
        client.post("/calls", desk.call("busy")).await.is(503, "OUTCOME_UNKNOWN");
        keyed().await.is(503, "OUTCOME_UNKNOWN");
        let bulk = client.bulk(format!("{}\n", desk.call("voicemail"))).await;
        bulk.is(503, "OUTCOME_UNKNOWN");
        client.delete("/contacts/+15557650000").await.is(503, "OUTCOME_UNKNOWN");
    }
    let health = health_when(&server, |health| health.status == 503).await;
    assert_eq!((&health.body["status"], health.code()), (&json!("failing"), "STORE_HANGS"), "{}", health.text);
    for path in ["//health/live", "//health/ready"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}: routes are answered from memory");
    }
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY", "and nothing waits for the store");
    let waits = metric(&server, "dialback_store_waiting_seconds").await;
    assert!((1.5..600.0).contains(&waits), "{waits}");

    drop(hanging);
    health_when(&server, |health| health.body["status"] == "ok").await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "what timed out is in force");
    // The repeated request gets the answer of the first.
    let first = keyed().await;
    assert_eq!((first.status.as_u16(), &first.headers["idempotency-replayed"]), (201, &"true".parse().unwrap()));
    let agents = client.get("/agents?search=Late").await.body["meta"]["total"].clone();
    assert_eq!(agents, json!(1), "made once");
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    let waits = metric(&server, "dialback_store_waiting_seconds").await;
    assert!(waits.abs() < f64::EPSILON, "{waits}");
}

#[tokio::test]
async fn what_if_request_that_times_out_returns_timeout_and_not_outcome_unknown() {
    let limits = impatient(200);
    let hang = Hang::default();
    let server = Server::start_with(HangingStore::new(&hang, MemoryStore), limits);
    let client = server.tenant();
    Desk::set_up(&client).await;
    let _hanging = hang.begin();
    client.get(ROUTE).await.data();
    client.get("/callback-agents/stats").await.is(503, "TIMEOUT");
}

async fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = crate::http::metrics::page(server, "*/*").await;
    let page = crate::support::metrics_text::Page::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    page.value(name, &[]).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn upkeep_that_failed_twice_degrades_health_until_it_succeeds() {
    let counts = Arc::<UpkeepCounts>::default();
    let server = Server::start_api(Engine::new(), MemoryStore, |api| api.with_upkeep(Arc::clone(&counts)));
    let nobody = server.with_authorization(None);
    let took = Duration::from_secs(3);
    counts.failed(took, 9000);
    assert_eq!(nobody.get("/health").await.status, 200, "once may be a disk that was full for a moment");
    counts.failed(took, 9000);
    let health = nobody.get("/health").await;
    assert_eq!((health.status.as_u16(), &health.body["status"]), (503, &json!("degraded")), "{}", health.text);
    health.is(503, "UPKEEP_FAILING");
    for path in ["//health/live", "//health/ready"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}");
    }
    for (name, value) in [
        ("dialback_upkeep_failures_total", 2.0),
        ("dialback_upkeep_consecutive_failures", 2.0),
        ("dialback_upkeep_last_duration_seconds", 3.0),
        ("dialback_upkeep_bytes", 9000.0),
        ("dialback_upkeep_last_success_timestamp_seconds", 0.0),
    ] {
        let found = metric(&server, name).await;
        assert!((found - value).abs() < f64::EPSILON, "{name} is {found}");
    }
    counts.succeeded(1_800_000_000_500, took, 8000);
    assert_eq!(nobody.get("/health").await.body["status"], "ok");
    let at = metric(&server, "dialback_upkeep_last_success_timestamp_seconds").await;
    assert!((at - 1_800_000_000.5).abs() < 0.01, "{at}");
    assert!((metric(&server, "dialback_upkeep_failures_total").await - 2.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn stalled_body_returns_timeout() {
    let limits = impatient(50);
    let server = Server::start_with(MemoryStore, limits);
    for (path, kind) in [("/agents", "application/json"), ("/calls/bulk", "application/x-ndjson")] {
        let body = chunks(b"{", 1, End::Never);
        server.tenant().send(Method::POST, path, Some(kind), body).await.is(503, "TIMEOUT");
    }
}

/// The rest of a body that was too slow is not read: that would take the time limit a second time.
#[tokio::test]
async fn stalled_body_gets_its_time_limit_once() {
    let mut limits = Limits::default();
    limits.patience = Duration::from_secs(3);
    let server = Server::start_with(MemoryStore, limits);
    let begun = Instant::now();
    let send = async |path, kind| {
        let body = chunks(b"{", 1, End::Never);
        let answer = server.tenant().send(Method::POST, path, Some(kind), body).await;
        answer.is(503, "TIMEOUT");
        assert_eq!(answer.headers["connection"], "close");
    };
    tokio::join!(send("/agents", "application/json"), send("/calls/bulk", "application/x-ndjson"));
    let took = begun.elapsed();
    assert!(took >= limits.patience && took < 2 * limits.patience, "{took:?}");
}

/// A long line holds memory, so a client cannot hold it by sending a byte now and then.
#[tokio::test]
async fn long_line_of_an_upload_that_is_not_completed_in_time_ends_the_upload() {
    let mut limits = Limits::default();
    limits.patience = Duration::from_secs(1);
    let server = Server::start_with(MemoryStore, limits);
    let client = server.tenant();
    let call = Desk::set_up(&client).await.call("busy").to_string();
    let begun = Instant::now();
    let long = format!("{call}\n{}", " ".repeat(20_000));
    let answer = client.bulk(chunks(long.as_bytes(), call.len() + 1, End::Trickles)).await;
    answer.is(503, "OUTCOME_UNKNOWN");
    let took = begun.elapsed();
    assert!(took >= limits.patience && took < 3 * limits.patience, "{took:?}");
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "the first line is recorded");
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
