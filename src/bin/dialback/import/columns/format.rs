//! `--format`: the layouts of call records from well-known programs.

use super::map::Field;
use crate::import::fields::status::Vocabulary;
use crate::import::file::record::Record;
use clap::ValueEnum;
use std::ops::RangeInclusive;

/// The program that wrote the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// `Master.csv` of Asterisk's `cdr_csv` without a header, or its database table with one. The agent is the account
    /// code
    Asterisk,
    /// `Master.csv` of Asterisk's `cdr_custom`, as its sample configuration writes it: no header
    AsteriskCustom,
    /// `Master.csv` of FreeSWITCH's `mod_cdr_csv`, templates `example`, `linksys`, `snom` and `asterisk`, or a table
    /// with a header. The template `sql` is refused. The agent is the account code
    Freeswitch,
    /// A dump of Kamailio's table `acc` with the extra columns `src_user` and `dst_user`. Add `--map agent=...`. With
    /// --no-header, also add `--map from=NUMBER,to=NUMBER`
    Kamailio,
    /// Calls of Twilio: its API, its bulk export or its console. Add `--map agent=...`
    Twilio,
    /// Calls of Retell AI: its API or its dashboard
    Retell,
    /// Calls of Vapi: its API or its dashboard
    Vapi,
}

/// A layout of lines without a header.
#[derive(Clone, Debug)]
pub(in crate::import) struct Headings {
    /// The number of columns that such a line may have.
    pub(in crate::import) columns: RangeInclusive<usize>,
    pub(in crate::import) names: Vec<&'static str>,
}

/// The column and the values by which calls to contacts differ from other records.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct FormatFilter {
    /// The headings of the column. A file without any of them needs an `--only` of the user.
    pub(in crate::import) headings: &'static [&'static str],
    /// The headings of a column that says of records without a value in that column what they are.
    pub(in crate::import) kinds: &'static [&'static str],
    /// The values of calls to contacts.
    outbound: &'static [&'static str],
    /// The values of other records. A value that is in neither list could be a call.
    others: &'static [&'static str],
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
];

/// The heading of a column that holds `uniqueid` or `userfield`, depending on Asterisk's configuration.
const UNIQUEID_OR_USERFIELD: &str = "";

/// Columns that `newcdrcolumns` adds.
const NEW_COLUMNS: &[&str] = &["peeraccount", "linkedid", "sequence"];

