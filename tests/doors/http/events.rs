//! `GET /events` and `GET /events/stream`: the feed of an environment.

use crate::support::server::{Answer, CONTACT, Client, Desk, OURS, START, Server};
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{Method, Request};
use dialback::http::{Limits, OnWait, Stopping};
use dialback::service::FeedSettings;
use dialback::store::{FjallStore, MemoryStore};
use dialback::{Call, E164, Event, Outcome, Service};
use serde_json::{Value, json};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

fn server(path: &std::path::Path, most: u64) -> Server {
    let store = FjallStore::open(path).expect("it opens");
    let settings = FeedSettings { max_per_environment: most, ..FeedSettings::default() };
    Server::start_service(Service::builder(store).feed(settings).start().expect("it starts"), |api| api)
}

fn types(answer: &Answer) -> Vec<String> {
    let events = answer.body["data"].as_array().expect("a list");
    events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

fn next(answer: &Answer) -> String {
    answer.body["meta"]["next_cursor"].as_str().expect("a cursor").to_owned()
}

async fn desk(client: &Client<'_>) -> Desk {
    let desk = Desk::set_up(client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    desk
}

#[tokio::test]
async fn events_are_listed_in_their_order_and_a_cursor_continues() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 1000);
    let client = server.tenant();
    let desk = desk(&client).await;
    let path = format!("/route?dialed={}&caller={}", OURS.replace('+', "%2B"), CONTACT.replace('+', "%2B"));
    let id = server.gateway().get(&path).await.data()["decision_id"].clone();
    let id = id.as_str().expect("an id");
    assert_eq!(server.gateway().post(&format!("/routes/{id}/answered"), json!({})).await.status, 200);
    let calls = client.get("/events?types=call.recorded,route.decided,route.answered&wait=10&limit=1").await;
    assert_eq!(calls.body["data"][0]["data"]["status"], "busy");
    assert_eq!(calls.body["data"][0]["data"]["to"], CONTACT);
    assert_eq!(calls.body["data"][0]["data"]["agent_id"], json!(desk.source));
    let routed = client.get(&format!("/events?after={}&wait=10&limit=1", next(&calls))).await;
    assert_eq!(types(&routed), ["route.decided"]);
    assert_eq!(routed.body["data"][0]["data"]["decision_id"], json!(id));
    assert_eq!(routed.body["data"][0]["data"]["reason"], "MATCHED");
    let answered = client.get(&format!("/events?after={}&wait=10", next(&routed))).await;
    assert_eq!(types(&answered), ["route.answered"]);
    assert_eq!(
        (&answered.body["meta"]["has_more"], &answered.body["meta"]["is_of_node"]),
        (&json!(false), &json!(false))
    );
    // The whole feed, in parts.
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/events?limit=2{after}")).await;
        all.extend(types(&page));
        after = format!("&after={}", next(&page));
        if page.body["meta"]["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(all.len(), all.iter().filter(|kind| *kind == "configuration.changed").count() + 3);
    assert_eq!(all[all.len() - 3..], ["call.recorded", "route.decided", "route.answered"]);
    // Another tenant has its own.
    assert!(!server.other().get("/events").await.text.contains(CONTACT));
    assert_eq!(types(&client.get("/events?after=end").await), [""; 0]);
    // An erasure removes the events of its contact.
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.status, 200);
    assert!(!client.get("/events?limit=1000").await.text.contains(CONTACT));
}

