//! Tests which requests are answered while each thread for long work is busy.

use crate::support::server::Server;
use axum::body::Body;
use axum::http::Request;
use dialback::Engine;
use dialback::store::MemoryStore;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// How long a test waits for an answer that must not come.
const WHILE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a runtime whose only thread for long work is busy until the sender is dropped.
fn occupied() -> (Runtime, mpsc::Sender<()>) {
    let workers =
        Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build().expect("a runtime");
    let (free, wait) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    workers.spawn_blocking(move || {
        begins.send(()).expect("the test waits");
        let _ = wait.recv();
    });
    begun.recv().expect("it begins");
    (workers, free)
}

#[tokio::test]
async fn only_quick_requests_are_answered_while_every_worker_is_busy() {
    let (workers, free) = occupied();
    let handle = workers.handle().clone();
    let server = Server::start_api(Engine::new(), MemoryStore, |api| api.with_workers(handle));
    let document = Server::start().tenant().get("/openapi.json").await.body;
    let mut waiting = Vec::new();
    let mut answered = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let id = "00000000-0000-4000-8000-000000000001";
            let concrete: String = path
                .split('/')
                .map(|part| if part.starts_with('{') { id } else { part })
                .fold(String::new(), |path, part| if part.is_empty() { path } else { path + "/" + part });
            let query = if path.ends_with("/route") { "?dialed=%2B12125550100" } else { "" };
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(format!("{concrete}{query}"))
                .header("authorization", format!("Bearer {}", server.gateway_token()))
                .body(Body::empty())
                .expect("a request");
            let answer = tokio::spawn(server.router.clone().oneshot(request));
            let name = format!("{method} {path}");
            tokio::time::sleep(WHILE).await;
            if answer.is_finished() { answered.push(name) } else { waiting.push((name, answer)) }
        }
    }
    answered.sort();
    // Those that wait for events read on threads of their own, and write each page in turns with the workers.
    let quick = [
        "get /api/v1/events",
        "get /api/v1/events/stream",
        "get /api/v1/health",
        "get /api/v1/route",
        "get /health",
        "get /health/live",
        "get /health/ready",
        "get /metrics",
        "post /api/v1/calls",
        "post /api/v1/routes/{decision}/answered",
        // It waits for a receiver.
        "post /api/v1/webhooks/{webhook}/test",
    ];
    assert_eq!(answered, quick);
    assert!(waiting.len() > 30, "the rest of the API: {}", waiting.len());
    drop(free);
    for (name, answer) in waiting {
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{name} is not answered"));
        answer.expect("no panic").expect("infallible");
    }
    workers.shutdown_background();
}

#[tokio::test]
async fn request_of_a_client_that_disconnected_changes_nothing() {
    let (workers, free) = occupied();
    let handle = workers.handle().clone();
    let server = Server::start_api(Engine::new(), MemoryStore, |api| api.with_workers(handle));
    let before = server.generation();
    let body = r#"{"name":"New","direction":"inbound"}"#;
    let request = Request::post("/api/v1/agents")
        .header("authorization", format!("Bearer {}", server.tenant_token()))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    let asked = tokio::time::timeout(WHILE, server.router.clone().oneshot(request)).await;
    assert!(asked.is_err(), "the client gives up");
    // The runtime of the router drops the work of the request.
    tokio::task::yield_now().await;
    drop(free);
    // A later request is still answered.
    assert_eq!(server.tenant().get("/agents").await.status, 200);
    assert_eq!(server.generation(), before, "the client was gone");
    workers.shutdown_background();
}
