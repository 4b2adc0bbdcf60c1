//! `dialback apply` and `dialback dump`: an environment as one TOML file.

use super::calls_file;
use super::client::Client;
use super::place::{self, PlaceOptions};
use super::rerouting::Rerouting;
use crate::data::NewDataOptions;
use crate::failure::Failure;
use crate::{out, toml_file};
use dialback::declaration::{Declaration, Step};
use dialback::http::needed_body_limit;
use dialback::store::FjallStore;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// The API's code for a request that is longer than a daemon accepts.
const TOO_LARGE: &str = "BODY_TOO_LARGE";

/// The additional text of `--help`.
const LONG_HELP: &str = "\
The file declares settings, numbers, agents and callback roles; `dialback dump` writes one. All
changes are one change of the configuration. Applying the file again changes nothing.

Example:
  [environment]
  name = \"Clinic\"
  region = \"US\"

  [[numbers]]
  number = \"+12125550100\"
  default_agent = \"Front Desk\"

  [[agents]]
  name = \"Sales\"
  direction = \"outbound\"
  numbers = [\"+12125550100\"]

  [[agents]]
  name = \"Front Desk\"
  direction = \"inbound\"
  numbers = [\"+12125550100\"]

  [[agents]]
  name = \"Callbacks\"
  direction = \"inbound\"
  numbers = [\"+12125550100\"]
  callback = { sources = [\"Sales\"], statuses = [\"no-answer\", \"busy\"], lookback_days = 7 }";

#[derive(Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct ApplyOptions {
    /// The TOML file
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: show which of the inbound calls in this file would be routed differently. The file is CSV with the
    /// columns dialed, caller and at, or has a JSON object with these fields on each line. `-` reads standard input
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    calls: Option<PathBuf>,
    /// Delete agents and numbers that the file does not name. The file must name its environment: an empty one would delete
    /// everything
    #[arg(long)]
    prune: bool,
    /// Give the environment the name in the file. Without this, a file for an environment of another name is an error. It
    /// needs --environment, or --url
    #[arg(long)]
    rename: bool,
    /// Create the data directory if it does not exist. Without this, a mistyped path is an error
    #[arg(long)]
    create_directory: bool,
    #[command(flatten)]
    place: PlaceOptions,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DumpOptions {
    #[command(flatten)]
    place: PlaceOptions,
}

pub(crate) fn apply(options: &ApplyOptions, json: bool) -> Result<ExitCode, Failure> {
    let declared: Declaration = toml_file::read(&options.file).map_err(Failure::new)?;
    if options.prune && declared.environment.is_none() {
        let file = options.file.display();
        return Err(Failure::new(format!("{file} names no environment: --prune needs [environment] with its name")));
    }
    // Standard input may come late: it is read before the directory is held.
    let calls = options.calls.as_deref().map(calls_file::read).transpose()?;
    let (client, is_new) = client(options, &declared)?;
    if is_new && options.calls.is_some() {
        return Err(Failure::new("the environment does not exist, so --calls has nothing to compare"));
    }
    let mut answer = put(&client, options, &declared, options.dry_run)?;
    let find = |calls: Vec<_>| Rerouting::find(&client, &declared, options.prune, &calls);
    let rerouting = calls.map(find).transpose();
    let rerouting = rerouting.map_err(|failure| explained(failure, options, &declared))?;
    if let Some(rerouting) = &rerouting {
        answer["calls"] = rerouting.to_json();
    }
    if json {
        out::exact(format_args!("{answer}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let steps: Vec<Step> = serde_json::from_value(answer["steps"].clone())
        .map_err(|_| Failure::new("the daemon answered with steps of another version"))?;
    for step in &steps {
        out::line(format_args!("{step}"))?;
    }
    // A very long list is cut. An earlier daemon sends all of it, and no count.
    let total =
        answer["steps_total"].as_u64().map_or(steps.len(), |total| usize::try_from(total).unwrap_or(usize::MAX));
    if total > steps.len() {
        out::line(format_args!("… and {} more", total - steps.len()))?;
    }
    match (total, options.dry_run) {
        (0, _) => out::line(format_args!("nothing changes"))?,
        (_, true) => out::line(format_args!("{}, not made: this is a dry run", counted(total)))?,
        (_, false) => out::line(format_args!("{} made", counted(total)))?,
    }
    if let Some(rerouting) = rerouting {
        rerouting.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(changes: usize) -> String {
    if changes == 1 { "1 change".to_owned() } else { format!("{changes} changes") }
}

pub(crate) fn dump(options: &DumpOptions, json: bool) -> Result<ExitCode, Failure> {
    let document = options.place.open()?.get("/configuration")?["data"].clone();
    if json {
        out::exact(format_args!("{document}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let declared: Declaration = serde_json::from_value(document)
        .map_err(|_| Failure::new("the daemon answered with a document of another version"))?;
    let text = toml::to_string(&declared).map_err(|error| Failure::new(format!("cannot write TOML: {error}")))?;
    out::exact(format_args!("{}", text.trim_end()))?;
    Ok(ExitCode::SUCCESS)
}

/// Applies the document, or shows the changes. A client that acts for no environment creates the declared one.
fn put(client: &Client, options: &ApplyOptions, declared: &Declaration, dry_run: bool) -> Result<Value, Failure> {
    let path = format!("/configuration?dry_run={dry_run}&prune={}", options.prune);
    let answer = client.put(&path, &document(declared));
    Ok(answer.map_err(|failure| explained(failure, options, declared))?["data"].clone())
}

fn document(declared: &Declaration) -> Value {
    serde_json::to_value(declared).expect("a document is JSON")
}

/// Says how a file can be applied that is too large for the daemon. Other failures stay as they are.
fn explained(failure: Failure, options: &ApplyOptions, declared: &Declaration) -> Failure {
    if !failure.is_refusal(TOO_LARGE) {
        return failure;
    }
    let text = document(declared).to_string();
    let (file, bytes, needed) = (options.file.display(), text.len(), needed_body_limit(text.as_bytes()));
    let calls = if options.calls.is_some() { ", and room for the calls" } else { "" };
    Failure::new(format!(
        "{file}: the daemon refuses a request of this size: {failure}. The file is {bytes} bytes of JSON. Start the \
         daemon with `--body-limit {needed}` or more{calls}, or stop it and apply the file to its data directory"
    ))
}

/// Returns a client for the environment, and whether the environment does not exist: then the client acts for none.
fn client(options: &ApplyOptions, declared: &Declaration) -> Result<(Client, bool), Failure> {
    if let Some(client) = options.place.remote()? {
        same_name(&client, options, declared)?;
        return Ok((client, false));
    }
    if options.rename && options.place.environment.is_none() {
        return Err(Failure::usage("--rename needs --environment: the present name or the id of the environment"));
    }
    let data = &options.place.installation.data;
    if options.create_directory && !FjallStore::look(&data.data)? {
        let (empty, is_new) = of_environment(Client::in_memory(data)?, options, declared)?;
        if options.dry_run {
            return Ok((empty, is_new));
        }
        // A file that is refused creates no directory.
        put(&empty, options, declared, true)?;
    }
    let data = NewDataOptions { create_directory: options.create_directory, data: data.clone() };
    of_environment(Client::open_or_create(&data)?, options, declared)
}

fn of_environment(client: Client, options: &ApplyOptions, declared: &Declaration) -> Result<(Client, bool), Failure> {
    let name = declared.environment.as_ref().map(|settings| settings.name.as_str());
    let wanted = options.place.environment.as_deref().or(name);
    match place::find(&client, wanted)? {
        Some(id) => {
            let client = place::acting_for(client, &id)?;
            same_name(&client, options, declared)?;
            Ok((client, false))
        }
        // An environment that was mistyped is not created.
        None if name.is_some() && wanted == name => Ok((client, true)),
        None => Err(place::missing(wanted)),
    }
}

/// Checks that the file is for the environment for which the client acts: a file of another one would rename it and, with
/// `--prune`, empty it.
fn same_name(client: &Client, options: &ApplyOptions, declared: &Declaration) -> Result<(), Failure> {
    let Some(settings) = declared.environment.as_ref().filter(|_| !options.rename) else { return Ok(()) };
    let present = client.get("/environment")?["data"]["name"].take();
    if present == settings.name.as_str() {
        return Ok(());
    }
    let (file, declared, present) = (options.file.display(), &settings.name, present.as_str().unwrap_or_default());
    let way = if options.place.environment.is_some() { "with another --environment" } else { "with its token" };
    Err(Failure::new(format!(
        "{file} is for the environment \"{declared}\", and this is \"{present}\": apply the file {way}, or add --rename to \
         rename \"{present}\""
    )))
}
