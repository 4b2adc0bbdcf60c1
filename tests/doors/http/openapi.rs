//! Checks that the API description is complete and correct, and that its examples are.

use crate::support::described::{Described, Operation, described};
use crate::support::server::{Answer, Client, Server};
use axum::body::Body;
use axum::http::Method;
use dialback::testing::lasting::LastingStore;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The ids in `src/http/openapi/example.rs`.
const SOURCE: &str = "5b1f0c9e-2a64-4d5e-9a3b-6f0d1c2e3a41";
const CALLBACK: &str = "c7d2a8f4-91b3-4e0a-8f57-2b6c9d1e0f83";
const DRAFT: &str = "e3a90b76-5c18-4f2d-b64e-7d8c0a1f2b95";
const NUMBER: &str = "0d4e6f28-7b9a-4c13-a5d6-8e7f9b0c1d2a";
const UNUSED_NUMBER: &str = "b2c3d4e5-f607-4819-aa2b-3c4d5e6f7081";
const WEBHOOK: &str = "4c3b2a19-0817-4f6e-9d5c-4b3a29180716";
const DIALED: &str = "+15551234567";
const CONTACT: &str = "+15557654321";

const DECISION: &str = "2f1e0d9c-8b7a-4695-a483-72615f4e3d2c";

const JSON: &str = "application/json";

/// Returns a server with the tenant of the examples.
async fn sample() -> Server {
    let server = Server::start_on(LastingStore::new([7; 32]));
    let client = server.tenant();
    for (id, number) in [(NUMBER, DIALED), (UNUSED_NUMBER, "+15551230009")] {
        assert_eq!(client.post("/phone-numbers", json!({"id": id, "number": number})).await.status, 201);
    }
    for (id, name, direction) in
        [(SOURCE, "Reminders", "outbound"), (CALLBACK, "Callback Handler", "inbound"), (DRAFT, "New", "inbound")]
    {
        let agent = json!({"id": id, "name": name, "direction": direction});
        assert_eq!(client.post("/agents", agent).await.status, 201);
        if id != DRAFT {
            let calling = json!({"direction": direction, "phone_number_ids": [NUMBER]});
            client.put(&format!("/agents/{id}/calling"), calling).await.data();
            client.post(&format!("/agents/{id}/publish"), json!({})).await.data();
        }
    }
    client.post(&format!("/agents/{CALLBACK}/callback"), json!({"source_agent_ids": [SOURCE]})).await.data();
    client.put(&format!("/phone-numbers/{NUMBER}"), json!({"default_agent_id": CALLBACK})).await.data();
    let call = json!({
        "agent_id": SOURCE, "from": DIALED, "to": CONTACT, "started_at": "2026-06-01T11:00:00Z", "status": "no_answer",
        "call_id": "call-4711", "context": {"order": 7},
    });
    assert_eq!(client.post("/calls", call).await.status, 202);
    let webhook = json!({"id": WEBHOOK, "url": "https://crm.example.com/dialback", "description": "CRM"});
    assert_eq!(client.post("/webhooks", webhook).await.status, 201);
    assert_eq!(client.post(&format!("/webhooks/{WEBHOOK}/test"), json!({})).await.status, 200);
    server
}

/// Returns the path of an operation, with the examples of its parameters filled in.
fn path_of(operation: &Operation<'_>) -> String {
    let below = operation.template.strip_prefix("/api/v1");
    let mut path = below.map_or_else(|| format!("/{}", operation.template), str::to_owned);
    let mut separator = '?';
    for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let Some(example) = parameter["example"].as_str() else {
            assert_ne!(parameter["required"], json!(true), "{} {name} has no example", operation.template);
            continue;
        };
        match parameter["in"].as_str() {
            Some("path") => path = path.replace(&format!("{{{name}}}"), example),
            Some("query") => {
                path = format!("{path}{separator}{name}={}", example.replace('+', "%2B"));
                separator = '&';
            }
            _ => {}
        }
    }
    path
}

/// An example body of the description: its name, media type and text.
type Shown = (String, Option<String>, String);

/// Returns the example bodies of an operation, or an empty one if it takes none.
fn bodies(operation: &Operation<'_>) -> Vec<Shown> {
    if operation.says.get("requestBody").is_none() {
        return vec![(String::new(), None, String::new())];
    }
    let mut bodies = Vec::new();
    for (media_type, content) in operation.says["requestBody"]["content"].as_object().into_iter().flatten() {
        for (name, example) in examples(content) {
            let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            bodies.push((name, Some(media_type.clone()), text));
        }
    }
    bodies
}

