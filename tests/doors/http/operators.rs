use crate::support::server::{Desk, OURS, START, Server};
use axum::body::Body;
use axum::http::Request;
use dialback::http::{Api, Token, router};
use dialback::store::MemoryStore;
use dialback::{Role, Service};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

#[tokio::test]
async fn operator_creates_an_environment_and_its_token() {
    let server = Server::start();
    let operator = server.operator();
    let body = json!({
        "name": "Clinic", "country_code": "49", "national_prefix": "0", "international_prefix": "00", "lookback_days": 14,
    });
    let answer = operator.post("/environments", body).await;
    assert_eq!(answer.status, 201);
    let environment = answer.body["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.text,
        format!(
            r#"{{"success":true,"data":{{"id":"{environment}","name":"Clinic","country_code":"49","national_prefix":"0","international_prefix":"00","lookback_days":14}}}}"#
        )
    );
    assert_eq!(operator.get("/environments").await.data()[2], answer.body["data"]);

    let body = json!({"role": "environment", "environment_id": environment, "label": "Their platform"});
    let answer = operator.post("/tokens", body).await;
    assert_eq!(answer.status, 201);
    let mut issued = answer.data();
    let secret = issued["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("talq_") && secret.len() == 48, "{}", secret.len());
    let listed = operator.get("/tokens").await;
    assert!(!listed.text.contains(&secret), "shown once");
    issued.as_object_mut().unwrap().remove("token");
    assert!(listed.data().as_array().unwrap().contains(&issued));

    let clinic = server.with_token(&secret);
    assert_eq!(clinic.get("/agents").await.status, 200);
    assert_eq!(operator.delete(&format!("/tokens/{}", issued["id"].as_str().unwrap())).await.status, 200);
    clinic.get("/agents").await.is(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn each_role_gets_a_token_of_its_kind() {
    let server = Server::start();
    let operator = server.operator();
    let desk = Desk::set_up(&server.tenant()).await;
    let token = operator.post("/tokens", json!({"role": "gateway"})).await.data()["token"].clone();
    let gateway = server.with_token(token.as_str().unwrap());
    assert_eq!(gateway.post("/calls", desk.call("busy")).await.status, 202);
    assert_eq!(gateway.get(&format!("/route?dialed={OURS}")).await.status, 200);
    let token = operator.post("/tokens", json!({"role": "operator", "label": "x"})).await.data()["token"].clone();
    assert_eq!(server.with_token(token.as_str().unwrap()).get("/tokens").await.status, 200);
}

#[tokio::test]
async fn invalid_operator_requests_change_nothing() {
    let server = Server::start();
    let operator = server.operator();
    let generation = server.generation();
    let unknown = "00000000-0000-4000-8000-000000000000";
    let ours = server.environment.to_string();
    for (path, body, field) in [
        ("/environments", json!({}), "name"),
        ("/environments", json!({"name": ""}), "name"),
        ("/environments", json!({"name": "x".repeat(256)}), "name"),
        ("/environments", json!({"name": "x", "country_code": "0"}), "country_code"),
        ("/environments", json!({"name": "x", "country_code": 49}), "country_code"),
        ("/environments", json!({"name": "x", "national_prefix": "0"}), "country_code"),
        ("/environments", json!({"name": "x", "lookback_days": 0}), "lookback_days"),
        ("/environments", json!({"name": "x", "tier": "gold"}), "tier"),
        ("/tokens", json!({}), "role"),
        ("/tokens", json!({"role": "admin"}), "role"),
        ("/tokens", json!({"role": "environment"}), "environment_id"),
        ("/tokens", json!({"role": "environment", "environment_id": unknown}), "environment_id"),
        ("/tokens", json!({"role": "environment", "environment_id": "x"}), "environment_id"),
        ("/tokens", json!({"role": "gateway", "environment_id": ours}), "environment_id"),
    ] {
        let answer = operator.post(path, body.clone()).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{body} {}", answer.text);
    }
    for id in [unknown, "x"] {
        operator.delete(&format!("/tokens/{id}")).await.is(404, "TOKEN_NOT_FOUND");
    }
    assert_eq!(server.generation(), generation);
    let data = operator.post("/environments", json!({"name": "Plain"})).await.data();
    assert_eq!((&data["country_code"], &data["lookback_days"]), (&json!(""), &json!(30)));
}

#[tokio::test]
async fn operator_token_in_memory_is_accepted() {
    let service = Arc::new(Service::builder(MemoryStore).start().expect("starts"));
    let token = Token::issue(Role::Operator);
    let of_another_role = Token::issue(Role::Gateway);
    let api = |digest| Api::new(Arc::clone(&service), Arc::new(|| START)).with_operator(digest);
    for (token, status) in [(&token, 201), (&of_another_role, 401)] {
        let request = Request::post("/api/v1/environments")
            .header("authorization", format!("bearer {}", token.secret))
            .header("content-type", "application/json; charset=utf-8")
            .body(Body::from(r#"{"name":"First"}"#))
            .expect("a request");
        let response = router(api(token.digest)).oneshot(request).await.expect("never fails");
        assert_eq!(response.status(), status);
    }
}
