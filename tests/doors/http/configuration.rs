//! `/configuration`: an environment as one document.

use crate::support::server::{Desk, Server};
use axum::http::Method;
use dialback::http::Limits;
use dialback::store::MemoryStore;
use serde_json::{Value, json};

fn document() -> Value {
    json!({
        "environment": {"name": "Clinic", "country_code": "1", "national_prefix": "1", "international_prefix": "011"},
        "numbers": [{"number": "+12125550100", "default_agent": "Desk"}],
        "agents": [
            {"name": "Sales", "direction": "outbound", "numbers": ["+12125550100"]},
            {"name": "Desk", "direction": "inbound", "numbers": ["+12125550100"], "callback": {"sources": ["Sales"]}},
        ],
    })
}

#[tokio::test]
async fn document_is_one_change_and_changes_nothing_the_second_time() {
    let server = Server::start();
    let client = server.tenant();
    let generation = server.generation();
    let dry = client.put("/configuration?dry_run=true", document()).await;
    assert_eq!(dry.status, 200, "{}", dry.text);
    assert_eq!(dry.body["data"]["applied"], false);
    assert_eq!(server.generation(), generation, "a dry run changes nothing");

    let answer = client.put("/configuration", document()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["data"]["applied"], true);
    assert_eq!(answer.body["data"]["steps"], dry.body["data"]["steps"]);
    assert_eq!(server.generation(), generation + 1);
    let again = client.put("/configuration", document()).await;
    assert_eq!((&again.body["data"]["steps"], again.tag()), (&json!([]), answer.tag()));
    assert_eq!(server.generation(), generation + 1);

    let agents = client.get("/agents").await;
    let names: Vec<_> = agents.body["data"].as_array().expect("a list").iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["Sales", "Desk"]);
    let shown = client.get("/configuration").await;
    assert_eq!(shown.tag(), answer.tag());
    let back = client.put("/configuration?prune=true", shown.body["data"].clone()).await;
    assert_eq!(back.body["data"]["steps"], json!([]), "what was shown is what is there");
}

