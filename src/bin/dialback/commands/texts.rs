//! `dialback completions` and `dialback man`: texts that are made from the command line's description.

use crate::failure::Failure;
use crate::out;
use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    shell: Shell,
}

/// Prints the completions of a shell.
pub(crate) fn completions(options: &CompletionsOptions, mut described: Command) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut described, "dialback", &mut text);
    out::exact(format_args!("{}", String::from_utf8_lossy(&text).trim_end()))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManOptions {
    /// The directory for the pages. It is created if it does not exist
    folder: PathBuf,
}

/// Writes a page of the manual for each command.
pub(crate) fn man(options: &ManOptions, described: Command) -> Result<ExitCode, Failure> {
    let folder = &options.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(described, folder))
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    Ok(ExitCode::SUCCESS)
}
