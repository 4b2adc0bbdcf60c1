//! A repeated request with the same idempotency key gets the same answer and is executed once.

use crate::http::etags::join_all;
use crate::support::server::{Answer, Client, Desk, START, Server};
use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

const MILLIS_A_DAY: u64 = 24 * 60 * 60 * 1000;

async fn post(client: &Client<'_>, key: &str, path: &str, body: &Value) -> Answer {
    client.given(("idempotency-key", key), Method::POST, path, Some(body.clone())).await
}

/// Returns the answer without the header that marks a repeated answer.
fn without_mark(mut answer: Answer) -> Answer {
    assert_eq!(answer.headers.remove("idempotency-replayed").expect("it says so"), "true");
    answer
}

/// The requests whose answers are kept. Each of them changes something.
fn requests(desk: &Desk) -> Vec<(bool, String, Value)> {
    let callback = &desk.callback;
    vec![
        (false, "/agents".into(), json!({"name": "New", "direction": "inbound"})),
        (false, "/phone-numbers".into(), json!({"number": "+15550001001"})),
        (false, format!("/agents/{callback}/unpublish"), json!({})),
        (false, format!("/agents/{callback}/publish"), json!({})),
        (false, format!("/agents/{callback}/callback"), json!({"source_agent_ids": [desk.source]})),
        (true, "/environments".into(), json!({"name": "New"})),
    ]
}

#[tokio::test]
async fn repeated_key_returns_the_first_answer_without_a_change() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    for (place, (is_operators, path, body)) in requests(&desk).into_iter().enumerate() {
        let client = if is_operators { server.operator() } else { server.tenant() };
        let key = format!("key-{place}");
        let first = post(&client, &key, &path, &body).await;
        assert!(first.status.is_success() && !first.headers.contains_key("idempotency-replayed"), "{}", first.text);
        let generation = server.generation();
        for _ in 0..3 {
            assert_eq!(without_mark(post(&client, &key, &path, &body).await), first, "{path}");
        }
        assert_eq!(server.generation(), generation, "{path}");
        // With another key it is another request.
        let other = post(&client, &format!("{key}-2"), &path, &body).await;
        assert!(!other.headers.contains_key("idempotency-replayed"), "{path}");
        assert_ne!(other.text, if other.status == 201 { first.text } else { String::new() });
    }
}

