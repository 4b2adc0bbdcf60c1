//! `dialback events`: what happened in an environment, as it happens.

use super::place::PlaceOptions;
use super::remote::escape;
use super::table::text;
use crate::failure::Failure;
use crate::out;
use serde_json::Value;
use std::process::ExitCode;

/// How many seconds a request waits for the next event.
const WAIT: u32 = 25;
/// The most events of a request.
const AT_ONCE: u32 = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct EventsOptions {
    /// Go on with new events as they happen, until the command is stopped
    #[arg(long)]
    follow: bool,
    /// Only events after this cursor, or `end`: only new ones. `--json` shows the cursor of each event
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Only events of these types, separated by commas: route.decided, route.answered, call.recorded,
    /// configuration.changed
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    #[command(flatten)]
    place: PlaceOptions,
}

/// Prints the feed: a line for each event. With `json`, a line is the event as `GET /events` returns it.
pub(crate) fn run(options: &EventsOptions, json: bool) -> Result<ExitCode, Failure> {
    let client = options.place.open()?;
    let types = options.types.as_deref().map(|types| format!("&types={}", escape(types))).unwrap_or_default();
    let wait = if options.follow { format!("&wait={WAIT}") } else { String::new() };
    let mut after = options.after.clone();
    loop {
        let place = after.map(|after| format!("&after={}", escape(&after))).unwrap_or_default();
        let answer = client.get(&format!("/events?limit={AT_ONCE}{types}{wait}{place}"))?;
        for event in answer["data"].as_array().into_iter().flatten() {
            if json {
                out::exact(format_args!("{event}"))?;
            } else {
                out::line(format_args!("{}  {:<21}  {}", text(event, "at"), text(event, "type"), described(event)))?;
            }
        }
        after = answer["meta"]["next_cursor"].as_str().map(str::to_owned);
        if !options.follow && answer["meta"]["has_more"] != Value::Bool(true) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Returns what an event tells, in a few words.
fn described(event: &Value) -> String {
    let data = &event["data"];
    match event["type"].as_str() {
        Some("route.decided") => {
            let agent = data["agent"]["name"].as_str().or(data["agent"]["id"].as_str()).unwrap_or("no agent");
            let caller = data["caller"].as_str().unwrap_or("a withheld number");
            format!("{caller} to {}: {agent} ({})", text(data, "dialed"), text(data, "reason"))
        }
        Some("route.answered") => format!("decision {}", text(data, "decision_id")),
        Some("call.recorded") => {
            format!("{} to {}: {}", text(data, "from"), text(data, "to"), text(data, "status"))
        }
        Some("configuration.changed") => {
            format!("version {} by {}", text(data, "generation"), text(data, "actor_text"))
        }
        _ => data.to_string(),
    }
}
