use crate::support::server::{Client, Desk, OURS, START, Server};
use axum::body::Body;
use axum::http::{Method, Request};
use dialback::http::{ACTING_FOR, Api, Token, router};
use dialback::store::MemoryStore;
use dialback::{Change, DialPlan, Lookback, Role, Service};
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
            r#"{{"success":true,"data":{{"id":"{environment}","name":"Clinic","region":null,"country_code":"49","national_prefix":"0","international_prefix":"00","national_number_lengths":[],"lookback_days":14,"lookback_seconds":1209600,"counts_from":"initiated"}}}}"#
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
async fn token_is_refused_from_its_expiry_on() {
    let server = Server::start();
    let operator = server.operator();
    let new =
        json!({"role": "environment", "environment_id": server.environment, "expires_at": "2026-06-01T14:00:01+02:00"});
    let issued = operator.post("/tokens", new).await.data();
    assert_eq!(issued["expires_at"], "2026-06-01T12:00:01.000Z");
    let client = server.with_token(issued["token"].as_str().unwrap());
    let desk = Desk::set_up(&client).await;
    server.set_now(START.plus_millis(999));
    assert_eq!(client.get("/agents").await.status, 200);
    server.set_now(START.plus_millis(1000));
    client.get("/agents").await.is(401, "INVALID_TOKEN");
    client.post("/calls", desk.call("busy")).await.is(401, "INVALID_TOKEN");
    client.bulk(desk.call("busy").to_string()).await.is(401, "INVALID_TOKEN");
    client.get(&format!("/route?dialed={OURS}")).await.is(401, "INVALID_TOKEN");
    assert_eq!(server.tenant().get("/agents").await.status, 200, "other tokens of the environment are valid");
    let listed = operator.get("/tokens").await.data();
    assert!(
        listed.as_array().unwrap().iter().any(|token| token["id"] == issued["id"]),
        "it is listed until it is revoked"
    );
}

#[tokio::test]
async fn rotated_token_and_its_successor_are_both_valid_during_the_overlap() {
    let server = Server::start();
    let operator = server.operator();
    let new = json!({"role": "environment", "environment_id": server.environment, "label": "CRM"});
    let old = operator.post("/tokens", new).await.data();
    let path = format!("/tokens/{}/rotate", old["id"].as_str().unwrap());
    let key = ("idempotency-key", "r");
    let answer = operator.given(key, Method::POST, &path, Some(json!({"overlap_seconds": 60}))).await;
    assert_eq!(answer.status, 201);
    operator.given(key, Method::POST, &path, Some(json!({"overlap_seconds": 60}))).await.is(409, "SHOWN_ONCE");
    let new = answer.data();
    let same = ["role", "environment_id", "label"];
    assert!(same.iter().all(|field| new[field] == old[field]) && new["id"] != old["id"], "{new}");
    assert_eq!(new["expires_at"], json!(null));
    assert_eq!(new["replaces"], json!({"id": old["id"], "expires_at": "2026-06-01T12:01:00.000Z"}));
    let [before, after] = [&old, &new].map(|token| server.with_token(token["token"].as_str().unwrap()));
    server.set_now(START.plus_millis(59_999));
    assert_eq!((before.get("/agents").await.status.as_u16(), after.get("/agents").await.status.as_u16()), (200, 200));

    // The old token expires, so a second successor needs to say when. The overlap lengthens no life.
    operator.post(&path, json!({})).await.is(422, "VALIDATION_ERROR");
    let second = operator.post(&path, json!({"expires_at": "2026-07-01T00:00:00Z"})).await.data();
    assert_eq!(second["expires_at"], "2026-07-01T00:00:00.000Z");
    assert_eq!(second["replaces"]["expires_at"], "2026-06-01T12:01:00.000Z");
    server.set_now(START.plus_millis(60_000));
    before.get("/agents").await.is(401, "INVALID_TOKEN");
    assert_eq!(after.get("/agents").await.status, 200);
    operator.post(&path, json!({"expires_at": null})).await.is(409, "TOKEN_EXPIRED");

    // Without an overlap, the old token ends at once. The defaults are a day, and no expiry.
    let path = format!("/tokens/{}/rotate", new["id"].as_str().unwrap());
    let third = operator.post(&path, json!({"overlap_seconds": 0})).await.data();
    after.get("/agents").await.is(401, "INVALID_TOKEN");
    let path = format!("/tokens/{}/rotate", third["id"].as_str().unwrap());
    assert_eq!(operator.post(&path, json!({})).await.data()["replaces"]["expires_at"], "2026-06-02T12:01:00.000Z");
    server.tenant().post(&path, json!({})).await.is(403, "UNAUTHORIZED");
}

