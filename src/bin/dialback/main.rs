//! The program `dialback`: arguments, clock, runtime and signals around the library.

mod address_space;
mod addresses;
mod agi;
mod args;
mod budgets;
mod client;
mod connection;
mod connections;
mod data;
mod demo;
mod descriptors;
mod environment;
mod export;
mod failure;
#[cfg(feature = "nats")]
mod fleet;
#[cfg(not(feature = "nats"))]
#[path = "no_fleet.rs"]
mod fleet;
mod import;
mod limits;
mod log;
mod out;
#[cfg(feature = "nats")]
mod partition;
mod resolve;
mod retention;
mod runtimes;
mod schedule;
mod serve;
mod sip;
mod stall;
mod supervisor;
mod tls;
mod token;
mod verify;
mod wire;

use args::{Args, Command, ImportOptions};
use clap::Parser;
use dialback::Timestamp;
use failure::{Failure, in_part};
use std::io::{stderr, stdout};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(&args);
    let done = match &args.command {
        Command::Serve(options) => serve::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Import(options) => import(options, args.output.json),
        Command::Export(options) => export::run(options, args.output.json),
        Command::Resolve(query) => resolve::run(query, args.output.json),
        Command::Token(command) => token::run(command, args.output.json),
        Command::Verify(options) => verify::run(options, args.output.json),
        #[cfg(feature = "nats")]
        Command::Partition(options) => partition::run(options, args.output.json),
        Command::Environment(command) => environment::run(command, args.output.json),
    };
    done.unwrap_or_else(|failure| {
        failure.report(args.output.json);
        failure.exit_code()
    })
}

fn import(options: &ImportOptions, json: bool) -> Result<ExitCode, Failure> {
    let failed = |error: import::ImportError| Failure::new(error.to_string());
    let mut source = import::Source::open(&options.records.file).map_err(failed)?;
    if source.is_export(&options.records.file).map_err(failed)? {
        return export::restore(&options.data.data, source.into_reader(), json);
    }
    let service = data::open(&options.data, options.data.engine()?)?;
    let records = import::Options { json, ..options.records.clone() };
    let summary = import::run(&records, source, &service, now(), &mut stdout(), &mut stderr()).map_err(failed)?;
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { in_part() })
}

/// Returns the current time. This is the only clock of the program; the library gets the time from its caller.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
