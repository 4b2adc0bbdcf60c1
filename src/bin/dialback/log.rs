//! Log lines on standard error.

use crate::args::Args;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

pub(crate) fn start(args: &Args) {
    let usual = args.command.usual_log();
    let asked = args.output.log.as_deref().unwrap_or(usual);
    // The storage engine logs its own comings and goings at info; an operator wants ours. The HTTP client of the commands logs
    // whole requests, with the phone numbers and the operator token in them: last, so that no filter asks for those.
    let filter = EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{asked},ureq=warn,ureq_proto=warn"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // It would be reported on standard error, and panic where nobody reads that: in the middle of a request.
    let lines = lines.log_internal_errors(false);
    if args.output.json { lines.json().init() } else { lines.with_target(false).init() }
}
