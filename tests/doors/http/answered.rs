//! Reports that a routed call was answered.

use crate::support::server::{Answer, CONTACT, Client, Desk, START, Server};
use axum::body::Body;
use axum::http::Method;
use serde_json::json;

const DAY: u64 = 86_400_000;
const MATCHED: &str = "/route?dialed=%2B15550001000&caller=%2B15557654321";

async fn decide(client: &Client<'_>, query: &str) -> String {
    client.get(query).await.data()["decision_id"].as_str().expect("an id").to_owned()
}

async fn report(client: &Client<'_>, id: &str) -> Answer {
    client.send(Method::POST, &format!("/routes/{id}/answered"), None, Body::empty()).await
}

async fn answered(client: &Client<'_>) -> u64 {
    client.get("/callback-agents/stats?start_date=2026-01-01").await.data()["callbacks_answered"]
        .as_u64()
        .expect("a count")
}

#[tokio::test]
async fn repeated_answer_reports_count_once() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let first = decide(&client, MATCHED).await;
    let second = decide(&server.gateway(), MATCHED).await;
    assert_ne!(first, second);
    assert_eq!(answered(&client).await, 0);
    let answer = report(&client, &first).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, r#"{"success":true,"message":"Answer recorded"}"#));
    assert_eq!(report(&client, &first).await, answer, "the same again");
    assert_eq!(report(&server.gateway(), &first.to_uppercase()).await, answer);
    assert_eq!(answered(&client).await, 1);
    assert_eq!(report(&server.gateway(), &second).await, answer);
    assert_eq!(answered(&client).await, 2);
    // Many simultaneous reports of one decision.
    let third = decide(&client, MATCHED).await;
    let gateway = server.gateway();
    let all = tokio::join!(report(&client, &third), report(&client, &third), report(&gateway, &third));
    assert!([&all.0, &all.1, &all.2].iter().all(|one| **one == answer));
    assert_eq!(answered(&client).await, 3);
    let path = format!("/callback-agents/{}", desk.callback);
    let stats = client.get(&path).await.data()["stats"].clone();
    assert_eq!((&stats["total_callbacks_received"], &stats["callbacks_answered"]), (&json!(3), &json!(3)));
    assert_eq!(answered(&server.other()).await, 0);
}

#[tokio::test]
async fn foreign_and_invented_decision_ids_get_identical_answers() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let id = decide(&client, MATCHED).await;
    let foreign = report(&server.other(), &id).await;
    foreign.is(404, "DECISION_NOT_FOUND");
    let mut changed = id.clone();
    changed.replace_range(0..1, if id.starts_with('0') { "1" } else { "0" });
    // A decision without an environment, which only a gateway can report.
    let unattributed = decide(&server.gateway(), "/route?dialed=%2B15550009999").await;
    for id in [&*changed, "00000000-0000-4000-8000-000000000000", "not-a-uuid", "%FF", "%20", "1", &unattributed] {
        assert_eq!(report(&server.other(), id).await, foreign, "{id}");
        assert_eq!(report(&client, id).await, foreign, "{id}");
        let is_reportable = id == unattributed;
        assert_eq!(report(&server.gateway(), id).await == foreign, !is_reportable, "{id}");
    }
    report(&server.operator(), &id).await.is(403, "UNAUTHORIZED");
    // An id of another installation is rejected like an invented one.
    let elsewhere = Server::start();
    Desk::set_up(&elsewhere.tenant()).await;
    assert_eq!(report(&elsewhere.tenant(), &id).await, foreign);
    assert_eq!(report(&elsewhere.gateway(), &id).await, foreign);
    assert_eq!(answered(&client).await, 0);
}

#[tokio::test]
async fn answer_report_without_callback_is_accepted_and_not_counted() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    for query in [
        "/route?dialed=%2B15550001000&caller=anonymous",
        "/route?dialed=%2B15550001000&caller=%2B15550007777",
        "/route?dialed=%2B15550009999&caller=%2B15557654321",
        &format!("{MATCHED}&explain=true"),
        &format!("{MATCHED}&at=2026-06-01T12:00:00Z"),
    ] {
        let id = decide(&client, query).await;
        assert_eq!(report(&client, &id).await.status, 200, "{query}");
    }
    assert_eq!(answered(&client).await, 0);
}

#[tokio::test]
async fn answer_counts_on_the_decision_day_and_is_accepted_for_two_days() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let on = async |day: &str| {
        let data = client.get(&format!("/callback-agents/stats?start_date={day}&end_date={day}")).await.data();
        [&data["total_callbacks_received"], &data["callbacks_answered"]].map(|count| count.as_u64().expect("a count"))
    };
    let (first, second, third) =
        (decide(&client, MATCHED).await, decide(&client, MATCHED).await, decide(&client, MATCHED).await);
    server.set_now(START.plus_millis(DAY / 2));
    assert_eq!(report(&client, &first).await.status, 200);
    assert_eq!((on("2026-06-01").await, on("2026-06-02").await), ([3, 1], [0, 0]));
    server.set_now(START.plus_millis(DAY * 5 / 2 - 1));
    assert_eq!(report(&client, &second).await.status, 200);
    assert_eq!(report(&client, &first).await.status, 200);
    assert_eq!(on("2026-06-01").await, [3, 2]);
    server.set_now(START.plus_millis(DAY * 5 / 2));
    report(&client, &third).await.is(404, "DECISION_NOT_FOUND");
    report(&client, &first).await.is(404, "DECISION_NOT_FOUND");
    assert_eq!(on("2026-06-01").await, [3, 2]);
    // A clock that is set back slightly.
    let late = decide(&client, &MATCHED.replace(CONTACT, "")).await;
    server.set_now(START.plus_millis(DAY * 3 / 2));
    assert_eq!(report(&client, &late).await.status, 200);
    assert_eq!(on("2026-06-04").await, [1, 1]);
}
