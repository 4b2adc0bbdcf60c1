//! Writes log lines to standard error.

use crate::failure::Failure;
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry, reload};

/// The handle by which [`change`] replaces the filter.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log. `usual` is the level if no filter is asked for.
pub(crate) fn start(asked: Option<&str>, usual: &str, json: bool) {
    let (filter, handle) = reload::Layer::new(filter(asked, usual));
    // The only call.
    let _ = FILTER.set(handle);
    // The HTTP client of the commands logs whole requests, which contain phone numbers and the operator token. The
    // library that reads numbers logs them. The NATS client logs the fleet's messages, and each attempt to connect; the
    // daemon itself logs the events of a connection. No filter can enable those lines.
    let private = filter_fn(|about| match about.target() {
        target if target.starts_with("rlibphonenumber") || target.starts_with("async_nats") => false,
        target => !target.starts_with("ureq") || *about.level() <= Level::WARN,
    });
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    // An error while writing a log line must be ignored: reporting it on a closed standard error would panic in the
    // middle of a request.
    let lines = lines.log_internal_errors(false);
    let lines = if json { lines.json().boxed() } else { lines.with_target(false).boxed() };
    registry().with(lines.with_filter(filter.and(private))).init();
}

/// Takes over another filter.
pub(crate) fn change(asked: Option<&str>, usual: &str) -> Result<(), Failure> {
    let changed = FILTER.get().map(|handle| handle.reload(filter(asked, usual)));
    changed.transpose().map(|_| ()).map_err(|error| Failure::new(format!("cannot change the log filter: {error}")))
}

/// Checks a filter: levels, and targets with a level, separated by commas.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    // A single word that is no level would name a target, and silence everything else. The parser reads an empty level as
    // `error`, which silences the daemon.
    let has_level = |part: &str| {
        let is_target = part.contains(['=', '[']);
        !part.trim_end().ends_with('=') && !part.is_empty() && (is_target || part.parse::<LevelFilter>().is_ok())
    };
    let is_filter = text.split(',').all(has_level) && EnvFilter::try_new(text).is_ok();
    let wanted = "use off, error, warn, info, debug or trace, or a filter such as warn,dialback=debug";
    if is_filter { Ok(text.to_owned()) } else { Err(wanted.into()) }
}

fn filter(asked: Option<&str>, usual: &str) -> EnvFilter {
    let asked = asked.unwrap_or(usual);
    // The storage engine logs routine events at info, which are of no use to an operator.
    let filter = EnvFilter::try_new(format!("fjall=warn,lsm_tree=warn,{asked}"));
    filter.unwrap_or_else(|_| EnvFilter::new(usual))
}
