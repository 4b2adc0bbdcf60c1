use crate::server::{CONTACT, Desk, Server};
use serde_json::json;

const ROUTE: &str = "/route?dialed=+15550001000&caller=+15557654321";

#[tokio::test]
async fn erased_contact_stays_erased_after_a_late_report() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    assert_eq!(server.other().delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 0}));
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "another tenant erases its own");
    // Any form that the environment's dial plan accepts.
    let answer = client.delete("/contacts/(555)%20765-4321").await;
    assert_eq!(answer.text, r#"{"success":true,"data":{"pairs_erased":1}}"#);
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    client.post("/calls", desk.call("voicemail")).await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 0}));

    let mut later = desk.call("busy");
    later["started_at"] = json!("2026-06-01T12:00:00.001Z");
    client.post("/calls", later).await;
    assert_eq!(client.get(ROUTE).await.data()["reason"], "MATCHED", "later calls start anew");
}

#[tokio::test]
async fn erasure_includes_a_call_dated_ahead() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let mut ahead = desk.call("busy");
    ahead["started_at"] = json!("2026-06-01T20:00:00Z");
    client.post("/calls", ahead).await;
    assert_eq!(client.delete(&format!("/contacts/{CONTACT}")).await.data(), json!({"pairs_erased": 1}));
    assert_eq!(client.get(ROUTE).await.data()["reason"], "NO_HISTORY");
}

#[tokio::test]
async fn erasing_a_malformed_number_is_rejected() {
    let server = Server::start();
    for wrong in ["anonymous", "+", "%20", "%FF%FE", "+1234567890123456", "a%2Fb"] {
        server.tenant().delete(&format!("/contacts/{wrong}")).await.is(422, "VALIDATION_ERROR");
    }
}
