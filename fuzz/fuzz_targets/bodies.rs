//! Any body, path and headers: no server error, each answer in its envelope, and no change of another tenant.
#![no_main]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use dialback::http::{Api, Limits, Token, router};
use dialback::store::MemoryStore;
use dialback::{Change, DialPlan, Direction, Engine, EnvironmentId, Lookback, Role, Service, Timestamp, TokenId};
use dialback::{AgentId, E164, NumberId};
use libfuzzer_sys::{arbitrary, fuzz_target};
use std::sync::{Arc, OnceLock};
use tower::ServiceExt;

const NOW: Timestamp = Timestamp::from_secs(1_780_315_200);
const OURS: EnvironmentId = EnvironmentId::from_u128(0xA);
const THEIRS: EnvironmentId = EnvironmentId::from_u128(0xB);

/// A request that is mostly valid.
#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    endpoint: u8,
    header: u8,
    value: &'a [u8],
    parameter: Option<&'a str>,
    body: &'a [u8],
}

struct Server {
    service: Arc<Service>,
    router: Router,
    runtime: tokio::runtime::Runtime,
    tenant: String,
    operator: String,
}

/// One server for all inputs. The quotas keep it small.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let service = Service::builder(MemoryStore).engine(Engine::with_max_pairs(10_000)).start().expect("nothing to read");
        let service = Arc::new(service);
        for (environment, number) in [(OURS, "+15550001000"), (THEIRS, "+15550002000")] {
            let name = "tenant".to_owned();
            let (source, callback) = (AgentId::from_u128(1), AgentId::from_u128(2));
            let number = E164::parse_international(number).expect("a number");
            let mut changes = vec![
                Change::EnvironmentSet { name, dial_plan: DialPlan::NONE, lookback: Lookback::default() },
                Change::NumberAdded { id: NumberId::from_u128(3), number },
            ];
            for (id, direction) in [(source, Direction::Outbound), (callback, Direction::Inbound)] {
                let numbers = Some(vec![NumberId::from_u128(3)]);
                changes.push(Change::AgentCreated { id, name: "agent".into(), label: None, direction });
                changes.push(Change::CallingSet { id, direction, numbers });
                changes.push(Change::AgentPublished { id });
            }
            changes.push(Change::CallbackSet { id: callback, sources: vec![source], outcomes: None, lookback: None });
            service.configure(environment, NOW, |_| Ok(changes)).expect("valid");
        }
        let issue = |role: Role, environment: EnvironmentId| {
            let token = Token::issue(role);
            let id = TokenId::from_u128(u128::from_be_bytes(*token.digest.first_chunk().expect("sixteen")));
            let change = Change::TokenIssued { id, role, label: String::new(), digest: token.digest };
            service.configure(environment, NOW, move |_| Ok(vec![change])).expect("a token");
            format!("Bearer {}", token.secret)
        };
        let (tenant, operator) = (issue(Role::Environment, OURS), issue(Role::Operator, EnvironmentId::SYSTEM));
        let mut limits = Limits::default();
        (limits.agents, limits.numbers) = (100, 100);
        let router = router(Api::new(Arc::clone(&service), Arc::new(|| NOW)).with_limits(limits));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Server { service, router, runtime, tenant, operator }
    })
}

/// Operations that read, with a placeholder for the id in their path. Operator requests must not create anything,
/// because environments have no quota.
const ENDPOINTS: [(&str, &str); 15] = [
    ("POST", "/agents"),
    ("PUT", "/agents/{}/calling"),
    ("POST", "/agents/{}/publish"),
    ("POST", "/agents/{}/callback"),
    ("PUT", "/agents/{}/callback"),
    ("POST", "/phone-numbers"),
    ("PUT", "/phone-numbers/{}"),
    ("DELETE", "/phone-numbers/{}"),
    ("DELETE", "/contacts/{}"),
    ("POST", "/calls"),
    ("POST", "/calls/bulk"),
    ("POST", "/callback-agents/{}/check-constraints"),
    ("POST", "/route/what-if"),
    ("GET", "/route?dialed=%2B15550001000&caller={}"),
    ("DELETE", "/tokens/{}"),
];

const HEADERS: [&str; 4] = ["if-match", "if-none-match", "idempotency-key", "accept"];

fuzz_target!(|input: Input<'_>| {
    let server = server();
    let (method, template) = ENDPOINTS[usize::from(input.endpoint) % ENDPOINTS.len()];
    let known = if template.starts_with("/phone") { 3 } else { 2 };
    let parameter = input.parameter.map_or_else(|| AgentId::from_u128(known).to_string(), escape);
    let path = format!("/api/v1{}", template.replace("{}", &parameter));
    let is_operators = template.starts_with("/tokens");
    let kind = if template.ends_with("bulk") { "application/x-ndjson" } else { "application/json" };
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path)
        .header("authorization", if is_operators { &server.operator } else { &server.tenant })
        .header("content-type", kind);
    if let Some(name) = HEADERS.get(usize::from(input.header))
        && let Ok(value) = HeaderValue::from_bytes(input.value)
    {
        request = request.header(*name, value);
    }
    let Ok(request) = request.body(Body::from(input.body.to_vec())) else { return };
    let before = theirs(server);
    let (status, text) = server.runtime.block_on(async {
        let answer = server.router.clone().oneshot(request).await.expect("never fails");
        let status = answer.status();
        (status, to_bytes(answer.into_body(), usize::MAX).await.expect("a body"))
    });
    assert!(!status.is_server_error() || is_full(status, &text), "{status} {}", String::from_utf8_lossy(&text));
    let is_plain = status == StatusCode::OK && template.starts_with("/route?");
    let is_json = serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|answer| answer.is_object());
    assert!(is_json || is_plain || text.is_empty(), "{status} {}", String::from_utf8_lossy(&text));
    assert!(server.service.failure().is_none());
    assert_eq!(theirs(server), before);
});

/// The history is small here.
fn is_full(status: StatusCode, text: &[u8]) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE && text.windows(12).any(|part| part == b"HISTORY_FULL")
}

/// Returns the number of the other tenant's configuration changes, and its contents.
fn theirs(server: &Server) -> (u64, usize, usize) {
    let plan = server.service.plan();
    let tenant = plan.environment(THEIRS).expect("it stays");
    (tenant.revision(), tenant.agents().count(), tenant.numbers().count())
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| escaped + &format!("%{byte:02X}"))
}
