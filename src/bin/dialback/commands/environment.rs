//! `dialback environment`.

use super::client::Client;
use super::daemon_options::DaemonOptions;
use super::place::{self, InstallationOptions};
use super::table::{self, Column, text};
use crate::data::NewDataOptions;
use crate::failure::Failure;
use crate::out;
use clap::Subcommand;
use dialback::EnvironmentId;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The options of a dial plan that is written by hand.
const PARTS: [&str; 4] = ["country_code", "national_prefix", "international_prefix", "national_number_lengths"];

/// The word that removes a setting.
const NONE: &str = "none";

#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// Create an environment: a tenant with its own agents, numbers and tokens
    Create {
        /// The name, for people
        name: String,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        daemon: DaemonOptions,
        #[command(flatten)]
        data: NewDataOptions,
    },
    /// List the environments
    List {
        #[command(flatten)]
        installation: InstallationOptions,
    },
    /// Change the name or the settings of an environment. Settings that are not given stay as they are
    Set {
        /// The environment, by name or id. By default the only one, or that of the token
        environment: Option<String>,
        /// The new name. No other environment may have it
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        installation: InstallationOptions,
    },
    /// Delete an environment that has no agents and no phone numbers, with its tokens and its call history, for good
    Delete {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        installation: InstallationOptions,
    },
}

/// The settings of an environment.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// The region whose numbers are read as people there write them, such as DE (ISO 3166-1 alpha-2), or `none`: only
    /// international forms are read
    #[arg(long, value_name = "CODE", conflicts_with_all = PARTS)]
    region: Option<String>,
    /// For a private numbering plan: the country code of national numbers, such as 49. Without it and without a
    /// region, only international forms are read
    #[arg(long, value_name = "DIGITS")]
    country_code: Option<String>,
    /// The prefix dialed before a national number, such as 0
    #[arg(long, value_name = "DIGITS")]
    national_prefix: Option<String>,
    /// The prefix dialed before an international number, such as 00 or 011
    #[arg(long, value_name = "DIGITS")]
    international_prefix: Option<String>,
    /// How many digits national numbers have, such as 9,10. Prefixes are then removed only in front of such a number
    #[arg(long, value_name = "DIGITS", value_delimiter = ',')]
    national_number_lengths: Vec<u8>,
    /// The look-back in days: an older outbound call does not count. Callback agents can set their own
    #[arg(long, value_name = "DAYS")]
    lookback_days: Option<u32>,
    /// The look-back in seconds, at least 60
    #[arg(long, value_name = "SECONDS", conflicts_with = "lookback_days")]
    lookback_seconds: Option<u32>,
    /// The weakest STIR/SHAKEN attestation with which a caller's number counts, or `none`. A caller with less counts as
    /// withheld
    #[arg(long, value_name = "A|B|none")]
    require_attestation: Option<String>,
    /// The status from which calls count. A report of another call is acknowledged, and leaves the history as it is
    #[arg(long, value_name = "STATUS", value_parser = ["initiated", "ringing", "answered"])]
    counts_from: Option<String>,
}

impl Settings {
    /// Adds the settings that are given to the body of a request.
    fn add_to(&self, body: &mut Value) {
        let lengths = Some(&self.national_number_lengths).filter(|lengths| !lengths.is_empty());
        let settings = [
            ("region", self.region.as_ref().map(|region| json!(region))),
            ("country_code", self.country_code.as_ref().map(|code| json!(code))),
            ("national_prefix", self.national_prefix.as_ref().map(|prefix| json!(prefix))),
            ("international_prefix", self.international_prefix.as_ref().map(|prefix| json!(prefix))),
            ("national_number_lengths", lengths.map(|lengths| json!(lengths))),
            ("lookback_days", self.lookback_days.map(|days| json!(days))),
            ("lookback_seconds", self.lookback_seconds.map(|seconds| json!(seconds))),
            ("require_attestation", self.require_attestation.as_ref().map(|level| json!(level))),
            ("counts_from", self.counts_from.as_ref().map(|from| json!(from))),
        ];
        for (field, value) in settings {
            if let Some(value) = value {
                body[field] = if value == NONE { Value::Null } else { value };
            }
        }
    }
}

const COLUMNS: [Column<'static>; 2] =
    [("ID", &|environment| text(environment, "id")), ("NAME", &|environment| text(environment, "name"))];

/// The additional columns of one environment.
const SETTINGS: [Column<'static>; 8] = [
    ("REGION", &|environment| text(environment, "region")),
    ("COUNTRY CODE", &|environment| text(environment, "country_code")),
    ("NATIONAL PREFIX", &|environment| text(environment, "national_prefix")),
    ("INTERNATIONAL PREFIX", &|environment| text(environment, "international_prefix")),
    ("NATIONAL LENGTHS", &|environment| text(environment, "national_number_lengths")),
    ("LOOK-BACK", &lookback),
    ("ATTESTATION", &|environment| text(environment, "require_attestation")),
    ("COUNTS FROM", &|environment| text(environment, "counts_from")),
];

pub(crate) fn run(command: &EnvironmentCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        EnvironmentCommand::Create { name, settings, daemon, data } => {
            let mut body = json!({ "name": name });
            settings.add_to(&mut body);
            let client = match daemon.remote()? {
                Some(remote) => Client::Daemon(remote),
                None => Client::open_or_create(data)?,
            };
            table::list(&COLUMNS, &[client.post("/environments", &body)?["data"].take()], json)?;
        }
        EnvironmentCommand::List { installation } => {
            table::list(&COLUMNS, &installation.open()?.environments()?, json)?;
        }
        EnvironmentCommand::Set { environment, name, settings, installation } => {
            let mut body = json!({});
            settings.add_to(&mut body);
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            if body == json!({}) {
                return Err(Failure::usage("nothing to set: give a setting, such as --lookback-days 14"));
            }
            let client = installation.open()?;
            let answer = client.put(&path(&client, environment.as_deref())?, &body)?;
            table::one(&[&COLUMNS[..], &SETTINGS[..]].concat(), &answer["data"], json)?;
        }
        EnvironmentCommand::Delete { environment, installation } => {
            let client = installation.open()?;
            table::done(&client.delete(&path(&client, Some(environment))?)?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the path of the environment with the name or id, or of the only one.
fn path(client: &Client, wanted: Option<&str>) -> Result<String, Failure> {
    let id = place::existing(client, wanted)?;
    Ok(format!("/environments/{}", id.as_str().unwrap_or_default()))
}

fn lookback(environment: &Value) -> String {
    let days = environment["lookback_days"].as_u64();
    days.map_or_else(|| format!("{} seconds", environment["lookback_seconds"]), |days| format!("{days} days"))
}

/// Returns the id of the environment with the wanted name or id. Without a name, returns the only environment. Creates one
/// if there is none at all, with the wanted name.
pub(crate) fn find_or_create(client: &Client, wanted: Option<&str>) -> Result<Value, Failure> {
    match (place::find(client, wanted)?, wanted) {
        (Some(id), _) => Ok(id),
        // An id is no name, and a mistyped name creates nothing beside other environments.
        (None, Some(text)) if text.parse::<EnvironmentId>().is_ok() || !client.environments()?.is_empty() => {
            Err(place::missing(wanted))
        }
        (None, _) => {
            let name = wanted.unwrap_or("default");
            let made = client.post("/environments", &json!({ "name": name }))?;
            out::note(format_args!("Created an environment named `{name}`."));
            Ok(made["data"]["id"].clone())
        }
    }
}
