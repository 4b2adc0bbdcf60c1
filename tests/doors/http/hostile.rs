//! Hostile requests to each endpoint: the state before and after must be equal, byte for byte.

use crate::http::refusals::{Endpoint, For, allowed, ask, endpoints};
use crate::support::described::described;
use crate::support::server::{Client, Server};
use axum::http::Method;
use dialback::testing::lasting::LastingStore;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Endpoints with a token that have no row here: streams, which `bulk.rs`, `export.rs` and `events.rs` test.
const STREAMS: [&str; 3] = ["POST /api/v1/calls/bulk", "GET /api/v1/export", "GET /api/v1/events/stream"];

/// Returns all visible configuration, and the size of the history.
async fn dump(server: &Server) -> String {
    let mut all = format!("{} {}\n", server.generation(), server.service.history().len());
    let mut see = async |client: Client<'_>, path: &str| {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        // Reading uses the tokens.
        let mut page: Value = serde_json::from_str(&answer.text).expect("JSON");
        for entry in page["data"].as_array_mut().expect("a list") {
            entry.as_object_mut().expect("an object").remove("last_used_at");
        }
        all.push_str(&page.to_string());
        all.push('\n');
    };
    for path in ["/environments", "/tokens"] {
        see(server.operator(), path).await;
    }
    for path in ["/agents?per_page=100", "/phone-numbers", "/callback-agents"] {
        see(server.tenant(), path).await;
        see(server.other(), path).await;
    }
    all
}

#[tokio::test]
async fn each_endpoint_has_a_row_in_the_table() {
    let server = Server::start();
    let described = described().await;
    let operation = |Endpoint { method, path, .. }: &Endpoint| {
        let path = format!("/api/v1{}", path.split('?').next().expect("one"));
        format!("{method} {}", described.template(&path).expect("it is described"))
    };
    let rows: BTreeSet<String> = endpoints(&server).await.iter().map(operation).collect();
    let with_token = described.operations().filter(|operation| operation.says["security"][0].is_object());
    let all = with_token.map(|operation| format!("{} {}", operation.method, operation.template));
    let all: BTreeSet<String> = all.filter(|operation| !STREAMS.contains(&operation.as_str())).collect();
    assert!(all.len() > 25);
    assert_eq!(rows, all, "a new endpoint needs a row in refusals.rs");
}

#[tokio::test]
async fn foreign_token_reaches_no_entity() {
    let server = Server::start_on(LastingStore::new([7; 32]));
    let endpoints = endpoints(&server).await;
    let call = endpoints.iter().find(|endpoint| endpoint.path == "/calls").expect("it has a row");
    assert_eq!(ask(server.tenant(), call).await.status, 202);
    let ours = async || {
        let route = server.tenant().get("/route?dialed=+15550001000&caller=+15557654321").await.data();
        let mut all = format!("{} {}", route["reason"], route["called_at"]);
        for path in ["/agents?per_page=100", "/phone-numbers", "/callback-agents"] {
            all += &server.tenant().get(path).await.text;
        }
        all
    };
    let before = ours().await;
    assert!(before.starts_with("\"MATCHED\" \"2026-"), "{before}");
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.who != For::Operators) {
        let Endpoint { method, path, .. } = endpoint;
        let answer = ask(server.other(), endpoint).await;
        assert!(answer.status.as_u16() < 500, "{method} {path}: {}", answer.text);
        let names_ours = path.split(['/', '?']).any(|part| part.len() == 36);
        if names_ours {
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
        }
        for named in before.split('"').filter(|word| word.len() == 36) {
            let echoed =
                path.contains(named) || endpoint.body.as_ref().is_some_and(|body| body.to_string().contains(named));
            assert!(echoed || !answer.text.contains(named), "{method} {path} tells of {named}");
        }
        assert_eq!(ours().await, before, "{method} {path}");
    }
}

