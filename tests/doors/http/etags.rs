//! Versions: an edit of an outdated version is rejected, and exactly one of several simultaneous edits succeeds.

use crate::support::server::{Answer, Client, Desk, Server};
use axum::http::Method;
use serde_json::{Value, json};

type Edit = (Method, String, Option<Value>);

/// The entities that can be replaced: their paths, and the requests that replace or delete them.
fn replaceable(desk: &Desk, bystander: &str) -> Vec<(String, Vec<Edit>)> {
    let Desk { source, callback, number } = desk;
    let agent = format!("/agents/{bystander}");
    let role = format!("/agents/{callback}/callback");
    let sources = || Some(json!({"source_agent_ids": [source]}));
    vec![
        (
            agent.clone(),
            vec![
                (Method::PUT, agent.clone(), Some(json!({"name": "Renamed"}))),
                (Method::PUT, format!("{agent}/calling"), Some(json!({"direction": "outbound"}))),
                (Method::POST, format!("{agent}/publish"), None),
                (Method::POST, format!("{agent}/unpublish"), None),
                (Method::DELETE, agent, None),
            ],
        ),
        (
            role.clone(),
            vec![
                (Method::POST, role.clone(), sources()),
                (Method::PUT, role.clone(), sources()),
                (Method::DELETE, role, None),
            ],
        ),
        (
            format!("/phone-numbers/{number}"),
            vec![
                (Method::PUT, format!("/phone-numbers/{number}"), Some(json!({"default_agent_id": callback}))),
                (Method::PUT, format!("/phone-numbers/{number}"), Some(json!({"default_agent_id": null}))),
            ],
        ),
    ]
}

