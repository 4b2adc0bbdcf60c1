//! Requests that each endpoint must reject: never with a 500, and never with a change.

use crate::http::bodies::{End, chunks};
use crate::support::server::{Answer, Client, Desk, Server};
use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dialback::Role;
use dialback::http::Token;
use serde_json::{Value, json};

/// The role that an endpoint requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    Tenants,
    TenantsAndGateways,
    Everybody,
    Operators,
    /// Operators, and the tenant itself.
    Managers,
}

pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) who: For,
    /// A valid body, if the endpoint takes one.
    pub(crate) body: Option<Value>,
}

/// All endpoints, each with a valid request. `hostile.rs` lists the endpoints that have no row here.
pub(crate) async fn endpoints(server: &Server) -> Vec<Endpoint> {
    let desk = Desk::set_up(&server.tenant()).await;
    let Desk { source, callback, number } = &desk;
    let mut all = Vec::new();
    let mut add = |who, method: Method, path: &str, body: Option<Value>| {
        all.push(Endpoint { method, path: path.into(), who, body });
    };
    let sources = json!({"source_agent_ids": [source]});
    add(For::Tenants, Method::GET, "/agents", None);
    add(For::Tenants, Method::POST, "/agents", Some(json!({"name": "New", "direction": "inbound"})));
    add(For::Tenants, Method::GET, &format!("/agents/{source}"), None);
    add(For::Tenants, Method::PUT, &format!("/agents/{source}"), Some(json!({"name": "Reminders"})));
    add(For::Tenants, Method::DELETE, &format!("/agents/{source}"), None);
    add(For::Tenants, Method::PUT, &format!("/agents/{source}/calling"), Some(json!({"direction": "outbound"})));
    add(For::Tenants, Method::POST, &format!("/agents/{source}/publish"), None);
    add(For::Tenants, Method::POST, &format!("/agents/{source}/unpublish"), None);
    add(For::Tenants, Method::GET, &format!("/agents/{callback}/callback"), None);
    add(For::Tenants, Method::POST, &format!("/agents/{callback}/callback"), Some(sources.clone()));
    add(For::Tenants, Method::PUT, &format!("/agents/{callback}/callback"), Some(sources));
    add(For::Tenants, Method::DELETE, &format!("/agents/{callback}/callback"), None);
    add(For::Tenants, Method::GET, "/callback-agents", None);
    add(For::Tenants, Method::GET, "/callback-agents/source-agents", None);
    add(For::Tenants, Method::GET, "/callback-agents/stats", None);
    add(For::Tenants, Method::GET, &format!("/callback-agents/{callback}"), None);
    let proposal = json!({"is_callback_agent": true, "callback_source_agents": [source]});
    let path = format!("/callback-agents/{callback}/check-constraints");
    add(For::Tenants, Method::POST, &path, Some(proposal));
    let what_if = json!({
        "changes": [{"agent_id": callback, "source_agent_ids": [source]}],
        "calls": [{"dialed": "+15550001000", "caller": "+15557654321"}],
    });
    add(For::Tenants, Method::POST, "/route/what-if", Some(what_if));
    add(For::Tenants, Method::GET, "/environment", None);
    add(For::Managers, Method::GET, "/changes", None);
    add(For::Tenants, Method::GET, "/configuration", None);
    add(For::Managers, Method::PUT, "/configuration", Some(json!({"environment": {"name": "Annex"}, "agents": []})));
    add(For::Tenants, Method::GET, "/phone-numbers", None);
    add(For::Tenants, Method::POST, "/phone-numbers", Some(json!({"number": "+15550001001"})));
    add(For::Tenants, Method::GET, &format!("/phone-numbers/{number}"), None);
    add(For::Tenants, Method::PUT, &format!("/phone-numbers/{number}"), Some(json!({"default_agent_id": null})));
    add(For::Tenants, Method::DELETE, &format!("/phone-numbers/{number}"), None);
    add(For::Tenants, Method::GET, "/contacts/+15557654321", None);
    add(For::Tenants, Method::DELETE, "/contacts/+15557654321", None);
    add(For::TenantsAndGateways, Method::POST, "/calls", Some(desk.call("busy")));
    add(For::Tenants, Method::GET, "/calls/call-4711", None);
    let decision = "00000000-0000-4000-8000-000000000000";
    add(For::TenantsAndGateways, Method::POST, &format!("/routes/{decision}/answered"), None);
    add(For::Everybody, Method::GET, "/route?dialed=+15550001000", None);
    add(For::Tenants, Method::GET, "/routes", None);
    let routed = server.tenant().get("/route?dialed=%2B15550001000").await.data();
    let routed = routed["decision_id"].as_str().expect("an id");
    add(For::Tenants, Method::GET, &format!("/routes/{routed}"), None);
    add(For::Tenants, Method::GET, "/events", None);
    let webhook = "/webhooks/00000000-0000-4000-8000-000000000000";
    add(For::Tenants, Method::GET, "/webhooks", None);
    add(For::Tenants, Method::POST, "/webhooks", Some(json!({"url": "https://example.com/"})));
    add(For::Tenants, Method::GET, webhook, None);
    add(For::Tenants, Method::PUT, webhook, Some(json!({"url": "https://example.com/"})));
    add(For::Tenants, Method::DELETE, webhook, None);
    add(For::Tenants, Method::POST, &format!("{webhook}/rotate"), Some(json!({})));
    add(For::Tenants, Method::POST, &format!("{webhook}/test"), None);
    add(For::Tenants, Method::GET, &format!("{webhook}/deliveries"), None);
    add(For::Operators, Method::GET, "/environments", None);
    add(For::Operators, Method::POST, "/environments", Some(json!({"name": "New"})));
    add(For::Operators, Method::POST, "/reload", None);
    let environment = format!("/environments/{}", server.environment);
    add(For::Managers, Method::GET, &environment, None);
    add(For::Managers, Method::PUT, &environment, Some(json!({"region": "US"})));
    add(For::Operators, Method::DELETE, &environment, None);
    add(For::Operators, Method::GET, "/tokens", None);
    add(For::Operators, Method::POST, "/tokens", Some(json!({"role": "gateway"})));
    add(For::Operators, Method::POST, "/tokens/00000000-0000-0000-0000-000000000001/rotate", Some(json!({})));
    add(For::Operators, Method::DELETE, "/tokens/00000000-0000-0000-0000-000000000001", None);
    all
}

