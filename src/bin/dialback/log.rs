//! Writes log lines to standard error.

use crate::args::Args;
use std::io::{IsTerminal, stderr};
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

pub(crate) fn start(args: &Args) {
    let usual = args.command.usual_log();
    let asked = args.output.log.as_deref().unwrap_or(usual);
    // The storage engine logs routine events at info, which are of no use to an operator.
    let filter = EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{asked}"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(usual));
    // The HTTP client of the commands logs whole requests, which contain phone numbers and the operator token. The
    // library that reads numbers logs them. No filter can enable those lines.
    let private = filter_fn(|about| match about.target() {
        target if target.starts_with("rlibphonenumber") => false,
        target => !target.starts_with("ureq") || *about.level() <= Level::WARN,
    });
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    // An error while writing a log line must be ignored: reporting it on a closed standard error would panic in the
    // middle of a request.
    let lines = lines.log_internal_errors(false);
    let lines = if args.output.json { lines.json().boxed() } else { lines.with_target(false).boxed() };
    registry().with(lines.with_filter(filter.and(private))).init();
}
