//! `--format`: the layouts of call records from well-known programs.

use super::map::Field;
use super::status::Vocabulary;
use clap::ValueEnum;
use std::ops::RangeInclusive;

/// The program that wrote the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// `Master.csv` of Asterisk's `cdr_csv`: no header, and the agent is the account code
    Asterisk,
    /// `Master.csv` of FreeSWITCH's `mod_cdr_csv`, template `example`: no header, and the agent is the account code
    Freeswitch,
    /// A dump of Kamailio's table `acc` with a header and the extra columns `src_user` and `dst_user`. Add `--map
    /// agent=...`
    Kamailio,
}

/// A layout of lines without a header.
#[derive(Clone, Debug)]
pub(super) struct Headings {
    /// The number of columns that such a line may have.
    pub(super) columns: RangeInclusive<usize>,
    pub(super) names: &'static [&'static str],
}

const ASTERISK: &[&str] = &[
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    // Written only if configured: `loguniqueid`, `loguserfield`, `newcdrcolumns`.
    "uniqueid",
    "userfield",
    "peeraccount",
    "linkedid",
    "sequence",
];

/// Newer default configurations put the machine's address first.
const FREESWITCH: &[&str] = &[
    "local_ip_v4",
    "caller_id_name",
    "caller_id_number",
    "destination_number",
    "context",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "uuid",
    "bleg_uuid",
    "accountcode",
    "read_codec",
    "write_codec",
];

impl Format {
    /// Returns the possible layouts of a file without a header. Empty if files of this format have one.
    pub(super) fn headings(self) -> Vec<Headings> {
        match self {
            Self::Asterisk => vec![Headings { columns: 16..=21, names: ASTERISK }],
            Self::Freeswitch => vec![
                Headings { columns: 13..=15, names: &FREESWITCH[1..] },
                Headings { columns: 16..=16, names: FREESWITCH },
            ],
            Self::Kamailio => Vec::new(),
        }
    }

    /// Returns the column that holds a field unless `--map` names another.
    pub(super) fn heading(self, field: Field) -> Option<&'static str> {
        Some(match (self, field) {
            (Self::Asterisk, Field::From) => "src",
            (Self::Asterisk, Field::To) => "dst",
            (Self::Asterisk, Field::At) => "start",
            (Self::Asterisk | Self::Freeswitch, Field::Agent) => "accountcode",
            (Self::Asterisk, Field::Status) => "disposition",
            (Self::Freeswitch, Field::From) => "caller_id_number",
            (Self::Freeswitch, Field::To) => "destination_number",
            (Self::Freeswitch, Field::At) => "start_stamp",
            (Self::Freeswitch, Field::Status) => "hangup_cause",
            // Some calls that were never answered have the cause NORMAL_CLEARING too.
            (Self::Freeswitch, Field::Answered) => "answer_stamp",
            (Self::Kamailio, Field::From) => "src_user",
            (Self::Kamailio, Field::To) => "dst_user",
            (Self::Kamailio, Field::At) => "time",
            (Self::Kamailio, Field::Status) => "sip_code",
            (Self::Asterisk | Self::Kamailio, Field::Answered) | (Self::Kamailio, Field::Agent) => return None,
        })
    }

    /// Returns the column and value by which calls differ from other records.
    pub(super) fn only(self) -> Option<(&'static str, &'static str)> {
        (self == Self::Kamailio).then_some(("method", "INVITE"))
    }

    pub(super) fn vocabulary(self) -> Vocabulary {
        match self {
            Self::Asterisk | Self::Freeswitch | Self::Kamailio => Vocabulary::FinalRecords,
        }
    }
}