pub(crate) fn allowed(server: &Server, who: For) -> Client<'_> {
    if matches!(who, For::Operators | For::Managers) { server.operator() } else { server.tenant() }
}

pub(crate) async fn ask(client: Client<'_>, endpoint: &Endpoint) -> Answer {
    let Endpoint { method, path, body, .. } = endpoint;
    let content_type = body.as_ref().map(|_| "application/json");
    let body = body.as_ref().map_or_else(Body::empty, |body| Body::from(body.to_string()));
    client.send(method.clone(), path, content_type, body).await
}

#[tokio::test]
async fn request_without_a_valid_token_returns_401() {
    let server = Server::start();
    let mut endpoints = endpoints(&server).await;
    endpoints.push(Endpoint {
        method: Method::POST,
        path: "/calls/bulk".into(),
        who: For::TenantsAndGateways,
        body: Some(json!({})),
    });
    let generation = server.generation();
    let unknown = Token::issue(Role::Environment).secret;
    for endpoint in &endpoints {
        for authorization in [
            None,
            Some(String::new()),
            Some("Bearer".into()),
            Some("Bearer ".into()),
            Some("Bearer talq_".into()),
            Some(format!("Bearer {unknown}")),
            Some(format!("Basic {unknown}")),
            Some(basic(&format!("gateway:{unknown}"))),
            Some(basic(&unknown)),
            Some("Basic Z2F0ZXdheTr/".into()),
            Some(unknown.clone()),
            Some(format!("Bearer {}", "x".repeat(5000))),
        ] {
            let answer = ask(server.with_authorization(authorization.as_deref()), endpoint).await;
            answer.is(401, "INVALID_TOKEN");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(server.generation(), generation);
    assert!(server.service.history().is_empty());
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

/// Gateways whose HTTP client supports only basic authentication use this.
#[tokio::test]
async fn token_is_accepted_as_basic_auth_password() {
    let server = Server::start();
    for (name, status) in [("gateway", 200), ("", 200), ("a b", 200)] {
        let authorization = basic(&format!("{name}:{}", server.gateway_token()));
        let client = server.with_authorization(Some(&authorization));
        let answer = client.get("/route?dialed=+15550001000&format=text").await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (status, ""), "{name}");
        client.get("/agents").await.is(403, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn token_of_the_wrong_role_returns_403() {
    let server = Server::start();
    let endpoints = endpoints(&server).await;
    let generation = server.generation();
    for endpoint in &endpoints {
        let wrong = match endpoint.who {
            For::Tenants => vec![server.gateway(), server.operator()],
            For::TenantsAndGateways => vec![server.operator()],
            For::Operators => vec![server.tenant(), server.gateway()],
            For::Managers => vec![server.gateway()],
            For::Everybody => Vec::new(),
        };
        for client in wrong {
            ask(client, endpoint).await.is(403, "UNAUTHORIZED");
        }
    }
    server.operator().bulk("").await.is(403, "UNAUTHORIZED");
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn malformed_body_is_rejected_without_change() {
    let server = Server::start();
    let endpoints = endpoints(&server).await;
    let generation = server.generation();
    let json = Some("application/json");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_field = format!(r#"{{"name":{deep}}}"#);
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    let not_utf8 = b"{\"name\":\"\xFF\xFE\"}".to_vec();
    for Endpoint { method, path, who, body } in &endpoints {
        let Some(body) = body else { continue };
        let text = body.to_string();
        for (content_type, body, status, code) in [
            (json, Vec::new(), 400, "MALFORMED_JSON"),
            (json, b"{".to_vec(), 400, "MALFORMED_JSON"),
            (json, text.as_bytes()[..text.len() - 1].to_vec(), 400, "MALFORMED_JSON"),
            (json, format!("{text}{text}").into_bytes(), 400, "MALFORMED_JSON"),
            (json, not_utf8.clone(), 400, "MALFORMED_JSON"),
            (json, deep.clone().into_bytes(), 400, "MALFORMED_JSON"),
            (json, deep_field.clone().into_bytes(), 400, "MALFORMED_JSON"),
            (json, b"[]".to_vec(), 422, "VALIDATION_ERROR"),
            (json, b"null".to_vec(), 422, "VALIDATION_ERROR"),
            (json, b"\"text\"".to_vec(), 422, "VALIDATION_ERROR"),
            (json, b"{}".to_vec(), 422, "VALIDATION_ERROR"),
            (json, large.clone().into_bytes(), 413, "BODY_TOO_LARGE"),
            (None, text.clone().into_bytes(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (Some("text/plain"), text.clone().into_bytes(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (Some("application/x-www-form-urlencoded"), text.clone().into_bytes(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ] {
            // All fields of a dry run, of a rotation and of an update are optional.
            let is_update = method == Method::PUT
                && (text.contains("\"name\"") || path.starts_with("/environments/") || path.starts_with("/webhooks/"));
            let has_no_duty = path.ends_with("/check-constraints") || path.ends_with("/rotate") || is_update;
            if body == b"{}" && has_no_duty {
                continue;
            }
            let answer = allowed(&server, *who).send(method.clone(), path, content_type, body.into()).await;
            answer.is(status, code);
        }
    }
    // A body without a declared length, and one that never arrives.
    let body = chunks(large.as_bytes(), 10_000, End::Properly);
    server.tenant().send(Method::POST, "/agents", json, body).await.is(413, "BODY_TOO_LARGE");
    let body = chunks(b"{\"name\":", 3, End::BrokenOff);
    server.tenant().send(Method::POST, "/agents", json, body).await.is(400, "BODY_CUT_SHORT");
    server
        .tenant()
        .send(Method::POST, "/calls/bulk", Some("text/csv"), "".into())
        .await
        .is(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(server.generation(), generation);
    assert!(server.service.history().is_empty());
}

#[tokio::test]
async fn wrong_type_or_unknown_field_is_rejected_without_change() {
    let server = Server::start();
    let endpoints = endpoints(&server).await;
    let generation = server.generation();
    for Endpoint { method, path, who, body } in &endpoints {
        let Some(body) = body else { continue };
        for field in body.as_object().unwrap().keys() {
            for wrong in [json!(true), json!(7), json!({}), json!([[]]), json!({"$ne": null}), json!("\u{0}")] {
                let mut body = body.clone();
                body[field] = wrong.clone();
                let answer = allowed(&server, *who).json(method.clone(), path, body).await;
                // A name may be any text, and an unknown text as id is not found.
                let is_text = wrong.is_string();
                let taken = is_text && field == "name" && answer.status.is_success();
                let unknown = is_text && answer.status == 404 && field.ends_with("_id");
                let dry = field == "is_callback_agent" && wrong.is_boolean() && answer.status == 200;
                if !taken && !unknown && !dry {
                    answer.is(422, "VALIDATION_ERROR");
                }
            }
        }
        let mut unknown = body.clone();
        unknown["surprise"] = json!(1);
        let answer = allowed(&server, *who).json(method.clone(), path, unknown).await;
        answer.is(422, "VALIDATION_ERROR");
        assert_eq!(answer.body["errors"], json!({"surprise": ["The surprise field is unknown."]}), "{path}");
        let mut private = body.clone();
        private["+15557654321"] = json!(1);
        let answer = allowed(&server, *who).json(method.clone(), path, private).await;
        answer.is(422, "VALIDATION_ERROR");
        assert!(!answer.text.contains("5557654321"), "{}", answer.text);
    }
    // Three of these requests accept a name of one control character.
    assert_eq!(server.generation(), generation + 3);
    assert!(server.service.history().is_empty());
}

#[tokio::test]
async fn unknown_path_or_method_returns_an_error_envelope() {
    let server = Server::start();
    for path in ["/nothing", "//", "//api/v1", "//api/v2/agents", "/agents/", "/agents/x/nothing", "/%FF", "/calls/x/y"]
    {
        server.tenant().get(path).await.is(404, "NOT_FOUND");
        server.with_authorization(None).get(path).await.is(404, "NOT_FOUND");
    }
    for Endpoint { path, .. } in endpoints(&server).await {
        for method in [Method::PATCH, Method::TRACE, Method::OPTIONS] {
            let answer = server.tenant().send(method, &path, None, Body::empty()).await;
            answer.is(405, "METHOD_NOT_ALLOWED");
            assert!(answer.headers.contains_key("allow"), "{path}");
        }
    }
    server.tenant().get("/calls/bulk").await.is(405, "METHOD_NOT_ALLOWED");
    server.tenant().send(Method::POST, "//health", None, Body::empty()).await.is(405, "METHOD_NOT_ALLOWED");
}
