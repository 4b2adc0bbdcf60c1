//! `counts_from` of an environment: which reports of calls enter the history.

use crate::support::server::{Desk, Server};
use axum::http::Method;
use dialback::Outcome;
use dialback::testing::lasting::LastingStore;
use serde_json::{Value, json};

const CALLED_AT: &str = "2026-06-01T11:00:00.000Z";
const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

#[tokio::test]
async fn report_with_a_status_that_does_not_count_is_202_and_changes_no_route() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let own = format!("/environments/{}", server.environment);
    assert_eq!(client.get("/environment").await.data()["counts_from"], "initiated");
    let mut contact = 15_557_650_000_u64;
    for (from, counted) in [
        ("ringing", vec!["ringing", "answered", "completed", "no-answer", "busy", "voicemail"]),
        ("answered", vec!["answered", "completed", "voicemail"]),
    ] {
        assert_eq!(client.put(&own, json!({"counts_from": from})).await.data()["counts_from"], from);
        assert_eq!(client.get("/environment").await.data()["counts_from"], from);
        for status in Outcome::ALL.map(Outcome::public_name) {
            contact += 1;
            let mut call = desk.call(status);
            call["to"] = json!(format!("+{contact}"));
            let answer = client.post("/calls", call).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            let is_counted = counted.contains(&status);
            assert_eq!(answer.body["message"] == "Call recorded", is_counted, "{}", answer.text);
            let expected = if is_counted { "MATCHED" } else { "NO_HISTORY" };
            let route = client.get(&format!("/route?dialed=+15550001000&caller=+{contact}")).await;
            assert_eq!(route.data()["reason"], expected, "{from} {status}");
        }
    }
}

#[tokio::test]
async fn later_report_by_the_id_alone_makes_the_call_count() {
    let server = Server::start_on(LastingStore::new([7; 32]));
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.put(&format!("/environments/{}", server.environment), json!({"counts_from": "answered"})).await.data();
    let mut call = desk.call("ringing");
    (call["call_id"], call["context"]) = (json!("order/7"), json!({"n": 7}));
    assert_eq!(client.post("/calls", call).await.status, 202);
    let decided = client.get(ROUTE).await.data();
    assert_eq!((&decided["reason"], &decided["call"]), (&json!("NO_HISTORY"), &Value::Null));
    assert_eq!(client.get("/calls/order%2F7").await.data()["status"], "ringing");
    assert_eq!(client.post("/calls", json!({"call_id": "order/7", "status": "completed"})).await.status, 202);
    let decided = client.get(ROUTE).await.data();
    assert_eq!((&decided["reason"], &decided["call"]["call_id"]), (&json!("MATCHED"), &json!("order/7")));
    assert_eq!((&decided["called_at"], &decided["source_agent_id"]), (&json!(CALLED_AT), &json!(desk.source)));
    assert_eq!(decided["call"]["context"], json!({"n": 7}));
}

#[tokio::test]
async fn new_environment_counts_from_the_status_that_it_is_created_with() {
    let server = Server::start_on(LastingStore::new([7; 32]));
    let operator = server.operator();
    let made = operator.post("/environments", json!({"name": "Clinic", "counts_from": "answered"})).await.data();
    assert_eq!(made["counts_from"], "answered");
    let usual = operator.post("/environments", json!({"name": "Works", "counts_from": "initiated"})).await.data();
    assert_eq!(usual["counts_from"], "initiated");
    let entries = operator.get("/changes").await.data();
    let kinds = |place: usize| {
        let changes = entries[place]["changes"].as_array().expect("a list");
        changes.iter().map(|change| change["change"].as_str().expect("a kind").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(1), ["environment_set", "counts_from_set"]);
    assert_eq!(entries[1]["changes"][1]["text"], "Set the status from which calls count to answered.");
    assert_eq!(kinds(0), ["environment_set"], "the usual status makes no change");
}

#[tokio::test]
async fn document_of_an_environment_has_the_status_unless_it_is_the_usual_one() {
    let server = Server::start();
    let client = server.tenant();
    let document = client.get("/configuration").await.data();
    assert_eq!(document["environment"].get("counts_from"), None);
    let mut wanted = document.clone();
    wanted["environment"]["counts_from"] = json!("ringing");
    let applied = client.put("/configuration", wanted.clone()).await.data();
    assert_eq!(applied["steps"][0]["to"], "calls count from initiated -> ringing");
    assert_eq!(client.get("/configuration").await.data(), wanted);
    wanted["environment"]["counts_from"] = json!("busy");
    let refused = client.put("/configuration", wanted).await;
    refused.is(422, "VALIDATION_ERROR");
    assert!(refused.body["errors"]["environment.counts_from"][0].is_string(), "{}", refused.text);
    // Without the field, the environment has the usual status again.
    client.put("/configuration", document).await.data();
    assert_eq!(client.get("/environment").await.data()["counts_from"], "initiated");
}

#[tokio::test]
async fn upload_counts_the_calls_that_do_not_count() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.put(&format!("/environments/{}", server.environment), json!({"counts_from": "answered"})).await.data();
    let lines = format!("{}\n{}\n", desk.call("busy"), desk.call("answered"));
    let kind = Some("application/x-ndjson");
    let answer = client.send(Method::POST, "/calls/bulk?details=true", kind, lines.into()).await;
    assert_eq!((&answer.body["accepted"], &answer.body["uncounted"]), (&json!(2), &json!(1)), "{}", answer.text);
    assert_eq!(server.service.history().len(), 1);
}