#[tokio::test]
async fn stale_if_match_changes_nothing_and_current_one_succeeds() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let bystander = client.agent("Bystander", "inbound").await;
    for (shown, edits) in replaceable(&desk, &bystander) {
        for (method, path, body) in edits {
            let before = client.get(&shown).await;
            let generation = server.generation();
            for stale in ["\"0\"", "\"999999\"", "W/\"1\"", "nonsense", &format!("W/{}", before.tag()), "\"\""] {
                let answer = client.given(("if-match", stale), method.clone(), &path, body.clone()).await;
                answer.is(412, "PRECONDITION_FAILED");
            }
            let unless = ("if-none-match", &*before.tag());
            client.given(unless, method.clone(), &path, body.clone()).await.is(412, "PRECONDITION_FAILED");
            assert_eq!(server.generation(), generation, "{method} {path}");
            assert_eq!(client.get(&shown).await, before);

            let several = format!("\"0\", {}", before.tag());
            let answer = client.given(("if-match", &several), method.clone(), &path, body).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
            let after = client.get(&shown).await;
            if method == Method::DELETE {
                assert_eq!(after.status, 404);
            } else {
                assert_eq!(answer.tag(), after.tag(), "the answer to a change carries the new tag");
                assert!(before.text == after.text || before.tag() != after.tag(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn if_match_on_a_missing_entity_fails_even_with_star() {
    let server = Server::start();
    let client = server.tenant();
    let source = client.agent("Source", "outbound").await;
    let callback = client.agent("Handler", "inbound").await;
    let path = format!("/agents/{callback}/callback");
    let sources = || Some(json!({"source_agent_ids": [source]}));
    let generation = server.generation();
    client.given(("if-match", "*"), Method::POST, &path, sources()).await.is(412, "PRECONDITION_FAILED");
    client.given(("if-match", "*"), Method::PUT, &path, sources()).await.is(404, "NOT_A_CALLBACK_AGENT");
    client.given(("if-match", "*"), Method::DELETE, "/agents/x", None).await.is(404, "AGENT_NOT_FOUND");
    client
        .given(("if-match", "*"), Method::PUT, "/phone-numbers/x", Some(json!({"default_agent_id": null})))
        .await
        .is(404, "NUMBER_NOT_FOUND");
    assert_eq!(server.generation(), generation);

    let first = ("if-none-match", "*");
    assert_eq!(client.given(first, Method::POST, &path, sources()).await.status, 200);
    client.given(first, Method::POST, &path, sources()).await.is(412, "PRECONDITION_FAILED");
    assert_eq!(client.given(("if-match", "*"), Method::PUT, &path, sources()).await.status, 200);
}

#[tokio::test]
async fn change_shown_in_another_entity_makes_a_new_version_there() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let (role, number) = (format!("/agents/{}/callback", desk.callback), format!("/phone-numbers/{}", desk.number));
    let agent = format!("/agents/{}", desk.callback);
    let seen = async |client: &Client<'_>| {
        let all = [client.get(&role).await, client.get(&number).await, client.get(&agent).await];
        all.map(|answer| (answer.headers.get("etag").cloned(), answer.text))
    };
    let mut before = seen(&client).await;
    let second = client.agent("Second", "inbound").await;
    let (calling, publish) = (format!("/agents/{second}/calling"), format!("/agents/{second}/publish"));
    // Two versions must differ even if the clock does not advance.
    for (method, path, body) in [
        (Method::PUT, calling, Some(json!({"direction": "inbound", "phone_number_ids": [desk.number]}))),
        (Method::POST, publish, None),
        (Method::POST, format!("/agents/{}/unpublish", desk.callback), None),
        (Method::POST, format!("/agents/{}/publish", desk.callback), None),
        (Method::PUT, number.clone(), Some(json!({"default_agent_id": second}))),
        (Method::POST, format!("/agents/{}/unpublish", desk.source), None),
        (Method::DELETE, format!("/agents/{}", desk.source), None),
    ] {
        let answer = client.json(method.clone(), &path, body.unwrap_or(json!({}))).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let after = seen(&client).await;
        for ((tag, text), (old_tag, old_text)) in after.iter().zip(&before) {
            assert!(tag.is_some());
            assert!(text == old_text || tag != old_tag, "{method} {path}: {text}");
        }
        before = after;
    }
    let config = &client.get(&role).await.data()["callback_config"];
    assert_eq!(config["source_agent_ids"], json!([]), "the source is gone from it, under a tag of its own");
}

#[tokio::test]
async fn recreated_id_does_not_match_its_old_etags() {
    let server = Server::start();
    let client = server.tenant();
    let body = json!({"name": "A", "direction": "inbound", "id": "00000000-0000-4000-8000-00000000000a"});
    let first = client.post("/agents", body.clone()).await;
    let path = format!("/agents/{}", first.body["data"]["id"].as_str().unwrap());
    client.delete(&path).await;
    let second = client.post("/agents", body).await;
    assert_eq!((second.status.as_u16(), &second.body), (201, &first.body), "they look the same");
    assert_ne!(first.tag(), second.tag());
    client.given(("if-match", &first.tag()), Method::DELETE, &path, None).await.is(412, "PRECONDITION_FAILED");
}

#[tokio::test]
async fn matching_if_none_match_returns_304_without_body() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let paths = [
        format!("/agents/{}", desk.callback),
        format!("/agents/{}/callback", desk.callback),
        format!("/phone-numbers/{}", desk.number),
        "/agents".into(),
        "/agents?per_page=1&page=2".into(),
        "/phone-numbers".into(),
    ];
    for path in &paths {
        let seen = client.get(path).await;
        for known in [seen.tag(), format!("W/{}", seen.tag()), "*".into(), format!("\"x\", {}", seen.tag())] {
            let answer = client.given(("if-none-match", &known), Method::GET, path, None).await;
            assert_eq!((answer.status.as_u16(), answer.tag()), (304, seen.tag()), "{path} {known}");
        }
        let answer = client.given(("if-none-match", "\"0\""), Method::GET, path, None).await;
        assert_eq!(answer, seen);
        // An entity of another tenant is not found, with or without an `ETag`.
        if path.starts_with("/agents/") || path.starts_with("/phone-numbers/") {
            let theirs = server.other().given(("if-none-match", "*"), Method::GET, path, None).await;
            assert_eq!(theirs, server.other().get(path).await);
            assert_eq!(theirs.status, 404);
        }
    }
    // Another tenant's changes do not change this tenant's versions.
    let tags = async || {
        let mut tags = Vec::new();
        for path in &paths {
            tags.push(client.get(path).await.tag());
        }
        tags
    };
    let before = tags().await;
    Desk::set_up_on(&server.other(), "+15550002000").await;
    server.operator().post("/environments", json!({"name": "Third"})).await.data();
    assert_eq!(tags().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_simultaneous_edits_succeeds() {
    const RACERS: usize = 8;
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let bystander = client.agent("Bystander", "inbound").await;
    for (shown, edits) in replaceable(&desk, &bystander) {
        // Edits that may change nothing are left out, because they keep the version.
        for (method, path, body) in edits.into_iter().filter(|(method, path, _)| {
            method != Method::DELETE && (method == Method::PUT || path.ends_with("/callback"))
        }) {
            for round in 0..6 {
                let tag = client.get(&shown).await.tag();
                let body = differing(body.as_ref(), round, &desk);
                let (tag, path) = (&tag, &path);
                let race = (0..RACERS).map(|_| client.given(("if-match", tag), method.clone(), path, body.clone()));
                let answers: Vec<Answer> = join_all(race).await;
                let won = answers.iter().filter(|answer| answer.status == 200).count();
                assert_eq!(won, 1, "{method} {path}");
                answers
                    .iter()
                    .filter(|answer| answer.status != 200)
                    .for_each(|lost| lost.is(412, "PRECONDITION_FAILED"));
            }
        }
    }
}

/// Returns a body that changes something in this round.
fn differing(body: Option<&Value>, round: usize, desk: &Desk) -> Option<Value> {
    let mut body = body?.clone();
    let odd = round % 2 == 1;
    if body.get("direction").is_some() {
        body["direction"] = json!(if odd { "inbound" } else { "outbound" });
    }
    if body.get("name").is_some() {
        body["name"] = json!(format!("Name {round}"));
    }
    if body.get("source_agent_ids").is_some() {
        body["lookback_days"] = json!(1 + round);
    }
    if body.get("default_agent_id").is_some() {
        body["default_agent_id"] = if odd { Value::Null } else { json!(desk.callback) };
    }
    Some(body)
}

/// Runs all of them at once.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in waiting.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
