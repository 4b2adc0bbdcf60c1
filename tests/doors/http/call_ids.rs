//! Calls with an id and a context, from the report to the route.

use super::metrics::page;
use crate::support::server::{Answer, CONTACT, Client, Desk, OURS, Server};
use axum::http::Method;
use dialback::Service;
use dialback::http::Limits;
use dialback::service::CutOff;
use dialback::testing::failing::{Hang, HangingStore};
use dialback::testing::lasting::LastingStore;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

fn server() -> Server {
    Server::start_on(LastingStore::new([7; 32]))
}

/// Returns a report with an id and a context.
fn detailed(desk: &Desk, id: &str, context: Value) -> Value {
    let mut call = desk.call("initiated");
    call["call_id"] = json!(id);
    call["context"] = context;
    call
}

async fn report(client: &Client<'_>, body: Value) -> Answer {
    client.post("/calls", body).await
}

/// Sends a body as it is written here.
async fn send(client: &Client<'_>, text: String) -> Answer {
    client.send(Method::POST, "/calls", Some("application/json"), text.into()).await
}

#[tokio::test]
async fn route_shows_the_id_and_the_context_of_the_call_behind_the_decision() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.get(ROUTE).await.data()["call"], Value::Null, "no call");
    assert_eq!(report(&client, detailed(&desk, "order/7", json!({"n": 7}))).await.status, 202);
    let shown = json!({
        "call_id": "order/7", "status": "initiated", "called_at": "2026-06-01T11:00:00.000Z", "from": OURS,
        "context": {"n": 7},
    });
    assert_eq!(client.get(ROUTE).await.data()["call"], shown);
    // By every kind of question.
    for more in ["&explain=true", "&at=2026-06-01T12:30:00Z", "&explain=true&at=2026-06-01T12:30:00Z"] {
        assert_eq!(client.get(&format!("{ROUTE}{more}")).await.data()["call"], shown, "{more}");
    }
    for other in [server.gateway(), server.operator()] {
        assert_eq!(other.get(ROUTE).await.data()["call"], shown);
    }
    assert_eq!(server.other().get(ROUTE).await.data()["call"], Value::Null, "another tenant sees nothing");
    // A later report by the id alone, and a call that matches no callback agent.
    let update = json!({"call_id": "order/7", "status": "no-answer", "context": {"n": 8}});
    assert_eq!(report(&client, update).await.status, 202);
    client.delete(&format!("/agents/{}/callback", desk.callback)).await;
    let decided = client.get(ROUTE).await.data();
    assert_eq!(decided["reason"], "NO_CALLBACK_AGENT");
    assert_eq!((&decided["call"]["status"], &decided["call"]["context"]), (&json!("no-answer"), &json!({"n": 8})));
    let found = client.get("/calls/order%2F7").await.data();
    let expected = json!({
        "call_id": "order/7", "status": "no-answer", "called_at": "2026-06-01T11:00:00.000Z", "from": OURS,
        "to": CONTACT, "source_agent_id": desk.source, "context": {"n": 8}, "context_at": "2026-06-01T12:00:00.001Z",
    });
    assert_eq!(found, expected);
    let contact = client.get(&format!("/contacts/{CONTACT}")).await.data();
    assert_eq!((&contact["known_calls"], &contact["has_more_known_calls"]), (&json!([expected]), &json!(false)));
}

#[tokio::test]
async fn call_without_an_id_is_shown_without_one() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(report(&client, desk.call("busy")).await.status, 202);
    let call = client.get(ROUTE).await.data()["call"].clone();
    assert_eq!((&call["call_id"], &call["status"], &call["context"]), (&Value::Null, &json!("busy"), &Value::Null));
}

#[tokio::test]
async fn context_is_shown_as_it_was_sent() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let context = r#"{ "b":1.10,"a" : [1E2, 12345678901234567890123],"$serde_json::private::RawValue":"[" }"#;
    let call = desk.call("busy").to_string();
    let body = format!("{},\"\\u0063ontext\":{context},\"call_id\":\"a\"}}", call.trim_end_matches('}'));
    assert_eq!(send(&client, body.clone()).await.status, 202);
    for path in ["/calls/a", ROUTE, &format!("{ROUTE}&explain=true"), &format!("/contacts/{CONTACT}")] {
        let answer = client.get(path).await;
        assert!(answer.text.contains(context), "{path}: {}", answer.text);
    }
    let other = body.replace("\"call_id\":\"a\"", "\"call_id\":\"b\"").replace(CONTACT, "+15557650000");
    let answer = client.bulk(other).await;
    assert_eq!(answer.body["accepted"], 1, "{}", answer.text);
    assert!(client.get("/calls/b").await.text.contains(context));
}

