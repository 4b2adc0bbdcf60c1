//! The options of `dialback import`.

use super::columns::format::Format;
use super::columns::map::{Map, Only};
use super::fields::civil::DateOrder;
use super::fields::phone::DialedPrefix;
use super::fields::status::{OwnWord, Unknown};
use super::fields::zone::{Zone, parse_time_zone};
use crate::commands::daemon_options::DaemonOptions;
use dialback::http::Limits;
use std::path::PathBuf;

/// The additional text of `--help`.
const LONG_HELP: &str = r#"Columns:
  Without --map and --format, the file must have a header with these columns:
    from    your number that the call was placed from
    to      the contact
    at      when the call was placed (or `started_at`)
    agent   the outbound agent that placed the call (or `agent_id`): its id, or a name or
            label that no other agent has
    status  the status of the call; optional
  --map names other columns: FIELD=COLUMN, where COLUMN is a heading or a number from 1.
  FIELD==TEXT, or FIELD="TEXT", is a fixed text for all lines. Only --map names these fields:
    time       the time of day, if `at` has only the date
    placed     when the call was created: counts if `at` is empty
    answered   the time of the answer, or yes or no: without an answer, a `completed` call
               counts as `no_answer` (a column called `answered` is found without --map)
    voicemail  yes, or Twilio's AnsweredBy: with `machine...`, a `completed` call counts as
               `voicemail`
    call_id    the id of the call, 1 to 128 visible ASCII characters
    context.KEY  the text of the field KEY of the call's context

Files:
  CSV, or text with semicolons, tabs or `|`; a JSON object on each line; or a JSON list of
  objects. gzip and zstd are recognized. In JSON, a COLUMN of --map is the path of a value,
  such as customer.number. `NULL` without quotes is an empty value. Comments (`# ...`) before
  the first record are skipped.

Numbers:
  Numbers are read with the environment's dial plan. National forms need its country code.
  12125550143.0, as data frames write it, is 12125550143. See also --strip-prefix and
  --bare-digits-international.

Times:
  RFC 3339 (2025-07-01T12:00:00Z); RFC 3339 without an offset (2025-07-01 12:00:00), in the
  zone of --time-zone; or seconds, milliseconds or microseconds since 1970. Also 2025/07/01
  1:00 PM, 20250701120000, 1 Jul 2025 12:00 and RFC 2822, with offsets such as UTC or +0100.
  01/07/2025 needs --dates. Calls from before 2020, or more than a day ahead, are rejected.
  If clocks are set back, the first of two possible times counts.

Statuses, in upper or lower case:
  initiated, ringing, answered, completed, failed, no_answer, busy, voicemail
  Asterisk's dispositions (NO ANSWER, CONGESTION, ...)
  FreeSWITCH's hangup causes (NORMAL_CLEARING, USER_BUSY, ...)
  SIP codes: 200 is completed; 486, 600 and 603 are busy; 408, 480 and 487 are no_answer;
  401 and 407 are no outcome, and their lines are skipped; others from 300 are failed
  With --format, ANSWERED means `completed`, because such records are written after the call.
  With --format freeswitch, a call is `completed` exactly if it has an answer time.
  With --format twilio, retell and vapi: the words of these platforms.
  An empty status means `initiated`: the call was placed, and nothing more is known.
  --status and --unknown-status read other words.
  With --format, several records may be of one call, with the same numbers and time: if one of
  them is of an answer, the call was answered.

Exports:
  A file from `dialback export` is recognized by its first line. It is restored into a new data
  directory. The other options are for call records.

A rejected line is reported with its number and the reason. All other lines are imported. Of many
lines with one reason, the first ones are reported, and all are counted at the end.

A daemon that holds the data directory gets the calls over its API. --dry-run changes nothing.
Phone numbers are never shown. Importing a file again changes nothing, and the order of lines
and files does not matter.

Examples:
  dialback import calls.csv --dry-run
  dialback import calls.csv
  dialback import calls.csv --map from=caller,to=callee,at=3,agent==sales-bot
  dialback import Master.csv --format asterisk --time-zone Europe/Berlin --only dcontext=outbound
  dialback import Master.csv --format freeswitch --map agent==sales-bot
  dialback import acc.csv --format kamailio --map agent==sales-bot
  dialback import calls.ndjson.gz --map from=phoneNumber.number,to=customer.number
  dialback import calls.csv --format twilio --map agent==sales-bot
  dialback import backup.ndjson --data new-directory"#;

