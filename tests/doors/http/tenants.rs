//! Tenants do not see each other: another tenant's entity gets the same answer as a nonexistent one, byte for byte.

use crate::support::server::{Answer, CONTACT, Client, Desk, OURS, Server};
use axum::http::Method;
use serde_json::{Value, json};

const NOBODYS: [&str; 2] = ["00000000-0000-4000-8000-000000000000", "not-a-uuid"];

#[tokio::test]
async fn foreign_unknown_and_malformed_ids_get_identical_answers() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let other = server.other();
    let theirs = other.agent("Theirs", "outbound").await;
    let generation = server.generation();

    let callback = json!({"source_agent_ids": [theirs]});
    let calling = json!({"direction": "inbound"});
    let default = json!({"default_agent_id": null});
    for (method, path, body, id, code) in [
        (Method::GET, "/agents/{}", json!({}), &desk.source, "AGENT_NOT_FOUND"),
        (Method::DELETE, "/agents/{}", json!({}), &desk.source, "AGENT_NOT_FOUND"),
        (Method::PUT, "/agents/{}/calling", calling, &desk.source, "AGENT_NOT_FOUND"),
        (Method::POST, "/agents/{}/publish", json!({}), &desk.source, "AGENT_NOT_FOUND"),
        (Method::POST, "/agents/{}/unpublish", json!({}), &desk.source, "AGENT_NOT_FOUND"),
        (Method::POST, "/agents/{}/callback", callback.clone(), &desk.callback, "AGENT_NOT_FOUND"),
        (Method::PUT, "/agents/{}/callback", callback, &desk.callback, "AGENT_NOT_FOUND"),
        (Method::DELETE, "/agents/{}/callback", json!({}), &desk.callback, "AGENT_NOT_FOUND"),
        (Method::GET, "/callback-agents/{}", json!({}), &desk.callback, "AGENT_NOT_FOUND"),
        (Method::POST, "/callback-agents/{}/check-constraints", json!({}), &desk.callback, "AGENT_NOT_FOUND"),
        (Method::PUT, "/phone-numbers/{}", default, &desk.number, "NUMBER_NOT_FOUND"),
        (Method::DELETE, "/phone-numbers/{}", json!({}), &desk.number, "NUMBER_NOT_FOUND"),
    ] {
        let foreign = other.json(method.clone(), &path.replace("{}", id), body.clone()).await;
        foreign.is(404, code);
        for nobodys in NOBODYS.into_iter().chain(["%FF", "%20", "1"]) {
            let unknown = other.json(method.clone(), &path.replace("{}", nobodys), body.clone()).await;
            assert_eq!(unknown, foreign, "{method} {path} {nobodys}");
        }
    }
    assert_eq!(server.generation(), generation);
    assert_eq!(other.get("/phone-numbers").await.data(), json!([]));
    assert_eq!(other.get("/agents").await.body["meta"]["total"], 1);
}

#[tokio::test]
async fn invalid_body_does_not_reveal_foreign_ids() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let other = server.other();
    for (method, path, id) in [
        (Method::PUT, "/agents/{}/calling", &desk.source),
        (Method::POST, "/agents/{}/callback", &desk.callback),
        (Method::PUT, "/agents/{}/callback", &desk.callback),
        (Method::POST, "/callback-agents/{}/check-constraints", &desk.callback),
        (Method::PUT, "/phone-numbers/{}", &desk.number),
    ] {
        for (content_type, body) in [(Some("application/json"), "{}"), (Some("application/json"), "{"), (None, "{}")] {
            let ask =
                async |id: &str| other.send(method.clone(), &path.replace("{}", id), content_type, body.into()).await;
            let foreign = ask(id).await;
            assert!(foreign.status.is_client_error());
            for nobodys in NOBODYS.into_iter().chain(["%FF", "%20", "1"]) {
                assert_eq!(ask(nobodys).await, foreign, "{method} {path} {nobodys}");
            }
        }
    }
}

/// Returns the answer without its only random field.
async fn route(client: &Client<'_>, query: &str) -> Value {
    let mut data = client.get(&format!("/route{query}")).await.data();
    data.as_object_mut().unwrap().remove("decision_id").expect("there");
    data
}

#[tokio::test]
async fn foreign_number_is_routed_like_an_unknown_number() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    server.tenant().post("/calls", desk.call("busy")).await;
    for rest in ["caller=+15557654321", "caller=+15557654321&explain=true", "caller=x&at=2026-01-01T00:00:00Z"] {
        let foreign = route(&server.other(), &format!("?dialed={OURS}&{rest}")).await;
        let unknown = route(&server.other(), &format!("?dialed=+15550009999&{rest}")).await;
        assert_eq!((&foreign["decision"], &foreign["reason"]), (&json!("unrouted"), &json!("UNKNOWN_NUMBER")));
        assert_eq!(foreign, unknown);
    }
    let rest = "caller=+15557654321";
    for everywhere in [server.gateway(), server.operator()] {
        assert_eq!(route(&everywhere, &format!("?dialed={OURS}&{rest}")).await["reason"], "MATCHED");
    }
    assert_eq!(route(&server.gateway(), &format!("?dialed=+15550009999&{rest}")).await["reason"], "UNKNOWN_NUMBER");
}

