//! `dialback verify`.

use crate::failure::{Failure, damaged};
use crate::out;
use dialback::store::{self, Verified};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks each file of the data directory against its checksums, then each record. The directory must not be in use
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct VerifyOptions {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "DIALBACK_DATA", default_value = "dialback-data")]
    data: PathBuf,
}

pub(crate) fn run(options: &VerifyOptions, json: bool) -> Result<ExitCode, Failure> {
    if !options.data.is_dir() {
        return Err(Failure::no_directory(&options.data));
    }
    let verified = store::verify(&options.data)?;
    let print = if json { print_json } else { print };
    print(&verified)?;
    Ok(if verified.is_good() { ExitCode::SUCCESS } else { damaged() })
}

fn print(verified: &Verified) -> Result<(), Failure> {
    for (path, what) in &verified.damages {
        out::line(format_args!("{}: damaged: {what}", path.display()))?;
    }
    let Verified { tables, bytes, batches, journals, journal_bytes, configurations, pairs, modes, .. } = verified;
    out::line(format_args!("read {tables} tables of {bytes} bytes, and {batches} batches in the journals"))?;
    if verified.has_old_journals() {
        let mebibytes = journal_bytes >> 20;
        out::line(format_args!(
            "warning: {journals} journals of {mebibytes} MiB, where one is enough: erased numbers may be in them. \
             Run `dialback serve`: its next purge removes them (see docs/operations.md)"
        ))?;
    }
    if modes.tightened > 0 {
        let tightened = modes.tightened;
        out::line(format_args!("warning: other users could read {tightened} files: their permissions are tightened"))?;
    }
    if modes.left > 0 {
        out::line(format_args!(
            "warning: other users may read {} files: set the directory's mode to 0700",
            modes.left
        ))?;
    }
    if verified.is_good() {
        out::line(format_args!("good: {configurations} configurations, {pairs} pairs"))?;
    }
    Ok(())
}

fn print_json(verified: &Verified) -> Result<(), Failure> {
    let Verified { tables, bytes, batches, journals, journal_bytes, configurations, pairs, modes, damages, .. } =
        verified;
    let damage = |(path, what): &(PathBuf, String)| json!({ "path": path.display().to_string(), "what": what });
    out::line(format_args!(
        "{}",
        json!({
            "good": verified.is_good(),
            "damages": damages.iter().map(damage).collect::<Vec<_>>(),
            "tables": tables,
            "bytes": bytes,
            "batches": batches,
            "journals": journals,
            "journal_bytes": journal_bytes,
            "old_journals": verified.has_old_journals(),
            "configurations": configurations,
            "pairs": pairs,
            "tightened": modes.tightened,
            "readable_by_others": modes.left,
        })
    ))
}
