//! `dialback agent`.

use super::client::Client;
use super::place::PlaceOptions;
use super::table::{self, Column, joined, text};
use super::{reference, remote::escape};
use crate::failure::Failure;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The largest number of phone numbers that a table shows for an agent.
const MOST_NUMBERS: usize = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// List the agents, in the order of their creation
    List {
        /// Only agents whose name or label contains this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Show an agent
    Show {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Create an agent as a draft
    Create {
        /// The name
        name: String,
        /// Whether the agent places calls or takes them
        #[arg(long, value_enum)]
        direction: Direction,
        /// A label, for people
        #[arg(long)]
        label: Option<String>,
        /// A phone number that the agent owns, in international form or by id. May be given more than once
        #[arg(long = "number", value_name = "NUMBER")]
        numbers: Vec<String>,
        /// Publish the agent: it takes calls
        #[arg(long)]
        publish: bool,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Change the name, the label, the direction or the phone numbers of an agent
    Set {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        properties: Properties,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Publish an agent: it takes calls from now on
    Publish {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Make an agent a draft: it takes no calls from now on
    Unpublish {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Delete an agent, which must be a draft, and remove it from all callback roles
    Delete {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
}

/// The properties of an agent that `set` changes.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Properties {
    /// The new name
    #[arg(long)]
    name: Option<String>,
    /// The new label
    #[arg(long)]
    label: Option<String>,
    /// Remove the label
    #[arg(long, conflicts_with = "label")]
    no_label: bool,
    /// Whether the agent places calls or takes them
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// A phone number that the agent owns, in international form or by id. May be given more than once. The agent loses
    /// all others
    #[arg(long = "number", value_name = "NUMBER")]
    numbers: Vec<String>,
    /// Take all phone numbers from the agent
    #[arg(long, conflicts_with = "numbers")]
    no_numbers: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

const COLUMNS: [Column<'static>; 6] = [
    ("ID", &|agent| text(agent, "id")),
    ("NAME", &|agent| text(agent, "name")),
    ("LABEL", &|agent| text(agent, "label")),
    ("DIRECTION", &|agent| text(agent, "direction")),
    ("STATUS", &|agent| text(agent, "current_status")),
    ("NUMBERS", &numbers),
];

pub(crate) fn run(command: &AgentCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        AgentCommand::List { search, place } => {
            let search = search.as_ref().map(|search| format!("?search={}", escape(search))).unwrap_or_default();
            table::list(&COLUMNS, &place.open()?.pages(&format!("/agents{search}"))?, json)?;
        }
        AgentCommand::Show { agent, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            table::one(&COLUMNS, &client.get(&format!("/agents/{agent}"))?["data"], json)?;
        }
        AgentCommand::Create { name, direction, label, numbers, publish, place } => {
            let client = place.open()?;
            let mut body = json!({ "name": name, "direction": direction.name() });
            if let Some(label) = label {
                body["label"] = json!(label);
            }
            body["phone_number_ids"] = json!(reference::numbers(&client, numbers)?);
            let made = client.post("/agents", &body)?;
            let made = if *publish { post_to(&client, &text(&made["data"], "id"), "publish")? } else { made };
            table::one(&COLUMNS, &made["data"], json)?;
        }
        AgentCommand::Set { agent, properties, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            let body = properties.body(&client)?;
            let answer = client.put(&format!("/agents/{agent}"), &body)?;
            table::warn(&answer);
            table::one(&COLUMNS, &answer["data"], json)?;
        }
        AgentCommand::Publish { agent, place } => published(agent, place, "publish", json)?,
        AgentCommand::Unpublish { agent, place } => published(agent, place, "unpublish", json)?,
        AgentCommand::Delete { agent, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            table::done(&client.delete(&format!("/agents/{agent}"))?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Properties {
    /// Returns the body of the request that sets them.
    fn body(&self, client: &Client) -> Result<Value, Failure> {
        let mut body = json!({});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if self.label.is_some() || self.no_label {
            body["label"] = json!(self.label);
        }
        if let Some(direction) = self.direction {
            body["direction"] = json!(direction.name());
        }
        if self.no_numbers || !self.numbers.is_empty() {
            body["phone_number_ids"] = json!(reference::numbers(client, &self.numbers)?);
        }
        Ok(body)
    }
}

fn published(agent: &str, place: &PlaceOptions, action: &str, json: bool) -> Result<(), Failure> {
    let client = place.open()?;
    let answer = post_to(&client, &reference::agent(&client, agent)?, action)?;
    table::warn(&answer);
    table::one(&COLUMNS, &answer["data"], json)
}

fn post_to(client: &Client, agent: &str, action: &str) -> Result<Value, Failure> {
    client.post(&format!("/agents/{agent}/{action}"), &json!({}))
}

/// Returns the first phone numbers of an agent, and how many more it has.
fn numbers(agent: &Value) -> String {
    let listed = agent["phone_numbers"].as_array().map_or(&[][..], Vec::as_slice);
    let total = agent["phone_numbers_total"].as_u64().unwrap_or(listed.len() as u64);
    let first = listed.iter().take(MOST_NUMBERS).map(|number| text(number, "number"));
    let more = total.saturating_sub(MOST_NUMBERS as u64);
    joined(first.chain((more > 0).then(|| format!("and {more} more"))))
}