/// Returns the examples of a content entry by name.
fn examples(content: &Value) -> Vec<(String, Value)> {
    let named = content["examples"].as_object().into_iter().flatten();
    let named = named.map(|(name, example)| (name.clone(), example["value"].clone()));
    content.get("example").map(|example| (String::new(), example.clone())).into_iter().chain(named).collect()
}

/// Returns the status and the example of the answer to the example with this name.
fn shown_answer(operation: &Operation<'_>, name: &str) -> Option<(String, Value)> {
    let responses = operation.says["responses"].as_object()?;
    responses.iter().filter(|(status, _)| status.starts_with('2')).find_map(|(status, response)| {
        let examples = examples(&response["content"]["application/json"]);
        let example =
            examples.iter().find(|(of, _)| of == name).or_else(|| examples.first().filter(|(of, _)| of.is_empty()));
        Some((status.clone(), example?.1.clone()))
    })
}

/// Returns whether the operation accepts this security scheme.
fn takes(operation: &Operation<'_>, scheme: &str) -> bool {
    operation.says["security"].as_array().is_some_and(|all| all.iter().any(|one| one.get(scheme).is_some()))
}

fn client_for<'a>(server: &'a Server, operation: &Operation<'_>) -> Client<'a> {
    if takes(operation, "environment") { server.tenant() } else { server.operator() }
}

async fn ask(client: Client<'_>, operation: &Operation<'_>, media_type: Option<&str>, body: String) -> Answer {
    let mut path = path_of(operation);
    if path.contains(DECISION) || operation.template == "/api/v1/routes" {
        // The server has routed no call. The id of a decision cannot be one that it has made.
        let decision = client.get(&format!("/route?dialed={DIALED}&caller={CONTACT}")).await.data();
        path = path.replace(DECISION, decision["decision_id"].as_str().expect("an id"));
    }
    client.send(operation.method.clone(), &path, media_type, Body::from(body)).await
}

/// Returns whether the answer has the fields of the example with the same types, and no others. Null matches any
/// type.
fn same_shape(answer: &Value, example: &Value) -> bool {
    match (answer, example) {
        (Value::Object(answer), Value::Object(example)) => {
            answer.len() == example.len()
                && answer.iter().all(|(name, value)| example.get(name).is_some_and(|shown| same_shape(value, shown)))
        }
        (Value::Array(answer), Value::Array(example)) => {
            answer.is_empty() == example.is_empty()
                && answer.iter().zip(example).all(|(one, shown)| same_shape(one, shown))
        }
        (Value::Null, _) | (_, Value::Null) => true,
        (answer, example) => std::mem::discriminant(answer) == std::mem::discriminant(example),
    }
}

#[tokio::test]
async fn documented_examples_match_real_answers() {
    let described = described().await;
    let mut replayed = 0;
    for operation in described.operations() {
        // These operations return their own documents, which have no example.
        if ["/api/v1/openapi.json", "/metrics", "/api/v1/export", "/api/v1/events/stream"].contains(&operation.template)
        {
            continue;
        }
        let at = format!("{} {}", operation.method, operation.template);
        let bodies = bodies(&operation);
        assert!(!bodies.is_empty(), "{at} shows no body");
        for (name, media_type, body) in bodies {
            let (status, shown) =
                shown_answer(&operation, &name).unwrap_or_else(|| panic!("{at} shows no answer to {name}"));
            // Each example gets a new server, because some delete entities that others need.
            let server = sample().await;
            let answer = ask(client_for(&server, &operation), &operation, media_type.as_deref(), body.clone()).await;
            assert_eq!(answer.status.as_str(), status, "{at} with {body}: {}", answer.text);
            // A service without a store adds this member to each answer.
            let same = same_shape(&answer.body, &shown) || at.ends_with("/health");
            assert!(same, "{at} with {body}: {} is not like {shown}", answer.text);
            replayed += 1;
        }
        for (status, response) in operation.says["responses"].as_object().expect("answers") {
            let content = &response["content"]["application/json"];
            for (_, example) in examples(content) {
                let validator = described.validator_of(&content["schema"]);
                let errors: Vec<_> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{at} {status}: the example is not as described: {errors:?}");
            }
        }
    }
    assert!(replayed >= 29, "{replayed}");
}

