//! Runs scenarios through the control API. Each step is a request of a tenant to the real router.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use dialback::http::{Api, Limits, Token, router};
use dialback::plan::DefaultChoice;
use dialback::testing::lasting::LastingStore;
use dialback::testing::scenario::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer};
use dialback::{AgentId, Change, EnvironmentId, Outcome, OutcomeSet, Reason, Role, Route, Service, Timestamp, TokenId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// 2026-03-01T12:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_772_366_400);

/// A router in this process, with a token for each environment and one for a gateway.
pub(super) struct HttpDoor {
    service: Arc<Service>,
    router: Router,
    runtime: Runtime,
    gateway: String,
    tokens: HashMap<EnvironmentId, String>,
}

impl HttpDoor {
    pub(super) fn new() -> Self {
        let service = Service::builder(LastingStore::new([7; 32])).start().expect("nothing to read");
        let service = Arc::new(service);
        let mut limits = Limits::default();
        // Longer than a busy machine needs.
        limits.context_patience = Duration::from_secs(60);
        let router = router(Api::new(Arc::clone(&service), Arc::new(|| NOW)).with_limits(limits));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let gateway = issue(&service, Role::Gateway, EnvironmentId::SYSTEM);
        Self { service, router, runtime, gateway, tokens: HashMap::new() }
    }

    fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("a request");
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("never fails");
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            (status, serde_json::from_slice(&body).expect("every answer is JSON"))
        })
    }

    /// Creates an environment. This is an operator's task, and the scenario determines the id.
    fn set_environment(&mut self, id: EnvironmentId, action: &Action) {
        let changes = action.to_changes();
        self.service.configure(id, NOW, move |_| Ok(changes)).expect("an environment");
        self.tokens.entry(id).or_insert_with(|| issue(&self.service, Role::Environment, id));
    }
}

fn issue(service: &Service, role: Role, environment: EnvironmentId) -> String {
    let Token { secret, digest } = Token::issue(role);
    // The first bits of the digest serve as the id.
    let id = TokenId::from_u128(u128::from_be_bytes(digest[..16].try_into().expect("sixteen")));
    let change = Change::TokenIssued { id, role, label: String::new(), digest };
    service.configure(environment, NOW, move |_| Ok(vec![change])).expect("a token");
    secret
}

impl Door for HttpDoor {
    fn now(&mut self) -> Timestamp {
        NOW
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        let Some((method, path, body)) = request(action) else {
            self.set_environment(environment, action);
            return Ok(());
        };
        let (status, answer) = self.ask(&self.tokens[&environment], method, &path, body);
        if status.is_success() { Ok(()) } else { Err(Refusal(answer["code"].as_str().expect("a code").to_owned())) }
    }

    fn call(&mut self, report: &ReportedCall) {
        let mut body = json!({
            "agent_id": report.agent, "from": report.from, "to": report.to, "started_at": text(report.at),
            "status": report.outcome.name(),
        });
        if let Some(id) = &report.details.id {
            body["call_id"] = json!(id);
        }
        if !report.details.context.is_empty() {
            body["context"] = json!(report.details.context);
        }
        let token = &self.tokens[&report.environment];
        let (status, answer) = self.ask(token, Method::POST, "/calls", Some(body));
        // The library ignores a call from a number of another tenant; the API rejects it.
        let is_unknown_number = status == StatusCode::NOT_FOUND && answer["code"] == "NUMBER_NOT_FOUND";
        assert!(status == StatusCode::ACCEPTED || is_unknown_number, "{status} {answer}");
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        let path = format!("/contacts/{}", escape(contact));
        let (_, answer) = self.ask(&self.tokens[&environment], Method::DELETE, &path, None);
        answer["data"]["pairs_erased"].as_u64().expect("how many")
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        let (dialed, caller) = (escape(dialed), escape(caller));
        let path = format!("/route?dialed={dialed}&caller={caller}&at={}&explain=true", text(at));
        let (status, answer) = self.ask(&self.gateway, Method::GET, &path, None);
        assert_eq!(status, StatusCode::OK, "{answer}");
        let data = &answer["data"];
        let agent = |field: &str| data[field].as_str().map(|id| id.parse::<AgentId>().expect("an id"));
        let route = match data["decision"].as_str() {
            Some("callback") => Route::Callback(agent("agent_id").expect("an agent")),
            Some("default") => Route::Default(agent("agent_id").expect("an agent")),
            _ => Route::Unrouted,
        };
        let reason = data["reason"].as_str().and_then(|name| name.parse::<Reason>().ok()).expect("a reason");
        let deciding = data["steps"].as_array().and_then(|steps| steps.last()).expect("a step");
        assert_eq!((&deciding["reason"], &deciding["applies"]), (&data["reason"], &json!(true)));
        let called_at = data["called_at"].as_str().map(|text| moment(text).expect("a time"));
        let call = &data["call"];
        let outcome = call["status"].as_str();
        let outcome = Outcome::ALL.into_iter().find(|one| Some(one.public_name()) == outcome);
        let context = Some(&call["context"]).filter(|context| context.is_object()).map(Value::to_string);
        let details = CallDetails::read(call["call_id"].as_str(), context.as_deref());
        RouteAnswer { route, reason, source: agent("source_agent_id"), called_at, outcome, details }
    }
}

/// Returns the request for an action. `None` if a tenant cannot make it.
fn request(action: &Action) -> Option<(Method, String, Option<Value>)> {
    let names = |outcomes: OutcomeSet| outcomes.iter().map(Outcome::name).collect::<Vec<_>>();
    Some(match action {
        Action::SetEnvironment { .. } => return None,
        Action::AddNumber { id, number } => {
            (Method::POST, "/phone-numbers".into(), Some(json!({"id": id, "number": number})))
        }
        Action::ReleaseNumber(id) => (Method::DELETE, format!("/phone-numbers/{id}"), None),
        Action::ChooseDefault { number, choice } => {
            let choice = match choice {
                DefaultChoice::Auto => json!("auto"),
                DefaultChoice::Named(agent) => json!(agent),
                DefaultChoice::Nobody => json!(null),
            };
            (Method::PUT, format!("/phone-numbers/{number}"), Some(json!({"default_agent_id": choice})))
        }
        Action::CreateAgent { id, name, direction } => {
            (Method::POST, "/agents".into(), Some(json!({"id": id, "name": name, "direction": direction.name()})))
        }
        Action::SetCalling { id, direction, numbers } => {
            let body = json!({"direction": direction.name(), "phone_number_ids": numbers});
            (Method::PUT, format!("/agents/{id}/calling"), Some(body))
        }
        Action::Publish(id) => (Method::POST, format!("/agents/{id}/publish"), None),
        Action::Unpublish(id) => (Method::POST, format!("/agents/{id}/unpublish"), None),
        Action::DeleteAgent(id) => (Method::DELETE, format!("/agents/{id}"), None),
        Action::SetCallback { id, sources, statuses, lookback_days } => {
            let statuses = statuses.map(names);
            let body = json!({
                "source_agent_ids": sources, "callback_trigger_statuses": statuses, "lookback_days": lookback_days,
            });
            (Method::POST, format!("/agents/{id}/callback"), Some(body))
        }
        Action::RemoveCallback(id) => (Method::DELETE, format!("/agents/{id}/callback"), None),
    })
}

fn text(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.millis()).expect("a date")).expect("a date");
    at.to_string()
}

fn moment(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp::from_millis)
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| escaped + &format!("%{byte:02X}"))
}
