//! A control API in memory with two tenants, a gateway and an operator, and a client for each.
//!
//! Several test programs include this file, and none of them uses all of it.
#![allow(dead_code, unreachable_pub)]

use super::described;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use dialback::http::{Api, EXPOSED, Limits, Message, Sender, Sent, Token, router};
use dialback::service::{FeedSettings, RecordSettings};
use dialback::store::{EventStore, MemoryStore};
use dialback::{Change, DialPlan, Engine, EnvironmentId, Lookback, Role, Service, Timestamp, TokenId};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tower::ServiceExt;

/// 2026-06-01T12:00:00Z, the time of each server at its start. Its clock stands still.
pub const START: Timestamp = Timestamp::from_secs(1_780_315_200);

/// The header fields that pages of other origins can read anyway, and those that are for connections and caches.
const UNEXPOSED: [&str; 5] = ["connection", "content-length", "content-type", "date", "vary"];

/// A sender of webhooks whose receivers do not answer.
struct NoReceivers;

impl Sender for NoReceivers {
    fn check(&self, url: &str) -> Result<(), &'static str> {
        if url.starts_with("https://") { Ok(()) } else { Err("must begin with https://") }
    }

    fn most(&self) -> usize {
        16
    }

    fn send(&self, _: Message) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        Box::pin(async { Sent::Failed("the connection was refused") })
    }
}

/// A server and the parts it was started with.
pub struct Server {
    pub router: Router,
    pub service: Arc<Service>,
    /// The tenant that most tests use. Its dial plan is that of the United States.
    pub environment: EnvironmentId,
    /// Another tenant, without a dial plan.
    pub other_environment: EnvironmentId,
    now: Arc<Mutex<Timestamp>>,
    tokens: Tokens,
}

struct Tokens {
    tenant: String,
    other: String,
    gateway: String,
    operator: String,
}

impl Server {
    /// Starts a server that refuses unknown fields, so that a mistyped field of a test is found.
    pub fn start() -> Self {
        Self::start_on(MemoryStore)
    }

    /// Starts a server that ignores unknown fields, as it does by default.
    pub fn start_lenient() -> Self {
        Self::start_api(Engine::new(), MemoryStore, |api| api.refusing_unknown_fields(false))
    }

    pub fn start_on(store: impl EventStore) -> Self {
        let mut limits = Limits::default();
        // A test that is about something else must see the context of a call on a busy machine, too.
        limits.context_patience = Duration::from_secs(30);
        Self::start_with(store, limits)
    }

    pub fn start_with(store: impl EventStore, limits: Limits) -> Self {
        Self::start_engine(Engine::new(), store, limits)
    }

    pub fn start_engine(engine: Engine, store: impl EventStore, limits: Limits) -> Self {
        Self::start_api(engine, store, |api| api.with_limits(limits))
    }

    pub fn start_api(engine: Engine, store: impl EventStore, set_up: impl FnOnce(Api) -> Api) -> Self {
        let records = RecordSettings::default();
        Self::start_service(
            Service::builder(store)
                .engine(engine)
                .records(records)
                .feed(FeedSettings::default())
                .start()
                .expect("starts"),
            set_up,
        )
    }

    pub fn start_service(service: Service, set_up: impl FnOnce(Api) -> Api) -> Self {
        let service = Arc::new(service);
        let now = Arc::new(Mutex::new(START));
        let environment = EnvironmentId::from_u128(0xA);
        let other_environment = EnvironmentId::from_u128(0xB);
        let us = DialPlan::new("1", "1", "011").expect("a dial plan");
        set_environment(&service, environment, "Ours", us);
        set_environment(&service, other_environment, "Theirs", DialPlan::NONE);
        let tokens = Tokens {
            tenant: issue(&service, 1, Role::Environment, environment),
            other: issue(&service, 2, Role::Environment, other_environment),
            gateway: issue(&service, 3, Role::Gateway, EnvironmentId::SYSTEM),
            operator: issue(&service, 4, Role::Operator, EnvironmentId::SYSTEM),
        };
        let clock = Arc::clone(&now);
        let api = Api::new(Arc::clone(&service), Arc::new(move || *clock.lock().expect("not poisoned")));
        let api = api.with_reload(Arc::new(|| Ok(vec!["listen".into()]))).refusing_unknown_fields(true);
        // Some tests run without a runtime until they send a request.
        let api = match Handle::try_current() {
            Ok(handle) => api.with_webhooks(Arc::new(NoReceivers), handle),
            Err(_) => api,
        };
        api.start_webhooks().expect("it reads");
        Self { router: router(set_up(api)), service, environment, other_environment, now, tokens }
    }

