//! `dialback callback`: the callback roles of agents.

use super::client::Client;
use super::place::PlaceOptions;
use super::reference;
use super::table::{self, Column, joined, text};
use crate::failure::Failure;
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum CallbackCommand {
    /// List the agents that have the callback role
    List {
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Show the callback role of an agent
    Show {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Give an inbound agent the callback role, or replace its role
    Set {
        /// The agent, by name or id
        agent: String,
        /// An outbound agent whose callbacks the agent takes, by name or id. May be given more than once
        #[arg(long = "source", value_name = "NAME|ID", required = true)]
        sources: Vec<String>,
        /// The statuses of the outbound call for which the role applies, such as no-answer,busy. Without it, all statuses
        #[arg(long = "status", value_name = "STATUS", value_delimiter = ',')]
        statuses: Vec<String>,
        /// How many days after the call the role applies. Without it, the look-back of the environment
        #[arg(long, value_name = "DAYS")]
        lookback_days: Option<u32>,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Take the callback role from an agent. It continues to take normal inbound calls
    Remove {
        /// The agent, by name or id
        agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
}

const COLUMNS: [Column<'static>; 6] = [
    ("ID", &|agent| text(agent, "id")),
    ("NAME", &|agent| text(agent, "name")),
    ("STATUS", &|agent| text(agent, "current_status")),
    ("SOURCES", &|agent| text(agent, "sources")),
    ("STATUSES", &statuses),
    ("LOOKBACK", &lookback),
];

pub(crate) fn run(command: &CallbackCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        CallbackCommand::List { place } => {
            let client = place.open()?;
            let mut rows = client.list("/callback-agents")?;
            if !json {
                add_names(&mut rows, &client.pages("/agents")?);
            }
            table::list(&COLUMNS, &rows, json)?;
        }
        CallbackCommand::Show { agent, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            show(&client, client.get(&format!("/agents/{agent}/callback"))?["data"].take(), json)?;
        }
        CallbackCommand::Set { agent, sources, statuses, lookback_days, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            let mut body = json!({ "source_agent_ids": reference::agents(&client, sources)? });
            if !statuses.is_empty() {
                body["callback_trigger_statuses"] = json!(statuses);
            }
            if let Some(days) = lookback_days {
                body["lookback_days"] = json!(days);
            }
            let mut answer = client.post(&format!("/agents/{agent}/callback"), &body)?;
            table::warn(&answer);
            show(&client, answer["data"].take(), json)?;
        }
        CallbackCommand::Remove { agent, place } => {
            let client = place.open()?;
            let agent = reference::agent(&client, agent)?;
            table::done(&client.delete(&format!("/agents/{agent}/callback"))?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one role.
fn show(client: &Client, row: Value, json: bool) -> Result<(), Failure> {
    let mut rows = [row];
    if !json {
        add_names(&mut rows, &client.pages("/agents")?);
    }
    table::one(&COLUMNS, &rows[0], json)
}

/// Adds to each role what only the list of agents has: the name and the status of the agent, and the names of its sources.
fn add_names(roles: &mut [Value], agents: &[Value]) {
    let agents: HashMap<&str, &Value> =
        agents.iter().filter_map(|agent| Some((agent["id"].as_str()?, agent))).collect();
    let name = |id: &str| agents.get(id).map_or_else(|| id.to_owned(), |agent| text(agent, "name"));
    for role in roles {
        if let Some(agent) = role["id"].as_str().and_then(|id| agents.get(id)) {
            (role["name"], role["current_status"]) = (agent["name"].clone(), agent["current_status"].clone());
        }
        let sources = role["callback_config"]["source_agent_ids"].as_array().into_iter().flatten();
        role["sources"] = joined(sources.filter_map(Value::as_str).map(name)).into();
    }
}

fn statuses(role: &Value) -> String {
    match role["callback_config"]["callback_trigger_statuses"].as_array() {
        None => "all".to_owned(),
        Some(statuses) => joined(statuses.iter().filter_map(Value::as_str).map(str::to_owned)),
    }
}

fn lookback(role: &Value) -> String {
    let days = role["callback_config"]["lookback_days"].as_u64();
    days.map_or_else(|| "the environment's".to_owned(), |days| format!("{days} days"))
}