/// Returns the list fields of a body, from the description of its endpoint.
fn lists(server_document: &Value, template: &str, method: &Method) -> Vec<String> {
    let operation = &server_document["paths"][template][method.as_str().to_lowercase()];
    let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        schema = &server_document["components"]["schemas"][name];
    }
    let is_list = |schema: &Value| {
        schema["type"].as_str() == Some("array") || schema["type"][0] == "array" || schema["type"][1] == "array"
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter(|(_, schema)| is_list(schema)).map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn huge_lists_and_duplicates_are_rejected_without_change() {
    let server = Server::start();
    let described = described().await;
    let endpoints = endpoints(&server).await;
    let before = dump(&server).await;
    let mut tried = 0;
    for Endpoint { method, path, who, body } in &endpoints {
        let Some(body) = body else { continue };
        let template = described.template(&format!("/api/v1{path}")).expect("it is described");
        for field in lists(&described.document, template, method) {
            tried += 1;
            let first = body[&field][0].clone();
            let uuid = |place: usize| json!(format!("00000000-0000-4000-8000-{place:012}"));
            let first = if first.is_null() { uuid(0) } else { first };
            for list in [
                json!([first, first]),
                vec![first.clone(); 20_000].into(),
                (0..20_000).map(uuid).collect(),
                vec![Value::Null; 100_000].into(),
                vec![json!([]); 100_000].into(),
                vec![json!({}); 100_000].into(),
                vec![json!(1e308); 100_000].into(),
                json!([first, [first]]),
            ] {
                let mut body = body.clone();
                body[&field] = list;
                let answer = allowed(&server, *who).json(method.clone(), path, body).await;
                let refused = answer.status.is_client_error() || path == "/route/what-if" && answer.status == 200;
                assert!(refused, "{method} {path} {field}: {} {}", answer.status, answer.text);
                assert!(answer.text.len() < 4 << 20, "{method} {path} {field}: {} bytes", answer.text.len());
            }
        }
    }
    assert!(tried >= 6, "{tried}");
    assert_eq!(dump(&server).await, before);
}

#[tokio::test]
async fn non_utf8_paths_queries_and_headers_change_nothing() {
    let server = Server::start_on(LastingStore::new([7; 32]));
    let described = described().await;
    let endpoints = endpoints(&server).await;
    let before = dump(&server).await;
    let long = "9".repeat(20_000);
    for Endpoint { method, path, who, body } in &endpoints {
        let (plain, _) = path.split_once('?').unwrap_or((path, ""));
        let client = allowed(&server, *who);
        // The last part of the path that is an id is replaced by a text that is not one.
        let parts: Vec<&str> = plain.split('/').collect();
        let named = parts.iter().rposition(|part| part.len() == 36 || part.starts_with('+'));
        for hostile in ["%FF%FE", "%00", "%2e%2e", "..%2f..", "%F0%9F%A6%80", "'%20OR%201=1--", &long] {
            let Some(named) = named else { break };
            let mut parts = parts.clone();
            parts[named] = hostile;
            let answer = match body {
                Some(body) => client.json(method.clone(), &parts.join("/"), body.clone()).await,
                None => client.send(method.clone(), &parts.join("/"), None, "".into()).await,
            };
            assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.text);
        }
        for query in ["%FF=%FF", "a=1&a=2", "=", "&&&", "page=-1", "per_page=99999999999999999999999", "%00=%00"] {
            if *method != Method::GET {
                continue;
            }
            let answer = client.get(&format!("{plain}?{query}")).await;
            assert!(answer.status.as_u16() < 500, "{method} {plain}?{query}: {}", answer.text);
        }
        let is_get = *method == Method::GET;
        let template = described.template(&format!("/api/v1{plain}")).expect("it is described");
        let says = &described.document["paths"][template][method.as_str().to_lowercase()];
        let takes = |header: &str| {
            says["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == header)
        };
        for (name, value, is_refused) in [
            ("if-match", "\u{ff}", takes("If-Match")),
            ("if-match", "\"\"\"\"\"", takes("If-Match")),
            ("if-none-match", "W/W/W/,,,", false),
            ("idempotency-key", "\u{ff}", takes("Idempotency-Key")),
            ("accept", "\u{ff};q=\u{ff}", false),
            ("accept", &*",".repeat(5000), false),
        ] {
            if is_get || is_refused {
                let answer = client.given((name, value), method.clone(), path, body.clone()).await;
                // No call of this server has an id, and there is no webhook.
                let is_missing = path.starts_with("/calls/") || path.starts_with("/webhooks/");
                let usual = if is_missing { 404 } else { 200 };
                let as_it_should = if is_refused { answer.status.is_client_error() } else { answer.status == usual };
                assert!(as_it_should, "{method} {path} {name}: {} {}", answer.status, answer.text);
            }
        }
    }
    assert_eq!(dump(&server).await, before);
}