const ASTERISK_CUSTOM: &[&str] = &[
    "clid",
    "src",
    "dst",
    "dcontext",
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
    "accountcode",
    "uniqueid",
    "userfield",
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

/// FreeSWITCH's template that has the order of Asterisk's columns.
const FREESWITCH_AS_ASTERISK: &[&str] = &[
    "accountcode",
    "caller_id_number",
    "destination_number",
    "context",
    "caller_id",
    "channel_name",
    "bridge_channel",
    "last_app",
    "last_arg",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "amaflags",
    "uuid",
    "userfield",
];

/// The columns of each `acc`. More may follow, and each operator chooses their order.
const KAMAILIO: &[&str] = &["id", "method", "from_tag", "to_tag", "callid", "sip_code", "sip_reason", "time"];

/// The other methods are those of SIP's RFCs, and that of Kamailio's message queue.
const KAMAILIO_CALLS: FormatFilter = FormatFilter {
    headings: &["method"],
    kinds: &[],
    outbound: &["INVITE"],
    others: &[
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "KDMQ",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    ],
};

/// A trunk of Twilio terminates calls to the telephone network, and originates calls from there.
const TWILIO_CALLS: FormatFilter = FormatFilter {
    headings: &["direction"],
    kinds: &[],
    outbound: &[
        "outbound-api",
        "outbound-dial",
        "trunking-terminating",
        "outbound",
        "outgoing",
        "outgoing api",
        "outgoing dial",
    ],
    others: &["inbound", "trunking-originating", "incoming"],
};

/// A call in a browser has no direction.
const RETELL_CALLS: FormatFilter = FormatFilter {
    headings: &["direction", "call_direction"],
    kinds: &["call_type"],
    outbound: &["outbound"],
    others: &["inbound", "web_call"],
};

const VAPI_CALLS: FormatFilter = FormatFilter {
    headings: &["type", "call_type"],
    kinds: &[],
    outbound: &["outboundPhoneCall", "outbound"],
    others: &["inboundPhoneCall", "inbound", "webCall", "web", "vapi.websocketCall", "websocketCall"],
};

impl Format {
    /// Returns whether the files of this program have a header.
    pub(in crate::import) fn writes_header(self) -> bool {
        !matches!(self, Self::Asterisk | Self::AsteriskCustom | Self::Freeswitch)
    }

    /// Returns whether the first line of a file is a header, although `Master.csv` has none: an export of a database.
    pub(in crate::import) fn is_header(self, line: &Record) -> bool {
        let names: &[&str] = match self {
            Self::Asterisk | Self::AsteriskCustom => &["src", "dst", "disposition"],
            Self::Freeswitch => &["caller_id_number", "destination_number", "hangup_cause"],
            _ => return false,
        };
        let has = |name: &str| line.iter().any(|cell| cell.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
        names.iter().all(|name| has(name))
    }

    /// Returns the possible layouts of a file without a header. Empty if files of this format have one.
    pub(in crate::import) fn headings(self) -> Vec<Headings> {
        let exactly = |names: Vec<&'static str>| Headings { columns: names.len()..=names.len(), names };
        match self {
            // Each of `loguniqueid`, `loguserfield` and `newcdrcolumns` adds its columns, whatever the others do.
            Self::Asterisk => [&[][..], &[UNIQUEID_OR_USERFIELD], &["uniqueid", "userfield"]]
                .iter()
                .flat_map(|own| [[ASTERISK, *own, &[]], [ASTERISK, *own, NEW_COLUMNS]])
                .map(|parts| exactly(parts.concat()))
                .collect(),
            Self::AsteriskCustom => vec![Headings { columns: 18..=19, names: ASTERISK_CUSTOM.to_vec() }],
            Self::Freeswitch => vec![
                Headings { columns: 13..=15, names: FREESWITCH[1..].to_vec() },
                exactly(FREESWITCH.to_vec()),
                exactly([&FREESWITCH[1..], &["sip_user_agent", "sip_p_rtp_stat"]].concat()),
                exactly(FREESWITCH_AS_ASTERISK.to_vec()),
                Headings { columns: 20..=20, names: FREESWITCH[1..].to_vec() },
            ],
            Self::Kamailio => vec![Headings { columns: KAMAILIO.len()..=usize::MAX, names: KAMAILIO.to_vec() }],
            Self::Twilio | Self::Retell | Self::Vapi => Vec::new(),
        }
    }

    /// Returns the headings that may hold a field unless `--map` names another. The first one is that of the API or of
    /// the program itself.
    pub(in crate::import) fn alternatives(self, field: Field) -> &'static [&'static str] {
        match self {
            Self::Asterisk | Self::AsteriskCustom => asterisk(field),
            Self::Freeswitch => freeswitch(field),
            Self::Kamailio => kamailio(field),
            Self::Twilio => twilio(field),
            Self::Retell => retell(field),
            Self::Vapi => vapi(field),
        }
    }

    /// Returns whether a file of this format is refused if it lacks the column.
    pub(in crate::import) fn requires(self, field: Field) -> bool {
        // Without the status each call would be `initiated`, and FreeSWITCH's causes do not say whether a call was
        // answered.
        field == Field::Status || (self, field) == (Self::Freeswitch, Field::Answered)
    }

    /// Returns how calls to contacts differ from other records.
    pub(in crate::import) fn only(self) -> Option<FormatFilter> {
        match self {
            Self::Asterisk | Self::AsteriskCustom | Self::Freeswitch => None,
            Self::Kamailio => Some(KAMAILIO_CALLS),
            Self::Twilio => Some(TWILIO_CALLS),
            Self::Retell => Some(RETELL_CALLS),
            Self::Vapi => Some(VAPI_CALLS),
        }
    }

    pub(in crate::import) fn vocabulary(self) -> Vocabulary {
        match self {
            Self::Asterisk | Self::AsteriskCustom => Vocabulary::Asterisk,
            Self::Freeswitch => Vocabulary::Freeswitch,
            Self::Kamailio => Vocabulary::Kamailio,
            Self::Twilio => Vocabulary::Twilio,
            Self::Retell => Vocabulary::Retell,
            Self::Vapi => Vocabulary::Vapi,
        }
    }
}

impl Headings {
    /// Returns the number of columns, and the column, from 1, that is ambiguous in lines with so many: it holds `uniqueid`
    /// or `userfield`.
    pub(in crate::import) fn ambiguous(&self) -> Option<(RangeInclusive<usize>, usize)> {
        let at = self.names.iter().position(|name| *name == UNIQUEID_OR_USERFIELD)?;
        Some((self.columns.clone(), at + 1))
    }
}

impl FormatFilter {
    /// Returns whether a line with this value is a call to a contact, or `None` if the value is not known. Case does not
    /// matter, and only letters and digits count: `outbound-api` and `Outbound API` are one value.
    pub(in crate::import) fn is_outbound(&self, value: &[u8]) -> Option<bool> {
        let is_one_of = |words: &[&str]| words.iter().any(|word| letters(word.as_bytes()).eq(letters(value)));
        if is_one_of(self.outbound) { Some(true) } else { is_one_of(self.others).then_some(false) }
    }

    /// Returns all headings that the filter reads.
    pub(in crate::import) fn all_headings(self) -> impl Iterator<Item = &'static str> {
        self.headings.iter().chain(self.kinds).copied()
    }
}

fn letters(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).map(u8::to_ascii_lowercase)
}

fn asterisk(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["src"],
        Field::To => &["dst"],
        Field::At => &["start", "calldate"],
        Field::Agent => &["accountcode"],
        Field::Status => &["disposition"],
        // The disposition says whether the call was answered.
        Field::Time | Field::Placed | Field::Answered | Field::Voicemail => &[],
    }
}

