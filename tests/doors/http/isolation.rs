//! Isolation of tenants: one tenant's requests use no thread that routes, and a bounded amount of memory and disk.

#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "counts are whole, also as floats")]

use crate::http::bodies::{End, chunks};
use crate::http::etags::join_all;
use crate::http::metrics;
use crate::support::metrics_text::Page;
use crate::support::server::{CONTACT, Desk, OURS, START, Server};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Method, Request, Response};
use dialback::store::{Batch, EventStore, StoreError, Stored};
use dialback::{AgentId, Change, Direction, E164, NumberId};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower::ServiceExt;

/// The maximum sizes of a page and of a single agent or number.
const PAGE_BYTES: usize = 3 << 19;
const ITEM_BYTES: usize = 128 << 10;

/// Creates numbers, and agents that all own these numbers.
fn give(server: &Server, agents: u32, numbers: u32) {
    let id = |n: u32| NumberId::from_u128(u128::from(n) + 1);
    let ids: Vec<_> = (0..numbers).map(id).collect();
    let number = |n: u32| E164::parse_international(&format!("+1555{:07}", n + 2_000_000)).expect("a number");
    let add = |n| Change::NumberAdded { id: id(n), number: number(n) };
    configure(server, (0..numbers).map(add).collect());
    for n in 0..agents {
        let id = AgentId::from_u128(u128::from(n) + 1);
        let (name, direction) = (format!("Agent {n}"), Direction::Inbound);
        let numbers = (!ids.is_empty()).then(|| ids.clone());
        let create = Change::AgentCreated { id, name, direction, label: Some("é".repeat(255)) };
        configure(server, vec![create, Change::CallingSet { id, direction, numbers }]);
    }
}

fn configure(server: &Server, changes: Vec<Change>) {
    server.service.configure(server.environment, START, |_| Ok(changes)).expect("valid");
}

/// Polls the future once. Returns its result if it is ready.
fn at_once<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn route_is_answered_at_once_while_expensive_requests_wait() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    give(&server, 200, 300);
    let client = server.tenant();
    let agent = AgentId::from_u128(1);
    let numbers: Vec<_> = (0..300).map(|n| NumberId::from_u128(n + 1)).collect();
    let what_if = json!({
        "changes": [{"agent_id": desk.callback, "source_agent_ids": [desk.source]}],
        "calls": vec![json!({"dialed": OURS, "caller": CONTACT}); 500],
    });
    let calling = json!({"direction": "inbound", "phone_number_ids": numbers});
    let long_call = json!({"agent_id": "x".repeat(50_000), "from": OURS, "to": CONTACT});
    let call = format!("{}\n", desk.call("busy"));
    let explained = format!("/route?dialed={}&explain=true", &OURS[1..]);
    let expensive: [(Method, &str, Option<Value>); 10] = [
        (Method::GET, "/agents?search=nobody", None),
        (Method::GET, "/agents?per_page=100", None),
        (Method::GET, "/phone-numbers", None),
        (Method::GET, "/callback-agents", None),
        (Method::GET, "/callback-agents/stats", None),
        (Method::GET, &explained, None),
        (Method::POST, "/route/what-if", Some(what_if)),
        (Method::POST, &format!("/callback-agents/{}/check-constraints", desk.callback), Some(json!({}))),
        (Method::PUT, &format!("/agents/{agent}/calling"), Some(calling)),
        (Method::POST, "/calls", Some(long_call)),
    ];
    let ask = |(method, path, body): (Method, &str, Option<Value>)| {
        let (client, path) = (&client, path.to_owned());
        Box::pin(async move { client.given(("x-test", "x"), method, &path, body).await })
    };
    let mut waiting: Vec<_> = expensive.into_iter().map(ask).collect();
    for (place, request) in waiting.iter_mut().enumerate() {
        assert!(at_once(request).is_none(), "request {place} ran on the thread that routes");
    }
    let mut bulk = Box::pin(client.bulk(call.repeat(2_000)));
    assert!(at_once(&mut bulk).is_none());

    let other = server.other();
    let path = format!("/route?dialed={}&caller={}", &OURS[1..], &CONTACT[1..]);
    for asker in [&other, &client, &server.gateway()] {
        let route = at_once(&mut Box::pin(asker.get(&path))).expect("a route does not wait");
        assert_eq!(route.status, 200);
    }
    let answers = join_all(waiting.into_iter()).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 422]);
    assert_eq!(bulk.await.body["accepted"], 2_000);
}

