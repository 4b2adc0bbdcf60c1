//! The command line of the program.

use crate::commands::agent::AgentCommand;
use crate::commands::apply::{ApplyOptions, DumpOptions};
use crate::commands::callback::CallbackCommand;
use crate::commands::changes::ChangesOptions;
use crate::commands::contact::ContactCommand;
use crate::commands::environment::EnvironmentCommand;
use crate::commands::events::EventsOptions;
use crate::commands::export::ExportOptions;
use crate::commands::number::NumberCommand;
use crate::commands::numbers::NumbersCommand;
use crate::commands::partition::PartitionOptions;
use crate::commands::reload::ReloadOptions;
use crate::commands::resolve::ResolveOptions;
use crate::commands::texts::{CompletionsOptions, ManOptions};
use crate::commands::token::TokenCommand;
use crate::commands::verify::VerifyOptions;
use crate::data::DataOptions;
use crate::demo::DemoOptions;
use crate::failure::EXIT_CODES;
use crate::import;
use crate::log;
use crate::serve::{ServeOptions, USUAL_LOG};
use clap::{Parser, Subcommand};

/// Decides which agent should answer when a contact calls one of your numbers back
///
/// Dialback remembers the last outbound call from each of your numbers to each contact. When the contact calls that
/// number, the call goes to the callback agent of the agent that called. All other calls go to the number's default
/// agent. Run `dialback demo` to see it.
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
    /// Print one JSON object as the answer, and write log lines as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The log level on standard error (error, warn, info, debug or trace), or a filter such as `dialback=debug`. The
    /// default is info for `serve` and `demo`, and warn for other commands
    #[arg(long, global = true, value_name = "FILTER", env = "DIALBACK_LOG", value_parser = log::checked)]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the control API and routing decisions over HTTP
    Serve(Box<ServeOptions>),
    /// Make a running daemon read its settings again
    Reload(ReloadOptions),
    /// Load a small sample, route a dozen calls with explanations, and keep serving
    Demo(DemoOptions),
    /// Load call records from a CSV file, or restore an export into a new data directory
    Import(Box<ImportOptions>),
    /// Write all stored data to a file, as a backup. The daemon may keep running
    Export(ExportOptions),
    /// Show where a call would go, and why
    Resolve(ResolveOptions),
    /// Show the fleet partition of a number
    Partition(PartitionOptions),
    /// Check all files of a data directory for damage
    Verify(VerifyOptions),
    /// Find stored numbers that a region reads otherwise
    #[command(subcommand)]
    Numbers(NumbersCommand),
    /// Create, list and revoke the tokens of the control API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create, list, change and delete environments (tenants)
    #[command(subcommand)]
    Environment(EnvironmentCommand),
    /// Create, list, change and delete agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Add, list and delete phone numbers, and set their default agents
    #[command(subcommand)]
    Number(NumberCommand),
    /// Give agents the callback role, show it and remove it
    #[command(subcommand)]
    Callback(CallbackCommand),
    /// Show what is known of a contact, or erase it
    #[command(subcommand)]
    Contact(ContactCommand),
    /// List the changes of the configuration, newest first, with their actors
    Changes(ChangesOptions),
    /// Print what happened in an environment: routed calls, answers, recorded calls and changes
    Events(EventsOptions),
    /// Make an environment as a TOML file says
    Apply(ApplyOptions),
    /// Print an environment as a TOML file
    Dump(DumpOptions),
    /// Print the completions of a shell
    Completions(CompletionsOptions),
    /// Write the pages of the manual
    Man(ManOptions),
}

impl Command {
    /// Returns the default log level: `info` for commands that serve, `warn` for others.
    pub(crate) fn usual_log(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Demo(_) => USUAL_LOG,
            _ => "warn",
        }
    }
}

/// The options of `dialback import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportOptions {
    #[command(flatten)]
    pub(crate) records: import::Options,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}
