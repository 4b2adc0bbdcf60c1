//! The format of a scenario file.

use crate::{CountsFrom, Direction, Outcome};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A scenario file.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Phone numbers of tenants, by name.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
    /// Phone numbers of contacts, by name.
    #[serde(default)]
    pub contacts: BTreeMap<String, String>,
    /// Lists of steps that scenarios share, by name.
    #[serde(default)]
    pub given: BTreeMap<String, Vec<Step>>,
    /// The scenarios.
    pub scenario: Vec<Scenario>,
}

impl File {
    /// Parses a file.
    ///
    /// # Errors
    /// The parser's error with its position.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Returns all steps of a scenario, the shared ones first.
    ///
    /// # Panics
    /// If the scenario names shared steps that the file does not define.
    pub fn steps<'a>(&'a self, scenario: &'a Scenario) -> impl Iterator<Item = &'a Step> {
        let shared = |name: &String| {
            self.given.get(name).unwrap_or_else(|| panic!("the file defines no shared steps named {name:?}"))
        };
        scenario.given.iter().flat_map(shared).chain(&scenario.steps)
    }
}

/// One scenario.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The behaviour that the scenario shows.
    pub name: String,
    /// The two neighbouring lines of the rule that the scenario distinguishes. Either both lines would apply and the
    /// earlier one decides, or the earlier one just fails to apply.
    pub pair: Option<[u8; 2]>,
    /// The names of shared steps that run first.
    #[serde(default)]
    pub given: Vec<String>,
    /// The scenario's own steps.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Returns whether a call of the scenario has an id or a context.
    pub fn has_details(&self) -> bool {
        let has = |step: &Step| matches!(step, Step::Call { call_id, context, .. } if call_id.is_some() || !context.is_empty());
        self.steps.iter().any(has)
    }
}

/// One step. Agents and numbers belong to the environment that they were created `in`, which is `acme` by default.
#[derive(Clone, Deserialize, Debug)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// An environment is created or changed.
    Environment {
        /// The name of the environment.
        name: String,
        /// Country code, national prefix and international prefix of its dial plan.
        dial_plan: Option<[String; 3]>,
        /// The region that sets its dial plan instead.
        region: Option<String>,
        /// The look-back in days. The default is 30.
        lookback_days: Option<u32>,
        /// The status from which calls count. Without it, the environment keeps the one that it has.
        counts_from: Option<CountsFrom>,
    },
    /// A number is added to an environment.
    Number {
        /// The name from which its id is made. It also names the phone number, unless `number` is given.
        name: String,
        /// The name of the phone number, if several ids stand for it one after the other.
        number: Option<String>,
        /// The name of the environment.
        #[serde(rename = "in")]
        environment: Option<String>,
    },
    /// A number is removed from its environment.
    Release(String),
    /// A number's default agent is named, or, without an agent, chosen by the order of assignment.
    Default {
        /// The name of the number.
        number: String,
        /// The name of the agent.
        agent: Option<String>,
        /// Whether the number has no default agent, on purpose.
        #[serde(default)]
        nobody: bool,
    },
    /// An agent is created, as a draft.
    Agent {
        /// The name of the agent.
        name: String,
        /// The agent's direction.
        direction: Direction,
        /// The name of the environment.
        #[serde(rename = "in")]
        environment: Option<String>,
    },
    /// An agent's direction is set, and its numbers if they are given.
    Calling {
        /// The name of the agent.
        agent: String,
        /// The agent's direction.
        direction: Direction,
        /// The names of the agent's numbers.
        numbers: Option<Vec<String>>,
    },
    /// An agent is published.
    Publish(String),
    /// An agent is unpublished.
    Unpublish(String),
    /// An agent is deleted.
    Delete(String),
    /// An agent becomes a callback agent, or its callback role changes.
    Callback {
        /// The name of the callback agent.
        agent: String,
        /// The names of its source agents.
        sources: Vec<String>,
        /// The outcomes that the agent accepts. The default is all of them.
        statuses: Option<Vec<Outcome>>,
        /// The agent's own look-back in days.
        lookback_days: Option<u32>,
    },
    /// An agent stops being a callback agent.
    RemoveCallback(String),
    /// A step that must be rejected.
    Refused {
        /// The error code of the control API.
        code: String,
        /// The step.
        step: Box<Step>,
    },
    /// An outbound call is reported, for the first time or again.
    Call {
        /// The name of the source agent.
        by: String,
        /// The number called from: its name, or text as a gateway writes it.
        from: String,
        /// The contact: its name, or text as a gateway writes it.
        to: String,
        /// When the call was placed.
        at: String,
        /// The outcome.
        status: Outcome,
        /// The id of the call.
        call_id: Option<String>,
        /// The fields of the context of the call: strings.
        #[serde(default)]
        context: BTreeMap<String, String>,
    },
    /// A contact is erased, up to the current time.
    Erase {
        /// The contact: its name or its number.
        contact: String,
        /// The name of the environment.
        #[serde(rename = "in")]
        environment: Option<String>,
        /// The expected number of erased pairs.
        pairs: u64,
    },
    /// A contact calls, with the expected route.
    Route(RouteStep),
}

/// An inbound call and its expected route.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct RouteStep {
    /// The dialed number: its name or the number itself.
    pub dialed: String,
    /// The caller: the contact's name, or text as a trunk sends it.
    pub caller: String,
    /// The time of the call. The default is now.
    pub at: Option<String>,
    /// The callback agent that must take the call.
    pub callback: Option<String>,
    /// The default agent that must take the call. Without this and `callback`, the call must be unrouted.
    pub default: Option<String>,
    /// The expected reason.
    pub reason: String,
    /// The expected agent of the last outbound call. Not checked if missing.
    pub source: Option<String>,
    /// The expected time of the last outbound call. Not checked if missing.
    pub called: Option<String>,
    /// The expected outcome of the last outbound call. Not checked if missing.
    pub status: Option<Outcome>,
    /// The expected id of the last outbound call; empty if it must have none. Not checked if missing.
    pub call_id: Option<String>,
    /// The expected fields of its context; empty if it must have none. Not checked if missing.
    pub context: Option<BTreeMap<String, String>>,
}