#[tokio::test]
async fn last_use_of_a_token_is_shown_to_the_minute() {
    let server = Server::start();
    let operator = server.operator();
    let issued = operator.post("/tokens", json!({"role": "gateway"})).await.data();
    let (gateway, generation) = (server.with_token(issued["token"].as_str().unwrap()), server.generation());
    let used = async || {
        let listed = operator.get("/tokens").await.data();
        let all = listed.as_array().unwrap().clone();
        all.into_iter().find(|token| token["id"] == issued["id"]).unwrap()["last_used_at"].clone()
    };
    assert_eq!(used().await, json!(null));
    for (millis, recorded) in [(0, 0), (59_999, 0), (60_000, 60_000)] {
        server.set_now(START.plus_millis(millis));
        gateway.get(&format!("/route?dialed={OURS}")).await;
        let recorded = ["2026-06-01T12:00:00.000Z", "2026-06-01T12:01:00.000Z"][usize::from(recorded > 0)];
        assert_eq!(used().await, json!(recorded), "after {millis} ms");
    }
    assert_eq!(server.generation(), generation, "nothing is stored");
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
        ("/environments", json!({"name": "x", "region": "XX"}), "region"),
        ("/environments", json!({"name": "x", "require_attestation": "C"}), "require_attestation"),
        ("/environments", json!({"name": "x", "require_attestation": 1}), "require_attestation"),
        ("/environments", json!({"name": "x", "counts_from": "Answered"}), "counts_from"),
        ("/environments", json!({"name": "x", "counts_from": true}), "counts_from"),
        ("/environments", json!({"name": "x", "region": "Germany"}), "region"),
        ("/environments", json!({"name": "x", "region": 49}), "region"),
        ("/environments", json!({"name": "x", "region": "DE", "country_code": "43"}), "region"),
        ("/environments", json!({"name": "x", "region": "DE", "national_number_lengths": [10]}), "region"),
        (
            "/environments",
            json!({"name": "x", "country_code": "7", "national_number_lengths": [0]}),
            "national_number_lengths.0",
        ),
        (
            "/environments",
            json!({"name": "x", "country_code": "7", "national_number_lengths": 10}),
            "national_number_lengths",
        ),
        ("/environments", json!({"name": "x", "national_number_lengths": [10]}), "country_code"),
        ("/environments", json!({"name": "x", "lookback_days": 0}), "lookback_days"),
        ("/environments", json!({"name": "x", "lookback_seconds": 59}), "lookback_seconds"),
        ("/environments", json!({"name": "x", "lookback_days": 1, "lookback_seconds": 86_399}), "lookback_seconds"),
        ("/environments", json!({"name": "x", "tier": "gold"}), "tier"),
        ("/tokens", json!({}), "role"),
        ("/tokens", json!({"role": "admin"}), "role"),
        ("/tokens", json!({"role": "environment"}), "environment_id"),
        ("/tokens", json!({"role": "environment", "environment_id": unknown}), "environment_id"),
        ("/tokens", json!({"role": "environment", "environment_id": "x"}), "environment_id"),
        ("/tokens", json!({"role": "gateway", "environment_id": ours}), "environment_id"),
        ("/tokens", json!({"role": "gateway", "expires_at": "tomorrow"}), "expires_at"),
        ("/tokens", json!({"role": "gateway", "expires_at": "2026-06-01T12:00:00Z"}), "expires_at"),
        ("/tokens/00000000-0000-0000-0000-000000000003/rotate", json!({"overlap_seconds": -1}), "overlap_seconds"),
        (
            "/tokens/00000000-0000-0000-0000-000000000003/rotate",
            json!({"overlap_seconds": 2_592_001}),
            "overlap_seconds",
        ),
        (
            "/tokens/00000000-0000-0000-0000-000000000003/rotate",
            json!({"expires_at": "2026-06-01T11:59:59Z"}),
            "expires_at",
        ),
    ] {
        let answer = operator.post(path, body.clone()).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{body} {}", answer.text);
    }
    for id in [unknown, "x"] {
        operator.delete(&format!("/tokens/{id}")).await.is(404, "TOKEN_NOT_FOUND");
        operator.post(&format!("/tokens/{id}/rotate"), json!({})).await.is(404, "TOKEN_NOT_FOUND");
    }
    assert_eq!(server.generation(), generation);
    let data = operator.post("/environments", json!({"name": "Plain"})).await.data();
    assert_eq!((&data["country_code"], &data["lookback_days"]), (&json!(""), &json!(30)));
}