#[tokio::test]
async fn key_reused_for_another_request_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let body = json!({"name": "New", "direction": "inbound"});
    assert_eq!(post(&client, "k", "/agents", &body).await.status, 201);
    let generation = server.generation();
    let callback = format!("/agents/{}/callback", desk.callback);
    for (path, body) in [
        ("/agents", json!({"name": "Old", "direction": "inbound"})),
        ("/agents?x=1", body.clone()),
        ("/phone-numbers", json!({"number": "+15550001001"})),
        (&callback, json!({"source_agent_ids": [desk.source]})),
    ] {
        post(&client, "k", path, &body).await.is(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn rejected_request_does_not_use_up_its_key() {
    let server = Server::start();
    let client = server.tenant();
    let source = client.agent("Source", "outbound").await;
    let desk = client.agent("Desk", "outbound").await;
    let path = format!("/agents/{desk}/callback");
    let body = json!({"source_agent_ids": [source]});
    let generation = server.generation();
    post(&client, "k", &path, &body).await.is(422, "INVALID_AGENT_DIRECTION");
    post(&client, "k", &path, &json!({"source_agent_ids": []})).await.is(422, "VALIDATION_ERROR");
    assert_eq!(server.generation(), generation);
    client.put(&format!("/agents/{desk}/calling"), json!({"direction": "inbound"})).await.data();
    let first = post(&client, "k", &path, &body).await;
    assert_eq!(first.status, 200, "what was wrong is right now, and the key is still free");
    assert_eq!(without_mark(post(&client, "k", &path, &body).await), first);
}

#[tokio::test]
async fn repeated_request_gets_its_answer_after_later_changes() {
    let server = Server::start();
    let client = server.tenant();
    let body = json!({"name": "New", "direction": "outbound"});
    let first = post(&client, "k", "/agents", &body).await;
    let path = format!("/agents/{}", first.body["data"]["id"].as_str().unwrap());
    let publish = [("if-match", &*first.tag()), ("idempotency-key", "p"), ("content-type", "application/json")];
    let ask = async || client.send_with(Method::POST, &format!("{path}/publish"), &publish, Body::empty()).await;
    let published = ask().await;
    assert_eq!(published.status, 200);
    assert_eq!(without_mark(ask().await), published, "its own change has made its tag stale");
    client.post(&format!("{path}/unpublish"), json!({})).await.data();
    assert_eq!(client.delete(&path).await.status, 200);
    assert_eq!(without_mark(post(&client, "k", "/agents", &body).await), first);
    assert_eq!(client.get(&path).await.status, 404, "and nothing has come back");
}

#[tokio::test]
async fn keys_are_separate_for_each_environment_and_operators() {
    let server = Server::start();
    let body = json!({"name": "New", "direction": "inbound"});
    let ours = post(&server.tenant(), "k", "/agents", &body).await;
    let theirs = post(&server.other(), "k", "/agents", &body).await;
    assert_eq!((theirs.status.as_u16(), theirs.headers.contains_key("idempotency-replayed")), (201, false));
    assert_ne!(ours.text, theirs.text);
    assert_eq!(post(&server.operator(), "k", "/environments", &json!({"name": "New"})).await.status, 201);
    // The error does not reveal whether another environment has used the key.
    post(&server.other(), "k2", "/agents", &json!({})).await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn repeated_token_request_creates_one_token_and_shows_it_once() {
    let server = Server::start();
    let operator = server.operator();
    for body in [json!({"role": "gateway"}), json!({"role": "environment", "environment_id": server.environment})] {
        let key = body["role"].as_str().unwrap();
        let first = post(&operator, key, "/tokens", &body).await;
        assert_eq!(first.status, 201);
        let tokens = operator.get("/tokens").await.text;
        let again = post(&operator, key, "/tokens", &body).await;
        again.is(409, "SHOWN_ONCE");
        assert!(!again.text.contains(first.body["data"]["token"].as_str().unwrap()));
        assert_eq!(operator.get("/tokens").await.text, tokens);
    }
}

#[tokio::test]
async fn key_expires_after_a_day() {
    let server = Server::start();
    let client = server.tenant();
    let body = json!({"name": "New", "direction": "inbound"});
    let first = post(&client, "k", "/agents", &body).await;
    server.set_now(START.plus_millis(MILLIS_A_DAY - 1));
    assert_eq!(without_mark(post(&client, "k", "/agents", &body).await), first);
    server.set_now(START.plus_millis(MILLIS_A_DAY));
    let second = post(&client, "k", "/agents", &body).await;
    assert_eq!(second.status, 201);
    assert_ne!(second.text, first.text);
    assert_eq!(without_mark(post(&client, "k", "/agents", &body).await), second);
}

#[tokio::test]
async fn malformed_key_is_rejected() {
    let server = Server::start();
    let client = server.tenant();
    let generation = server.generation();
    let body = json!({"name": "New", "direction": "inbound"});
    for key in ["", "two words", "\u{fc}", &"x".repeat(256)] {
        let answer = post(&client, key, "/agents", &body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"]["Idempotency-Key"][0].is_string(), "{}", answer.text);
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b"), ("content-type", "application/json")];
    let answer = client.send_with(Method::POST, "/agents", &twice, body.to_string().into()).await;
    answer.is(422, "VALIDATION_ERROR");
    assert_eq!(server.generation(), generation);
    assert_eq!(post(&client, &"x".repeat(255), "/agents", &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_requests_with_one_key_execute_once() {
    let server = Server::start();
    let client = server.tenant();
    for round in 0..20 {
        let (key, body) = (format!("k{round}"), json!({"name": "New", "direction": "inbound"}));
        let answers = join_all((0..8).map(|_| post(&client, &key, "/agents", &body))).await;
        let carried_out = answers.iter().filter(|answer| !answer.headers.contains_key("idempotency-replayed"));
        assert_eq!(carried_out.count(), 1);
        assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
        let total = &client.get("/agents?per_page=1").await.body["meta"]["total"];
        assert_eq!(*total, round + 1);
    }
}

#[cfg(feature = "__testing")]
#[tokio::test]
async fn stored_answer_survives_a_restart() {
    use dialback::testing::recording::RecordingStore;
    use dialback::{Engine, Service, http::Limits};
    let store = RecordingStore::new();
    let server = Server::start_engine(Engine::new(), store.clone(), Limits::default());
    let body = json!({"name": "New", "direction": "inbound"});
    let first = post(&server.tenant(), "k", "/agents", &body).await;
    let commits = store.commits();
    let service = Service::builder(store.clone()).start().expect("starts");
    let server = server.restarted_on(service);
    assert_eq!(without_mark(post(&server.tenant(), "k", "/agents", &body).await), first);
    post(&server.tenant(), "k", "/agents", &json!({"name": "Old", "direction": "inbound"}))
        .await
        .is(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(store.commits(), commits, "nothing was written for a repetition");
    assert_eq!(server.tenant().get("/agents").await.body["meta"]["total"], 1);
}
