//! `dialback token`.

use super::client::Client;
use super::environment::find_or_create;
use super::remote::escape;
use crate::data::{DataOptions, NewDataOptions};
use crate::failure::Failure;
use crate::out;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token and show it once. Only its digest is stored
    Create {
        /// The permissions of the token. environment: everything in one environment. gateway: recording calls and
        /// requesting routes in all environments. operator: creating environments and tokens
        #[arg(long, value_enum, default_value_t = TokenRole::Environment)]
        role: TokenRole,
        /// The environment of a token with the role `environment`, by name or id. By default it is the only
        /// environment; if there is none, one named `default` is created
        #[arg(long, value_name = "NAME|ID")]
        environment: Option<String>,
        /// A label, for people
        #[arg(long, default_value = "")]
        label: String,
        #[command(flatten)]
        data: NewDataOptions,
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
        TokenCommand::Create { role, environment, label, data } => {
            if let (Some(_), TokenRole::Gateway | TokenRole::Operator) = (environment, role) {
                return Err(Failure::new(
                    "a token of a gateway or an operator belongs to no environment: leave out --environment",
                ));
            }
            let client = Client::open_or_create(data)?;
            let mut body = json!({ "role": role.name() });
            if !label.is_empty() {
                body["label"] = json!(label);
            }
            if *role == TokenRole::Environment {
                body["environment_id"] = find_or_create(&client, environment.as_deref())?;
            }
            let answer = client.post("/tokens", &body)?;
            if json {
                out::line(format_args!("{}", answer["data"]))?;
            } else {
                // Only the token goes to standard output, for `TOKEN=$(dialback token create)`.
                let folder = &data.data.data;
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                eprintln!("This token is valid for the data directory {}. It is shown once:", folder.display());
                out::line(format_args!("{}", answer["data"]["token"].as_str().unwrap_or_default()))?;
            }
        }
        TokenCommand::List { data } => list(&Client::open_existing(data)?.get("/tokens")?["data"], json)?,
        TokenCommand::Revoke { id, data } => {
            let answer = Client::open_existing(data)?.delete(&format!("/tokens/{}", escape(id)))?;
            out::line(format_args!("{}", if json { answer.to_string() } else { "revoked".to_owned() }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(tokens: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::line(format_args!("{tokens}"));
    }
    out::line(format_args!("{:36}  {:11}  {:36}  {:20}  LABEL", "ID", "ROLE", "ENVIRONMENT", "ISSUED"))?;
    for token in tokens.as_array().into_iter().flatten() {
        let text = |field: &str| token[field].as_str().unwrap_or("-").to_owned();
        let (id, role, environment) = (text("id"), text("role"), text("environment_id"));
        out::line(format_args!("{id:36}  {role:11}  {environment:36}  {:20}  {}", text("issued_at"), text("label")))?;
    }
    Ok(())
}
