//! `GET /routes` and `GET /routes/{decision_id}`: the records of routed calls.

use crate::support::server::{CONTACT, Client, Desk, OURS, START, Server};
use axum::body::Body;
use axum::http::Method;
use dialback::testing::lasting::LastingStore;
use serde_json::{Value, json};

fn server() -> Server {
    Server::start_on(LastingStore::new([7; 32]))
}

async fn route(client: &Client<'_>, caller: &str) -> String {
    let path = format!("/route?dialed={}&caller={}", OURS.replace('+', "%2B"), caller.replace('+', "%2B"));
    client.get(&path).await.data()["decision_id"].as_str().expect("an id").to_owned()
}

async fn desk(server: &Server) -> Desk {
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    desk
}

/// Returns the ids of all pages, and the number of pages.
async fn all(client: &Client<'_>, query: &str) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let answer = client.get(&format!("/routes?{query}{cursor}")).await;
        let entries = answer.clone().data();
        let entries = entries.as_array().expect("a list").clone();
        ids.extend(entries.iter().map(|entry| entry["decision_id"].as_str().expect("an id").to_owned()));
        pages += 1;
        match answer.body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, pages),
        }
    }
}

#[tokio::test]
async fn routed_call_is_shown_as_it_was_decided_after_its_agents_are_deleted() {
    let server = server();
    let client = server.tenant();
    let Desk { source, callback, .. } = desk(&server).await;
    let generation = client.get("/route?dialed=%2B15550001000&explain=true").await.data()["generation"].clone();
    let explained = client.get("/route?dialed=%2B15550001000&caller=%2B15557654321&explain=true").await.data();
    let id = route(&server.gateway(), CONTACT).await;
    for (agent, name) in [(&callback, "Other desk"), (&source, "Other source")] {
        client.put(&format!("/agents/{agent}"), json!({"name": name})).await.data();
        client.post(&format!("/agents/{agent}/unpublish"), json!({})).await.data();
        assert_eq!(client.delete(&format!("/agents/{agent}")).await.status, 200);
    }
    let shown = client.get(&format!("/routes/{id}")).await.data();
    let expected = json!({
        "decision_id": id, "at": "2026-06-01T12:00:00.000Z", "door": "http", "dialed": OURS, "caller": CONTACT,
        "decision": "callback", "agent": {"id": callback, "name": "Callback Handler"}, "reason": "MATCHED",
        "generation": generation,
        "call": {
            "source_agent": {"id": source, "name": "Reminders"}, "from": OURS,
            "called_at": "2026-06-01T11:00:00.000Z", "status": "busy",
        },
        "answered_at": null, "summary": explained["summary"], "steps": explained["steps"],
    });
    assert_eq!(shown, expected);
    assert_eq!(shown["steps"].as_array().expect("a list").len(), 9);
    let listed = client.get("/routes").await;
    let mut entry = expected;
    entry.as_object_mut().expect("an object").retain(|name, _| name != "summary" && name != "steps");
    assert_eq!(listed.body["data"], json!([entry]));
    assert_eq!(listed.body["meta"], json!({"next_cursor": null, "damaged": []}));
}

#[tokio::test]
async fn each_line_of_the_rule_is_recorded_as_the_explanation_shows_it() {
    let server = server();
    let client = server.tenant();
    let desk = desk(&server).await;
    let mut seen = Vec::new();
    for (caller, make) in [
        (CONTACT, json!(null)),
        ("anonymous", json!(null)),
        ("+15557654399", json!(null)),
        (CONTACT, json!({"source_agent_ids": [desk.source], "callback_trigger_statuses": ["voicemail"]})),
    ] {
        if make.is_object() {
            client.put(&format!("/agents/{}/callback", desk.callback), make).await.data();
        }
        let query = format!("/route?dialed=%2B15550001000&caller={}", caller.replace('+', "%2B"));
        let explained = client.get(&format!("{query}&explain=true")).await.data();
        let shown = client.get(&format!("/routes/{}", route(&client, caller).await)).await.data();
        for field in ["summary", "steps", "reason", "decision"] {
            assert_eq!(shown[field], explained[field], "{caller}");
        }
        seen.push(shown["reason"].as_str().expect("text").to_owned());
    }
    assert_eq!(seen, ["MATCHED", "ANONYMOUS_CALLER", "NO_HISTORY", "OUTCOME_NOT_ELIGIBLE"]);
}

/// A source may have very many callback agents. A record keeps the first of them, and counts the rest.
#[tokio::test]
async fn record_with_many_candidates_is_cut_and_says_how_many_there_were() {
    let server = server();
    let client = server.tenant();
    let Desk { source, callback, .. } = desk(&server).await;
    for place in 0..130 {
        let agent = client.agent(&format!("Agent {place}"), "inbound").await;
        client.post(&format!("/agents/{agent}/callback"), json!({"source_agent_ids": [source]})).await.data();
    }
    let shown = client.get(&format!("/routes/{}", route(&client, CONTACT).await)).await.data();
    assert_eq!((&shown["reason"], &shown["agent"]["id"]), (&json!("MATCHED"), &json!(callback)));
    let saw = |line: usize| &shown["steps"][line - 1]["saw"];
    assert_eq!((saw(4)["callback_agents"].as_array().expect("a list").len(), &saw(4)["more"]), (20, &json!(111)));
    // A hundred candidates are examined, and the one that takes the call.
    assert_eq!((saw(5)["candidates"].as_array().expect("a list").len(), &saw(5)["more"]), (20, &json!(81)));
    let last = saw(9)["candidates"].as_array().expect("a list");
    assert_eq!((last.len(), &last[0]["id"], &last[0]["remains"]), (1, &json!(callback), &json!(true)));
    let text = client.get(&format!("/routes/{}", route(&client, CONTACT).await)).await.text;
    assert!(text.len() < 32 << 10, "{}", text.len());
}

