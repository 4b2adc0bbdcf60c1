//! What a file of scenarios says.

use crate::{Direction, Outcome};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One file.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Numbers of ours, by name.
    #[serde(default)]
    pub numbers: BTreeMap<String, String>,
    /// Contacts, by name.
    #[serde(default)]
    pub contacts: BTreeMap<String, String>,
    /// Steps that scenarios share.
    #[serde(default)]
    pub given: BTreeMap<String, Vec<Step>>,
    /// The scenarios.
    pub scenario: Vec<Scenario>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// All steps of a scenario, the shared ones first.
    ///
    /// # Panics
    /// Where it shares steps that the file does not have.
    pub fn steps<'a>(&'a self, scenario: &'a Scenario) -> impl Iterator<Item = &'a Step> {
        let shared = |name: &String| self.given.get(name).unwrap_or_else(|| panic!("nothing is given as {name:?}"));
        scenario.given.iter().flat_map(shared).chain(&scenario.steps)
    }
}

/// One scenario.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The behaviour that it shows.
    pub name: String,
    /// The neighbouring lines of the rule that it tells apart: both would apply and the earlier wins, or the earlier just does
    /// not.
    pub pair: Option<[u8; 2]>,
    /// Shared steps, which come first.
    #[serde(default)]
    pub given: Vec<String>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that happens. Agents and numbers belong to the environment that they were created `in`; `acme` unless said.
#[derive(Clone, Deserialize, Debug)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// An environment is made or set.
    Environment {
        /// Its name.
        name: String,
        /// Country code, national prefix and international prefix of its dial plan.
        dial_plan: Option<[String; 3]>,
        /// Its look-back; 30 days unless set.
        lookback_days: Option<u32>,
    },
    /// A number of ours is added.
    Number {
        /// The name of its identity; also the number, if the file's `numbers` have it.
        name: String,
        /// The name of the number, where several identities stand for it in turn.
        number: Option<String>,
        /// Whose it is.
        #[serde(rename = "in")]
        environment: Option<String>,
    },
    /// A number is given back.
    Release(String),
    /// A number's default agent is named, or (without one) no longer.
    Default {
        /// The number's identity.
        number: String,
        /// The agent.
        agent: Option<String>,
    },
    /// An agent is created, as a draft.
    Agent {
        /// Its name.
        name: String,
        /// What it is for.
        direction: Direction,
        /// Whose it is.
        #[serde(rename = "in")]
        environment: Option<String>,
    },
    /// An agent's direction and, where given, its numbers are set.
    Calling {
        /// Which.
        agent: String,
        /// What it is for.
        direction: Direction,
        /// The identities of its numbers.
        numbers: Option<Vec<String>>,
    },
    /// An agent is published.
    Publish(String),
    /// An agent is unpublished.
    Unpublish(String),
    /// An agent is deleted.
    Delete(String),
    /// A callback role is configured.
    Callback {
        /// The callback agent.
        agent: String,
        /// Whose callbacks it takes.
        sources: Vec<String>,
        /// The outcomes that count; every one unless set.
        statuses: Option<Vec<Outcome>>,
        /// Its own look-back.
        lookback_days: Option<u32>,
    },
    /// A callback role is taken away.
    RemoveCallback(String),
    /// A step that is refused.
    Refused {
        /// The control API's code.
        code: String,
        /// The step.
        step: Box<Step>,
    },
    /// An outbound call, or a later report of one.
    Call {
        /// The source agent.
        by: String,
        /// The number of ours, by name, or as a gateway writes it.
        from: String,
        /// The contact, by name, or as a gateway writes it.
        to: String,
        /// When it was placed.
        at: String,
        /// How it went.
        status: Outcome,
    },
    /// A contact is forgotten, up to the present.
    Erase {
        /// The contact, by name or as text.
        contact: String,
        /// Where.
        #[serde(rename = "in")]
        environment: Option<String>,
        /// How many pairs are forgotten.
        pairs: u64,
    },
    /// A contact calls.
    Route(RouteStep),
}

/// A contact calls, and where the call goes.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct RouteStep {
    /// The number of ours, by name or as text.
    pub dialed: String,
    /// The contact, by name, or whatever a trunk sends.
    pub caller: String,
    /// When; now unless set.
    pub at: Option<String>,
    /// The callback agent that takes it.
    pub callback: Option<String>,
    /// Else the default agent that takes it. Else the call is unrouted.
    pub default: Option<String>,
    /// Why.
    pub reason: String,
    /// The agent of the call behind it, where that matters.
    pub source: Option<String>,
    /// When the call behind it was placed, where that matters.
    pub called: Option<String>,
}
