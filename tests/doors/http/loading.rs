//! The API's answers while the stored data is loading.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use dialback::http::{Api, Token, router};
use dialback::store::{Batch, EventStore, StoreError, Stored, StoredCalls};
use dialback::testing::lasting::LastingStore;
use dialback::{
    AgentId, Call, Caller, Change, Configuration, DialPlan, Direction, E164, EnvironmentId, Event, Lookback, NumberId,
    Outcome, Reason, Role, Service, ServiceError, Timestamp, TokenId,
};
use serde_json::Value;
use std::sync::{Arc, Mutex, mpsc};
use tower::ServiceExt;

const NOW: Timestamp = Timestamp::from_secs(1_780_315_200);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(0xA);
const SOURCE: AgentId = AgentId::from_u128(1);
const HANDLER: AgentId = AgentId::from_u128(2);

/// A store that keeps commits in memory. It returns them group by group, each after a signal.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Vec<Configuration>, Vec<Batch>)>>);

struct Gated(Kept, mpsc::Receiver<Result<(), StoreError>>);

impl EventStore for Kept {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.0.extend(batch.configurations.clone());
        kept.1.push(batch.clone());
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

impl EventStore for Gated {
    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        Some(Arc::new(LastingStore::new([7; 32])))
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.commit(batch)
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        let (configurations, batches) = self.0.0.lock().unwrap().clone();
        self.1.recv().expect("the test goes on")?;
        for configuration in configurations {
            see(Stored::Configuration(configuration))?;
        }
        for batch in batches.into_iter().filter(|batch| !batch.registers.is_empty()) {
            see(Stored::Registers(batch.registers))?;
            self.1.recv().expect("the test goes on")?;
        }
        Ok(())
    }
}

fn number(digits: &str) -> E164 {
    E164::from_digits(digits).expect("digits")
}

fn call(to: &str) -> Event {
    let at = Timestamp::from_millis(NOW.millis() - 1000);
    let (from, to) = (number("15550001000"), number(to));
    Event::Call(Call { environment: ENVIRONMENT, agent: SOURCE, from, to, at, outcome: Outcome::Busy })
}

/// Returns a store with a callback agent and two calls, each in its own batch, and the tenant's token.
fn filled() -> (Kept, String) {
    let (store, token, line) = (Kept::default(), Token::issue(Role::Environment), NumberId::from_u128(1));
    let service = Service::builder(store.clone()).start().expect("starts");
    let mut changes = vec![
        Change::EnvironmentSet { name: "Ours".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id: line, number: number("15550001000") },
    ];
    for (id, direction) in [(SOURCE, Direction::Outbound), (HANDLER, Direction::Inbound)] {
        changes.push(Change::AgentCreated { id, name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id, direction, numbers: Some(vec![line]) });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(Change::CallbackSet { id: HANDLER, sources: vec![SOURCE], outcomes: None, lookback: None });
    let (id, digest) = (TokenId::from_u128(1), token.digest);
    changes.push(Change::TokenIssued { id, role: Role::Environment, label: String::new(), digest });
    service.configure(ENVIRONMENT, NOW, |_| Ok(changes)).expect("valid");
    service.record(vec![call("15557650001")]).expect("durable");
    service.record(vec![call("15557650002")]).expect("durable");
    (store, token.secret)
}

/// A loading service, and the sender of the signals.
struct Loading {
    service: Arc<Service>,
    go_on: mpsc::Sender<Result<(), StoreError>>,
    ended: mpsc::Receiver<Result<(), StoreError>>,
    router: Router,
    token: String,
}

impl Loading {
    fn begin(serves: bool) -> Self {
        let (store, token) = filled();
        let (go_on, gate) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let loaded = move |how| end.send(how).expect("the test waits");
        let service = Service::builder(Gated(store, gate)).load(loaded).expect("a thread");
        let service = Arc::new(service);
        let api = Api::new(Arc::clone(&service), Arc::new(|| NOW)).serving_while_loading(serves);
        Self { service, go_on, ended, router: router(api), token }
    }

    /// Releases the next group, and waits until this many pairs are loaded.
    fn show(&self, pairs: usize) {
        self.go_on.send(Ok(())).expect("it waits");
        let is_there = |caller: &&str| {
            let caller = Caller::Number(number(caller));
            self.service.resolve(number("15550001000"), caller, NOW).reason == Reason::Matched
        };
        while ["15557650001", "15557650002"].into_iter().filter(is_there).count() < pairs {
            std::thread::yield_now();
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value, bool) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (status, again) = (answer.status(), answer.headers().contains_key("retry-after"));
        let text = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&text).expect("JSON"), again)
    }

    /// Returns the answer that a load balancer gets.
    async fn ready(&self) -> StatusCode {
        let request = Request::builder().uri("/health/ready").body(Body::empty()).expect("a request");
        self.router.clone().oneshot(request).await.expect("an answer").status()
    }

    /// Returns the count of decisions without their context, from the metrics.
    async fn missed_contexts(&self) -> String {
        let request = Request::builder().uri("/metrics").body(Body::empty()).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let text = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        let text = String::from_utf8(text.to_vec()).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix("dialback_route_contexts_missed_total "));
        line.expect("a count").to_owned()
    }

    async fn route(&self, caller: &str) -> (StatusCode, Value) {
        let path = format!("/route?dialed=%2B15550001000&caller=%2B{caller}");
        let (status, answer, _) = self.ask(Method::GET, &path, "").await;
        (status, if status == StatusCode::OK { answer["data"]["reason"].clone() } else { answer["code"].clone() })
    }

    async fn changes_are_refused(&self) {
        let agent = r#"{"name": "Late", "direction": "inbound"}"#;
        let call = format!(
            r#"{{"agent_id": "{SOURCE}", "from": "+15550001000", "to": "+15557650003", "started_at": "2026-06-01T11:00:00Z", "status": "busy"}}"#
        );
        for (method, path, body) in [
            (Method::POST, "/agents", agent),
            (Method::POST, "/calls", &call),
            (Method::POST, "/calls/bulk", &call),
            (Method::DELETE, "/contacts/+15557650001", ""),
            (Method::GET, "/agents", ""),
        ] {
            let (status, answer, again) = self.ask(method.clone(), path, body).await;
            assert_eq!(
                (status, &answer["code"]),
                (StatusCode::SERVICE_UNAVAILABLE, &"LOADING".into()),
                "{method} {path}"
            );
            assert!(again, "{method} {path}");
        }
        assert_eq!(self.service.record(vec![call_event()]), Err(ServiceError::Loading));
    }
}

