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
    assert_eq!(answer.body["data"]["steps_total"], 6);
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

/// An environment whose document is far longer than what is applied: it repeats long names.
fn repeating(roles: usize, sources: usize) -> Value {
    let id = |agent: usize| uuid::Uuid::from_u128(agent as u128 + 1).to_string();
    let name = |agent: usize| format!("{agent:03}{}", "\u{1F692}".repeat(252));
    let source = |agent| json!({"name": name(agent), "id": id(agent), "direction": "outbound"});
    let ids: Vec<_> = (0..sources).map(id).collect();
    let role = |role| json!({"name": format!("Role {role}"), "direction": "inbound", "callback": {"sources": ids}});
    json!({"agents": (0..sources).map(source).chain((0..roles).map(role)).collect::<Vec<_>>()})
}

#[tokio::test]
async fn long_document_is_written_in_pieces_of_one_moment() {
    let server = Server::start();
    let client = server.tenant();
    let applied = client.put("/configuration", repeating(6, 200)).await;
    assert_eq!((applied.status.as_u16(), &applied.body["data"]["steps_total"]), (200, &json!(212)), "{}", applied.text);
    let shown = client.get("/configuration").await;
    assert!(shown.status == 200 && shown.text.len() > 1_200_000, "{}", shown.text.len());
    assert_eq!((shown.tag(), shown.headers.get("content-length")), (applied.tag(), None));
    let agents = shown.body["data"]["agents"].as_array().expect("a list");
    let names: Vec<_> = agents[..200].iter().map(|agent| &agent["name"]).collect();
    for role in &agents[200..] {
        assert_eq!(role["callback"]["sources"].as_array().expect("a list").iter().collect::<Vec<_>>(), names);
    }
    assert_eq!(agents.len(), 206);
    let tag = shown.tag();
    let known = client.given(("if-none-match", &tag), Method::GET, "/configuration", None).await;
    assert_eq!((known.status.as_u16(), &*known.text), (304, ""));
}

#[tokio::test]
async fn answers_about_a_long_document_have_a_bound() {
    let server = Server::start();
    let client = server.tenant();
    let wrong: Vec<_> = (0..3000).map(|_| json!({"number": ""})).collect();
    let refused = client.put("/configuration", json!({"numbers": wrong, "agents": []})).await;
    refused.is(422, "VALIDATION_ERROR");
    let errors = refused.body["errors"].as_object().expect("by field");
    assert_eq!(errors.len(), 251);
    assert_eq!(errors["body"], json!(["The body has 2750 more errors, which are not listed."]));

    // Each number shows the old and the new order of its agents.
    let name = |agent: usize| format!("{agent}{}", "\u{1F692}".repeat(250));
    let numbers: Vec<_> = (0..1000).map(|number| format!("+1212555{number:04}")).collect();
    let agent = |at| json!({"name": name(at), "direction": "inbound", "numbers": numbers});
    let document = |agents: Vec<Value>| {
        let numbers: Vec<_> = numbers.iter().map(|number| json!({"number": number})).collect();
        json!({"numbers": numbers, "agents": agents})
    };
    let made = client.put("/configuration", document((0..10).map(agent).collect())).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let dry = client.put("/configuration?dry_run=true", document((0..10).rev().map(agent).collect())).await;
    assert!(dry.status == 200 && dry.text.len() <= (1 << 20) + 1024, "{}", dry.text.len());
    assert_eq!(dry.body["data"]["steps_total"], 1000);
    assert!(dry.body["data"]["steps"].as_array().is_some_and(|steps| (200..1000).contains(&steps.len())));
}