#[tokio::test]
async fn invalid_id_or_context_is_refused_and_nothing_is_recorded() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    for id in [json!(""), json!("a b"), json!("\u{e4}"), json!("x".repeat(129)), json!(7), json!(["a"])] {
        let mut call = desk.call("busy");
        call["call_id"] = id;
        let answer = report(&client, call).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"]["call_id"].is_array(), "{}", answer.text);
    }
    let large = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
    for context in [json!([]), json!("{}"), json!(7), json!(true), large(4097)] {
        let answer = report(&client, detailed(&desk, "a", context)).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"]["context"].is_array(), "{}", answer.text);
    }
    let call = desk.call("busy").to_string();
    let open = call.trim_end_matches('}');
    for fields in [r#""context":{"a":1,"a":2}"#, r#""context":{},"context":{}"#, r#""status":"busy""#] {
        let text = format!("{open},{fields}}}");
        send(&client, text.clone()).await.is(400, "MALFORMED_JSON");
        let bulk = client.bulk(text).await;
        assert_eq!(bulk.body["errors"][0]["message"], "The line has a key twice in one object", "{}", bulk.text);
    }
    assert!(server.service.history().is_empty());
    assert_eq!(report(&client, detailed(&desk, &"~".repeat(128), large(4096))).await.status, 202);
    let found = client.get(&format!("/calls/{}", "~".repeat(128))).await.data();
    assert_eq!(found["context"], large(4096));
}

#[tokio::test]
async fn unknown_and_reused_ids_have_codes_of_their_own() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let update = json!({"call_id": "a", "status": "busy"});
    report(&client, update.clone()).await.is(404, "CALL_NOT_FOUND");
    client.get("/calls/a").await.is(404, "CALL_NOT_FOUND");
    for malformed in ["%20", "%FF", &"x".repeat(200)] {
        client.get(&format!("/calls/{malformed}")).await.is(404, "CALL_NOT_FOUND");
    }
    assert_eq!(report(&client, detailed(&desk, "a", json!({}))).await.status, 202);
    let mut other = detailed(&desk, "a", json!({}));
    other["to"] = json!("+15557650000");
    report(&client, other).await.is(409, "CALL_ID_REUSED");
    server.other().get("/calls/a").await.is(404, "CALL_NOT_FOUND");
    report(&server.other(), update.clone()).await.is(404, "CALL_NOT_FOUND");
    // A gateway token has to name the number.
    let answer = report(&server.gateway(), update.clone()).await;
    answer.is(422, "VALIDATION_ERROR");
    assert!(answer.body["errors"]["from"].is_array(), "{}", answer.text);
    let from = |number: &str| json!({"call_id": "a", "status": "voicemail", "from": number});
    report(&server.gateway(), from("+15550009999")).await.is(404, "NUMBER_NOT_FOUND");
    assert_eq!(report(&server.gateway(), from(OURS)).await.status, 202);
    assert_eq!(client.get("/calls/a").await.data()["status"], "voicemail");
    client.number("+15550001001").await;
    report(&client, from("+15550001001")).await.is(409, "CALL_ID_REUSED");
    // A report with some of the other fields needs all of them.
    let mut some = update.clone();
    some["to"] = json!(CONTACT);
    let answer = report(&client, some).await;
    answer.is(422, "VALIDATION_ERROR");
    assert!(answer.body["errors"]["agent_id"].is_array(), "{}", answer.text);
    let mut surprise = update;
    surprise["surprise"] = json!(1);
    report(&client, surprise).await.is(422, "VALIDATION_ERROR");
}

#[tokio::test]
async fn bulk_upload_takes_ids_contexts_and_updates() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let lines = [
        detailed(&desk, "a", json!({"n": 1})),
        json!({"call_id": "a", "status": "voicemail"}),
        json!({"call_id": "unknown", "status": "busy"}),
        detailed(&desk, "a", json!([])),
    ];
    let answer = client.bulk(lines.map(|line| line.to_string()).join("\n")).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(2), &json!(2)), "{}", answer.text);
    assert_eq!(answer.body["errors"][0], json!({"line": 3, "message": "Call not found"}));
    assert_eq!(client.get("/calls/a").await.data()["status"], "voicemail");
    // Many long contexts are submitted in groups of bounded size.
    let many = (0..600).map(|number| {
        let mut line = detailed(&desk, &format!("b{number}"), json!({"a": "x".repeat(4000)}));
        line["to"] = json!(format!("+1555{:07}", 1_000_000 + number));
        line.to_string()
    });
    let answer = client.bulk(many.collect::<Vec<_>>().join("\n")).await;
    assert_eq!(answer.body["accepted"], 600, "{}", answer.text);
    assert_eq!(client.get("/calls/b599").await.data()["to"], "+15551000599");
}

