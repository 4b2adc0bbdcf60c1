//! Runs the scenarios of `tests/data` through the FastAGI door. The configuration goes through the library; each
//! question is a connection of Asterisk.

use super::{Agi, CALL, patient};
use crate::support::scenarios::run_each;
use dialback::testing::scenario::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer, ServiceDoor};
use dialback::{AgentId, Caller, E164, EnvironmentId, Outcome, Reason, Route, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

struct AgiDoor {
    service: ServiceDoor,
    runtime: Runtime,
}

impl Door for AgiDoor {
    fn now(&mut self) -> Timestamp {
        self.service.now()
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        self.service.configure(environment, action)
    }

    fn call(&mut self, report: &ReportedCall) {
        self.service.call(report);
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        self.service.erase(environment, contact)
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        let service = Arc::new(self.service.again());
        let call = CALL.replace("agi_callerid: 12125550143", &format!("agi_callerid: {caller}"));
        let call = call.replace("agi_extension: +12125550100", &format!("agi_extension: {dialed}"));
        let set = self.runtime.block_on(async {
            let agi = Agi::serve(
                Arc::clone(&service),
                at,
                patient(),
                r#"{"agents": {}}"#,
                ("127.0.0.0/8", Duration::from_secs(60)),
            )
            .await;
            agi.ask(&call).await
        });
        let agent = || set["DIALBACK_AGENT"].parse::<AgentId>().expect("an id");
        let route = match set["DIALBACK_DECISION"].as_str() {
            "callback" => Route::Callback(agent()),
            "default" => Route::Default(agent()),
            "unrouted" => Route::Unrouted,
            other => panic!("{other}"),
        };
        let reason = set["DIALBACK_REASON"].parse::<Reason>().expect("a reason");
        // The variables do not contain the outbound call, so the library is asked for it.
        let there = service.plan();
        let dialed = E164::parse_international(dialed).expect("a number");
        let home = there.dialed(dialed).and_then(|number| there.environment(number.environment()));
        let plan = home.map(|environment| *environment.dial_plan()).unwrap_or_default();
        let decision = service.resolve(dialed, Caller::parse(caller, &plan), at);
        let filled = |name: &str| Some(set[name].clone()).filter(|value| !value.is_empty());
        let value = |name: &&str| Some(((*name).to_owned(), filled(&format!("DIALBACK_CONTEXT_{name}"))?));
        let context = CallDetails::FIELDS.iter().filter_map(value).collect();
        RouteAnswer {
            route,
            reason,
            source: decision.call.map(|call| call.agent),
            called_at: decision.call.map(|call| call.at),
            outcome: Outcome::ALL.into_iter().find(|outcome| outcome.public_name() == set["DIALBACK_CALL_STATUS"]),
            details: CallDetails { id: filled("DIALBACK_CALL_ID"), context },
        }
    }
}

#[test]
fn each_scenario_holds_over_fastagi() {
    let door = || AgiDoor {
        service: ServiceDoor::new(),
        runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
    };
    let scenarios = run_each(|_| true, door);
    assert!(scenarios >= 60, "{scenarios}");
}
