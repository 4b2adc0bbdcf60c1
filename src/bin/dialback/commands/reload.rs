//! `dialback reload`.

use super::remote::Remote;
use crate::failure::Failure;
use crate::out;
use axum::http::Method;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// The additional text of `--help`.
const LONG_HELP: &str = "\
The daemon reads its configuration file again, and takes over the TLS certificate, the addresses of
agents and the log filter. No connection is closed. If anything is wrong, the
command says what, and nothing changes. SIGHUP does the same, and logs the result.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct ReloadOptions {
    /// The data directory of the daemon
    #[arg(long, value_name = "DIR", env = "DIALBACK_DATA", default_value = "dialback-data")]
    data: PathBuf,
}

pub(crate) fn run(options: &ReloadOptions, json: bool) -> Result<ExitCode, Failure> {
    if !options.data.is_dir() {
        return Err(Failure::no_directory(&options.data));
    }
    let answer: Value = Remote::of_running(&options.data)?.ask(&Method::POST, "/reload", None)?;
    if json {
        out::exact(format_args!("{}", answer["data"]))?;
        return Ok(ExitCode::SUCCESS);
    }
    let left: Vec<_> =
        answer["data"]["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if left.is_empty() {
        out::line(format_args!("reloaded"))?;
    } else {
        out::line(format_args!("reloaded; a restart is needed for: {}", left.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
