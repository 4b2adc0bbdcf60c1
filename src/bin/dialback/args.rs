//! What the program is asked to do.

use crate::data::DataOptions;
use crate::demo::DemoOptions;
use crate::environment::EnvironmentCommand;
use crate::export::ExportOptions;
use crate::failure::EXIT_CODES;
use crate::import;
#[cfg(feature = "nats")]
use crate::partition::PartitionOptions;
use crate::resolve::ResolveOptions;
use crate::serve::ServeOptions;
use crate::token::TokenCommand;
use crate::verify::VerifyOptions;
use clap::{Parser, Subcommand};

/// Routes callbacks: a contact calls one of your numbers back; which agent should answer?
///
/// Dialback remembers the last outbound call from each of your numbers to each contact. When the contact calls that
/// number, the call goes to the callback agent of the agent that called them; everybody else goes to the number's
/// default agent. `dialback demo` shows it in a minute.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 110, subcommand_required = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OutputOptions {
    /// Answer in JSON, one object, for machines; log lines become JSON too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What is logged on standard error: error, warn, info, debug or trace, or a filter such as `dialback=debug`; without it
    /// info for the commands that serve, warn for the others
    #[arg(long, global = true, value_name = "FILTER", env = "DIALBACK_LOG")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the control API and routing decisions over HTTP
    Serve(Box<ServeOptions>),
    /// Load a small sample, route a dozen calls, show why, and keep serving
    Demo(DemoOptions),
    /// Load call records from a CSV file, or make a data directory of an export
    Import(Box<ImportOptions>),
    /// Write everything that is stored to a file, also while the daemon runs: a backup
    Export(ExportOptions),
    /// Say where a call would go, and why
    Resolve(ResolveOptions),
    /// Say in which of a fleet's partitions a number is
    #[cfg(feature = "nats")]
    Partition(PartitionOptions),
    /// Read a data directory whole, for damage
    Verify(VerifyOptions),
    /// Create, list and revoke the tokens of the control API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create and list environments (tenants)
    #[command(subcommand)]
    Environment(EnvironmentCommand),
}

impl Command {
    /// What is logged unless the operator says otherwise: a daemon tells of its life, a command answers.
    pub(crate) fn usual_log(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Demo(_) => "info",
            _ => "warn",
        }
    }
}

/// What goes where.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportOptions {
    #[command(flatten)]
    pub(crate) records: import::Options,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}
