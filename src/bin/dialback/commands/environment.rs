//! `dialback environment`.

use super::client::Client;
use super::place;
use crate::data::{DataOptions, NewDataOptions};
use crate::failure::Failure;
use crate::out;
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The options of a dial plan that is written by hand.
const PARTS: [&str; 4] = ["country_code", "national_prefix", "international_prefix", "national_number_lengths"];

#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentCommand {
    /// Create an environment: a tenant with its own agents, numbers and tokens
    Create {
        /// The name, for people
        name: String,
        /// The region whose numbers are read as people there write them, such as DE (ISO 3166-1 alpha-2)
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
        /// The weakest STIR/SHAKEN attestation with which a caller's number counts. A caller with less counts as
        /// withheld
        #[arg(long, value_name = "A|B")]
        require_attestation: Option<String>,
        #[command(flatten)]
        data: NewDataOptions,
    },
    /// List the environments
    List {
        #[command(flatten)]
        data: DataOptions,
    },
}

pub(crate) fn run(command: &EnvironmentCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        EnvironmentCommand::Create {
            name,
            region,
            country_code,
            national_prefix,
            international_prefix,
            national_number_lengths,
            lookback_days,
            require_attestation,
            data,
        } => {
            let mut body = json!({ "name": name });
            let lengths = Some(national_number_lengths).filter(|lengths| !lengths.is_empty());
            let settings = [
                ("region", json!(region)),
                ("country_code", json!(country_code)),
                ("national_prefix", json!(national_prefix)),
                ("international_prefix", json!(international_prefix)),
                ("national_number_lengths", json!(lengths)),
                ("lookback_days", json!(lookback_days)),
                ("require_attestation", json!(require_attestation)),
            ];
            for (field, value) in settings {
                if !value.is_null() {
                    body[field] = value;
                }
            }
            let answer = Client::open_or_create(data)?.post("/environments", &body)?;
            list(&json!([answer["data"]]), json)?;
        }
        EnvironmentCommand::List { data } => list(&Client::open_existing(data)?.get("/environments")?["data"], json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the id of the environment with the wanted name or id. Without a name, returns the only environment, or
/// creates one if there is none.
pub(crate) fn find_or_create(client: &Client, wanted: Option<&str>) -> Result<Value, Failure> {
    match (place::find(client, wanted)?, wanted) {
        (Some(id), _) => Ok(id),
        (None, Some(_)) => Err(place::missing(wanted)),
        (None, None) => {
            let made = client.post("/environments", &json!({ "name": "default" }))?;
            eprintln!("Created an environment named `default`.");
            Ok(made["data"]["id"].clone())
        }
    }
}

fn list(environments: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::line(format_args!("{environments}"));
    }
    out::line(format_args!("{:36}  NAME", "ID"))?;
    for environment in environments.as_array().into_iter().flatten() {
        let text = |field: &str| environment[field].as_str().unwrap_or("-").to_owned();
        out::line(format_args!("{:36}  {}", text("id"), text("name")))?;
    }
    Ok(())
}