#[tokio::test]
async fn list_can_be_limited_and_pages_have_each_call_once() {
    let server = server();
    let client = server.tenant();
    let Desk { source, callback, .. } = desk(&server).await;
    let mut ids = Vec::new();
    for place in 0..230u64 {
        server.set_now(START.plus_millis(place * 1000));
        ids.push(route(&client, if place % 10 == 0 { CONTACT } else { "+15557654399" }).await);
    }
    ids.reverse();
    assert_eq!(all(&client, "").await, (ids.clone(), 3));
    let matched: Vec<_> = ids.iter().rev().step_by(10).rev().cloned().collect();
    let number = CONTACT.replace('+', "%2B");
    for query in [
        format!("contact={number}"),
        "reason=MATCHED".into(),
        "decision=callback".into(),
        format!("source_agent_id={source}"),
        format!("contact={number}&agent_id={callback}&dialed={}", OURS.replace('+', "%2B")),
    ] {
        assert_eq!(all(&client, &query).await.0, matched, "{query}");
    }
    for query in [format!("agent_id={source}"), format!("dialed={number}"), "reason=EXPIRED".into()] {
        assert!(all(&client, &query).await.0.is_empty(), "{query}");
    }
    let some = all(&client, "since=2026-06-01T12:00:10Z&until=2026-06-01T12:00:12Z").await.0;
    assert_eq!(some, ids[217..=219]);
    for wrong in ["contact=x", "dialed=x", "agent_id=x", "reason=x", "decision=x", "since=x", "until=x", "cursor=x"] {
        client.get(&format!("/routes?{wrong}")).await.is(422, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn records_of_others_and_of_unknown_numbers_do_not_exist() {
    let server = server();
    let client = server.tenant();
    desk(&server).await;
    let id = route(&client, CONTACT).await;
    // A number in no plan may be a personal one.
    let unknown = server.gateway().get("/route?dialed=%2B15550009999&caller=%2B15557654321").await.data();
    let foreign = server.other().get("/route?dialed=%2B15550001000&caller=%2B15557654321").await.data();
    // A query routes no call.
    let asked = client.get("/route?dialed=%2B15550001000&caller=%2B15557654321&at=2026-06-01T12:00:00Z").await.data();
    let missing = client.get("/routes/00000000-0000-4000-8000-000000000000").await;
    missing.is(404, "DECISION_NOT_FOUND");
    for answer in [&unknown, &foreign, &asked] {
        let path = format!("/routes/{}", answer["decision_id"].as_str().expect("an id"));
        assert_eq!(client.get(&path).await, missing);
        assert_eq!(server.other().get(&path).await, missing);
    }
    assert_eq!(server.other().get(&format!("/routes/{id}")).await, missing);
    assert_eq!(client.get("/routes/x").await, missing);
    assert_eq!(all(&server.other(), "").await, (Vec::new(), 1));
    assert_eq!(all(&client, "").await.0, std::slice::from_ref(&id));
    for client in [server.gateway(), server.operator()] {
        client.get("/routes").await.is(403, "UNAUTHORIZED");
        client.get(&format!("/routes/{id}")).await.is(403, "UNAUTHORIZED");
    }
    let without = Server::start();
    without.tenant().get("/routes").await.is(501, "NOT_STORED");
    without.tenant().get(&format!("/routes/{id}")).await.is(501, "NOT_STORED");
}

#[tokio::test]
async fn answer_is_shown_with_its_time_and_erasing_the_contact_removes_its_records() {
    let server = server();
    let client = server.tenant();
    desk(&server).await;
    let (matched, other) = (route(&client, CONTACT).await, route(&client, "+15557654399").await);
    for (id, seconds) in [(&matched, 5), (&other, 6), (&matched, 7)] {
        server.set_now(START.plus_millis(seconds * 1000));
        let path = format!("/routes/{id}/answered");
        assert_eq!(client.send(Method::POST, &path, None, Body::empty()).await.status, 200);
    }
    let answered = async |id: &str| client.get(&format!("/routes/{id}")).await.data()["answered_at"].clone();
    assert_eq!(answered(&matched).await, "2026-06-01T12:00:05.000Z");
    assert_eq!(answered(&other).await, "2026-06-01T12:00:06.000Z", "also of a call without a callback");
    assert_eq!(client.delete("/contacts/+15557654321").await.status, 200);
    client.get(&format!("/routes/{matched}")).await.is(404, "DECISION_NOT_FOUND");
    assert_eq!(all(&client, "").await.0, [other]);
    assert!(all(&client, "contact=%2B15557654321").await.0.is_empty());
    let later: Value = client.get("/route?dialed=%2B15550001000&caller=%2B15557654321").await.data();
    assert_eq!(later["reason"], "NO_HISTORY");
}
