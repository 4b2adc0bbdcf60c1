//! Runs a scenario through an adapter.

use super::door::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer};
use super::file::{File, RouteStep, Scenario, Step};
use super::{agent_id, environment_id, number_id, span};
use crate::plan::DefaultChoice;
use crate::{DialPlan, EnvironmentId, Lookback, Reason, Route, Timestamp};
use std::collections::BTreeMap;

/// Runs the scenario through the adapter `door`.
///
/// # Panics
/// At the first step whose result is not the expected one.
pub fn run(file: &File, scenario: &Scenario, door: &mut impl Door) {
    let now = door.now();
    let mut run = Run { file, scenario, now, homes: BTreeMap::new() };
    for step in file.steps(scenario) {
        run.step(step, door);
    }
}

struct Run<'a> {
    file: &'a File,
    scenario: &'a Scenario,
    now: Timestamp,
    /// The environment of each agent and number, by name.
    homes: BTreeMap<&'a str, EnvironmentId>,
}

impl<'a> Run<'a> {
    fn step(&mut self, step: &'a Step, door: &mut impl Door) {
        let name = &self.scenario.name;
        match step {
            Step::Call { by, from, to, at, status, call_id, context } => door.call(&ReportedCall {
                environment: self.home(by),
                agent: agent_id(by),
                from: named(&self.file.numbers, from),
                to: named(&self.file.contacts, to),
                at: span::read(at, self.now),
                outcome: *status,
                details: CallDetails { id: call_id.clone(), context: context.clone() },
            }),
            Step::Erase { contact, environment, pairs } => {
                let contact = named(&self.file.contacts, contact);
                let erased = door.erase(tenant(environment.as_deref()), &contact);
                assert_eq!(erased, *pairs, "{name}: pairs erased");
            }
            Step::Route(route) => {
                let dialed = named(&self.file.numbers, &route.dialed);
                let caller = named(&self.file.contacts, &route.caller);
                let at = route.at.as_deref().map_or(self.now, |at| span::read(at, self.now));
                let answer = door.route(&dialed, &caller, at);
                self.check(route, &answer);
                if door.keeps_details() {
                    self.check_details(route, &answer.details);
                }
            }
            Step::Refused { code, step } => {
                let (environment, action) = self.action(step);
                let refused = door.configure(environment, &action);
                assert_eq!(refused, Err(Refusal(code.clone())), "{name}: {step:?}");
            }
            _ => {
                let (environment, action) = self.action(step);
                let done = door.configure(environment, &action);
                assert_eq!(done, Ok(()), "{name}: {step:?}");
            }
        }
    }

    fn check(&self, expected: &RouteStep, answer: &RouteAnswer) {
        let name = &self.scenario.name;
        let route = match (&expected.callback, &expected.default) {
            (Some(agent), None) => Route::Callback(agent_id(agent)),
            (None, Some(agent)) => Route::Default(agent_id(agent)),
            (None, None) => Route::Unrouted,
            (Some(_), Some(_)) => panic!("{name}: a route step expects either a callback or a default agent"),
        };
        let reason = expected.reason.parse::<Reason>().unwrap_or_else(|_| panic!("{name}: unknown reason"));
        assert_eq!((answer.route, answer.reason), (route, reason), "{name}: {expected:?}");
        if let Some(source) = &expected.source {
            assert_eq!(answer.source, Some(agent_id(source)), "{name}: the source of {expected:?}");
        }
        if let Some(status) = expected.status {
            assert_eq!(answer.outcome, Some(status), "{name}: the status of {expected:?}");
        }
        if let Some(called) = &expected.called {
            assert_eq!(answer.called_at, Some(span::read(called, self.now)), "{name}: the time of {expected:?}");
        }
    }

    fn check_details(&self, expected: &RouteStep, details: &CallDetails) {
        let name = &self.scenario.name;
        if let Some(id) = &expected.call_id {
            assert_eq!(details.id.as_deref().unwrap_or_default(), id, "{name}: the id of {expected:?}");
        }
        if let Some(context) = &expected.context {
            assert_eq!(&details.context, context, "{name}: the context of {expected:?}");
        }
    }

