//! Fields and query parameters that a request has and its endpoint does not know.

use crate::support::server::{Answer, CONTACT, Desk, OURS, Server};
use axum::http::Method;
use serde_json::json;

const STRICT: (&str, &str) = ("x-dialback-strict", "true");

fn ignored(answer: &Answer) -> Option<&str> {
    answer.headers.get("x-dialback-ignored").map(|value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn body_of_the_public_api_is_accepted_and_the_ignored_fields_are_named() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let body = json!({
        "name": "Reception", "label": "Front", "direction": "inbound", "language": "en", "voice": {"id": "v1"},
        "description": "takes calls", "+15557654321": "secret",
    });
    let created = client.post("/agents", body.clone()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(ignored(&created), Some("*, description, language, voice"));
    let id = created.body["data"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/agents/{id}");
    let renamed = client.put(&path, json!({"name": "Desk", "first_message": "Hello"})).await;
    assert_eq!((&renamed.body["data"]["name"], renamed.status.as_u16()), (&json!("Desk"), 200));
    assert_eq!(ignored(&renamed), Some("first_message"));

    let listed = client.get("/agents?sort=name&status=draft").await;
    assert_eq!((listed.status.as_u16(), ignored(&listed)), (200, Some("sort")));
    let known = client.get("/agents?status=draft").await;
    assert_eq!(ignored(&known), None);

    let generation = server.generation();
    let refused = client.given(STRICT, Method::PUT, &path, Some(body)).await;
    refused.is(422, "VALIDATION_ERROR");
    let fields: Vec<_> = refused.body["errors"].as_object().expect("fields").keys().cloned().collect();
    assert_eq!(fields, ["body", "description", "language", "voice"]);
    assert!(!refused.text.contains("5557654321"));
    client.given(STRICT, Method::GET, "/agents?sort=name", None).await.is(422, "VALIDATION_ERROR");
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn header_that_refuses_unknown_fields_is_yes_or_no() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let body = json!({"name": "Desk", "direction": "inbound", "voice": "v1"});
    let given = async |value, method, path, body| client.given((STRICT.0, value), method, path, body).await;
    for value in ["true", "1"] {
        given(value, Method::GET, "/agents?sort=name", None).await.is(422, "VALIDATION_ERROR");
        given(value, Method::POST, "/agents", Some(body.clone())).await.is(422, "VALIDATION_ERROR");
    }
    for value in ["false", "0"] {
        assert_eq!(given(value, Method::GET, "/agents?sort=name", None).await.status, 200, "{value}");
    }
    let generation = server.generation();
    for value in ["yes", "TRUE", "", "true, true", "2"] {
        for (method, path, body) in [
            (Method::GET, "/agents", None),
            (Method::GET, "/route?dialed=1&caller=2", None),
            (Method::POST, "/agents", Some(body.clone())),
            (Method::PUT, "/configuration", Some(json!({"agents": []}))),
            (Method::POST, "/calls/bulk", Some(json!({}))),
        ] {
            let refused = given(value, method.clone(), path, body).await;
            refused.is(422, "VALIDATION_ERROR");
            let what = &refused.body["errors"]["X-Dialback-Strict"][0];
            assert_eq!(what, "The X-Dialback-Strict field must be true or false.", "{value} {method} {path}");
        }
    }
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn nested_fields_are_named_by_their_path_and_at_most_sixteen() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let change = json!({"agent_id": desk.callback, "source_agent_ids": [desk.source], "colour": "red"});
    let body = json!({"changes": [change], "calls": [{"dialed": OURS, "caller": CONTACT}], "note": ""});
    let compared = client.post("/route/what-if", body).await;
    assert_eq!(compared.status, 200, "{}", compared.text);
    assert_eq!(ignored(&compared), Some("changes.0.colour, note"));
    let mut many = json!({"name": "Many", "direction": "inbound"});
    for letter in 'a'..='z' {
        many[format!("extra_{letter}")] = json!(1);
    }
    let created = client.post("/agents", many).await;
    let named = ignored(&created).expect("named");
    assert_eq!((named.split(", ").count(), named.split(", ").last()), (17, Some("*")));
}

#[tokio::test]
async fn lines_of_an_upload_and_a_route_ignore_unknown_fields_too() {
    let server = Server::start_lenient();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let line = json!({
        "agent_id": desk.source, "from": OURS, "to": CONTACT, "started_at": "2026-06-01T11:00:00Z",
        "status": "no_answer", "cost": 3,
    })
    .to_string();
    let upload = client.bulk(line).await;
    assert_eq!((&upload.body["accepted"], ignored(&upload)), (&json!(1), Some("cost")));
    let route = client.get(&format!("/route?dialed={}&caller={}&trace=7", &OURS[1..], &CONTACT[1..])).await;
    assert_eq!((route.status.as_u16(), ignored(&route)), (200, Some("trace")));
}

#[tokio::test]
async fn operator_refuses_unknown_fields_for_all_clients() {
    let server = Server::start();
    let client = server.tenant();
    client.get("/agents?sort=name").await.is(422, "VALIDATION_ERROR");
    let lenient = client.given(("x-dialback-strict", "false"), Method::GET, "/agents?sort=name", None).await;
    lenient.is(422, "VALIDATION_ERROR");
}
