//! `require_attestation` of an environment, and `attestation` of `GET /route`.

use crate::support::server::{Client, Desk, OURS, Server};
use serde_json::{Value, json};

async fn reason(client: &Client<'_>, query: &str) -> Value {
    let answer = client.get(&format!("/route?dialed={OURS}&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.data()["reason"].clone()
}

#[tokio::test]
async fn caller_below_the_required_attestation_counts_as_withheld() {
    let server = Server::start();
    let operator = server.operator();
    let data = operator.post("/environments", json!({"name": "Attested", "require_attestation": "B"})).await.data();
    assert_eq!(data["require_attestation"], "B");
    assert!(operator.get("/environments").await.data().as_array().unwrap().contains(&data));
    let body = json!({"role": "environment", "environment_id": data["id"]});
    let token = operator.post("/tokens", body).await.data()["token"].clone();
    let client = server.with_token(token.as_str().unwrap());
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);

    let plain = "caller=%2B15557654321";
    let uri = |verstat: &str| format!("caller=sip:%2B15557654321;verstat={verstat}@carrier.example.com");
    let passed = uri("TN-Validation-Passed");
    for (query, is_matched) in [
        (plain.to_owned(), false),
        (format!("{plain}&attestation=A"), true),
        (format!("{plain}&attestation=B"), true),
        (format!("{plain}&attestation=b"), true),
        (format!("{plain}&attestation=C"), false),
        (format!("{plain}&attestation=none"), false),
        (format!("{plain}&attestation="), false),
        (passed.clone(), true),
        (uri("TN-Validation-Passed-C"), false),
        (uri("No-TN-Validation"), false),
        (format!("{passed}&attestation=C"), false),
        ("caller=anonymous&attestation=A".to_owned(), false),
    ] {
        let expected = if is_matched { "MATCHED" } else { "ANONYMOUS_CALLER" };
        assert_eq!(reason(&client, &query).await, expected, "{query}");
        // An explanation says the same, and a gateway sees the same as the environment.
        assert_eq!(reason(&client, &format!("{query}&explain=true")).await, expected, "{query}");
        assert_eq!(reason(&server.gateway(), &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn environment_without_the_setting_ignores_attestations() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    // Another environment's requirement does not matter here.
    let other = json!({"name": "Attested", "require_attestation": "A"});
    assert_eq!(server.operator().post("/environments", other).await.status, 201);
    for query in ["", "&attestation=C", "&attestation=x"] {
        assert_eq!(reason(&client, &format!("caller=%2B15557654321{query}")).await, "MATCHED", "{query}");
    }
    let plain = server.operator().post("/environments", json!({"name": "Plain"})).await.data();
    assert_eq!(plain.get("require_attestation"), None);
}