#[tokio::test]
async fn environment_with_a_region_reads_numbers_as_that_region() {
    let server = Server::start();
    let operator = server.operator();
    let data = operator.post("/environments", json!({"name": "Moscow", "region": "ru"})).await.data();
    let expected = json!({
        "id": data["id"], "name": "Moscow", "region": "RU", "country_code": "7", "national_prefix": "8",
        "international_prefix": "810", "national_number_lengths": [], "lookback_days": 30, "lookback_seconds": 2_592_000,
        "counts_from": "initiated",
    });
    assert_eq!(data, expected);
    let body = json!({
        "name": "Private", "country_code": "7", "national_prefix": "8", "international_prefix": "810",
        "national_number_lengths": [11, 10],
    });
    let private = operator.post("/environments", body).await.data();
    assert_eq!((&private["region"], &private["national_number_lengths"]), (&json!(null), &json!([10, 11])));

    let body = json!({"role": "environment", "environment_id": data["id"]});
    let token = operator.post("/tokens", body).await.data()["token"].clone();
    let moscow = server.with_token(token.as_str().unwrap());
    let too_long = moscow.post("/phone-numbers", json!({"number": "+7812123456789"})).await;
    too_long.is(422, "VALIDATION_ERROR");
    assert!(too_long.body["errors"]["number"][0].is_string() && !too_long.text.contains("8121"), "{}", too_long.text);
    let desk = Desk::set_up(&moscow).await;
    let mut call = desk.call("busy");
    call["to"] = json!("8005553535");
    assert_eq!(moscow.post("/calls", call.clone()).await.status, 202);
    let route = |caller: &str| format!("/route?dialed={OURS}&caller={caller}");
    for caller in ["%2B78005553535", "88005553535", "78005553535", "8%20800%20555-35-35"] {
        assert_eq!(moscow.get(&route(caller)).await.data()["reason"], "MATCHED", "{caller}");
    }
    for to in ["+7800555353", "+78005553535123"] {
        call["to"] = json!(to);
        let refused = moscow.post("/calls", call.clone()).await;
        refused.is(422, "VALIDATION_ERROR");
        assert!(refused.body["errors"]["to"][0].is_string() && !refused.text.contains("8005"), "{}", refused.text);
        let caller = to.replace('+', "%2B");
        assert_eq!(moscow.get(&route(&caller)).await.data()["reason"], "NO_HISTORY", "{to} is looked up");
    }
}

#[tokio::test]
async fn environment_name_is_unique() {
    let server = Server::start();
    let operator = server.operator();
    let id = operator.post("/environments", json!({"name": "Clinic"})).await.id();
    let generation = server.generation();
    for name in ["Clinic", "Ours", "CLINIC", " clinic ", "our\u{17f}"] {
        operator.post("/environments", json!({"name": name})).await.is(409, "ENVIRONMENT_NAME_TAKEN");
    }
    let path = format!("/environments/{id}");
    operator.put(&path, json!({"name": "Ours"})).await.is(409, "ENVIRONMENT_NAME_TAKEN");
    assert_eq!(operator.put(&path, json!({"name": "Clinic"})).await.status, 200, "its own name");
    assert_eq!(server.generation(), generation);
    let renamed = operator.put(&path, json!({"name": "CLINIC"})).await;
    assert_eq!(renamed.data()["name"], "CLINIC", "its own name in another case");
    // Simultaneous requests: one of them gets the name.
    let make = || operator.post("/environments", json!({"name": "Race"}));
    let (one, other) = tokio::join!(make(), make());
    let mut codes = [one.code(), other.code()];
    codes.sort_unstable();
    assert_eq!(codes, ["", "ENVIRONMENT_NAME_TAKEN"]);
}

