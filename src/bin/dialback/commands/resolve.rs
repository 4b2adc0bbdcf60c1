//! `dialback resolve`.

use super::client::Client;
use super::remote::escape;
use crate::data::DataOptions;
use crate::failure::{Failure, in_part};
use crate::out;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct ResolveOptions {
    /// The dialed number, which is one of yours, such as +15550100
    dialed: String,
    /// The caller, as a trunk sends it: a number in any form, a SIP URI, or `anonymous`
    caller: String,
    /// Decide with this time, such as 2026-11-22T09:30:00Z. The default is now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Show each line of the rule that was tried, and what it found
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    data: DataOptions,
}

pub(crate) fn run(options: &ResolveOptions, json: bool) -> Result<ExitCode, Failure> {
    let (dialed, caller) = (escape(&options.dialed), escape(&options.caller));
    let at = options.at.as_ref().map(|at| format!("&at={}", escape(at))).unwrap_or_default();
    let explain = options.explain;
    let path = format!("/route?dialed={dialed}&caller={caller}{at}&explain={explain}");
    let answer = Client::open_existing(&options.data)?.get(&path)?;
    let data = &answer["data"];
    if json {
        out::exact(format_args!("{data}"))?;
    } else {
        show(data)?;
    }
    Ok(if data["decision"] == "unrouted" { in_part() } else { ExitCode::SUCCESS })
}

fn show(data: &Value) -> Result<(), Failure> {
    for field in ["decision", "reason", "agent_id", "source_agent_id", "called_at"] {
        if let Some(text) = data[field].as_str() {
            out::line(format_args!("{field:16} {text}"))?;
        }
    }
    if let Some(summary) = data["summary"].as_str() {
        out::line(format_args!("{summary}"))?;
    }
    if let Some(change) = data["last_change"]["text"].as_str() {
        out::line(format_args!("{change}"))?;
    }
    for step in data["steps"].as_array().into_iter().flatten() {
        let mark = if step["applies"] == true { "=>" } else { "  " };
        let text = |field: &str| step[field].as_str().unwrap_or_default();
        out::line(format_args!("{mark} {} {:27} {}", step["line"], text("reason"), text("text")))?;
    }
    Ok(())
}