/// The file to import and how to read it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = LONG_HELP)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// The CSV file, JSON file or export to import, which may be compressed with gzip or zstd. `-` reads standard input
    pub(crate) file: PathBuf,

    /// The program that wrote the file. It determines the header, the columns and the status words; --map overrides
    /// columns
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// The column of each field: from=COLUMN,to=COLUMN,at=COLUMN,agent=COLUMN,status=COLUMN
    ///
    /// COLUMN is a heading or a number from 1; `agent==NAME` is a fixed value for all lines. Fields that are not
    /// named keep their default column. May be given more than once; the last value for a field counts. `call_id` and
    /// each `context.KEY` may be named once only.
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    pub(crate) map: Vec<Map>,

    /// Import only lines whose column holds this value, ignoring case. May be given more than once; then all must
    /// match
    ///
    /// Records of a gateway also contain inbound and internal calls. Import the outbound calls only: each imported
    /// line counts as a call from one of your numbers to a contact.
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub(crate) only: Vec<Only>,

    /// The delimiter between values: one character, or `tab`. Commas, semicolons, tabs and `|` are recognized
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// Skip this number of lines at the beginning of the file, such as a title above the header
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip_lines: u64,

    /// The first line is a call, not a header. Columns are named by number, or by the format
    #[arg(long)]
    pub(crate) no_header: bool,

    /// The environment that the calls belong to, by id or name. Optional if there is only one
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) environment: Option<String>,

    /// Create missing numbers, agents and the environment instead of rejecting lines
    ///
    /// Numbers in `from` are added. Agents in `agent` are created by that name as published outbound agents without
    /// numbers. If there is no environment, one named `default` is created, which reads international numbers only.
    /// Make sure that the file has outbound calls only (see --only): the callers of inbound calls would become
    /// numbers of yours.
    #[arg(long)]
    pub(crate) create_missing: bool,

    /// Read a status WORD as OUTCOME, whatever the format says. May be given more than once
    #[arg(long, value_name = "WORD=OUTCOME")]
    pub(crate) status: Vec<OwnWord>,

    /// Read unknown status words as this outcome, or `reject` their lines
    #[arg(long, value_name = "OUTCOME|reject", default_value = "reject")]
    pub(crate) unknown_status: Unknown,

    /// Remove this prefix for an outside line from the numbers in `to`
    ///
    /// Numbers with `+` and numbers without the prefix stay as they are. A number of the country that begins with the
    /// prefix and was dialed without it becomes another number, so use it only if all calls were dialed with it.
    #[arg(long, value_name = "DIGITS")]
    pub(crate) strip_prefix: Option<DialedPrefix>,

    /// Read digits without a prefix as international numbers without their `+`, as some carriers and platforms write
    /// them
    #[arg(long)]
    pub(crate) bare_digits_international: bool,

    /// The order of dates such as 05/06/2026: D/M/Y, M/D/Y or Y/M/D. Without it their lines are rejected
    #[arg(long, value_name = "ORDER")]
    pub(crate) dates: Option<DateOrder>,

    /// The largest number of agents, and of numbers, that --create-missing may create
    ///
    /// If the file names more, the import ends before it creates them. A wrong column, such as that of the call id as
    /// agent, names a new agent in each line, and the places of deleted agents are not used again.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) create_at_most: u64,

    /// The most agents that the environment may ever have, as given to `serve`. Lines that need one more are rejected. A
    /// running daemon has its own limits
    #[arg(long, value_name = "AGENTS", default_value_t = Limits::default().agents)]
    pub(crate) max_agents: usize,

    /// The most phone numbers that the environment may ever have, as given to `serve`. A running daemon has its own limits
    #[arg(long, value_name = "NUMBERS", default_value_t = Limits::default().numbers)]
    pub(crate) max_numbers: usize,

    /// Change nothing, and show what an import would do: counts, the first calls, what would be created, the first and
    /// the last moment, the time zone, and how each status word is read
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) daemon: DaemonOptions,

    /// The number of lines with the same reason that are reported one by one. All are counted by reason at the end
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) show_rejected: u64,

    /// The time zone of times without an offset: a name such as Europe/Berlin, or an offset such as -05:00, -5 or
    /// UTC-5
    #[arg(long, value_name = "ZONE", default_value = "UTC", allow_hyphen_values = true, value_parser = parse_time_zone)]
    pub(crate) time_zone: Zone,

    /// Write the text of rejected lines to this file, to be repaired and imported again. It contains whole phone
    /// numbers
    #[arg(long, value_name = "FILE")]
    pub(crate) reject_file: Option<PathBuf>,

    /// Do not show progress. With --json, progress is never shown
    #[arg(long = "no-progress", action = clap::ArgAction::SetFalse)]
    pub(crate) progress: bool,

    /// Whether the summary and rejected lines are written as JSON. The program sets this from its global `--json`.
    #[arg(skip)]
    pub(crate) json: bool,
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "tab" || text == "\\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("the delimiter must be `tab` or one ASCII character other than a quote".into()),
    }
}