#[tokio::test]
async fn erased_contact_has_no_ids_and_contexts() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(report(&client, detailed(&desk, "a", json!({"n": 1}))).await.status, 202);
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 1}));
    client.get("/calls/a").await.is(404, "CALL_NOT_FOUND");
    report(&client, json!({"call_id": "a", "status": "busy"})).await.is(404, "CALL_NOT_FOUND");
    assert_eq!(client.get(&format!("/contacts/{CONTACT}")).await.data()["known_calls"], json!([]));
    assert_eq!(client.get(ROUTE).await.data()["call"], Value::Null);
}

#[tokio::test]
async fn test_call_leaves_no_id() {
    let server = server();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut call = detailed(&desk, "a", json!({}));
    call["is_testing"] = json!(true);
    assert_eq!(report(&client, call).await.body["message"], "Test call acknowledged");
    client.get("/calls/a").await.is(404, "CALL_NOT_FOUND");
}

/// The disk hangs: the call is routed at once, without its context, and the decision is counted.
#[tokio::test]
async fn hanging_disk_delays_no_route() {
    let hang = Hang::default();
    let mut limits = Limits::default();
    limits.context_patience = Duration::from_millis(200);
    let server = Server::start_with(HangingStore::new(&hang, LastingStore::new([7; 32])), limits);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(report(&client, detailed(&desk, "a", json!({"n": 1}))).await.status, 202);
    {
        let _hangs = hang.begin();
        let began = Instant::now();
        for _ in 0..200 {
            let decided = client.get(ROUTE).await.data();
            assert_eq!((&decided["reason"], &decided["call"]["status"]), (&json!("MATCHED"), &json!("initiated")));
            assert_eq!((&decided["call"]["call_id"], &decided["call"]["context"]), (&Value::Null, &Value::Null));
        }
        assert!(began.elapsed() < Duration::from_secs(20), "only the first waits: {:?}", began.elapsed());
        let (_, metrics) = page(&server, "*/*").await;
        assert!(metrics.contains("dialback_route_contexts_missed_total 200"), "{metrics}");
    }
    // The read that hung ends, and later ones are not missed.
    let ends = Instant::now() + Duration::from_secs(60);
    while client.get(ROUTE).await.data()["call"]["call_id"] != "a" {
        assert!(Instant::now() < ends, "contexts come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Requests that read the disk leave the threads free that all tenants share, and end with their time limit.
#[tokio::test]
async fn hanging_disk_delays_no_other_tenant_and_no_explanation() {
    let hang = Hang::default();
    let mut limits = Limits::default();
    limits.patience = Duration::from_secs(3);
    let server = Server::start_with(HangingStore::new(&hang, LastingStore::new([7; 32])), limits);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(report(&client, detailed(&desk, "a", json!({"n": 1}))).await.status, 202);
    let _hangs = hang.begin();
    for _ in 0..20 {
        let explained = client.get(&format!("{ROUTE}&explain=true")).await.data();
        assert_eq!((&explained["reason"], &explained["call"]["context"]), (&json!("MATCHED"), &Value::Null));
    }
    let contact = format!("/contacts/{CONTACT}");
    let (other_client, watch) = (server.other(), Instant::now());
    let (shown, contact, others) = tokio::join!(client.get("/calls/a"), client.get(&contact), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other_client.get("/agents").await
    });
    assert_eq!(others.status, 200, "{}", others.text);
    shown.is(503, "TIMEOUT");
    contact.is(503, "TIMEOUT");
    assert!(watch.elapsed() >= limits.patience, "they were read");
    assert_eq!(server.other().get("/agents").await.status, 200, "also after reads that were given up");
}

#[tokio::test]
async fn service_without_data_says_so() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    report(&client, detailed(&desk, "a", json!({}))).await.is(501, "NOT_STORED");
    report(&client, json!({"call_id": "a", "status": "busy"})).await.is(501, "NOT_STORED");
    client.get("/calls/a").await.is(501, "NOT_STORED");
    assert_eq!(client.get(&format!("/contacts/{CONTACT}")).await.data()["known_calls"], json!([]));
}

#[tokio::test]
async fn node_of_a_fleet_accepts_ids_and_contexts() {
    let store = LastingStore::new([7; 32]);
    let server = Server::start_on(store.clone());
    let desk = Desk::set_up(&server.tenant()).await;
    let service = Service::builder(store).sequencer(Arc::new(CutOff)).start().expect("it starts");
    let server = server.restarted_on(service);
    let client = server.tenant();
    report(&client, json!({"call_id": "a", "status": "busy"})).await.is(404, "CALL_NOT_FOUND");
    assert_eq!(report(&client, detailed(&desk, "a", json!({"n": 1}))).await.status, 202);
    assert_eq!(report(&client, json!({"call_id": "a", "status": "busy"})).await.status, 202);
    let call = client.get(ROUTE).await.data()["call"].clone();
    assert_eq!((&call["call_id"], &call["status"], &call["context"]), (&json!("a"), &json!("busy"), &json!({"n": 1})));
}
