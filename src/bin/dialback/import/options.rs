//! What `dialback import` is asked to do.

use super::format::Format;
use super::map::{Map, Only};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// The part of `--help` that needs room.
const LONG_HELP: &str = r#"Columns:
  Without --map and --format the file has a header with these columns:
    from    the number of yours that the call was placed from
    to      the contact
    at      when it was placed (or `started_at`)
    agent   the outbound agent that placed it (or `agent_id`): its id, or a name or label that
            no other one has
    status  how it went; need not be there
  --map says where they are instead: FIELD=COLUMN, where COLUMN is a heading or a number from 1.
  FIELD==TEXT, or FIELD="TEXT", is the same text for every line. A sixth field, `answered`, may
  name the time of the answer: where it is empty, a `completed` call counts as `no_answer`.

Numbers:
  Read by the environment's dial plan: national forms need a country code there.

Times:
  RFC 3339 (2025-07-01T12:00:00Z); the same without an offset (2025-07-01 12:00:00), in the
  zone of --time-zone; or seconds, milliseconds or microseconds since 1970. Calls from before
  2020, or more than a day ahead, are rejected.

Statuses, in any case:
  initiated, ringing, answered, completed, failed, no_answer, busy, voicemail
  Asterisk's dispositions (NO ANSWER, CONGESTION, ...)
  FreeSWITCH's hangup causes (NORMAL_CLEARING, USER_BUSY, ...)
  SIP codes: 200 is completed; 486, 600 and 603 are busy; 408, 480 and 487 are no_answer;
  others from 300 are failed
  With --format, ANSWERED means `completed`: such records are written when a call is over.
  No status means `initiated`: the call was placed, and that is all that is known.

Exports:
  A file that `dialback export` wrote is recognised by its first line. It makes a new data
  directory; the other options are for call records.

A line that cannot be taken is reported with its number and the reason, and the rest goes in.
Phone numbers are never shown. Importing a file again changes nothing, and the order of lines
and files does not matter.

Examples:
  dialback import calls.csv
  dialback import calls.csv --map from=caller,to=callee,at=3,agent==sales-bot
  dialback import Master.csv --format asterisk --time-zone Europe/Berlin --only dcontext=outbound
  dialback import Master.csv --format freeswitch --map agent==sales-bot
  dialback import acc.csv --format kamailio --map agent==sales-bot
  zcat calls.csv.gz | dialback import - --create-missing
  dialback import backup.ndjson --data new-directory"#;

/// Which file, what is in it, and where it goes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// The CSV file, or an export; `-` reads standard input
    pub(crate) file: PathBuf,

    /// Who wrote the file: sets the header, the columns and the words for how calls went; --map overrides columns
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Which column holds what: from=COLUMN,to=COLUMN,at=COLUMN,agent=COLUMN,status=COLUMN
    ///
    /// COLUMN is a heading or a number from 1; `agent==NAME` is the same for every line. Fields that are not named stay where
    /// they are by default. May be given more than once; the last one that names a field counts.
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    pub(crate) map: Vec<Map>,

    /// Take only lines whose column holds this value (in any case); may be given more than once, and then all must hold
    ///
    /// Records of a gateway also tell of inbound and internal calls. Import the outbound ones: to this program every line
    /// is a call from a number of yours to a contact.
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub(crate) only: Vec<Only>,

    /// What stands between the values: one character, or `tab`
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = parse_delimiter)]
    pub(crate) delimiter: u8,

    /// The first line is a call already; columns are named by number, or as the format has them
    #[arg(long)]
    pub(crate) no_header: bool,

    /// The environment that the calls belong to, by id or name; need not be said where there is only one
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) environment: Option<String>,

    /// Create what the lines name and the environment lacks, instead of rejecting the lines
    ///
    /// Numbers in `from` are added; agents in `agent` are created by that name as published outbound agents, and own no
    /// numbers; where there is no environment, one called `default` is made that reads international numbers. Be sure that
    /// the file has outbound calls only (see --only): the callers of inbound ones would become numbers of yours.
    #[arg(long)]
    pub(crate) create_missing: bool,

    /// The time zone of times without an offset: a name such as Europe/Berlin, or an offset such as -05:00
    #[arg(long, value_name = "ZONE", default_value = "UTC", allow_hyphen_values = true, value_parser = parse_time_zone)]
    pub(crate) time_zone: TimeZone,

    /// Put rejected lines into this file as they are, to be repaired and imported again; it holds whole phone numbers
    #[arg(long, value_name = "FILE")]
    pub(crate) reject_file: Option<PathBuf>,

    /// Do not say how far it is; also so where the answer is JSON
    #[arg(long = "no-progress", action = clap::ArgAction::SetFalse)]
    pub(crate) progress: bool,

    /// The summary, and rejected lines, as JSON. An option of the whole program, which sets it here.
    #[arg(skip)]
    pub(crate) json: bool,
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "tab" || text == "\\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("one ASCII character is wanted, not a quote, or `tab`".into()),
    }
}

fn parse_time_zone(text: &str) -> Result<TimeZone, String> {
    DateTimeParser::new().parse_time_zone(text).map_err(|error| error.to_string())
}