/// Returns the value of a metric.
async fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = metrics::page(server, "*/*").await;
    Page::read(&text).expect("a page").value(name, &[]).expect("the metric")
}

/// Waits until request bodies hold this many bytes.
async fn wait_for_held(server: &Server, bytes: f64) {
    for _ in 0..4_000 {
        if metric(server, "dialback_request_bodies_bytes").await == bytes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("bodies hold {} bytes", metric(server, "dialback_request_bodies_bytes").await);
}

#[tokio::test]
async fn unfinished_bodies_of_a_tenant_leave_room_for_others_and_for_its_own_short_ones() {
    const HELD: usize = 4;
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let ours = format!("Bearer {}", server.tenant_token());
    let post = |path: &str, body: Body| {
        let request = Request::post(format!("/api/v1{path}")).header("authorization", &ours);
        let request = request.header("content-type", "application/json").body(body).expect("a request");
        server.router.clone().oneshot(request)
    };
    let text = "x".repeat(1_000_000);
    let unfinished = |path| tokio::spawn(post(path, chunks(text.as_bytes(), 16 << 10, End::Never)));
    let paths = ["/agents", "/calls", "/calls/bulk", "/agents"];
    let held: Vec<_> = paths.into_iter().map(unfinished).collect();
    assert_eq!(held.len(), HELD);
    wait_for_held(&server, (HELD << 20) as f64).await;

    let long = json!({"name": "x".repeat(300_000)});
    for path in ["/agents", "/calls", "/route/what-if"] {
        let body = chunks(long.to_string().as_bytes(), 100_000, End::Never);
        let answer = server.tenant().send(Method::POST, path, Some("application/json"), body).await;
        answer.is(503, "TOO_MANY_BODIES");
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!((header("retry-after"), header("connection")), (Some("1"), Some("close")), "{path}");
    }
    let call = desk.call("busy").to_string();
    let lines = format!("{call}\n{}", "x".repeat(300_000));
    let line = server.tenant().bulk(chunks(lines.as_bytes(), call.len() + 1, End::Never)).await;
    line.is(503, "TOO_MANY_BODIES");
    assert!(line.text.contains("; 1 calls were recorded"), "{}", line.text);
    assert_eq!(metric(&server, "dialback_request_bodies_refused_total").await, 4.0);
    // Short bodies, uploads of short lines and other tenants are not affected.
    assert_eq!(server.tenant().post("/calls", desk.call("busy")).await.status, 202);
    let bulk = server.tenant().bulk(format!("{call}\n").repeat(3_000)).await;
    assert_eq!(bulk.body["accepted"], 3_000, "{}", bulk.text);
    server.other().post("/agents", long.clone()).await.is(422, "VALIDATION_ERROR");

    for request in held {
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()));
    }
    wait_for_held(&server, 0.0).await;
    server.tenant().post("/agents", long).await.is(422, "VALIDATION_ERROR");
}