fn freeswitch(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["caller_id_number"],
        Field::To => &["destination_number"],
        Field::At => &["start_stamp", "start_epoch"],
        Field::Agent => &["accountcode"],
        Field::Status => &["hangup_cause"],
        Field::Answered => &["answer_stamp", "answer_epoch"],
        Field::Time | Field::Placed | Field::Voicemail => &[],
    }
}

fn kamailio(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["src_user"],
        Field::To => &["dst_user"],
        Field::At => &["time"],
        Field::Status => &["sip_code"],
        Field::Agent | Field::Time | Field::Placed | Field::Answered | Field::Voicemail => &[],
    }
}

fn twilio(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["from", "from_number"],
        Field::To => &["to", "to_number"],
        Field::At => &["start_time"],
        // A call that was never dialed has no start time.
        Field::Placed => &["date_created"],
        Field::Status => &["status", "call_status"],
        Field::Voicemail => &["answered_by"],
        Field::Agent | Field::Time | Field::Answered => &[],
    }
}

fn retell(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["from_number", "from"],
        Field::To => &["to_number", "to"],
        Field::At => &["start_timestamp", "start_time"],
        // A call that was not connected has no start.
        Field::Placed => &["end_timestamp", "end_time"],
        Field::Agent => &["agent_id", "agent_name", "agent"],
        Field::Status => &["disconnection_reason", "call_status"],
        Field::Voicemail => &["call_analysis.in_voicemail", "in_voicemail"],
        Field::Time | Field::Answered => &[],
    }
}

fn vapi(field: Field) -> &'static [&'static str] {
    match field {
        Field::From => &["phoneNumber.number", "assistant_phone_number", "phone_number"],
        Field::To => &["customer.number", "customer_phone_number", "customer_number"],
        Field::At => &["startedAt", "start_time"],
        // A call that was not connected has no start.
        Field::Placed => &["createdAt"],
        // An assistant that was given with the call, and not stored, has a name and no id.
        Field::Agent => &["assistantId", "assistant.name", "assistant", "assistant_name"],
        Field::Status => &["endedReason", "status"],
        Field::Time | Field::Answered | Field::Voicemail => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asterisk_columns_follow_from_their_number() {
        let of = |columns: usize| {
            let all = Format::Asterisk.headings();
            let fitting: Vec<_> = all.iter().filter(|headings| headings.columns.contains(&columns)).collect();
            assert!(fitting.len() <= 1, "{columns}");
            fitting.first().map(|headings| headings.names[16..].join(","))
        };
        for (columns, names) in [
            (15, None),
            (16, Some("")),
            (17, Some("")),
            (18, Some("uniqueid,userfield")),
            (19, Some("peeraccount,linkedid,sequence")),
            (20, Some(",peeraccount,linkedid,sequence")),
            (21, Some("uniqueid,userfield,peeraccount,linkedid,sequence")),
            (22, None),
        ] {
            assert_eq!(of(columns).as_deref(), names, "{columns}");
        }
        let ambiguous: Vec<_> = Format::Asterisk.headings().iter().filter_map(Headings::ambiguous).collect();
        assert_eq!(ambiguous, [(17..=17, 17), (20..=20, 17)]);
        assert!(Format::Freeswitch.headings().iter().all(|headings| headings.ambiguous().is_none()));
    }

    #[test]
    fn direction_is_known_in_each_spelling() {
        for (format, value, is_outbound) in [
            (Format::Twilio, " Outbound-API ", Some(true)),
            (Format::Twilio, "trunking-terminating", Some(true)),
            (Format::Twilio, "Trunking Terminating", Some(true)),
            (Format::Twilio, "trunking-originating", Some(false)),
            (Format::Twilio, "Trunking Originating", Some(false)),
            (Format::Twilio, "Outgoing API", Some(true)),
            (Format::Twilio, "outbound_dial", Some(true)),
            (Format::Twilio, "inbound", Some(false)),
            (Format::Twilio, "Incoming", Some(false)),
            (Format::Twilio, "sideways", None),
            (Format::Twilio, "", None),
            (Format::Twilio, "inbound\u{e9}", None),
            (Format::Retell, "web_call", Some(false)),
            (Format::Retell, "phone_call", None),
            (Format::Vapi, "outbound phone call", Some(true)),
            (Format::Vapi, "vapi.websocketCall", Some(false)),
            (Format::Kamailio, "invite", Some(true)),
            (Format::Kamailio, "BYE", Some(false)),
        ] {
            let filter = format.only().expect("a filter");
            assert_eq!(filter.is_outbound(value.as_bytes()), is_outbound, "{value:?}");
        }
    }

    #[test]
    fn header_of_a_database_is_recognized() {
        let line = |cells: &[&str]| Record::from(cells.to_vec());
        assert!(Format::Asterisk.is_header(&line(&["calldate", "clid", "SRC", " dst ", "disposition"])));
        assert!(!Format::Asterisk.is_header(&line(&["sales", "src", "dst", "x", "ANSWERED"])));
        assert!(Format::Freeswitch.is_header(&line(&["caller_id_number", "destination_number", "hangup_cause"])));
        assert!(!Format::Kamailio.is_header(&line(&["src", "dst", "disposition"])));
    }
}
