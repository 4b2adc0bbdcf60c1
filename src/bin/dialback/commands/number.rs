//! `dialback number`.

use super::client::Client;
use super::place::PlaceOptions;
use super::reference;
use super::table::{self, Column, text};
use crate::failure::Failure;
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum NumberCommand {
    /// List the phone numbers of the environment
    List {
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Add a phone number to the environment
    Add {
        /// The number, in international form, such as +12125550100
        number: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Set the default agent of a phone number: it takes the calls that no callback agent takes
    Set {
        /// The number, in international form or by id
        number: String,
        /// An inbound agent that owns the number, by name or id; `nobody`; or `auto` for the published inbound owner that
        /// was assigned first
        #[arg(long, value_name = "NAME|ID|auto|nobody")]
        default_agent: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Delete a phone number that no agent owns
    Delete {
        /// The number, in international form or by id
        number: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
}

const COLUMNS: [Column<'static>; 5] = [
    ("ID", &|number| text(number, "id")),
    ("NUMBER", &|number| text(number, "number")),
    ("STATUS", &|number| text(number, "current_status")),
    ("DEFAULT AGENT", &|number| text(number, "default_agent")),
    ("AGENTS", &owners),
];

pub(crate) fn run(command: &NumberCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        NumberCommand::List { place } => {
            let client = place.open()?;
            let mut rows = client.pages("/phone-numbers")?;
            if !json {
                add_default_agents(&mut rows, &reference::agent_names(&client)?);
            }
            table::list(&COLUMNS, &rows, json)?;
        }
        NumberCommand::Add { number, place } => {
            let client = place.open()?;
            show(&client, client.post("/phone-numbers", &json!({ "number": number }))?["data"].take(), json)?;
        }
        NumberCommand::Set { number, default_agent, place } => {
            let client = place.open()?;
            let number = reference::number(&client, number)?;
            let agent = match &**default_agent {
                "auto" | "nobody" => default_agent.clone(),
                agent => reference::agent(&client, agent)?,
            };
            let body = json!({ "default_agent_id": agent });
            let mut answer = client.put(&format!("/phone-numbers/{number}"), &body)?;
            table::warn(&answer);
            show(&client, answer["data"].take(), json)?;
        }
        NumberCommand::Delete { number, place } => {
            let client = place.open()?;
            let number = reference::number(&client, number)?;
            table::done(&client.delete(&format!("/phone-numbers/{number}"))?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one number.
fn show(client: &Client, row: Value, json: bool) -> Result<(), Failure> {
    let mut rows = [row];
    if !json {
        add_default_agents(&mut rows, &reference::agent_names(client)?);
    }
    table::one(&COLUMNS, &rows[0], json)
}

/// Returns how many agents own the number.
fn owners(number: &Value) -> String {
    let listed = number["agent_ids"].as_array().map_or(0, Vec::len);
    number["agents_total"].as_u64().unwrap_or(listed as u64).to_string()
}

/// Adds the name of the default agent to each number, and whether it is chosen automatically.
fn add_default_agents(numbers: &mut [Value], names: &HashMap<String, String>) {
    let name = |id: &str| names.get(id).map_or_else(|| id.to_owned(), String::clone);
    for number in numbers {
        let setting = text(number, "default_agent_setting");
        number["default_agent"] = match (&*setting, number["default_agent_id"].as_str()) {
            ("auto", Some(id)) => format!("{} (auto)", name(id)),
            ("auto", None) => "none (auto)".to_owned(),
            // A named agent that takes no calls now is only in the setting.
            (_, Some(id)) | (id, None) => name(id),
        }
        .into();
    }
}
