//! `dialback apply` and `dialback dump`: an environment as one TOML file.

use super::client::Client;
use super::place::{self, PlaceOptions};
use super::rerouting::Rerouting;
use crate::clock::now;
use crate::data::NewDataOptions;
use crate::failure::Failure;
use crate::{out, toml_file};
use dialback::declaration::{Declaration, DeclaredSettings, Refused, Step, Wish};
use dialback::{Change, Configuration, EnvironmentId, Lookback, Plan};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use uuid::Uuid;

/// The additional text of `--help`.
const LONG_HELP: &str = "\
The file declares settings, numbers, agents and callback roles; `dialback dump` writes one. All
changes are one change of the configuration. Applying the file again changes nothing.

Example:
  [environment]
  name = \"Clinic\"
  region = \"US\"

  [[numbers]]
  number = \"+12125550100\"
  default_agent = \"Front Desk\"

  [[agents]]
  name = \"Sales\"
  direction = \"outbound\"
  numbers = [\"+12125550100\"]

  [[agents]]
  name = \"Front Desk\"
  direction = \"inbound\"
  numbers = [\"+12125550100\"]

  [[agents]]
  name = \"Callbacks\"
  direction = \"inbound\"
  numbers = [\"+12125550100\"]
  callback = { sources = [\"Sales\"], statuses = [\"no-answer\", \"busy\"], lookback_days = 7 }";

#[derive(Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct ApplyOptions {
    /// The TOML file
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: show which of the inbound calls in this file would be routed differently. The file is CSV with the
    /// columns dialed, caller and at, or has a JSON object with these fields on each line. `-` reads standard input
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    calls: Option<PathBuf>,
    /// Delete agents and numbers that the file does not name
    #[arg(long)]
    prune: bool,
    /// Create the data directory if it does not exist. Without this, a mistyped path is an error
    #[arg(long)]
    create_directory: bool,
    #[command(flatten)]
    place: PlaceOptions,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DumpOptions {
    #[command(flatten)]
    place: PlaceOptions,
}

pub(crate) fn apply(options: &ApplyOptions, json: bool) -> Result<ExitCode, Failure> {
    let declared: Declaration = toml_file::read(&options.file).map_err(Failure::new)?;
    let client = client(options, &declared)?;
    let mut answer = match &client {
        Some(client) => {
            let path = format!("/configuration?dry_run={}&prune={}", options.dry_run, options.prune);
            client.put(&path, &serde_json::to_value(&declared).expect("a document is JSON"))?["data"].clone()
        }
        None => json!({ "applied": false, "steps": steps_from_nothing(&declared)? }),
    };
    let rerouting = match (&options.calls, &client) {
        (Some(calls), Some(client)) => Some(Rerouting::find(client, &declared, options.prune, calls)?),
        (Some(_), None) => {
            return Err(Failure::new("the environment does not exist, so --calls has nothing to compare"));
        }
        (None, _) => None,
    };
    if let Some(rerouting) = &rerouting {
        answer["calls"] = rerouting.to_json();
    }
    if json {
        out::exact(format_args!("{answer}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let steps: Vec<Step> = serde_json::from_value(answer["steps"].clone())
        .map_err(|_| Failure::new("the daemon answered with steps of another version"))?;
    for step in &steps {
        out::line(format_args!("{step}"))?;
    }
    match (steps.is_empty(), options.dry_run) {
        (true, _) => out::line(format_args!("nothing changes"))?,
        (false, true) => out::line(format_args!("{} changes, not made: this is a dry run", steps.len()))?,
        (false, false) => out::line(format_args!("{} changes made", steps.len()))?,
    }
    if let Some(rerouting) = rerouting {
        rerouting.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn dump(options: &DumpOptions, json: bool) -> Result<ExitCode, Failure> {
    let document = options.place.open()?.get("/configuration")?["data"].clone();
    if json {
        out::exact(format_args!("{document}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let declared: Declaration = serde_json::from_value(document)
        .map_err(|_| Failure::new("the daemon answered with a document of another version"))?;
    let text = toml::to_string(&declared).map_err(|error| Failure::new(format!("cannot write TOML: {error}")))?;
    out::exact(format_args!("{}", text.trim_end()))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a client for the environment, which is created if it does not exist. `None` if this is a dry run and the
/// environment does not exist.
fn client(options: &ApplyOptions, declared: &Declaration) -> Result<Option<Client>, Failure> {
    if let Some(client) = options.place.remote()? {
        return Ok(Some(client));
    }
    let data = &options.place.installation.data;
    if options.dry_run && !data.data.exists() && options.create_directory {
        return Ok(None);
    }
    let client =
        Client::open_or_create(&NewDataOptions { create_directory: options.create_directory, data: data.clone() })?;
    let name = declared.environment.as_ref().map(|settings| settings.name.as_str());
    let wanted = options.place.environment.as_deref().or(name);
    let id = match (place::find(&client, wanted)?, name) {
        (Some(id), _) => id,
        (None, None) => return Err(place::missing(wanted)),
        (None, Some(_)) if options.dry_run => return Ok(None),
        (None, Some(name)) => client.post("/environments", &json!({ "name": name }))?["data"]["id"].clone(),
    };
    place::acting_for(client, &id).map(Some)
}

/// Returns the steps that make the environment, which does not exist.
fn steps_from_nothing(declared: &Declaration) -> Result<Value, Failure> {
    let (environment, at) = (EnvironmentId::from_u128(1), now());
    let name = declared.environment.as_ref().map_or_else(String::new, |DeclaredSettings { name, .. }| name.clone());
    let (dial_plan, lookback) = (dialback::DialPlan::NONE, Lookback::default());
    let changes = vec![Change::EnvironmentSet { name: name.clone(), dial_plan, lookback }];
    let plan = Plan::new()
        .with(&Configuration { sequence: 1, environment, at, changes })
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut last = 0;
    let mut new_id = || {
        last += 1;
        Uuid::from_u128(last)
    };
    let compared = declared.compare(&plan, environment, Wish { prune: false, at }, &mut new_id);
    let compared = compared.map_err(|refused| match refused {
        Refused::Change(error) => Failure::new(error.to_string()),
        Refused::Wrong(wrong) => Failure::new(wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    })?;
    let mut steps = vec![json!({ "action": "create", "kind": "environment", "name": name, "to": "" })];
    steps.extend(compared.steps.iter().map(|step| serde_json::to_value(step).expect("a step is JSON")));
    Ok(steps.into())
}