    /// Returns this server with another service that holds the same state.
    pub fn restarted_on(self, service: Service) -> Self {
        let service = Arc::new(service);
        let clock = Arc::clone(&self.now);
        let api = Api::new(Arc::clone(&service), Arc::new(move || *clock.lock().expect("not poisoned")));
        Self { router: router(api.refusing_unknown_fields(true)), service, ..self }
    }

    pub fn set_now(&self, now: Timestamp) {
        *self.now.lock().expect("not poisoned") = now;
    }

    /// Makes the clock panic until it is set again.
    pub fn break_clock(&self) {
        let now = Arc::clone(&self.now);
        let poisoned = std::thread::spawn(move || {
            let _guard = now.lock();
            panic!("the clock breaks");
        });
        assert!(poisoned.join().is_err());
    }

    pub fn generation(&self) -> u64 {
        self.service.plan().generation()
    }

    pub fn tenant(&self) -> Client<'_> {
        self.with_token(&self.tokens.tenant)
    }

    pub fn other(&self) -> Client<'_> {
        self.with_token(&self.tokens.other)
    }

    pub fn gateway(&self) -> Client<'_> {
        self.with_token(&self.tokens.gateway)
    }

    pub fn tenant_token(&self) -> &str {
        &self.tokens.tenant
    }

    pub fn other_token(&self) -> &str {
        &self.tokens.other
    }

    pub fn gateway_token(&self) -> &str {
        &self.tokens.gateway
    }

    pub fn operator(&self) -> Client<'_> {
        self.with_token(&self.tokens.operator)
    }

    pub fn with_token(&self, token: &str) -> Client<'_> {
        Client { server: self, authorization: Some(format!("Bearer {token}")) }
    }

    pub fn with_authorization(&self, authorization: Option<&str>) -> Client<'_> {
        Client { server: self, authorization: authorization.map(str::to_owned) }
    }
}

fn set_environment(service: &Service, id: EnvironmentId, name: &str, dial_plan: DialPlan) {
    let change = Change::EnvironmentSet { name: name.into(), dial_plan, lookback: Lookback::default() };
    service.configure(id, START, |_| Ok(vec![change])).expect("an environment");
}

fn issue(service: &Service, id: u128, role: Role, environment: EnvironmentId) -> String {
    let token = Token::issue(role);
    let change =
        Change::TokenIssued { id: TokenId::from_u128(id), role, label: role.name().into(), digest: token.digest };
    service.configure(environment, START, |_| Ok(vec![change])).expect("a token");
    token.secret
}

/// A client with a token.
pub struct Client<'a> {
    server: &'a Server,
    authorization: Option<String>,
}

/// The answer of the server.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The text as it arrived, to check the order of fields.
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Returns the data of an answer that must be a success.
    pub fn data(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.body["data"].clone()
    }

    /// Returns the id in the answer's data.
    pub fn id(self) -> String {
        self.data()["id"].as_str().expect("an id").to_owned()
    }

    /// Returns the `ETag` of the answer.
    #[track_caller]
    pub fn tag(&self) -> String {
        self.headers["etag"].to_str().expect("ASCII").to_owned()
    }

    #[track_caller]
    pub fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text);
        assert_eq!(self.body["success"], json!(false), "{}", self.text);
        assert!(self.body["message"].is_string(), "{}", self.text);
    }
}

