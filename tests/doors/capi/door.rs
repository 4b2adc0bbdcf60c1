//! Runs the scenarios of `tests/data` through the C functions.

use super::c;
use crate::support::scenarios::{run_each, run_wrong};
use dialback::capi::*;
use dialback::testing::scenario::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer, Scenario};
use dialback::{AgentId, EnvironmentId, Outcome, Reason, Route, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// An engine behind a handle: in memory, or on a data directory that is closed and reopened before each question.
struct CDoor {
    handle: Handle,
    directory: Option<tempfile::TempDir>,
}

impl CDoor {
    fn in_memory() -> Self {
        Self { handle: c::open(""), directory: None }
    }

    fn durable() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { handle: c::open(c::path(&directory)), directory: Some(directory) }
    }
}

impl Drop for CDoor {
    fn drop(&mut self) {
        assert_eq!(dialback_close(self.handle), Status::Ok);
    }
}

impl Door for CDoor {
    fn now(&mut self) -> Timestamp {
        NOW
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        let changes = serde_json::to_string(&action.to_changes()).expect("JSON");
        match c::configure(self.handle, &environment.to_string(), &changes, NOW.millis()) {
            Status::Ok => Ok(()),
            Status::Refused => {
                let message = c::last_error();
                Err(Refusal(message.split(':').next().expect("a code").to_owned()))
            }
            other => panic!("{other:?}: {}", c::last_error()),
        }
    }

    fn call(&mut self, report: &ReportedCall) {
        let (environment, agent) = (report.environment.to_string(), report.agent.to_string());
        // An engine in memory keeps no details.
        let details = if self.keeps_details() { report.details.clone() } else { CallDetails::default() };
        let context = details.context_text().unwrap_or_default();
        let (at_ms, outcome) = (report.at.millis(), u32::from(report.outcome.code()) + 1);
        let (environment, agent) = (c::text(&environment), c::text(&agent));
        let (from, to) = (c::text(&report.from), c::text(&report.to));
        let status = if details == CallDetails::default() {
            let size = size_of::<CallReport>() as u32;
            let call = CallReport { size, outcome, at_ms, environment, agent, from, to };
            // SAFETY: the structures and texts outlive the call.
            unsafe { dialback_record(self.handle, &call, 1, NOW.millis(), std::ptr::null_mut()) }
        } else {
            let size = size_of::<DetailedCall>() as u32;
            let (call_id, context) = (c::text(details.id.as_deref().unwrap_or_default()), c::text(&context));
            let call = DetailedCall { size, outcome, at_ms, environment, agent, from, to, call_id, context };
            // SAFETY: the structures and texts outlive the call.
            unsafe { dialback_record_with_details(self.handle, &call, 1, NOW.millis(), std::ptr::null_mut()) }
        };
        assert_eq!(status, Status::Ok, "{}", c::last_error());
    }

    fn keeps_details(&self) -> bool {
        self.directory.is_some()
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        let environment = environment.to_string();
        let mut pairs = 0;
        let ((environment, environment_len), (contact, contact_len)) = (c::parts(&environment), c::parts(contact));
        // SAFETY: the structures and texts outlive the call.
        let status = unsafe {
            dialback_erase(self.handle, environment, environment_len, contact, contact_len, NOW.millis(), &mut pairs)
        };
        assert_eq!(status, Status::Ok, "{}", c::last_error());
        pairs
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        if let Some(directory) = &self.directory {
            assert_eq!(dialback_close(self.handle), Status::Ok);
            self.handle = c::open(c::path(directory));
        }
        let (status, decision) = c::resolve(self.handle, dialed.as_bytes(), caller.as_bytes(), at.millis());
        assert_eq!(status, Status::Ok, "{}", c::last_error());
        let routed = c::route(self.handle, dialed, caller, at.millis());
        let [batched, _] = c::resolve_batch(self.handle, [(dialed, caller), (dialed, "anonymous")], at.millis());
        let (explained, _) = c::explain(self.handle, dialed, caller, at.millis());
        for other in [routed, batched, explained] {
            assert_eq!(c::read(&other), c::read(&decision), "all ways to ask answer the same");
        }
        let (call, context) = c::call_behind(self.handle, dialed, caller, &decision);
        assert_eq!((call.outcome, call.called_at_ms), (decision.outcome, decision.called_at_ms));
        let bytes = call.call_id.map(|char| char.to_ne_bytes()[0]);
        let id = std::str::from_utf8(&bytes[..call.call_id_len as usize]).expect("ASCII");
        let details = CallDetails::read(Some(id).filter(|id| !id.is_empty()), context.as_deref());
        RouteAnswer { details, ..answer(&decision) }
    }
}

fn answer(decision: &DecisionOut) -> RouteAnswer {
    let id = |bytes: [u8; 16]| AgentId::from_u128(u128::from_be_bytes(bytes));
    let route = match decision.route {
        0 => Route::Unrouted,
        1 => Route::Default(id(decision.agent)),
        2 => Route::Callback(id(decision.agent)),
        other => panic!("no such route: {other}"),
    };
    assert!((decision.outcome == 0) == (decision.called_at_ms == 0) && decision.outcome <= Outcome::ALL.len() as u32);
    RouteAnswer {
        route,
        reason: Reason::ALL[decision.reason as usize - 1],
        source: (decision.outcome != 0).then(|| id(decision.source_agent)),
        called_at: (decision.outcome != 0).then(|| Timestamp::from_millis(decision.called_at_ms)),
        outcome: (decision.outcome != 0).then(|| Outcome::from_code(u64::from(decision.outcome - 1))),
        details: CallDetails::default(),
    }
}

#[test]
fn each_scenario_holds_through_c() {
    let scenarios = run_each(|_| true, CDoor::in_memory);
    assert!(scenarios >= 60, "{scenarios}");
}

/// Each opening of a directory takes several syncs, so only every fifth scenario runs, and those with ids and contexts.
#[test]
fn each_fifth_scenario_holds_through_c_with_reopened_directory() {
    let mut place = 0;
    let is_wanted = |scenario: &Scenario| {
        place += 1;
        place % 5 == 1 || scenario.has_details()
    };
    let scenarios = run_each(is_wanted, CDoor::durable);
    assert!(scenarios >= 12, "{scenarios}");
}

/// Canary: the runner must be able to fail.
#[test]
#[should_panic(expected = "NO_HISTORY")]
fn failing_scenario_is_reported() {
    run_wrong(&mut CDoor::in_memory());
}