    fn home(&self, name: &str) -> EnvironmentId {
        // An entity that was never created is looked up in the default tenant, where it does not exist either.
        self.homes.get(name).copied().unwrap_or_else(|| tenant(None))
    }

    fn action(&mut self, step: &'a Step) -> (EnvironmentId, Action) {
        match step {
            Step::Environment { name, dial_plan, region, lookback_days, counts_from } => {
                let dial_plan = match (dial_plan, region) {
                    (None, None) => DialPlan::NONE,
                    (Some([country, national, international]), None) => {
                        DialPlan::new(country, national, international).expect("a dial plan")
                    }
                    (None, Some(region)) => DialPlan::of_region(region).expect("a region"),
                    (Some(_), Some(_)) => panic!("{}: a region has a dial plan of its own", self.scenario.name),
                };
                let lookback = lookback_days.map_or(Lookback::default(), Lookback::from_days);
                let (id, name, counts_from) = (environment_id(name), name.clone(), *counts_from);
                (id, Action::SetEnvironment { name, dial_plan, lookback, counts_from })
            }
            Step::Number { name, number, environment } => {
                let environment = self.settle(name, environment.as_deref());
                let number = named(&self.file.numbers, number.as_ref().unwrap_or(name));
                (environment, Action::AddNumber { id: number_id(name), number })
            }
            Step::Release(number) => (self.home(number), Action::ReleaseNumber(number_id(number))),
            Step::Default { number, agent, nobody } => {
                let choice = match agent {
                    Some(_) if *nobody => panic!("{}: a named default agent is not nobody", self.scenario.name),
                    Some(agent) => DefaultChoice::Named(agent_id(agent)),
                    None if *nobody => DefaultChoice::Nobody,
                    None => DefaultChoice::Auto,
                };
                (self.home(number), Action::ChooseDefault { number: number_id(number), choice })
            }
            Step::Agent { name, direction, environment } => {
                let environment = self.settle(name, environment.as_deref());
                let (id, name) = (agent_id(name), name.clone());
                (environment, Action::CreateAgent { id, name, direction: *direction })
            }
            Step::Calling { agent, direction, numbers } => {
                let numbers = numbers.as_ref().map(|names| names.iter().map(|name| number_id(name)).collect());
                (self.home(agent), Action::SetCalling { id: agent_id(agent), direction: *direction, numbers })
            }
            Step::Publish(agent) => (self.home(agent), Action::Publish(agent_id(agent))),
            Step::Unpublish(agent) => (self.home(agent), Action::Unpublish(agent_id(agent))),
            Step::Delete(agent) => (self.home(agent), Action::DeleteAgent(agent_id(agent))),
            Step::Callback { agent, sources, statuses, lookback_days } => {
                let action = Action::SetCallback {
                    id: agent_id(agent),
                    sources: sources.iter().map(|source| agent_id(source)).collect(),
                    statuses: statuses.as_ref().map(|statuses| statuses.iter().copied().collect()),
                    lookback_days: *lookback_days,
                };
                (self.home(agent), action)
            }
            Step::RemoveCallback(agent) => (self.home(agent), Action::RemoveCallback(agent_id(agent))),
            Step::Refused { .. } | Step::Call { .. } | Step::Erase { .. } | Step::Route(_) => {
                panic!("{}: only a configuration step can be rejected", self.scenario.name)
            }
        }
    }

    fn settle(&mut self, name: &'a str, environment: Option<&str>) -> EnvironmentId {
        let environment = tenant(environment);
        // The first environment stays: a rejected second creation must not move an existing entity.
        *self.homes.entry(name).or_insert(environment)
    }
}

fn tenant(name: Option<&str>) -> EnvironmentId {
    environment_id(name.unwrap_or("acme"))
}

/// Returns the number with this name, or the text itself if there is no such name.
fn named(names: &BTreeMap<String, String>, name: &str) -> String {
    names.get(name).map_or(name, String::as_str).to_owned()
}
