//! The rate limit of a token.

use crate::support::server::{Desk, Server};
use dialback::Engine;
use dialback::http::{Rates, SteadyClock};
use dialback::store::MemoryStore;
use serde_json::json;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Returns a server whose monotonic clock the test sets.
pub(crate) fn start(environment: u32, gateway: u32) -> (Server, Arc<Mutex<Duration>>) {
    let now = Arc::new(Mutex::new(Duration::from_secs(5)));
    let told = Arc::clone(&now);
    let clock: SteadyClock = Arc::new(move || *told.lock().unwrap());
    let rates = Rates { environment: NonZeroU32::new(environment), gateway: NonZeroU32::new(gateway) };
    (Server::start_api(Engine::new(), MemoryStore, |api| api.with_rates(rates, &clock)), now)
}

#[tokio::test]
async fn each_token_has_its_own_rate_limit() {
    let (server, now) = start(10, 0);
    let (client, other) = (server.tenant(), server.other());
    for _ in 0..10 {
        assert_eq!(client.get("/agents").await.status, 200);
    }
    let generation = server.generation();
    for _ in 0..3 {
        let answer = client.post("/agents", json!({"name": "New", "direction": "inbound"})).await;
        answer.is(429, "RATE_LIMIT_EXCEEDED");
        assert_eq!(answer.headers["retry-after"], "1", "a tenth of a second, in whole seconds");
        let rate = ["limit", "remaining", "reset"].map(|name| answer.headers[format!("x-ratelimit-{name}")].clone());
        assert_eq!(
            rate,
            ["10", "0", "1780315201"],
            "the limit, what is left of it, and the second of the next request"
        );
    }
    assert_eq!(server.generation(), generation);
    assert_eq!(other.get("/agents").await.status, 200);
    assert_eq!(server.operator().get("/tokens").await.status, 200);
    // Another token of the same environment has its own limit.
    let second = json!({"role": "environment", "environment_id": server.environment});
    let second = server.operator().post("/tokens", second).await.data()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.with_token(&second).get("/agents").await.status, 200);

    // Rejected requests do not count: after a tenth of a second exactly one more request is accepted.
    *now.lock().unwrap() += Duration::from_millis(100);
    assert_eq!(client.get("/agents").await.status, 200);
    client.get("/agents").await.is(429, "RATE_LIMIT_EXCEEDED");
    // An idle day saves up the requests of one second only.
    *now.lock().unwrap() += Duration::from_secs(86_400);
    for _ in 0..10 {
        assert_eq!(client.get("/agents").await.status, 200);
    }
    client.get("/agents").await.is(429, "RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn gateway_tokens_have_a_separate_rate() {
    let (server, _) = start(100, 3);
    let desk = Desk::set_up(&server.tenant()).await;
    for _ in 0..3 {
        assert_eq!(server.gateway().post("/calls", desk.call("busy")).await.status, 202);
    }
    server.gateway().get("/route?dialed=+15550001000").await.is(429, "RATE_LIMIT_EXCEEDED");
    server.gateway().bulk("").await.is(429, "RATE_LIMIT_EXCEEDED");
    assert_eq!(server.tenant().get("/route?dialed=+15550001000").await.status, 200);
}

#[tokio::test]
async fn no_rate_means_no_limit_and_invalid_tokens_do_not_count() {
    let (server, _) = start(2, 0);
    for _ in 0..50 {
        server.with_token("talq_nobodys").get("/agents").await.is(401, "INVALID_TOKEN");
        assert_eq!(server.gateway().get("/route?dialed=+15550001000").await.status, 200);
    }
    assert_eq!(server.tenant().get("/agents").await.status, 200);
}

#[tokio::test]
async fn revoked_token_over_its_rate_returns_401() {
    let (server, now) = start(3, 0);
    let body = json!({"role": "environment", "environment_id": server.environment});
    let issued = server.operator().post("/tokens", body).await.data();
    let revoked = server.with_token(issued["token"].as_str().unwrap());
    for _ in 0..5 {
        revoked.get("/agents").await;
    }
    revoked.get("/agents").await.is(429, "RATE_LIMIT_EXCEEDED");
    server.operator().delete(&format!("/tokens/{}", issued["id"].as_str().unwrap())).await;
    revoked.get("/agents").await.is(401, "INVALID_TOKEN");
    // Revoking a token removes old entries; other tokens get no additional requests from that.
    server.operator().get("/tokens").await;
    server.operator().get("/tokens").await.is(429, "RATE_LIMIT_EXCEEDED");
    *now.lock().unwrap() += Duration::from_secs(1);
    assert_eq!(server.operator().get("/tokens").await.status, 200);
}