impl Client<'_> {
    /// Returns the value of the answer's request id header, when the client sends `name`.
    pub async fn named(&self, path: &str, name: &str) -> String {
        let request = Request::builder().uri(format!("/api/v1{path}")).header("x-request-id", name);
        let response = self.server.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
        response.expect("never fails").headers()["x-request-id"].to_str().expect("ASCII").to_owned()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.json(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.json(Method::PUT, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, Body::empty()).await
    }

    pub async fn bulk(&self, lines: impl Into<Body>) -> Answer {
        self.send(Method::POST, "/calls/bulk", Some("application/x-ndjson"), lines.into()).await
    }

    pub async fn json(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send(method, path, Some("application/json"), Body::from(body.to_string())).await
    }

    /// Sends a request. `path` is below `/api/v1` unless it begins with two slashes.
    pub async fn send(&self, method: Method, path: &str, content_type: Option<&str>, body: Body) -> Answer {
        let content_type = content_type.map(|content_type| ("content-type", content_type));
        self.send_with(method, path, content_type.as_slice(), body).await
    }

    /// Sends a request with one additional header, and a JSON body if there is one.
    pub async fn given(&self, header: (&str, &str), method: Method, path: &str, body: Option<Value>) -> Answer {
        let headers = [header, ("content-type", "application/json")];
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send_with(method, path, &headers, body).await
    }

    pub async fn send_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let path = match path.strip_prefix("//") {
            Some(whole) => format!("/{whole}"),
            None => format!("/api/v1{path}"),
        };
        let mut request = Request::builder().method(method.clone()).uri(&path);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let response = self.server.router.clone().oneshot(request).await.expect("never fails");
        let (mut head, body) = response.into_parts();
        // No two answers have the same request id.
        let name = head.headers.remove("x-request-id").expect("every request has a name");
        assert!(name.len() == 16 && name.as_bytes().iter().all(u8::is_ascii_hexdigit), "{name:?}");
        for name in head.headers.keys() {
            let is_readable = EXPOSED.contains(name) || UNEXPOSED.contains(&name.as_str());
            assert!(is_readable, "pages of other origins cannot read {name}: add it to the exposed fields");
        }
        let text = to_bytes(body, usize::MAX).await.expect("a body");
        let text = String::from_utf8(text.to_vec()).expect("UTF-8");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let is_plain = head.headers.get("content-type").is_some_and(|found| found == "text/plain; charset=utf-8");
        match head.status {
            StatusCode::NOT_MODIFIED => assert_eq!(text, ""),
            StatusCode::METHOD_NOT_ALLOWED if text.is_empty() => {}
            StatusCode::OK if is_plain => {}
            _ => {
                assert_eq!(head.headers["content-type"], "application/json", "{text}");
                assert!(body.is_object(), "{text}");
            }
        }
        let kind = head.headers.get("content-type").map_or("", |kind| kind.to_str().expect("text"));
        let kind = kind.split(';').next().unwrap_or_default();
        let described = described::described().await;
        let wrong = described.wrong(&method, &path, head.status.as_u16(), kind, &body);
        assert_eq!(wrong, None, "every answer is as described");
        Answer { status: head.status, headers: head.headers, text, body }
    }

    /// Creates an agent, as a draft.
    pub async fn agent(&self, name: &str, direction: &str) -> String {
        self.post("/agents", json!({"name": name, "direction": direction})).await.id()
    }

    /// Creates a published agent with these numbers.
    pub async fn working_agent(&self, name: &str, direction: &str, numbers: &[&str]) -> String {
        let id = self.agent(name, direction).await;
        let calling = json!({"direction": direction, "phone_number_ids": numbers});
        self.put(&format!("/agents/{id}/calling"), calling).await.data();
        self.post(&format!("/agents/{id}/publish"), json!({})).await.data();
        id
    }

    pub async fn number(&self, number: &str) -> String {
        self.post("/phone-numbers", json!({"number": number})).await.id()
    }
}

/// A source agent and a callback agent on one number.
pub struct Desk {
    pub source: String,
    pub callback: String,
    pub number: String,
}

pub const OURS: &str = "+15550001000";
pub const CONTACT: &str = "+15557654321";

impl Desk {
    /// Creates both agents as published. The callback agent is also the number's default agent.
    pub async fn set_up(client: &Client<'_>) -> Self {
        Self::set_up_on(client, OURS).await
    }

    /// Creates both agents on this number.
    pub async fn set_up_on(client: &Client<'_>, number: &str) -> Self {
        let number = client.number(number).await;
        let source = client.working_agent("Reminders", "outbound", &[&number]).await;
        let callback = client.working_agent("Callback Handler", "inbound", &[&number]).await;
        let answer = client.post(&format!("/agents/{callback}/callback"), json!({"source_agent_ids": [source]})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        Self { source, callback, number }
    }

    pub fn call(&self, status: &str) -> Value {
        json!({
            "agent_id": self.source, "from": OURS, "to": CONTACT,
            "started_at": "2026-06-01T11:00:00Z", "status": status,
        })
    }
}
