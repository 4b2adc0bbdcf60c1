//! `dialback token`.

use super::client::Client;
use super::environment::find_or_create;
use super::remote::escape;
use super::table::{self, Column, text};
use crate::clock::now;
use crate::data::{DataOptions, NewDataOptions};
use crate::failure::Failure;
use crate::out;
use crate::span::span;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// The API's limit for labels. Checked before anything is created for the token.
const MAX_LABEL: usize = 255;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token and show it once. Only its digest is stored
    Create {
        /// The permissions of the token. environment: everything in one environment. gateway: recording calls and
        /// requesting routes in all environments. operator: creating environments and tokens
        #[arg(long, value_enum, default_value_t = TokenRole::Environment)]
        role: TokenRole,
        /// The environment of a token with the role `environment`, by name or id. By default it is the only
        /// environment. If there is none at all, one with this name is created, or one named `default`
        #[arg(long, value_name = "NAME|ID")]
        environment: Option<String>,
        /// A label, for people
        #[arg(long, default_value = "")]
        label: String,
        /// How long the token is valid, such as 12h or 90d. By default it does not expire
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires_in: Option<Duration>,
        #[command(flatten)]
        data: NewDataOptions,
    },
    /// Create a token in place of another one, and show it once. Both are valid during an overlap
    Rotate {
        /// The old token's id, as `dialback token list` shows it
        id: String,
        /// How long the old token stays valid, at most 30d. `--overlap 0s` ends it at once
        #[arg(long, value_name = "SPAN", value_parser = overlap, default_value = "1d")]
        overlap: Duration,
        /// How long the new token is valid. Needed if the old token expires, unless --never-expires is there
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires_in: Option<Duration>,
        /// The new token does not expire
        #[arg(long, conflicts_with = "expires_in")]
        never_expires: bool,
        #[command(flatten)]
        data: DataOptions,
    },
    /// List the tokens, without their secrets
    List {
        #[command(flatten)]
        data: DataOptions,
    },
    /// Revoke a token. Its next request is rejected
    Revoke {
        /// The token's id, as `dialback token list` shows it
        id: String,
        #[command(flatten)]
        data: DataOptions,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    Environment,
    Gateway,
    Operator,
}

impl TokenRole {
    fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}

pub(crate) fn run(command: &TokenCommand, json: bool) -> Result<ExitCode, Failure> {
    match command {
        TokenCommand::Create { role, environment, label, expires_in, data } => {
            if let (Some(_), TokenRole::Gateway | TokenRole::Operator) = (environment, role) {
                return Err(Failure::new(
                    "a token of a gateway or an operator belongs to no environment: leave out --environment",
                ));
            }
            let mut body = json!({ "role": role.name() });
            if let Some(span) = expires_in {
                body["expires_at"] = json!(moment_in(*span)?);
            }
            let client = Client::open_or_create(data)?;
            if label.chars().count() > MAX_LABEL {
                return Err(Failure::usage(format!("--label is too long: at most {MAX_LABEL} characters")));
            }
            if !label.is_empty() {
                body["label"] = json!(label);
            }
            if *role == TokenRole::Environment {
                body["environment_id"] = find_or_create(&client, environment.as_deref())?;
            }
            let answer = client.post("/tokens", &body)?;
            if json {
                out::exact(format_args!("{}", answer["data"]))?;
            } else {
                // Only the token goes to standard output, for `TOKEN=$(dialback token create)`.
                let folder = &data.data.data;
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                out::note(format_args!(
                    "This token is valid for the data directory {}. It is shown once:",
                    folder.display()
                ));
                out::line(format_args!("{}", answer["data"]["token"].as_str().unwrap_or_default()))?;
            }
        }
        TokenCommand::Rotate { id, overlap, expires_in, never_expires, data } => {
            let mut body = json!({ "overlap_seconds": overlap.as_secs() });
            if expires_in.is_some() || *never_expires {
                body["expires_at"] = json!(expires_in.map(moment_in).transpose()?);
            }
            let client = Client::open_existing(data)?;
            if body["expires_at"].is_null() && !never_expires && expires(&client, id)? {
                return Err(Failure::new(
                    "the old token expires: add --expires-in for the new one, or --never-expires",
                ));
            }
            let answer = client.post(&format!("/tokens/{}/rotate", escape(id)), &body)?;
            let (data, text) = (&answer["data"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
            if json {
                out::exact(format_args!("{data}"))?;
            } else {
                let end = text(&data["replaces"]["expires_at"]);
                out::note(format_args!("The old token is valid until {end}. The new one is shown once:"));
                out::line(format_args!("{}", text(&data["token"])))?;
            }
        }
        TokenCommand::List { data } => {
            table::list(&COLUMNS, &Client::open_existing(data)?.list("/tokens")?, json)?;
        }
        TokenCommand::Revoke { id, data } => {
            let answer = Client::open_existing(data)?.delete(&format!("/tokens/{}", escape(id)))?;
            if json { out::exact(format_args!("{answer}"))? } else { out::line(format_args!("revoked"))? }
        }
    }
    Ok(ExitCode::SUCCESS)
}

const COLUMNS: [Column<'static>; 7] = [
    ("ID", &|token| text(token, "id")),
    ("ROLE", &|token| text(token, "role")),
    ("ENVIRONMENT", &|token| text(token, "environment_id")),
    ("ISSUED", &|token| text(token, "issued_at")),
    ("EXPIRES", &|token| text(token, "expires_at")),
    ("LAST USED", &|token| text(token, "last_used_at")),
    ("LABEL", &|token| text(token, "label")),
];

/// Parses the overlap of a rotation, which may be none.
fn overlap(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { span(text) }
}

/// Returns whether the token with this id expires.
fn expires(client: &Client, id: &str) -> Result<bool, Failure> {
    let tokens = client.list("/tokens")?;
    Ok(tokens.iter().any(|token| token["id"] == id && !token["expires_at"].is_null()))
}

/// Returns the moment after this time from now, in RFC 3339 form.
///
/// # Errors
/// The moment is after the year 9999.
fn moment_in(span: Duration) -> Result<String, Failure> {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let at = i64::try_from(now().plus_millis(millis).millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(at)
        .map_err(|_| Failure::usage("--expires-in is too long: the token would expire after the year 9999"))?;
    Ok(at.to_string())
}