/// Directories of earlier versions may have several environments of one name. They stay, and can be renamed.
#[tokio::test]
async fn equal_names_of_an_earlier_version_remain_and_can_be_changed() {
    let server = Server::start();
    let operator = server.operator();
    let id = operator.post("/environments", json!({"name": "Clinic"})).await.id();
    let twin = dialback::EnvironmentId::from_u128(0xC);
    let change =
        Change::EnvironmentSet { name: "Clinic".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    server.service.configure(twin, START, |_| Ok(vec![change])).expect("an earlier version accepted it");
    for (path, body) in [
        (format!("/environments/{twin}"), json!({"lookback_days": 7})),
        (format!("/environments/{id}"), json!({"name": "Clinic", "lookback_days": 8})),
        (format!("/environments/{twin}"), json!({"name": "Second clinic"})),
    ] {
        assert_eq!(operator.put(&path, body).await.status, 200);
    }
    let names: Vec<_> = operator.get("/environments").await.data().as_array().unwrap()[2..]
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["Clinic", "Second clinic"]);
}

#[tokio::test]
async fn environment_settings_change_one_by_one() {
    let server = Server::start();
    let operator = server.operator();
    let made =
        operator.post("/environments", json!({"name": "Clinic", "region": "DE", "require_attestation": "B"})).await;
    let path = format!("/environments/{}", made.body["data"]["id"].as_str().unwrap());
    assert_eq!(operator.get(&path).await.tag(), made.tag());
    let mut expected = made.body["data"].clone();
    for (body, changed) in [
        (json!({"name": "Practice"}), json!({"name": "Practice"})),
        (json!({"lookback_days": 7}), json!({"lookback_days": 7, "lookback_seconds": 604_800})),
        (json!({"lookback_seconds": 90}), json!({"lookback_days": null, "lookback_seconds": 90})),
        (json!({"lookback_seconds": 172_800}), json!({"lookback_days": 2, "lookback_seconds": 172_800})),
        (
            json!({"region": "ru"}),
            json!({"region": "RU", "country_code": "7", "national_prefix": "8", "international_prefix": "810"}),
        ),
        (
            json!({"country_code": "1", "national_prefix": "1", "international_prefix": "011", "national_number_lengths": [10]}),
            json!({
                "region": null, "country_code": "1", "national_prefix": "1", "international_prefix": "011",
                "national_number_lengths": [10],
            }),
        ),
        (
            json!({"region": null}),
            json!({
                "country_code": "", "national_prefix": "", "international_prefix": "", "national_number_lengths": [],
            }),
        ),
        (json!({"require_attestation": "A"}), json!({"require_attestation": "A"})),
        (json!({"counts_from": "answered"}), json!({"counts_from": "answered"})),
        (json!({"counts_from": "initiated"}), json!({"counts_from": "initiated"})),
    ] {
        let before = operator.get(&path).await.tag();
        let answer = operator.put(&path, body.clone()).await;
        expected.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        assert_eq!(answer.body["data"], expected, "{body}");
        assert_ne!(answer.tag(), before, "{body}");
        // What is shown can be sent back, and changes nothing.
        let generation = server.generation();
        let again = operator
            .put(
                &path,
                expected
                    .clone()
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(field, _)| *field != "id")
                    .map(|(field, value)| (field.clone(), value.clone()))
                    .collect(),
            )
            .await;
        assert_eq!((&again, server.generation()), (&answer, generation), "{body}");
        assert_eq!(operator.get(&path).await, answer);
    }
    let answer = operator.put(&path, json!({"require_attestation": null})).await;
    assert_eq!(answer.body["data"].get("require_attestation"), None);

    // A region with its own parts is one dial plan.
    let berlin = json!({"region": "DE", "country_code": "49", "national_prefix": "0", "international_prefix": "00"});
    assert_eq!(operator.put(&path, berlin).await.data()["region"], "DE");
    let generation = server.generation();
    for (field, body) in [
        ("name", json!({"name": ""})),
        ("region", json!({"region": "XX"})),
        ("region", json!({"region": "DE", "country_code": "43"})),
        ("country_code", json!({"national_prefix": "0"})),
        ("lookback_days", json!({"lookback_days": 0})),
        ("lookback_seconds", json!({"lookback_seconds": 315_360_001})),
        ("lookback_seconds", json!({"lookback_seconds": 90, "lookback_days": 1})),
        ("require_attestation", json!({"require_attestation": "C"})),
        ("counts_from", json!({"counts_from": "busy"})),
        ("counts_from", json!({"counts_from": 1})),
    ] {
        let answer = operator.put(&path, body).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(answer.body["errors"][field][0].is_string(), "{field} {}", answer.text);
    }
    let stale = operator.given(("if-match", &made.tag()), Method::PUT, &path, Some(json!({"name": "Late"}))).await;
    stale.is(412, "PRECONDITION_FAILED");
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn tenant_changes_its_own_settings_and_its_name() {
    let server = Server::start();
    let (client, own) = (server.tenant(), format!("/environments/{}", server.environment));
    let shown = client.get(&own).await;
    assert_eq!(client.get("/environment").await, shown);
    let data = client.put(&own, json!({"name": "Ours", "lookback_days": 3, "region": "US"})).await.data();
    assert_eq!((&data["lookback_days"], &data["region"]), (&json!(3), &json!("US")));
    let unless = ("if-none-match", &*client.get("/environment").await.tag());
    assert_eq!(client.given(unless, Method::GET, "/environment", None).await.status, 304);
    assert_eq!(client.put(&own, json!({"name": "Free"})).await.data()["name"], "Free");
    // The name stays unique, as with `PUT /configuration`.
    let generation = server.generation();
    client.put(&own, json!({"name": "Theirs"})).await.is(409, "ENVIRONMENT_NAME_TAKEN");
    let declared = json!({"environment": {"name": "Theirs"}, "agents": []});
    client.put("/configuration", declared).await.is(409, "ENVIRONMENT_NAME_TAKEN");
    let unknown = client.get("/environments/00000000-0000-4000-8000-000000000000").await;
    unknown.is(404, "ENVIRONMENT_NOT_FOUND");
    for path in [format!("/environments/{}", server.other_environment), "/environments/x".into()] {
        assert_eq!(client.get(&path).await, unknown);
        assert_eq!(client.put(&path, json!({"lookback_days": 3})).await, unknown);
    }
    assert_eq!(server.generation(), generation);
}