#[tokio::test]
async fn stale_document_and_exceeded_limits_change_nothing() {
    let mut limits = Limits::default();
    (limits.agents, limits.numbers, limits.callback_pairs) = (2, 1, 1);
    let server = Server::start_with(MemoryStore, limits);
    let client = server.tenant();
    let applied = client.put("/configuration", document()).await;
    assert_eq!(applied.status, 200, "{}", applied.text);
    let generation = server.generation();
    let old = ("if-match", "\"0\"");
    client.given(old, Method::PUT, "/configuration", Some(document())).await.is(412, "PRECONDITION_FAILED");
    let with = |field: &str, more: Value| {
        let mut document = document();
        document[field].as_array_mut().expect("a list").push(more);
        document
    };
    let agent = with("agents", json!({"name": "Third", "direction": "outbound"}));
    client.put("/configuration", agent).await.is(409, "QUOTA_EXCEEDED");
    client.put("/configuration", with("numbers", json!({"number": "+12125550101"}))).await.is(409, "QUOTA_EXCEEDED");
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn name_of_another_environment_is_taken() {
    let server = Server::start();
    let client = server.tenant();
    let others = server.other().get("/environment").await.body["data"]["name"].clone();
    let generation = server.generation();
    let document = json!({"environment": {"name": others}, "agents": []});
    client.put("/configuration", document).await.is(409, "ENVIRONMENT_NAME_TAKEN");
    assert_eq!(server.generation(), generation);
    let document = json!({"environment": {"name": "a name of its own"}, "agents": []});
    assert_eq!(client.put("/configuration", document).await.status, 200);
}

#[tokio::test]
async fn wrong_document_is_named_by_field_without_its_values() {
    let server = Server::start();
    let client = server.tenant();
    Desk::set_up(&client).await;
    let generation = server.generation();
    for (body, field, text) in [
        (json!({"agents": [], "numbrs": []}), "numbrs", "is unknown"),
        (json!({"agents": [], "numbers": [{"numbr": ""}]}), "body", "unknown field `numbr`"),
        (json!({"agents": [{"direction": "inbound"}]}), "body", "missing field `name`"),
        (json!({"agents": [], "numbers": [{"number": 12_125_550_199_u64}]}), "body", "wrong type"),
        (json!({"agents": [], "+12125550199": []}), "body", "is unknown"),
        (json!({}), "agents", "is required"),
        (json!({"agents": [], "numbers": [{"number": "12125550199x"}]}), "numbers.0.number", "must be a phone number"),
        (
            json!({"agents": [{"name": "A", "direction": "inbound", "numbers": ["+12125550199"]}]}),
            "agents.0.numbers.0",
            "no number",
        ),
    ] {
        let answer = client.put("/configuration", body.clone()).await;
        answer.is(422, "VALIDATION_ERROR");
        let said = answer.body["errors"][field][0].as_str().unwrap_or_else(|| panic!("{body}: {}", answer.text));
        assert!(said.contains(text) && !answer.text.contains("5550199"), "{body}: {}", answer.text);
    }
    assert_eq!(server.generation(), generation);
}

/// The environment and all that is in it come with one event, or nothing of it.
#[tokio::test]
async fn operator_creates_an_environment_with_its_document_as_one_change() {
    let server = Server::start();
    let operator = server.operator();
    let others = server.other().number("+12125550177").await;
    let (generation, before) = (server.generation(), operator.get("/environments").await);
    let dry = operator.put("/configuration?dry_run=true", document()).await;
    assert_eq!((dry.status.as_u16(), server.generation()), (200, generation), "{}", dry.text);
    let step = json!({"action": "create", "kind": "environment", "name": "Clinic",
        "to": "country code 1, national prefix 1, international prefix 011; look-back 30 days"});
    assert_eq!(dry.body["data"]["steps"][0], step);

    let with = |field: &str, value: Value| {
        let mut wrong = document();
        wrong[field] = value;
        wrong
    };
    let name = server.other().get("/environment").await.data()["name"].clone();
    let mut bare = document();
    bare.as_object_mut().expect("an object").remove("environment");
    for dry_run in [true, false] {
        let path = format!("/configuration?dry_run={dry_run}");
        for (wrong, status, code) in [
            (with("numbers", json!([{"number": "+12125550177"}])), 422, "VALIDATION_ERROR"),
            (with("numbers", json!([])), 422, "VALIDATION_ERROR"),
            (with("environment", json!({"name": name})), 409, "ENVIRONMENT_NAME_TAKEN"),
            (with("environment", json!({"name": ""})), 422, "VALIDATION_ERROR"),
            (bare.clone(), 422, "VALIDATION_ERROR"),
        ] {
            operator.put(&path, wrong).await.is(status, code);
        }
    }
    assert_eq!(operator.get("/environments").await.text, before.text, "nothing is left of what was refused");
    assert_eq!((server.generation(), others.is_empty()), (generation, false));

    let made = operator.put("/configuration", document()).await;
    assert_eq!((made.status.as_u16(), &made.body["data"]["applied"]), (200, &json!(true)), "{}", made.text);
    assert_eq!(made.body["data"]["steps"], dry.body["data"]["steps"]);
    assert_eq!(server.generation(), generation + 1);
    let all = operator.get("/environments").await.data();
    let id = &all.as_array().and_then(|all| all.last()).expect("the new one")["id"];
    let token = operator.post("/tokens", json!({"role": "environment", "environment_id": id})).await.data();
    let tenant = server.with_token(token["token"].as_str().expect("a token"));
    let again = tenant.put("/configuration?prune=true", document()).await;
    assert_eq!(again.body["data"]["steps"], json!([]));
    operator.put("/configuration", document()).await.is(409, "ENVIRONMENT_NAME_TAKEN");
}
