//! Runs the scenarios of `tests/data` through the SIP door. The configuration goes through the library; each question
//! is an INVITE.

use crate::support::scenarios::run_each;
use dialback::sip::{DialedFrom, Door as SipServer, Settings, Unrouted};
use dialback::testing::scenario::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer, ServiceDoor};
use dialback::{AgentId, CallReads, Caller, E164, EnvironmentId, Outcome, Reason, Route, Timestamp};
use std::sync::Arc;
use std::time::Duration;

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
            context_fields: Settings::context_fields(&CallDetails::FIELDS).expect("names"),
        };
        let service = Arc::new(self.0.again());
        let reads = CallReads::default().with_patience(Duration::from_secs(60));
        let server = SipServer::new(Arc::clone(&service), Arc::new(move || at), settings);
        let server = server.with_call_reads(Arc::new(reads));
        let invite = crate::support::shop::request_from(
            "INVITE",
            &format!("sip:{dialed}@gw.example.com"),
            "<sip:trunk.example.com>;tag=1",
            &format!("P-Asserted-Identity: {caller}\r\n"),
        );
        let answer = server.answer(invite.as_bytes(), crate::support::shop::peer()).expect("an answer").bytes;
        let answer = String::from_utf8(answer).expect("text");
        let field = |name: &str| crate::support::shop::field(&answer, name);
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
        let status = field("X-Dialback-Call-Status");
        let told =
            status.map(|name| Outcome::ALL.into_iter().find(|outcome| outcome.public_name() == name).expect("one"));
        // An unrouted call has no headers of its call.
        let outcome = told.or_else(|| behind.filter(|_| route == Route::Unrouted).map(|call| call.outcome));
        let value = |name: &&str| Some(((*name).to_owned(), decoded(field(&format!("X-Dialback-Context-{name}"))?)));
        let context = CallDetails::FIELDS.iter().filter_map(value).collect();
        let details = CallDetails { id: field("X-Dialback-Call-ID").map(str::to_owned), context };
        RouteAnswer { route, reason, source, called_at: behind.map(|call| call.at), outcome, details }
    }
}

/// Decodes `%XX`.
fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn each_scenario_holds_over_sip() {
    let scenarios = run_each(|_| true, || SipDoor(ServiceDoor::new()));
    assert!(scenarios >= 60, "{scenarios}");
}