/// Canary: the validation must reject wrong answers. A description that allows every answer checks nothing.
#[tokio::test]
async fn answer_that_differs_from_the_description_is_found() {
    let server = sample().await;
    let document = described().await.document.clone();
    let agent = server.tenant().get(&format!("/agents/{SOURCE}")).await.body;
    let path = format!("/api/v1/agents/{SOURCE}");
    let described = Described::new(document);
    assert_eq!(described.wrong(&Method::GET, &path, 200, JSON, &agent), None);
    for (pointer, wrong) in [
        ("/success", json!(false)),
        ("/data/id", json!("x")),
        ("/data/name", json!(null)),
        ("/data/direction", json!("sideways")),
        ("/data/created_at", json!("yesterday")),
        ("/data/phone_numbers/0/number", json!("15551234567")),
    ] {
        let mut agent = agent.clone();
        *agent.pointer_mut(pointer).expect("there") = wrong;
        assert!(described.wrong(&Method::GET, &path, 200, JSON, &agent).is_some(), "{pointer}");
    }
    let refusal = |code: &str| json!({"success": false, "message": "…", "code": code});
    assert_eq!(described.wrong(&Method::GET, &path, 404, JSON, &refusal("AGENT_NOT_FOUND")), None);
    assert!(described.wrong(&Method::GET, &path, 404, JSON, &refusal("NUMBER_NOT_FOUND")).is_some());
    assert!(described.wrong(&Method::GET, &path, 418, JSON, &agent).is_some());
    assert!(described.wrong(&Method::PATCH, &path, 200, JSON, &agent).is_some());
    assert!(described.wrong(&Method::GET, "/api/v1/secrets", 200, JSON, &agent).is_some());
}

/// Checks that each described path is served. There are no other paths, because the router accepts only handlers with
/// a description; `router_accepts_only_described_handlers` checks that.
#[tokio::test]
async fn served_description_matches_the_routes() {
    let server = sample().await;
    let described = described().await;
    for (template, operations) in described.paths() {
        let expected: BTreeSet<_> =
            operations.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()).collect();
        let operation = described.operations().find(|operation| operation.template == template).expect("one");
        let answer = server.tenant().send(Method::TRACE, &path_of(&operation), None, Body::empty()).await;
        answer.is(405, "METHOD_NOT_ALLOWED");
        let allowed: BTreeSet<_> = answer.headers["allow"]
            .to_str()
            .expect("text")
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!(allowed, expected, "{template}");
    }
}

/// Clippy rejects the same calls; this test also finds them where Clippy does not run.
#[test]
fn router_accepts_only_described_handlers() {
    let mut routes = 0;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let source = fs::read_to_string(entry.path()).expect("a source");
            for hidden in [".route(", ".route_service(", ".nest_service(", "axum::routing", ".fallback_service("] {
                assert!(!source.contains(hidden), "{}: {hidden}", entry.path().display());
            }
            routes += source.matches(".routes(routes!(").count() + source.matches("#[utoipa::path(").count();
        }
    }
    // The router's lines and the handlers' descriptions, which are in different folders.
    assert!(routes >= 60, "the sources are read: {routes}");
}

/// Checks that each operation accepts exactly the tokens that its description lists.
#[tokio::test]
async fn tokens_are_accepted_as_described() {
    for scheme in ["none", "environment", "gateway", "operator"] {
        let server = sample().await;
        let operations = described().await.operations();
        // Metrics need no token. The stream does not end.
        let others = ["/metrics", "/api/v1/events/stream"];
        for operation in operations.filter(|operation| !others.contains(&operation.template)) {
            let client = match scheme {
                "environment" => server.tenant(),
                "gateway" => server.gateway(),
                "operator" => server.operator(),
                _ => server.with_authorization(None),
            };
            // A path parameter that names no entity, so that no request deletes what the next one needs.
            let path = path_of(&operation).replace(SOURCE, DRAFT).replace("00000001", "0000000f");
            let answer = client.send(operation.method.clone(), &path, Some("text/plain"), Body::empty()).await;
            let expected = match (operation.says.get("security").is_some(), scheme) {
                (true, "none") => Some("INVALID_TOKEN"),
                (true, scheme) if !takes(&operation, scheme) => Some("UNAUTHORIZED"),
                _ => None,
            };
            let refused = ["INVALID_TOKEN", "UNAUTHORIZED"].contains(&answer.code()).then(|| answer.code());
            assert_eq!(refused, expected, "{scheme}: {} {}: {}", operation.method, operation.template, answer.text);
        }
    }
}