#[tokio::test]
async fn invalid_and_expired_cursors_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 2);
    let client = server.tenant();
    let first = client.get("/events?limit=1").await;
    desk(&client).await;
    client.get(&format!("/events?after={}", next(&first))).await.is(410, "CURSOR_EXPIRED");
    assert!(types(&client.get("/events").await).len() <= 3);
    let foreign = next(&server.other().get("/events").await);
    client.get(&format!("/events?after={foreign}")).await.is(410, "CURSOR_EXPIRED");
    client.get(&format!("/events/stream?after={foreign}")).await.is(410, "CURSOR_EXPIRED");
    let stream = client.given(("last-event-id", "7"), Method::GET, "/events/stream", None).await;
    stream.is(422, "VALIDATION_ERROR");
    client.get("/events/stream?after=7").await.is(422, "VALIDATION_ERROR");
    // A client that connects again has the place that it began with, and that of its last event.
    let (_stop, stopping) = watch::channel(());
    let mut again = request(&server, &format!("/events/stream?after={}", next(&first)), &stopping);
    let last = next(&client.get("/events").await);
    again.headers_mut().insert("last-event-id", last.parse().expect("a value"));
    let response = server.router.clone().oneshot(again).await.expect("never fails");
    assert_eq!(response.status(), 200);
    let text = frame(&mut response.into_body()).await.expect("the place");
    assert_eq!(text, format!("id: {last}\n\n"));
    for query in ["after=7", "types=call", "limit=0", "limit=1001", "wait=61", "wait=-1"] {
        client.get(&format!("/events?{query}")).await.is(422, "VALIDATION_ERROR");
    }
    let none = Server::start_service(Service::builder(MemoryStore).start().expect("it starts"), |api| api);
    none.tenant().get("/events").await.is(501, "NOT_STORED");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_request_returns_with_the_next_event_and_ends_with_its_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 1000);
    let client = server.tenant();
    let desk = desk(&client).await;
    let (_stop, stopping) = watch::channel(());
    let end = next(&client.get("/events?after=end").await);
    let (waiting, waits) = waiting(&server, &format!("/events?after={end}&wait=60"), &stopping);
    let call = async {
        waits.notified().await;
        assert_eq!(client.post("/calls", desk.call("voicemail")).await.status, 202);
    };
    let (found, ()) = tokio::join!(waiting, call);
    assert_eq!(found.0, 200);
    assert_eq!(found.1["data"][0]["type"], "call.recorded");
    let (waiting, waits) = self::waiting(&server, "/events?after=end&types=route.decided&wait=60", &stopping);
    let revoke = async {
        waits.notified().await;
        let token = "/tokens/00000000-0000-0000-0000-000000000001";
        assert_eq!(server.operator().delete(token).await.status, 200);
    };
    let (ended, ()) = tokio::join!(waiting, revoke);
    assert_eq!((ended.0, &ended.1["code"]), (401, &json!("INVALID_TOKEN")));
}

/// Returns the answer to a request, and what tells that the request has found nothing and waits.
fn waiting(
    server: &Server,
    path: &str,
    stopping: &watch::Receiver<()>,
) -> (impl Future<Output = (u16, Value)> + use<>, Arc<Notify>) {
    let waits = Arc::new(Notify::new());
    let told = Arc::clone(&waits);
    let mut request = request(server, path, stopping);
    request.extensions_mut().insert(OnWait(Arc::new(move || told.notify_one())));
    let router = server.router.clone();
    let answer = async move {
        let response = router.oneshot(request).await.expect("never fails");
        let status = response.status().as_u16();
        let text = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&text).expect("JSON"))
    };
    (answer, waits)
}

/// Returns the next part of a body, or `None` at its end.
async fn frame(body: &mut Body) -> Option<Bytes> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.expect("whole").into_data().expect("data"))
}

fn request(server: &Server, path: &str, stopping: &watch::Receiver<()>) -> Request<Body> {
    let request = Request::builder().uri(format!("/api/v1{path}"));
    let request = request.header("authorization", format!("Bearer {}", server.tenant_token()));
    request.extension(Stopping(stopping.clone())).body(Body::empty()).expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_sends_events_as_they_come_and_ends_when_the_server_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 1000);
    let client = server.tenant();
    let desk = desk(&client).await;
    let (stop, stopping) = watch::channel(());
    let path = "/events/stream?after=end&types=call.recorded";
    let response = server.router.clone().oneshot(request(&server, path, &stopping)).await.expect("never fails");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    let mut body = response.into_body();
    // A client that loses the stream before its first event has its place.
    let end = next(&client.get("/events?after=end").await);
    assert_eq!(frame(&mut body).await.expect("the place"), format!("id: {end}\n\n"));
    for contact in ["+15557650001", "+15557650002"] {
        let mut call = desk.call("busy");
        call["to"] = contact.into();
        assert_eq!(client.post("/calls", call).await.status, 202);
        let frame = frame(&mut body).await.expect("an event");
        let text = String::from_utf8(frame.to_vec()).expect("UTF-8");
        let (head, data) = text.split_once("data: ").expect("data");
        let event: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(event["data"]["to"], contact);
        let cursor = event["cursor"].as_str().expect("a cursor");
        assert_eq!(head, format!("id: {cursor}\nevent: call.recorded\n"));
    }
    let (waiting, waits) = waiting(&server, "/events?after=end&wait=60", &stopping);
    let (waited, ()) = tokio::join!(waiting, async {
        waits.notified().await;
        drop(stop);
    });
    assert_eq!(waited.0, 200);
    assert!(frame(&mut body).await.is_none(), "the stream ends");
}

