//! The program `dialback`: arguments, clock, runtime and signals around the library.

mod address_space;
mod args;
mod clock;
mod command_line;
mod commands;
mod config_file;
mod daemon_file;
mod data;
mod demo;
mod failure;
mod hangup;
mod import;
mod log;
mod new_file;
mod new_id;
mod out;
mod pem_file;
mod serve;
mod settings;
mod span;
mod supervisor;
mod toml_file;

use args::{Args, Command, ImportOptions};
use clap::CommandFactory;
use commands::{
    agent, apply, callback, changes, contact, environment, events, export, number, numbers, partition, reload, resolve,
    texts, token, verify,
};
use failure::{Failure, in_part};
use hangup::Hangups;
use serve::Started;
use std::env::args_os;
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = args_os().collect();
    let hangups = Hangups::hold(&arguments);
    let (args, settings) = command_line::parse(&arguments).unwrap_or_else(|error| error.exit());
    log::start(args.output.log.as_deref(), args.command.usual_log(), args.output.json);
    let done = match &args.command {
        Command::Serve(options) => {
            let (json, reread) = (args.output.json, command_line::reread);
            serve::run(options, Started { arguments, settings, json, reread, hangups })
        }
        Command::Reload(options) => reload::run(options, args.output.json),
        Command::Demo(options) => demo::run(options, args.output.json),
        Command::Import(options) => import(options, args.output.json),
        Command::Export(options) => export::run(options, args.output.json),
        Command::Resolve(query) => resolve::run(query, args.output.json),
        Command::Token(command) => token::run(command, args.output.json),
        Command::Verify(options) => verify::run(options, args.output.json),
        Command::Partition(options) => partition::run(options, args.output.json),
        Command::Numbers(command) => numbers::run(command, args.output.json),
        Command::Environment(command) => environment::run(command, args.output.json),
        Command::Agent(command) => agent::run(command, args.output.json),
        Command::Number(command) => number::run(command, args.output.json),
        Command::Callback(command) => callback::run(command, args.output.json),
        Command::Contact(command) => contact::run(command, args.output.json),
        Command::Changes(options) => changes::run(options, args.output.json),
        Command::Events(options) => events::run(options, args.output.json),
        Command::Apply(options) => apply::apply(options, args.output.json),
        Command::Dump(options) => apply::dump(options, args.output.json),
        Command::Completions(options) => texts::completions(options, Args::command()),
        Command::Man(options) => texts::man(options, Args::command()),
    };
    done.unwrap_or_else(|failure| {
        failure.report(args.output.json);
        failure.exit_code()
    })
}

fn import(options: &ImportOptions, json: bool) -> Result<ExitCode, Failure> {
    let mut source = import::Source::open(&options.records.file)?;
    if source.is_export(&options.records.file)? {
        if options.records.dry_run || options.records.daemon.is_given() {
            return Err(Failure::new(
                "the file is an export: it is restored into a new data directory, without other options and without \
                 DIALBACK_URL",
            ));
        }
        return export::restore(&options.data.data, source.into_reader(), json);
    }
    let records = import::Options { json, ..options.records.clone() };
    let summary = import::run(&records, &options.data, source, clock::now(), &mut stdout(), &mut stderr())?;
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { in_part() })
}