/// An object of seven bytes takes a hundred times its text. Three such bodies took 190 MiB.
#[tokio::test]
async fn bodies_of_many_small_values_are_refused_before_they_are_parsed() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let text = format!("{{\"x\":[{}{{}}]}}", "{\"\":0},".repeat(130_000));
    for path in ["/agents", "/calls", "/route/what-if"] {
        let body = Body::from(text.clone());
        let answer = server.tenant().send(Method::POST, path, Some("application/json"), body).await;
        answer.is(413, "BODY_TOO_LARGE");
    }
    let call = desk.call("busy").to_string();
    let answer = server.tenant().bulk(format!("{text}\n{call}\n")).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(1)), "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["message"], "The line has too many values");
    // The values of a body that is read count as long as the request uses them.
    let list: Vec<_> = (0..25_000).map(|number| AgentId::from_u128(number).to_string()).collect();
    let long = json!({"name": "A", "direction": "inbound", "phone_numbers": list});
    let answer = server.tenant().post("/agents", long).await;
    assert!(answer.status == 422 || answer.status == 201, "it has room: {}", answer.text);
    wait_for_held(&server, 0.0).await;
}

#[tokio::test]
async fn agent_with_many_numbers_lists_a_thousand_and_links_to_all() {
    let server = Server::start();
    give(&server, 2, 1_250);
    let client = server.tenant();
    let agent = format!("/agents/{}", AgentId::from_u128(1));
    let shown = client.get(&agent).await;
    assert!(shown.text.len() <= ITEM_BYTES);
    let data = shown.data();
    assert_eq!(data["phone_numbers"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(data["phone_numbers_total"], 1_250);
    let rest = data["phone_numbers_url"].as_str().expect("a link").strip_prefix("/api/v1").expect("ours").to_owned();

    let whole = client.get(&rest).await;
    assert_eq!(whole.body["meta"], json!({"current_page": 1, "per_page": 1250, "total": 1250, "last_page": 1}));
    let whole = numbers_of(&whole.body["data"]);
    let distinct: HashSet<_> = whole.iter().collect();
    assert_eq!((whole.len(), distinct.len()), (1_250, 1_250));
    assert_eq!(numbers_of(&data["phone_numbers"]), whole[..1_000]);
    let mut paged = Vec::new();
    for page in 1..=13 {
        let answer = client.get(&format!("{rest}&per_page=100&page={page}")).await;
        assert_eq!(answer.body["meta"]["last_page"], 13);
        paged.extend(numbers_of(&answer.body["data"]));
    }
    assert_eq!(paged, whole, "the pages contain each number once");

    configure(
        &server,
        vec![Change::CallingSet {
            id: AgentId::from_u128(2),
            direction: Direction::Inbound,
            numbers: Some((0..1_000).map(|n| NumberId::from_u128(n + 1)).collect()),
        }],
    );
    let data = client.get(&format!("/agents/{}", AgentId::from_u128(2))).await.data();
    assert_eq!(
        (data["phone_numbers"].as_array().map(Vec::len), &data["phone_numbers_total"]),
        (Some(1_000), &Value::Null)
    );
    for unknown in ["x", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(client.get(&format!("/phone-numbers?agent_id={unknown}")).await.body["meta"]["total"], 0);
        assert_eq!(client.get(&format!("/agents?phone_number_id={unknown}")).await.body["meta"]["total"], 0);
    }
    assert_eq!(server.other().get(&rest).await.body["meta"]["total"], 0, "another tenant does not see the agent");
}

fn numbers_of(data: &Value) -> Vec<String> {
    data.as_array().expect("a list").iter().map(|one| one["number"].as_str().expect("a number").to_owned()).collect()
}

#[tokio::test]
async fn number_with_many_owners_lists_a_thousand_and_links_to_all() {
    let server = Server::start();
    give(&server, 1_003, 1);
    let client = server.tenant();
    let data = client.get(&format!("/phone-numbers/{}", NumberId::from_u128(1))).await.data();
    assert_eq!((data["agent_ids"].as_array().map(Vec::len), &data["agents_total"]), (Some(1_000), &json!(1_003)));
    let rest = data["agents_url"].as_str().expect("a link").strip_prefix("/api/v1").expect("ours").to_owned();
    let mut owners = HashSet::new();
    for page in 1..=11 {
        let answer = client.get(&format!("{rest}&per_page=100&page={page}")).await;
        assert_eq!(answer.body["meta"]["total"], 1_003);
        owners.extend(answer.body["data"].as_array().expect("a list").iter().map(|agent| agent["id"].to_string()));
    }
    assert_eq!(owners.len(), 1_003);
}

#[tokio::test]
async fn page_of_large_agents_is_complete_and_within_its_size_limit() {
    let server = Server::start();
    give(&server, 101, 1_050);
    let client = server.tenant();
    for (page, agents) in [(1, 100), (2, 1)] {
        let answer = client.get(&format!("/agents?per_page=100&page={page}")).await;
        assert!(answer.text.len() <= PAGE_BYTES, "{}", answer.text.len());
        assert_eq!(answer.body["meta"], json!({"current_page": page, "per_page": 100, "total": 101, "last_page": 2}));
        let data = answer.body["data"].as_array().expect("a list");
        assert_eq!(data.len(), agents);
        let listed: Vec<_> =
            data.iter().map(|agent| agent["phone_numbers"].as_array().expect("a list").len()).collect();
        assert!(listed.iter().sum::<usize>() <= 10_000);
        assert_eq!(listed[0], 1_000);
        assert!(data.iter().all(|agent| agent["phone_numbers_total"] == 1_050), "each agent shows its total");
    }
    let numbers = client.get("/phone-numbers?per_page=100").await;
    assert!(numbers.text.len() <= PAGE_BYTES);
}

async fn begin(router: &Router, token: &str, path: &str) -> Response<Body> {
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {token}"));
    router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("never fails")
}

#[tokio::test]
async fn unread_answers_block_only_their_own_tenant() {
    let server = Server::start();
    give(&server, 3, 300);
    let token = issue(&server, server.environment).await;
    let others = issue(&server, server.other_environment).await;
    let mut unread = Vec::new();
    let blocked = loop {
        let mut asked = Box::pin(begin(&server.router, &token, "/phone-numbers"));
        // A request that does not finish in two seconds is waiting for the memory of unread answers.
        match tokio::time::timeout(std::time::Duration::from_secs(2), &mut asked).await {
            Ok(answer) => unread.push(answer.into_body()),
            Err(_) => break asked,
        }
        assert!(unread.len() <= 64, "the memory of unread answers is not bounded");
    };
    assert!(unread.len() >= 8, "too few answers may be left unread: {}", unread.len());
    for _ in 0..3 {
        assert_eq!(begin(&server.router, &others, "/phone-numbers").await.status(), 200);
    }
    let calls = json!({"agent_id": AgentId::from_u128(9), "from": OURS, "to": CONTACT});
    server.tenant().post("/calls", calls).await.is(422, "VALIDATION_ERROR");
    let mut first = unread.pop().expect("some");
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut first).poll_frame(context)).await {
        let piece = frame.expect("whole").into_data().expect("data");
        assert!(piece.len() <= 16 << 10, "the connection takes small pieces: {}", piece.len());
    }
    drop(unread);
    assert_eq!(blocked.await.status(), 200);
}