fn call(server: &Server, desk: &Desk, number: u64) -> Event {
    Event::Call(Call {
        environment: server.environment,
        agent: desk.source.parse().expect("an id"),
        from: E164::from_digits(OURS.trim_start_matches('+')).expect("digits"),
        to: E164::from_code(15_550_000_000 + number).expect("a code"),
        at: START,
        outcome: Outcome::Busy,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_its_client_does_not_read_ends_when_the_server_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 10_000);
    let desk = desk(&server.tenant()).await;
    server.service.record((0..2000).map(|number| call(&server, &desk, number)).collect()).expect("durable");
    let (stop, stopping) = watch::channel(());
    let path = "/events/stream?types=call.recorded";
    let response = server.router.clone().oneshot(request(&server, path, &stopping)).await.expect("never fails");
    let mut body = response.into_body();
    let mut events = 0;
    let mut stop = Some(stop);
    while let Some(piece) = frame(&mut body).await {
        events += String::from_utf8(piece.to_vec()).expect("UTF-8").matches("event: call.recorded").count();
        drop(stop.take());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((100..1000).contains(&events), "the rest is left to the next connection: {events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_has_a_bounded_number_of_readers_and_a_place_is_free_when_one_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 1000);
    let (_stop, stopping) = watch::channel(());
    let mut open = Vec::new();
    for _ in 0..16 {
        let request = request(&server, "/events/stream?after=end", &stopping);
        open.push(server.router.clone().oneshot(request).await.expect("never fails"));
    }
    assert!(open.iter().all(|response| response.status() == 200));
    let refused = server.tenant().get("/events/stream").await;
    refused.is(429, "TOO_MANY_READERS");
    assert_eq!(refused.headers["retry-after"], "1");
    server.tenant().get("/events?after=end&wait=60").await.is(429, "TOO_MANY_READERS");
    assert_eq!(server.tenant().get("/events?wait=60").await.status, 200, "one that need not wait is answered");
    open.pop();
    while server.tenant().get("/events?after=end&wait=1").await.status != 200 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_finds_no_memory_is_refused_in_time_and_at_once_when_the_server_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::builder(FjallStore::open(directory.path()).expect("it opens"));
    let mut limits = Limits::default();
    limits.patience = Duration::from_secs(3);
    let service = service.feed(FeedSettings::default()).start().expect("it starts");
    let server = Server::start_service(service, |api| api.with_limits(limits));
    let desk = desk(&server.tenant()).await;
    server.service.record((0..2000).map(|number| call(&server, &desk, number)).collect()).expect("durable");
    let (stop, stopping) = watch::channel(());
    let ask = || server.router.clone().oneshot(request(&server, "/events?limit=1000", &stopping));
    let mut unread = Vec::new();
    let refused = loop {
        assert!(unread.len() < 100, "the memory of a tenant is bounded");
        let response = tokio::time::timeout(3 * limits.patience, ask()).await.expect("in time").expect("never fails");
        if response.status() != 200 {
            break response;
        }
        unread.push(response);
    };
    assert!(refused.status() == 503 && !unread.is_empty(), "{refused:?}");
    // A short page needs less.
    assert_eq!(server.tenant().get("/events?limit=1").await.status, 200);
    let began = Instant::now();
    drop(stop);
    assert_eq!(ask().await.expect("never fails").status(), 503);
    assert!(began.elapsed() < limits.patience, "it does not wait for memory");
}

/// The bar: one consumer reads 50,000 events a second.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: cargo test --release --all-features --test doors events_a_second -- --ignored --nocapture"]
async fn one_reader_reads_fifty_thousand_events_a_second() {
    const EVENTS: u64 = 100_000;
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), 2 * EVENTS);
    let desk = desk(&server.tenant()).await;
    for first in (0..EVENTS).step_by(1000) {
        let calls = (first..first + 1000).map(|number| call(&server, &desk, number)).collect();
        server.service.record(calls).expect("durable");
    }
    let (_stop, stopping) = watch::channel(());
    let (mut read, mut after, began) = (0, String::new(), Instant::now());
    while read < EVENTS {
        let request = request(&server, &format!("/events?limit=1000&types=call.recorded{after}"), &stopping);
        let body = server.router.clone().oneshot(request).await.expect("never fails").into_body();
        let text = to_bytes(body, usize::MAX).await.expect("a body");
        let page: Value = serde_json::from_slice(&text).expect("JSON");
        read += page["data"].as_array().expect("a list").len() as u64;
        after = format!("&after={}", page["meta"]["next_cursor"].as_str().expect("a cursor"));
    }
    let speed = u128::from(read) * 1000 / began.elapsed().as_millis().max(1);
    println!("{speed} events a second");
    assert!(speed >= 50_000, "{speed}");
}