/// The version of an environment counts its settings only, and nothing of other tenants.
#[tokio::test]
async fn environment_keeps_its_version_while_its_agents_change() {
    let server = Server::start();
    let tag = server.tenant().get("/environment").await.tag();
    Desk::set_up(&server.tenant()).await;
    server
        .operator()
        .put(&format!("/environments/{}", server.other_environment), json!({"lookback_days": 9}))
        .await
        .data();
    assert_eq!(server.tenant().get("/environment").await.tag(), tag);
}

#[tokio::test]
async fn empty_environment_is_deleted_with_its_tokens() {
    let server = Server::start();
    let (operator, client) = (server.operator(), server.tenant());
    let path = format!("/environments/{}", server.environment);
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let decision =
        client.get(&format!("/route?dialed={OURS}&caller=%2B15557654321")).await.data()["decision_id"].clone();
    let others = server.other().get("/agents").await;

    // Only an empty one. The message says what is in the way.
    let before = operator.get(&path).await;
    let full = operator.delete(&path).await;
    full.is(409, "ENVIRONMENT_NOT_EMPTY");
    assert!(full.body["message"].as_str().unwrap().contains("has 2 agents and 1 phone number:"), "{}", full.text);
    for agent in [&desk.source, &desk.callback] {
        client.post(&format!("/agents/{agent}/unpublish"), json!({})).await.data();
        assert_eq!(client.delete(&format!("/agents/{agent}")).await.status, 200);
    }
    operator.delete(&path).await.is(409, "ENVIRONMENT_NOT_EMPTY");
    assert_eq!(client.delete(&format!("/phone-numbers/{}", desk.number)).await.status, 200);
    assert_eq!(operator.get(&path).await, before, "its version counts its settings");
    operator.given(("if-match", "\"999\""), Method::DELETE, &path, None).await.is(412, "PRECONDITION_FAILED");
    client.delete(&path).await.is(403, "UNAUTHORIZED");

    let answer = operator.given(("if-match", &before.tag()), Method::DELETE, &path, None).await;
    assert_eq!(answer.text, r#"{"success":true,"message":"Environment deleted"}"#);
    operator.delete(&path).await.is(404, "ENVIRONMENT_NOT_FOUND");
    operator.get(&path).await.is(404, "ENVIRONMENT_NOT_FOUND");
    for path in ["/agents", "/phone-numbers", "/environment", &format!("/route?dialed={OURS}")] {
        client.get(path).await.is(401, "INVALID_TOKEN");
    }
    client.post("/calls", desk.call("voicemail")).await.is(401, "INVALID_TOKEN");
    server.gateway().post("/calls", desk.call("voicemail")).await.is(404, "NUMBER_NOT_FOUND");
    let answered = format!("/routes/{}/answered", decision.as_str().unwrap());
    server.gateway().post(&answered, json!({})).await.is(404, "DECISION_NOT_FOUND");
    let listed = operator.get("/environments").await.data();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let tokens = operator.get("/tokens").await.text;
    assert!(!tokens.contains(&server.environment.to_string()), "{tokens}");
    let token = json!({"role": "environment", "environment_id": server.environment});
    operator.post("/tokens", token).await.is(422, "VALIDATION_ERROR");

    // Other tenants see nothing of it. The name and the number are free, without the former history.
    assert_eq!(server.other().get("/agents").await, others);
    let again = operator.post("/environments", json!({"name": "Ours"})).await.id();
    let token = operator.post("/tokens", json!({"role": "environment", "environment_id": again})).await.data();
    let client = server.with_token(token["token"].as_str().unwrap());
    Desk::set_up(&client).await;
    let route = client.get(&format!("/route?dialed={OURS}&caller=%2B15557654321")).await.data();
    assert_eq!(route["reason"], "NO_HISTORY");
}

/// A request may be under way when its environment is deleted.
#[tokio::test]
async fn request_during_the_deletion_of_its_environment_gets_401_and_changes_nothing() {
    let server = Server::start();
    let path = format!("/environments/{}", server.environment);
    let generation = server.generation();
    let (operator, client) = (server.operator(), server.tenant());
    let (deleted, made) =
        tokio::join!(operator.delete(&path), client.post("/agents", json!({"name": "New", "direction": "inbound"})));
    let codes = [deleted.code(), made.code()];
    assert!(codes == ["", "INVALID_TOKEN"] || codes == ["ENVIRONMENT_NOT_EMPTY", ""], "{codes:?}");
    assert_eq!(server.generation(), generation + 1);
}

#[tokio::test]
async fn look_back_of_seconds_decides() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    let path = format!("/environments/{}", server.environment);
    for (seconds, reason) in [(3600, "MATCHED"), (3599, "EXPIRED")] {
        client.put(&path, json!({"lookback_seconds": seconds})).await.data();
        let route = client.get(&format!("/route?dialed={OURS}&caller=%2B15557654321&explain=true")).await.data();
        assert_eq!(route["reason"], reason);
        let tried = route["steps"].as_array().unwrap().last().unwrap()["saw"]["candidates"][0].clone();
        assert_eq!((&tried["lookback_days"], &tried["lookback_seconds"]), (&json!(0), &json!(seconds)));
    }
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

#[tokio::test]
async fn in_memory_operator_token_acts_for_an_environment() {
    let operator = Token::issue(Role::Operator);
    let service = Service::builder(MemoryStore).start().expect("nothing to read");
    let server = Server::start_service(service, |api| api.with_operator(operator.digest));
    let of_tenant = server.tenant().get("/environment").await.data();
    let id = of_tenant["id"].as_str().expect("an id");
    let ask = async |client: Client<'_>, acting_for: &str, path: &str| {
        client.given((ACTING_FOR, acting_for), Method::GET, path, None).await
    };
    let in_memory = || server.with_token(&operator.secret);
    assert_eq!(ask(in_memory(), id, "/environment").await.data(), of_tenant);
    ask(in_memory(), id, "/environments").await.is(403, "UNAUTHORIZED");
    assert_eq!(in_memory().get("/environments").await.status, 200);
    for unknown in ["x", "00000000-0000-0000-0000-000000000000", "00000000-0000-4000-8000-00000000000f"] {
        ask(in_memory(), unknown, "/environment").await.is(403, "UNAUTHORIZED");
    }
    // The header changes nothing for tokens that are stored.
    ask(server.operator(), id, "/environment").await.is(403, "UNAUTHORIZED");
    ask(server.gateway(), id, "/environment").await.is(403, "UNAUTHORIZED");
    assert_ne!(ask(server.other(), id, "/environment").await.data(), of_tenant);
}
