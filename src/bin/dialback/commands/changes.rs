//! `dialback changes`.

use super::client::Client;
use super::place::{InstallationOptions, existing};
use super::remote::escape;
use super::table::{self, Column, text};
use crate::failure::Failure;
use crate::out;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct ChangesOptions {
    /// Only changes from this time on, such as 2026-11-22T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only changes of this actor: the id of a token, or `token`, `command`, `import` or `unknown`
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only changes of this environment, by name or id. With the token of an environment it is that of the token
    #[arg(long, value_name = "NAME|ID")]
    environment: Option<String>,
    /// The largest number of changes to show
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: NonZeroUsize,
    #[command(flatten)]
    installation: InstallationOptions,
}

const COLUMNS: [Column<'static>; 4] = [
    ("AT", &|row| text(row, "at")),
    ("ENVIRONMENT", &|row| text(row, "environment")),
    ("ACTOR", &|row| text(row, "actor_text")),
    ("CHANGE", &|row| text(row, "text")),
];

pub(crate) fn run(options: &ChangesOptions, json: bool) -> Result<ExitCode, Failure> {
    let client = options.installation.open()?;
    let mut entries = Vec::new();
    let is_rest = read(&client, &path(&client, options)?, options.limit.get(), &mut entries)?;
    if json {
        out::exact(format_args!("{}", Value::from(entries)))?;
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        out::line(format_args!("no changes"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let environments = client.environments()?;
    let rows: Vec<Value> = entries.iter().flat_map(|entry| rows(entry, &environments)).collect();
    table::list(&COLUMNS, &rows, false)?;
    if is_rest {
        out::line(format_args!("and older ones: raise --limit, now {}", options.limit))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the path of the list, without a cursor.
fn path(client: &Client, options: &ChangesOptions) -> Result<String, Failure> {
    let ChangesOptions { since, actor, environment, .. } = options;
    let found = environment.as_ref().map(|wanted| existing(client, Some(wanted))).transpose()?;
    let id = found.filter(|_| client.is_operator()).and_then(|id| id.as_str().map(str::to_owned));
    let given = [("since", since), ("actor", actor), ("environment_id", &id)];
    let parts = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}&", escape(value.as_ref()?))));
    Ok(format!("/changes?{}", parts.collect::<String>()))
}

/// Reads changes page by page, up to the limit. Returns whether there are more.
fn read(client: &Client, path: &str, limit: usize, entries: &mut Vec<Value>) -> Result<bool, Failure> {
    let mut cursor = String::new();
    loop {
        let mut answer = client.get(&format!("{path}cursor={cursor}"))?;
        if let Value::Array(mut more) = answer["data"].take() {
            entries.append(&mut more);
        }
        let next = answer["meta"]["next_cursor"].as_str().map(str::to_owned);
        if entries.len() > limit || entries.len() == limit && next.is_some() {
            entries.truncate(limit);
            return Ok(true);
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(false),
        }
    }
}

/// Returns a row for each listed change of a configuration, and one for those that are not listed.
fn rows(entry: &Value, environments: &[Value]) -> Vec<Value> {
    let id = &entry["environment_id"];
    let named = environments.iter().find(|environment| environment["id"] == *id);
    let environment = named.map_or(id, |environment| &environment["name"]);
    let changes = entry["changes"].as_array().map_or(&[][..], Vec::as_slice);
    let more = entry["changes_total"].as_u64().unwrap_or(0).saturating_sub(changes.len() as u64);
    let rest = (more > 0).then(|| json!(format!("and {more} more changes")));
    let texts = changes.iter().map(|change| change["text"].clone()).chain(rest);
    let row = |text| json!({ "at": entry["at"], "environment": environment, "actor_text": entry["actor_text"], "text": text });
    texts.map(row).collect()
}