fn call_event() -> Event {
    call("15557650009")
}

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

#[tokio::test]
async fn loading_service_answers_503_with_progress() {
    let loading = Loading::begin(false);
    for pairs in [0, 1, 2] {
        let (status, health, again) = loading.ask(Method::GET, "/health", "").await;
        assert_eq!((status, &health["status"], again), (UNAVAILABLE, &"loading".into(), true), "{health}");
        assert!(health["progress"]["pairs"].as_u64() <= Some(pairs), "{health}");
        assert_eq!(loading.ready().await, UNAVAILABLE);
        assert_eq!(loading.route("15557650001").await, (UNAVAILABLE, "LOADING".into()));
        loading.changes_are_refused().await;
        if pairs < 2 {
            loading.show(usize::try_from(pairs).expect("small") + 1);
        }
    }
    loading.go_on.send(Ok(())).expect("it waits");
    loading.ended.recv().expect("it ends").expect("all is well");
    assert_eq!(loading.service.loading(), None);
    let (status, health, _) = loading.ask(Method::GET, "/health", "").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &"ok".into()));
    for caller in ["15557650001", "15557650002"] {
        assert_eq!(loading.route(caller).await, (StatusCode::OK, "MATCHED".into()));
    }
    assert!(loading.service.record(vec![call_event()]).is_ok());
}

#[tokio::test]
async fn serving_while_loading_answers_routes_if_enabled() {
    let loading = Loading::begin(true);
    // Without the configuration, no token is known.
    assert_eq!(loading.route("15557650001").await, (UNAVAILABLE, "LOADING".into()));
    assert_eq!(loading.ready().await, UNAVAILABLE);
    loading.show(1);
    assert_eq!(loading.ready().await, StatusCode::OK);
    let there = [loading.route("15557650001").await.1, loading.route("15557650002").await.1];
    assert!(there.contains(&"MATCHED".into()) && there.contains(&"NO_HISTORY".into()), "{there:?}");
    assert_eq!(loading.missed_contexts().await, "1", "the size of what is known is not loaded yet");
    loading.changes_are_refused().await;
    loading.show(2);
    loading.go_on.send(Ok(())).expect("it waits");
    loading.ended.recv().expect("it ends").expect("all is well");
    assert_eq!(loading.route("15557650002").await, (StatusCode::OK, "MATCHED".into()));
    assert_eq!(loading.missed_contexts().await, "1", "all is loaded, and the call has no context");
}

#[tokio::test]
async fn failed_load_is_reported_and_changes_are_rejected() {
    let loading = Loading::begin(true);
    loading.show(1);
    let damaged = || StoreError::Damaged { path: "store".into(), what: "a flipped bit".into() };
    loading.go_on.send(Err(damaged())).expect("it waits");
    assert!(matches!(loading.ended.recv().expect("it ends"), Err(StoreError::Damaged { .. })));
    assert_eq!(loading.service.record(vec![call_event()]), Err(ServiceError::Loading));
}

#[tokio::test]
async fn dropped_service_stops_loading() {
    let loading = Loading::begin(true);
    loading.show(1);
    let Loading { service, go_on, ended, router, .. } = loading;
    drop(router);
    let dropping = std::thread::spawn(move || drop(service));
    // The next group is the last: it is not loaded any more, or was already loaded.
    let _ = go_on.send(Ok(()));
    let _ = go_on.send(Ok(()));
    let how = ended.recv().expect("it ends");
    assert!(matches!(how, Ok(()) | Err(StoreError::GivenUp)), "{how:?}");
    dropping.join().expect("no panic");
}
