//! Reads the command line. The options of `dialback serve` come from three places: the command line, environment variables,
//! and a file. The first of these that has an option decides.

use crate::args::{Args, Command};
use crate::config_file::ConfigFile;
use crate::failure::Failure;
use crate::serve::Reread;
use crate::settings::Settings;
use clap::builder::{OsStr, Resettable};
use clap::error::ContextKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command as Parser, CommandFactory, FromArgMatches};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Reads the command line. For `dialback serve`, adds the options of the file that `--config` names, unless the command
/// line or an environment variable has them.
///
/// # Errors
/// The command line or the file is wrong, or asks for help or the version.
pub(crate) fn parse(arguments: &[OsString]) -> Result<(Args, Settings), clap::Error> {
    let mut all = arguments.to_vec();
    let (mut from_file, mut config) = (Vec::new(), None);
    // The errors of this command line are reported when it is read together with the file.
    let given = Args::command().ignore_errors(true).try_get_matches_from(arguments).ok();
    if let Some((file, given)) = given.as_ref().and_then(config_file) {
        let wrong = |what| Args::command().error(clap::error::ErrorKind::InvalidValue, what);
        let mut command = Args::command();
        command.build();
        let serve = command.find_subcommand("serve").expect("it is declared");
        let file = ConfigFile::read(&file).map_err(wrong)?;
        for (flag, written) in file.arguments(serve).map_err(wrong)? {
            if !is_set(given, &flag) {
                from_file.push(flag);
                all.extend(written);
            }
        }
        config = Some(file);
    }
    let mut command = Args::command();
    if given.as_ref().is_some_and(names_directory) || env::var_os("DIALBACK_URL").is_some_and(|url| url.is_empty()) {
        command = without_daemon_of_environment(command);
    }
    command.build();
    let matches = command.try_get_matches_from_mut(all).map_err(|error| match &config {
        Some(file) => of_file(error, file, &from_file),
        None => error,
    })?;
    let args = Args::from_arg_matches(&matches)?;
    let settings = match (command.find_subcommand("serve"), matches.subcommand_matches("serve")) {
        (Some(serve), Some(matches)) => Settings::of(serve.get_arguments(), matches, &from_file),
        _ => Settings::default(),
    };
    Ok((args, settings))
}

/// Returns the error with the file and the line, if it is about an option of the file.
fn of_file(error: clap::Error, file: &ConfigFile, from_file: &[String]) -> clap::Error {
    let named = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let named = named.trim_start_matches('-').split([' ', '=']).next();
    match named.and_then(|named| from_file.iter().find(|flag| *flag == named)) {
        Some(flag) => Args::command().error(error.kind(), file.wrong(flag, &without_usage(&error))),
        None => error,
    }
}

/// Returns the first paragraph of an error on one line. Advice on the usage follows it.
fn without_usage(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the path of the configuration file, if `dialback serve` is asked to read one, and the options that are given
/// without it.
fn config_file(given: &ArgMatches) -> Option<(PathBuf, &ArgMatches)> {
    let serve = given.subcommand_matches("serve")?;
    Some((serve.get_one::<PathBuf>("config")?.clone(), serve))
}

/// Returns whether the command line names a data directory. Then the daemon that an environment variable names is not
/// meant.
fn names_directory(given: &ArgMatches) -> bool {
    let mut command = given;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    let has_option = command.try_contains_id("data").is_ok();
    has_option && command.value_source("data") == Some(ValueSource::CommandLine)
}

/// Returns the command without the environment variable of `--url`.
fn without_daemon_of_environment(command: Parser) -> Parser {
    let has_url = command.get_arguments().any(|argument| argument.get_id() == "url");
    let command = if has_url { command.mut_arg("url", |url| url.env(Resettable::<OsStr>::Reset)) } else { command };
    command.mut_subcommands(without_daemon_of_environment)
}

fn is_set(given: &ArgMatches, flag: &str) -> bool {
    // The name of an option is that of its flag, with underscores.
    matches!(given.value_source(&flag.replace('-', "_")), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// Reads the command line of a daemon again, with the file that it names.
pub(crate) fn reread(arguments: &[OsString]) -> Result<Reread, Failure> {
    let (args, settings) = parse(arguments).map_err(|error| Failure::new(without_usage(&error)))?;
    match args.command {
        Command::Serve(options) => Ok(Reread { options, settings, log: args.output.log }),
        _ => Err(Failure::new("this is no daemon")),
    }
}
