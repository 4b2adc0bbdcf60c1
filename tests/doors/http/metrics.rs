//! `GET /metrics`.

#![allow(clippy::float_cmp, reason = "counts are whole, also as floats")]

use crate::support::metrics_text::Page;
use crate::support::server::{CONTACT, Desk, OURS, START, Server};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use dialback::http::{Api, Limits, operations, router};
use dialback::store::{Batch, EventStore, MemoryStore, StoreError, Stored};
use dialback::{Engine, Service};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;

/// Returns the content type and the text.
pub(super) async fn page(server: &Server, accept: &str) -> (String, String) {
    let request = Request::builder().uri("/metrics").header("accept", accept).body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.expect("never fails");
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    let text = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (kind, String::from_utf8(text.to_vec()).expect("UTF-8"))
}

async fn read(server: &Server) -> Page {
    let (kind, text) = page(server, "*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    Page::read(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

#[tokio::test]
async fn metrics_count_each_event_once() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let before = read(&server).await;
    let zero = [("decision", "callback"), ("reason", "MATCHED")];
    assert_eq!(before.value("dialback_decisions_total", &zero), Some(0.0), "a series is there before its first");

    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    let bulk = format!("{}\n{}\n", desk.call("voicemail"), desk.call("completed"));
    assert_eq!(client.bulk(bulk).await.status, 200);
    for _ in 0..3 {
        client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data();
    }
    client.get(&format!("/route?dialed={OURS}&caller={CONTACT}&explain=true")).await.data();
    client.get(&format!("/route?dialed={OURS}&caller=anonymous")).await.data();
    client.get("/route?dialed=+15559999999&caller=anonymous").await.data();
    client.get(&format!("/agents/{CONTACT}")).await.is(404, "AGENT_NOT_FOUND");
    client.get(&format!("/{CONTACT}")).await;

    let page = read(&server).await;
    let grown = |name: &str, labels: &[(&str, &str)]| {
        page.value(name, labels).unwrap_or(0.0) - before.value(name, labels).unwrap_or(0.0)
    };
    let decided = |decision, reason| grown("dialback_decisions_total", &[("decision", decision), ("reason", reason)]);
    assert_eq!(decided("callback", "MATCHED"), 3.0, "what is explained is not counted");
    assert_eq!(decided("default", "ANONYMOUS_CALLER"), 1.0);
    assert_eq!(decided("unrouted", "UNKNOWN_NUMBER"), 1.0);
    assert_eq!(grown("dialback_decision_duration_seconds_count", &[]), 5.0);
    let asked = |method, route, status| {
        let labels = [("method", method), ("route", route), ("status", status)];
        grown("dialback_http_requests_total", &labels)
    };
    assert_eq!(asked("GET", "/api/v1/route", "200"), 6.0);
    assert_eq!(asked("POST", "/api/v1/calls", "202"), 1.0);
    assert_eq!(asked("GET", "/api/v1/agents/{agent}", "404"), 1.0);
    assert_eq!(asked("GET", "-", "404"), 1.0);
    let route = [("method", "GET"), ("route", "/api/v1/route")];
    assert_eq!(grown("dialback_http_request_duration_seconds_count", &route), 6.0);
    assert_eq!(grown("dialback_commit_group_size_sum", &[]), 3.0, "three calls");
    assert_eq!(grown("dialback_commit_group_size_count", &[]), 2.0, "in two groups");
    assert_eq!(grown("dialback_commit_duration_seconds_count", &[]), 2.0);
    assert_eq!(grown("dialback_acknowledgement_duration_seconds_count", &[]), 2.0);
    assert_eq!(page.value("dialback_journal_lag", &[]), Some(0.0));
    assert_eq!(page.value("dialback_pairs", &[]), Some(1.0));
    assert!(page.value("dialback_history_bytes", &[]).is_some_and(|bytes| bytes > 0.0));
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let generation = server.generation() as f64;
    assert_eq!(page.value("dialback_plan_generation", &[]), Some(generation));
    assert_eq!(page.value("dialback_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    let durability = |name| page.value("dialback_durability", &[("durability", name)]);
    assert_eq!((durability("synced"), durability("buffered"), durability("memory")), (Some(0.0), Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn metrics_contain_no_number_agent_or_tenant() {
    let server = Server::start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await;
    client.get(&format!("/{CONTACT}/{OURS}")).await;
    client.delete(&format!("/contacts/{CONTACT}")).await;
    let invented = axum::http::Method::from_bytes(CONTACT.replace('+', "X").as_bytes()).expect("a token");
    client.send(invented, "/agents", None, Body::empty()).await;
    let (_, text) = page(&server, "*/*").await;
    for word in [&OURS[1..], &CONTACT[1..], &desk.source, &desk.callback, "Reminders", &server.environment.to_string()]
    {
        assert!(!text.contains(word), "{word} is in\n{text}");
    }
    let other = [("method", "other"), ("route", "/api/v1/agents"), ("status", "405")];
    assert_eq!(read(&server).await.value("dialback_http_requests_total", &other), Some(1.0));
}

#[tokio::test]
async fn text_and_openmetrics_formats_agree() {
    let server = Server::start();
    let (kind, open) = page(&server, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.ends_with("\n# EOF\n"));
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#') && !line.contains("http_re")).map(str::to_owned).collect()
    };
    let (_, plain) = page(&server, "text/plain").await;
    assert_eq!(samples(&open), samples(&plain));
    assert!(open.contains("# UNIT dialback_commit_duration_seconds seconds\n") && !plain.contains("# UNIT"));
}

/// Returns our metric names in a text, as a query language writes them.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("dialback_")).collect()
}

#[tokio::test]
async fn metrics_in_the_examples_exist() {
    let server = Server::start_api(Engine::new(), MemoryStore, |api| api.with_upkeep(Arc::default()));
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await.data();
    let page = read(&server).await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let dashboard = fs::read_to_string(examples.join("grafana/dialback.json")).expect("a dashboard");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = parsed["panels"].as_array().expect("panels");
    let mut places = BTreeSet::new();
    for panel in panels {
        let queries = panel["targets"].as_array().expect("queries");
        assert!(!queries.is_empty() && places.insert(panel["gridPos"].to_string()), "{panel}");
        for query in queries {
            let asked = names(query["expr"].as_str().expect("a query"));
            let missing: Vec<_> = asked.difference(&page.names()).copied().collect();
            assert!(!asked.is_empty() && missing.is_empty(), "{missing:?} of {query}");
        }
    }
    let rules = fs::read_to_string(examples.join("prometheus/alerts.yml")).expect("rules");
    let missing: Vec<_> = names(&rules).difference(&page.names()).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Each metric is used by an example or named on the operations page.
    let operations = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let operations = fs::read_to_string(operations).expect("a page");
    let silent: Vec<_> = page.types.keys().filter(|name| !names(&operations).contains(name.as_str())).collect();
    assert!(silent.is_empty(), "docs/operations.md does not say what {silent:?} are");
}

#[tokio::test]
async fn metrics_are_served_on_a_separate_address() {
    let service = Arc::new(Service::builder(MemoryStore).start().expect("nothing to read"));
    let api = Api::new(service, Arc::new(|| START)).with_metrics_elsewhere();
    let ask = async |router: &Router, path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.expect("never fails").status().as_u16()
    };
    let (control, operations) = (router(api.clone()), operations(api));
    for (path, in_control, in_operations) in [
        ("/metrics", 404, 200),
        ("/health", 200, 200),
        ("/health/live", 200, 200),
        ("/health/ready", 200, 200),
        ("/api/v1/health", 200, 404),
        ("/api/v1/agents", 401, 404),
        ("/openapi.json", 404, 404),
    ] {
        assert_eq!((ask(&control, path).await, ask(&operations, path).await), (in_control, in_operations), "{path}");
    }
}

/// A store that always fails.
struct Broken;

impl EventStore for Broken {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.registers.is_empty() { Ok(()) } else { Err(StoreError::Engine("broken".into())) }
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn failed_store_appears_in_metrics() {
    let server = Server::start_on(Broken);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let page = read(&server).await;
    assert_eq!(page.value("dialback_store_failed", &[]), Some(0.0));
    assert_eq!(page.value("dialback_durability", &[("durability", "synced")]), Some(1.0));
    client.post("/calls", desk.call("busy")).await.is(503, "NOT_DURABLE");
    client.bulk(format!("{}\n{}\n", desk.call("busy"), desk.call("busy"))).await.is(503, "NOT_DURABLE");
    let page = read(&server).await;
    assert_eq!(page.value("dialback_store_failed", &[]), Some(1.0));
    assert_eq!(page.value("dialback_not_durable_total", &[]), Some(3.0));
    assert_eq!(page.value("dialback_journal_lag", &[]), Some(0.0));
    let nobody = server.with_authorization(None);
    nobody.get("//health").await.is(503, "NOT_DURABLE");
    for path in ["//health/live", "//health/ready"] {
        assert_eq!(nobody.get(path).await.status, 200, "routes are answered from memory");
    }
}

#[tokio::test]
async fn full_history_appears_in_metrics() {
    let server = Server::start_engine(Engine::with_max_pairs(1), MemoryStore, Limits::default());
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    let mut second = desk.call("busy");
    second["to"] = json!("+15557650000");
    client.post("/calls", second).await.is(503, "HISTORY_FULL");
    let page = read(&server).await;
    assert_eq!(page.value("dialback_pairs", &[]), Some(1.0));
    assert_eq!(page.value("dialback_pairs_rejected_total", &[]), Some(1.0));
}