#[tokio::test]
async fn call_from_a_foreign_number_gets_the_answer_for_unknown_numbers() {
    let server = Server::start();
    let desk = Desk::set_up(&server.tenant()).await;
    let foreign = server.other().post("/calls", desk.call("busy")).await;
    foreign.is(404, "NUMBER_NOT_FOUND");
    let mut unknown = desk.call("busy");
    unknown["from"] = json!("+15550009999");
    assert_eq!(server.other().post("/calls", unknown.clone()).await, foreign);
    assert_eq!(server.gateway().post("/calls", unknown).await, foreign);
    assert!(server.service.history().is_empty());
}

#[tokio::test]
async fn other_tenants_traffic_does_not_change_any_answer() {
    let (quiet, busy) = (Server::start(), Server::start());
    for _ in 0..2 {
        let theirs = Desk::set_up_on(&busy.other(), "+15550002000").await;
        let call = json!({
            "agent_id": theirs.source, "from": "+15550002000", "to": CONTACT, "started_at": "2026-06-01T11:30:00Z",
            "status": "busy",
        });
        assert_eq!(busy.other().post("/calls", call).await.status, 202);
        let third = busy.operator().post("/environments", json!({"name": "Third"})).await.id();
        assert_eq!(busy.operator().delete(&format!("/environments/{third}")).await.status, 200);
        for agent in [&theirs.source, &theirs.callback] {
            let nothing = json!({"direction": if *agent == theirs.source { "outbound" } else { "inbound" }, "phone_number_ids": []});
            busy.other().put(&format!("/agents/{agent}/calling"), nothing).await.data();
        }
        assert_eq!(busy.other().delete(&format!("/phone-numbers/{}", theirs.number)).await.status, 200);
    }
    let (one, two) = (observations(&quiet).await, observations(&busy).await);
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one, two);
    }
    assert_eq!(one.len(), two.len());
    assert!(one.iter().any(|seen| seen.contains("MATCHED")), "there is something to see");
}

/// Returns everything that a tenant can read after the same steps: status, headers and bytes.
async fn observations(server: &Server) -> Vec<String> {
    let client = server.tenant();
    let id = |last: u32| format!("00000000-0000-4000-8000-{last:012}");
    let (number, source, callback) = (id(1), id(2), id(3));
    let mut seen = Vec::new();
    let mut see = |answer: Answer| {
        // The only field that is random by design.
        let text = answer.body["data"]["decision_id"]
            .as_str()
            .map(|id| answer.text.replace(id, ""))
            .unwrap_or(answer.text.clone());
        seen.push(format!(
            "{} {:?} {text}",
            answer.status,
            answer.headers.iter().filter(|(name, _)| *name != "content-length").collect::<Vec<_>>()
        ));
    };
    see(client.post("/phone-numbers", json!({"number": OURS, "id": number})).await);
    for (agent, direction) in [(&source, "outbound"), (&callback, "inbound")] {
        see(client.post("/agents", json!({"name": "A", "direction": direction, "id": agent})).await);
        let calling = json!({"direction": direction, "phone_number_ids": [number]});
        see(client.put(&format!("/agents/{agent}/calling"), calling).await);
        see(client.post(&format!("/agents/{agent}/publish"), json!({})).await);
    }
    let path = format!("/agents/{callback}/callback");
    see(client.post(&path, json!({"source_agent_ids": [source]})).await);
    let call = json!({
        "agent_id": source, "from": OURS, "to": CONTACT, "started_at": "2026-06-01T11:00:00Z", "status": "busy",
    });
    see(client.post("/calls", call.clone()).await);
    see(client.bulk(call.to_string()).await);
    for path in [
        "/agents".to_owned(),
        format!("/agents/{source}"),
        path,
        "/phone-numbers".into(),
        format!("/phone-numbers/{number}"),
        format!("/route?dialed={OURS}&caller={CONTACT}"),
        format!("/route?dialed={OURS}&caller={CONTACT}&explain=true"),
        format!("/route?dialed=+15550009999&caller={CONTACT}&explain=true"),
        "/health".into(),
    ] {
        see(client.get(&path).await);
    }
    see(client.delete(&format!("/contacts/{CONTACT}")).await);
    see(client.delete("/contacts/+15557650000").await);
    seen
}