async fn issue(server: &Server, environment: dialback::EnvironmentId) -> String {
    let body = json!({"role": "environment", "environment_id": environment});
    server.operator().post("/tokens", body).await.data()["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn list_that_changes_during_reading_shows_each_remaining_item_once() {
    let server = Server::start();
    give(&server, 1, 600);
    let token = issue(&server, server.environment).await;
    let answer = begin(&server.router, &token, "/phone-numbers").await;
    let tag = answer.headers()["etag"].clone();
    let mut body = answer.into_body();
    let mut text = Vec::new();
    let mut is_changed = false;
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        text.extend_from_slice(&frame.expect("whole").into_data().expect("data"));
        if !std::mem::replace(&mut is_changed, true) {
            let (id, direction) = (AgentId::from_u128(1), Direction::Inbound);
            let released = (0..200).map(|n| Change::NumberReleased { id: NumberId::from_u128(2 * n + 1) });
            let take = Change::CallingSet { id, direction, numbers: Some(Vec::new()) };
            configure(&server, std::iter::once(take).chain(released).collect());
        }
    }
    let list: Value = serde_json::from_slice(&text).expect("JSON to its end");
    let numbers = numbers_of(&list["data"]);
    let distinct: HashSet<_> = numbers.iter().cloned().collect();
    assert_eq!(distinct.len(), numbers.len());
    let stayed = numbers_of(&server.tenant().get("/phone-numbers").await.body["data"]);
    assert!(stayed.len() == 400 && stayed.iter().all(|number| distinct.contains(number)));
    let tag = tag.to_str().expect("ASCII");
    let again = server.tenant().given(("if-none-match", tag), Method::GET, "/phone-numbers", None).await;
    assert_eq!(again.status, 200, "the tag of the list is no longer current");
}

