//! Runs the scenarios of `tests/data` through the SIP door. The configuration goes through the library; each question
//! is an INVITE.

use crate::support::scenarios::run_each;
use dialback::sip::{DialedFrom, Door as SipServer, Settings, Unrouted};
use dialback::testing::scenario::{Action, Door, Refusal, ReportedCall, RouteAnswer, ServiceDoor};
use dialback::{AgentId, Caller, ContextFields, E164, EnvironmentId, Reason, Route, Timestamp};
use std::sync::Arc;

struct SipDoor(ServiceDoor);

impl Door for SipDoor {
    fn now(&mut self) -> Timestamp {
        self.0.now()
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        self.0.configure(environment, action)
    }

    fn call(&mut self, report: &ReportedCall) {
        self.0.call(report);
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        self.0.erase(environment, contact)
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        let contact = "sip:{agent_id}@agents.example.com".parse().expect("a contact");
        let settings = Settings {
            trust: Vec::new(),
            contacts: dialback::AgentAddresses::by_template(contact).into(),
            unrouted: Unrouted::NotFound,
            dialed_from: DialedFrom::RequestUri,
            serves_while_loading: false,
            context_fields: ContextFields::default(),
        };
        let service = Arc::new(self.0.again());
        let server = SipServer::new(Arc::clone(&service), Arc::new(move || at), settings);
        let invite = crate::support::shop::request_from(
            "INVITE",
            &format!("sip:{dialed}@gw.example.com"),
            "<sip:trunk.example.com>;tag=1",
            &format!("P-Asserted-Identity: {caller}\r\n"),
        );
        let answer = server.answer(invite.as_bytes(), crate::support::shop::peer()).expect("an answer").bytes;
        let answer = String::from_utf8(answer).expect("text");
        let field = |name| crate::support::shop::field(&answer, name);
        let reason = field("X-Dialback-Reason").and_then(|name| name.parse::<Reason>().ok()).expect("a reason");
        let agent = field("Contact").map(|contact| {
            let id = contact.strip_prefix("<sip:").and_then(|rest| rest.split('@').next()).expect("our template");
            id.parse::<AgentId>().expect("an id")
        });
        let route = match (crate::support::shop::status(&answer), agent) {
            (302, Some(agent)) if reason == Reason::Matched => Route::Callback(agent),
            (302, Some(agent)) => Route::Default(agent),
            (404, None) => Route::Unrouted,
            _ => panic!("{answer}"),
        };
        let source = field("X-Dialback-Source-Agent").map(|id| id.parse::<AgentId>().expect("an id"));
        // A response to an INVITE does not contain the time of the outbound call, so the library is asked for it.
        let there = service.plan();
        let dialed = E164::parse_international(dialed).expect("a number");
        let home = there.dialed(dialed).and_then(|number| there.environment(number.environment()));
        let plan = home.map(|environment| *environment.dial_plan()).unwrap_or_default();
        let behind = service.resolve(dialed, Caller::parse(caller, &plan), at).call;
        RouteAnswer { route, reason, source, called_at: behind.map(|call| call.at) }
    }
}

#[test]
fn each_scenario_holds_over_sip() {
    let scenarios = run_each(|_| true, || SipDoor(ServiceDoor::new()));
    assert!(scenarios >= 60, "{scenarios}");
}
