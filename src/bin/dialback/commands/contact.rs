//! `dialback contact`.

use super::place::PlaceOptions;
use super::remote::escape;
use super::table::{self, Column, text};
use crate::failure::Failure;
use crate::out;
use clap::Subcommand;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum ContactCommand {
    /// Show the last call from each of your numbers to a contact
    Show {
        /// The contact's phone number
        number: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
    /// Erase a contact: all its calls, in the whole environment, for good
    Forget {
        /// The contact's phone number
        number: String,
        #[command(flatten)]
        place: PlaceOptions,
    },
}

const COLUMNS: [Column<'static>; 4] = [
    ("FROM", &|entry| text(entry, "from")),
    ("CALLED AT", &|entry| text(entry, "called_at")),
    ("STATUS", &|entry| text(entry, "status")),
    ("AGENT", &agent),
];

const KNOWN: [Column<'static>; 5] = [
    ("CALL ID", &|call| text(call, "call_id")),
    ("FROM", &|call| text(call, "from")),
    ("CALLED AT", &|call| text(call, "called_at")),
    ("STATUS", &|call| text(call, "status")),
    ("CONTEXT", &|call| text(call, "context")),
];

pub(crate) fn run(command: &ContactCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        ContactCommand::Show { number, place } => {
            let answer = place.open()?.get(&format!("/contacts/{}", escape(number)))?;
            show(&answer["data"], json)?;
        }
        ContactCommand::Forget { number, place } => {
            let answer = place.open()?.delete(&format!("/contacts/{}", escape(number)))?;
            let erased = &answer["data"];
            if json {
                out::exact(format_args!("{erased}"))?;
            } else {
                out::line(format_args!("erased; {} of your numbers had called it", erased["pairs_erased"]))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(contact: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::exact(format_args!("{contact}"));
    }
    let entries = contact["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let known = contact["known_calls"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() && known.is_empty() {
        return out::line(format_args!("nothing is known of this contact"));
    }
    if !entries.is_empty() {
        table::list(&COLUMNS, entries, false)?;
    }
    let total = contact["entries_total"].as_u64().unwrap_or(0);
    match total.saturating_sub(entries.len() as u64) {
        0 => {}
        more => out::line(format_args!("and {more} older ones"))?,
    }
    // A call may be known by its id when its pair has none any more.
    if known.is_empty() {
        return Ok(());
    }
    out::line(format_args!("calls with an id or a context:"))?;
    table::list(&KNOWN, known, false)?;
    if contact["has_more_known_calls"] == true {
        out::line(format_args!("and more"))?;
    }
    Ok(())
}

/// Returns the name of the agent that called, or its id if it was deleted.
fn agent(entry: &Value) -> String {
    let name = entry["source_agent_name"].as_str();
    name.map_or_else(|| text(entry, "source_agent_id"), str::to_owned)
}