/// A store that counts the bytes of the configurations committed to it.
#[derive(Clone, Default)]
struct Scales(Arc<AtomicUsize>);

impl EventStore for Scales {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let text = serde_json::to_string(&batch.configurations).expect("JSON");
        self.0.fetch_add(text.len(), Ordering::Relaxed);
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn stored_answer_takes_at_most_four_kib_for_any_response_length() {
    let scales = Scales::default();
    let server = Server::start_on(scales.clone());
    give(&server, 101, 60);
    let client = server.tenant();
    let id = AgentId::from_u128(1);
    let sources: Vec<_> = (0..1_000).map(|n| AgentId::from_u128(n + 10_000)).collect();
    let source = |id| Change::AgentCreated { id, name: "S".into(), label: None, direction: Direction::Outbound };
    configure(&server, sources.iter().copied().map(source).collect());
    let number = E164::parse_international("+15552000000").expect("a number");
    let requests = [
        (format!("/agents/{id}/publish"), json!({}), 0),
        (format!("/agents/{id}/unpublish"), json!({}), 0),
        (format!("/agents/{id}/callback"), json!({"source_agent_ids": sources}), 40_000),
        ("/agents".into(), json!({"id": id, "name": "Agent 0", "label": "é".repeat(255), "direction": "inbound"}), 0),
        (
            "/phone-numbers".into(),
            json!({"id": NumberId::from_u128(1), "number": number.to_plus_form().to_string()}),
            0,
        ),
    ];
    for (place, (path, body, said)) in requests.iter().enumerate() {
        let key = format!("key-{place}");
        let ask = async || client.given(("idempotency-key", &key), Method::POST, path, Some(body.clone())).await;
        let before = scales.0.load(Ordering::Relaxed);
        let first = ask().await;
        let stored = scales.0.load(Ordering::Relaxed) - before;
        assert!(first.status.is_success() && first.text.len() > 3_500, "{} {}", first.status, first.text.len());
        assert!((1..=4096 + said).contains(&stored), "{path}: {stored}");
        let mut again = ask().await;
        assert_eq!(again.headers.remove("idempotency-replayed").expect("the mark of a repeated answer"), "true");
        assert_eq!(again, first, "{path}: the bytes are equal while the entity has not changed");
    }
}

#[tokio::test]
async fn long_answer_of_a_changed_entity_is_rebuilt_and_marked() {
    let server = Server::start();
    give(&server, 2, 300);
    let client = server.tenant();
    let path = format!("/agents/{}", AgentId::from_u128(1));
    let publish = async || client.given(("idempotency-key", "k"), Method::POST, &format!("{path}/publish"), None).await;
    let first = publish().await;
    assert_eq!(first.status, 200);
    client.post(&format!("{path}/unpublish"), json!({})).await.data();
    let now = client.get(&path).await;
    let generation = server.generation();
    let again = publish().await;
    assert_eq!(
        (again.status, &again.body["data"], again.tag()),
        (first.status, &now.body["data"], now.tag()),
        "it has the tag of the current version"
    );
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["idempotency-rebuilt"], "true");
    assert_eq!(server.generation(), generation, "the request was not carried out again");
    assert_eq!(client.delete(&path).await.status, 200);
    publish().await.is(409, "ANSWER_GONE");
}
