//! Log lines on standard error.

use crate::args::Args;
use std::io::{IsTerminal, stderr};
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

pub(crate) fn start(args: &Args) {
    let usual = args.command.usual_log();
    let asked = args.output.log.as_deref().unwrap_or(usual);
    // The storage engine logs its own comings and goings at info; an operator wants ours.
    let filter = EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{asked}"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(usual));
    // The HTTP client of the commands logs whole requests, with the phone numbers and the operator token in them. Nobody gets
    // to see those, whatever filter they ask for.
    let private = filter_fn(|about| !about.target().starts_with("ureq") || *about.level() <= Level::WARN);
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    // It would be reported on standard error, and panic where nobody reads that: in the middle of a request.
    let lines = lines.log_internal_errors(false);
    let lines = if args.output.json { lines.json().boxed() } else { lines.with_target(false).boxed() };
    registry().with(lines.with_filter(filter.and(private))).init();
}
