//! Runs `dialback import` on values that public call records hold, as an operator runs it: numbers, times and statuses.

use super::{NORTH, OURS, SALES, Site, sample};
use dialback::Outcome::{Answered, Busy, Completed, Failed, NoAnswer, Voicemail};
use proptest::prelude::*;
use std::fmt::Write as _;

// Numbers

#[test]
fn decimal_number_of_a_data_frame_is_the_whole_number() {
    let site = Site::with_country("1", "1", "011");
    let done = site.import_text(
        "from,to,at,agent,status\n\
         15550100100.0,12125550143.0,2025-07-01T12:00:00Z,sales,busy\n\
         +15550100100,2125550144.0,2025-07-01T12:00:00Z,sales,busy\n\
         +15550100100,+12125550145.0,2025-07-01T12:00:00Z,sales,busy\n\
         +15550100100,12125550146.5,2025-07-01T12:00:00Z,sales,busy\n\
         +15550100100,555-0147/0148,2025-07-01T12:00:00Z,sales,busy\n",
        &[],
    );
    let decimals = "`to`: the number has decimals: export the column as text";
    let several = "`to`: digits after a slash may be a second number or an extension: give one number";
    done.expect_rejected(&[(4, decimals), (5, decimals), (6, several)]);
    site.expect(&[("+12125550143", Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    site.expect(&[("+12125550144", Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    site.expect(&[("+121255501430", None), ("+121255501450", None), ("+155501470148", None)]);
    assert_eq!(site.contacts(), 2);
}

#[test]
fn marks_of_spreadsheets_prefixes_and_bare_digits_are_read_as_the_options_say() {
    let rows = "from,to,at,agent,status\n\
         '+15550100100,\"=\"\"+12125550143\"\"\",'2025-07-01 12:00:00,\"=\"\"sales\"\"\",\"=\"\"busy\"\"\"\n\
         +15550100100,912125550144,2025-07-01 12:00:00,sales,busy\n\
         +15550100100,9011447700900145,2025-07-01 12:00:00,sales,busy\n";
    let site = Site::with_country("1", "1", "011");
    assert_eq!(site.import_text(rows, &["--strip-prefix", "9"]).count("accepted"), 3);
    let at = "2025-07-01T12:00:00Z";
    for contact in ["+12125550143", "+12125550144", "+447700900145"] {
        site.expect(&[(contact, Some((SALES, at, Busy)))]);
    }
    let site = Site::with_country("49", "0", "00");
    let rows = "from,to,at,agent,status\n\
         15550100100,447700900146,2025-07-01 12:00:00,sales,busy\n\
         15550100100,015112345678,2025-07-01 12:00:00,sales,busy\n";
    let done = site.import_text(rows, &[]);
    assert_eq!(done.lines(), [2, 3], "`from` is another number in the dial plan of the environment");
    assert_eq!(site.import_text(rows, &["--bare-digits-international"]).count("accepted"), 2);
    site.expect(&[("+447700900146", Some((SALES, at, Busy))), ("+4915112345678", Some((SALES, at, Busy)))]);
    site.usage_error(&["--strip-prefix", "+9"]);
}

#[test]
fn digits_after_a_number_are_rejected_and_ordinary_formatting_is_read() {
    let site = Site::with_outbound_agents();
    let read = [
        ("+1 212-555-0143", "+12125550143"),
        ("+1.212.555.0144", "+12125550144"),
        ("+49 (0)30 901820", "+4930901820"),
        ("+44 07700 900143", "+447700900143"),
        ("+4407700900144", "+447700900144"),
    ];
    let joined = "`to`: digits after a complete number may be a second number or an extension: give one number";
    let (impossible, not_a_number) =
        ("`to`: the number is too short or too long for its country", "`to`: not a phone number");
    let rejected = [
        ("+12125550143 101", impossible),
        ("+12125550143-1", impossible),
        ("+442079460958 101", joined),
        ("5550143 5550144", joined),
        ("4930901820.0.0", joined),
        ("-12125550143", not_a_number),
        ("0", not_a_number),
    ];
    let mut text = String::from("from,to,at,agent,status\n");
    for to in read.iter().chain(&rejected).map(|(to, _)| to) {
        writeln!(text, "{OURS},{to},2025-07-01T12:00:00Z,sales,busy").expect("a string takes all");
    }
    let done = site.import_text(&text, &[]);
    let expected: Vec<_> = (7..).zip(rejected).map(|(line, (_, why))| (line, why)).collect();
    done.expect_rejected(&expected);
    for (_, contact) in read {
        site.expect(&[(contact, Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    }
    assert_eq!(site.contacts(), read.len());
}

// Times

#[test]
fn offset_from_gmt_has_the_sign_that_people_mean() {
    let row = format!("from,to,at,agent,status\n{OURS},+447700900001,2025-07-01 12:00:00,sales,busy\n");
    for (zone, at) in [
        ("GMT-5", "2025-07-01T17:00:00Z"),
        ("UTC+1", "2025-07-01T11:00:00Z"),
        ("UTC+05:30", "2025-07-01T06:30:00Z"),
        ("GMT-05:00", "2025-07-01T17:00:00Z"),
        ("Etc/GMT+5", "2025-07-01T17:00:00Z"),
        ("EST5EDT", "2025-07-01T16:00:00Z"),
        ("-5", "2025-07-01T17:00:00Z"),
    ] {
        let site = Site::with_outbound_agents();
        assert_eq!(site.import_text(&row, &["--time-zone", zone]).count("accepted"), 1, "{zone}");
        site.expect(&[("+447700900001", Some((SALES, at, Busy)))]);
    }
    for zone in ["EST+5", "CET-1CEST", "UTC+25", "+25:00", "-13"] {
        Site::with_outbound_agents().usage_error(&["--time-zone", zone]);
    }
}

#[test]
fn notations_of_times_are_read_or_rejected_by_name() {
    let rows = |times: &[&str]| {
        let mut text = String::from("from,to,at,agent,status\n");
        for (contact, at) in (1..).zip(times) {
            writeln!(text, "{OURS},+4477009000{contact:02},\"{at}\",sales,busy").expect("a string takes all");
        }
        text
    };
    let same = [
        "2025-07-01T14:00:00[Europe/Berlin]",
        "2025/07/01 12:00:00",
        "20250701120000",
        "2025-07-01 12:00:00 UTC",
        "2025-07-01 12:00:00 PM",
        "2025-07-01 14:00:00+0200",
        "Tue, 01 Jul 2025 12:00:00 +0000",
        // As Twilio's console shows it.
        "12:00:00 UTC 2025-07-01",
    ];
    let site = Site::with_outbound_agents();
    assert_eq!(site.import_text(&rows(&same), &[]).count("accepted"), 8);
    for contact in 1..=8 {
        let contact = format!("+4477009000{contact:02}");
        site.expect(&[(&contact, Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    }
    let ambiguous = rows(&["02/07/2025 1:00 PM", "2025-07-02T12:00:00+02:00[America/New_York]"]);
    let (order, not_a_time) = (
        "`at`: the order of day and month in \"**/**/**** *:** PM\" is not known: add --dates D/M/Y or --dates M/D/Y",
        "`at`: \"****-**-**T**:**:**+**:**[America/New_Yo…\" is not a time",
    );
    site.import_text(&ambiguous, &[]).expect_rejected(&[(2, order), (3, not_a_time)]);
    for (dates, at) in [("D/M/Y", "2025-07-02T13:00:00Z"), ("M/D/Y", "2025-02-07T13:00:00Z")] {
        let site = Site::with_outbound_agents();
        assert_eq!(site.import_text(&ambiguous, &["--dates", dates]).lines(), [3], "{dates}");
        site.expect(&[("+447700900001", Some((SALES, at, Busy)))]);
    }
}

#[test]
fn date_and_time_in_two_columns_are_one_time() {
    let site = Site::with_outbound_agents();
    let rows = "day,clock,time,from,to\n\
         02/07/2025,1:00 PM,999,+15550100100,+447700900001\n\
         02/07/2025,,999,+15550100100,+447700900002\n";
    let map = "at=day,time=clock,agent==sales,status==busy";
    let done = site.import_text(rows, &["--map", map, "--dates", "D/M/Y", "--time-zone", "UTC+2"]);
    assert_eq!(done.lines(), [3], "{}", done.stderr);
    site.expect(&[("+447700900001", Some((SALES, "2025-07-02T11:00:00Z", Busy)))]);
}

// Statuses

#[test]
fn challenges_are_no_outcomes_and_an_answer_outranks_failed_attempts() {
    let site = Site::with_outbound_agents();
    let rows = "id,method,callid,sip_code,time,src_user,dst_user\n\
         52,INVITE,a,401,2025-07-01 12:00:00,+15550100100,+447700900001\n\
         53,INVITE,a,200,2025-07-01 12:00:00,+15550100100,+447700900001\n\
         54,INVITE,b,407,2025-07-01 12:00:00,+15550100100,+447700900002\n\
         55,INVITE,c,407,2025-07-01 12:00:00,scanner,*97\n\
         56,INVITE,d,503,2025-07-01 12:00:00,+15550100100,+447700900003\n\
         57,INVITE,d,200,2025-07-01 12:00:00,+15550100100,+447700900003\n\
         58,INVITE,e,200,2025-07-01 12:00:00,+15550100100,+447700900004\n\
         59,INVITE,e,486,2025-07-01 12:00:00,+15550100100,+447700900004\n\
         60,INVITE,f,486,2025-07-01 12:00:01,+15550100100,+447700900004\n";
    let done = site.import_text(rows, &["--format", "kamailio", "--map", "agent==sales"]);
    assert_eq!((done.code, done.count("skipped"), done.count("accepted")), (Some(0), 3, 6), "{}", done.stderr);
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[
        ("+447700900001", Some((SALES, at, Completed))),
        ("+447700900002", None),
        ("+447700900003", Some((SALES, at, Completed))),
        // Another second is another call.
        ("+447700900004", Some((SALES, "2025-07-01T12:00:01Z", Busy))),
    ]);
    let again = site.import_text(rows, &["--format", "kamailio", "--map", "agent==sales"]);
    assert_eq!((again.count("accepted"), again.count("unchanged")), (6, 6), "importing twice changes nothing");
}

#[test]
fn second_trunk_of_asterisk_that_was_answered_counts() {
    let row = |contact: &str, answer: &str, disposition: &str| {
        format!(
            "\"sales\",\"{OURS}\",\"{contact}\",\"outbound\",\"\",\"a\",\"b\",\"Dial\",\"x\",\"2025-07-01 12:00:00\",\
             \"{answer}\",\"2025-07-01 12:01:00\",60,54,\"{disposition}\",\"DOCUMENTATION\"\n"
        )
    };
    let contacts = ["+447700900001", "+447700900002"];
    let rows = [
        row(contacts[0], "", "FAILED"),
        row(contacts[0], "2025-07-01 12:00:06", "ANSWERED"),
        row(contacts[1], "2025-07-01 12:00:06", "ANSWERED"),
        row(contacts[1], "", "NO ANSWER"),
    ];
    let site = Site::with_outbound_agents();
    assert_eq!(site.import_text(&rows.concat(), &["--format", "asterisk"]).count("accepted"), 4);
    for contact in contacts {
        site.expect(&[(contact, Some((SALES, "2025-07-01T12:00:00Z", Completed)))]);
    }
}

#[test]
fn freeswitch_call_is_completed_exactly_if_it_has_an_answer_time() {
    let row = |contact: usize, answer: &str, cause: &str| {
        format!(
            "\"S\",\"{OURS}\",\"+44770090000{contact}\",\"default\",\"2025-07-01 12:00:00\",\"{answer}\",\
             \"2025-07-01 12:10:00\",\"600\",\"590\",\"{cause}\",\"u\",\"b\",\"sales\",\"PCMU\",\"PCMU\"\n"
        )
    };
    let answered = "2025-07-01 12:00:05";
    let rows = [
        (answered, "ALLOTTED_TIMEOUT", Some(Completed)),
        (answered, "MEDIA_TIMEOUT", Some(Completed)),
        (answered, "ORIGINATOR_CANCEL", Some(Completed)),
        (answered, "SOMETHING_NEW", Some(Completed)),
        ("", "NORMAL_CLEARING", Some(NoAnswer)),
        ("1970-01-01 01:00:00", "NORMAL_CLEARING", Some(NoAnswer)),
        ("", "NORMAL_TEMPORARY_FAILURE", Some(Failed)),
        ("soon", "NORMAL_CLEARING", None),
    ];
    let text: String = (1..).zip(&rows).map(|(at, (answer, cause, _))| row(at, answer, cause)).collect();
    let site = Site::with_outbound_agents();
    let done = site.import_text(&text, &["--format", "freeswitch"]);
    done.expect_rejected(&[(8, "`answered`: \"soon\" says neither yes nor no")]);
    for (contact, (_, cause, outcome)) in (1..).zip(rows) {
        let contact = format!("+44770090000{contact}");
        site.expect(&[(&contact, outcome.map(|outcome| (SALES, "2025-07-01T12:00:00Z", outcome)))]);
        assert!(done.code == Some(3), "{cause}");
    }
}

#[test]
fn answer_is_read_from_dates_and_from_yes_and_no() {
    let site = Site::with_outbound_agents();
    let mut rows = String::from("from,to,at,agent,status,answered\n");
    let cells = [
        ("1969-12-31 19:00:00", NoAnswer),
        ("01/01/1970 01:00:00", NoAnswer),
        ("12/31/69", NoAnswer),
        ("1/1/70", NoAnswer),
        ("-1", NoAnswer),
        ("0001-01-01 00:00:00", NoAnswer),
        ("false", NoAnswer),
        ("true", Completed),
        ("yes", Completed),
        ("2025-07-01 12:00:05", Completed),
    ];
    for (contact, (cell, _)) in (1..).zip(cells) {
        writeln!(rows, "{OURS},+4477009000{contact:02},2025-07-01 12:00:00,sales,NORMAL_CLEARING,{cell}")
            .expect("written");
    }
    assert_eq!(site.import_text(&rows, &[]).count("accepted"), 10);
    for (contact, (_, outcome)) in (1..).zip(cells) {
        let contact = format!("+4477009000{contact:02}");
        site.expect(&[(&contact, Some((SALES, "2025-07-01T12:00:00Z", outcome)))]);
    }
}

#[test]
fn own_and_unknown_status_words_are_read_as_the_options_say() {
    let rows = "from,to,at,agent,status\n\
         +15550100100,+447700900001,2025-07-01 12:00:00,sales,SALE\n\
         +15550100100,+447700900002,2025-07-01 12:00:00,sales,Drop Call\n\
         +15550100100,+447700900003,2025-07-01 12:00:00,sales,XFER\n";
    let own = ["--status", "sale=completed", "--status", "DROP_CALL=no-answer"];
    let site = Site::with_outbound_agents();
    let done = site.import_text(rows, &own);
    done.expect_rejected(&[(4, "`status`: \"XFER\" is not a known status: see `dialback import --help`")]);
    assert_eq!(site.import_text(rows, &[&own[..], &["--unknown-status", "failed"]].concat()).count("accepted"), 3);
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[
        ("+447700900001", Some((SALES, at, Completed))),
        ("+447700900002", Some((SALES, at, NoAnswer))),
        ("+447700900003", Some((SALES, at, Failed))),
    ]);
    site.usage_error(&["--status", "SALE"]);
    site.usage_error(&["--unknown-status", "ignore"]);
}

// Formats

/// A line of `Master.csv` with these columns after the 16 that each line has.
fn master(contact: &str, more: &str) -> String {
    format!(
        "\"acc\",\"{OURS}\",\"{contact}\",\"out\",\"\",\"a\",\"b\",\"Dial\",\"x\",\"2025-07-01 12:00:00\",,\
         \"2025-07-01 12:00:09\",9,0,\"BUSY\",\"DOCUMENTATION\"{more}\n"
    )
}

#[test]
fn optional_columns_of_asterisk_are_told_apart_or_refused() {
    let all = [
        master("+447700900016", ""),
        master("+447700900017", ",\"sales\""),
        master("+447700900018", ",\"1751371200.1\",\"sales\""),
        master("+447700900019", ",\"sales\",\"1751371200.1\",17"),
        master("+447700900020", ",\"1751371200.1\",\"sales\",\"1751371200.1\",17"),
        master("+447700900021", ",\"1751371200.1\",\"other\",\"sales\",\"1751371200.1\",17"),
    ]
    .concat();
    let which = |columns: usize| {
        format!(
            "the line has {columns} columns, so column 17 is `uniqueid` or `userfield`, as Asterisk is configured: name \
             columns from there on by number, such as --map agent=17"
        )
    };
    let fewer = |columns: usize, expected: &str| format!("the line has {columns} columns, but {expected} are expected");
    let site = Site::with_outbound_agents();
    let done = site.import_text(&all, &["--format", "asterisk", "--map", "agent=peeraccount"]);
    let reasons = [fewer(16, "19 to 21"), which(17), fewer(18, "19 to 21")];
    done.expect_rejected(&[(1, &reasons[0]), (2, &reasons[1]), (3, &reasons[2])]);
    for contact in ["+447700900019", "+447700900020", "+447700900021"] {
        site.expect(&[(contact, Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    }
    let site = Site::with_outbound_agents();
    let done = site.import_text(&all, &["--format", "asterisk", "--map", "agent=userfield"]);
    assert_eq!(done.lines(), [1, 2, 4, 5, 6], "{}", done.stderr);
    assert_eq!(done.rejected[1].1, which(17));
    assert_eq!(done.rejected[3].1, which(20));
    site.expect(&[("+447700900018", Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    let by_number =
        site.import_text(&master("+447700900017", ",\"sales\""), &["--format", "asterisk", "--map", "agent=17"]);
    assert_eq!((by_number.code, by_number.count("accepted")), (Some(0), 1));
}

#[test]
fn asterisk_tables_with_a_header_and_cdr_custom_are_read() {
    let site = Site::with_outbound_agents();
    let table = "calldate,clid,src,dst,dcontext,disposition,accountcode,outbound_cnum\n\
         2025-07-01 12:00:00,x,104,+447700900001,from-internal,ANSWERED,sales,+15550100100\n\
         2025-07-01 12:00:00,x,104,+447700900002,from-internal,8,sales,+15550100100\n\
         2025-07-01 12:00:00,x,104,+447700900003,from-internal,NO ANSWER,sales,+15550100100\n";
    let done = site.import_text(table, &["--format", "asterisk", "--map", "from=outbound_cnum"]);
    assert_eq!((done.code, done.count("accepted")), (Some(0), 3), "{}", done.stderr);
    // `start` is empty where a call was written by an older version, and `calldate` is not.
    let table = "calldate,start,src,dst,disposition,accountcode\n\
         2025-07-01 12:00:00,NULL,+15550100100,+447700900005,BUSY,sales\n\
         2025-07-01 11:00:00,2025-07-01 12:00:00,+15550100100,+447700900006,BUSY,sales\n";
    assert_eq!(site.import_text(table, &["--format", "asterisk"]).count("accepted"), 2);
    for contact in ["+447700900005", "+447700900006"] {
        site.expect(&[(contact, Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
    }
    let custom = "\"x\",\"+15550100100\",\"+447700900004\",\"outbound\",\"a\",\"b\",\"Dial\",\"x\",\"2025-07-01 12:00:00\",\
         \"2025-07-01 12:00:09\",\"2025-07-01 12:01:00\",\"60\",\"51\",\"ANSWERED\",\"DOCUMENTATION\",\"sales\",\
         \"1751371200.1\",\"\",17\n";
    assert_eq!(site.import_text(custom, &["--format", "asterisk-custom"]).count("accepted"), 1);
    assert_eq!(site.import_text(custom, &["--format", "asterisk"]).lines(), [1], "another order of the columns");
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[
        ("+447700900001", Some((SALES, at, Completed))),
        ("+447700900002", Some((SALES, at, Completed))),
        ("+447700900003", Some((SALES, at, NoAnswer))),
        ("+447700900004", Some((SALES, at, Completed))),
    ]);
}

#[test]
fn kamailio_without_a_header_is_read_by_column_numbers() {
    let site = Site::with_outbound_agents();
    let rows = "1,INVITE,t1,a1,c1,200,OK,2025-07-01 12:00:00,+15550100100,d,447700900001\n\
         2,BYE,t1,a1,c1,200,OK,2025-07-01 12:01:00,+15550100100,d,447700900001\n";
    let options = ["--format", "kamailio", "--no-header", "--map", "agent==sales"];
    let refused = site.import_text(rows, &options);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("no column holds `from`: add --map from=COLUMN"), "{}", refused.stderr);
    let done = site.import_text(rows, &[&options[..], &["--map", "from=9,to=11"]].concat());
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 1, 1), "{}", done.stderr);
    site.expect(&[("+447700900001", Some((SALES, "2025-07-01T12:00:00Z", Completed)))]);
}

#[test]
fn status_of_a_platform_stands_for_a_reason_that_is_missing() {
    let site = Site::with_outbound_agents();
    let retell = r#"[
        {"agent_id": "sales", "from_number": "+15550100100", "to_number": "+447700900021", "direction": "outbound",
         "start_timestamp": 1751371200000, "call_status": "ongoing"},
        {"agent_id": "sales", "from_number": "+15550100100", "to_number": "+447700900022", "direction": "outbound",
         "start_timestamp": 1751371200000, "call_status": "ended", "disconnection_reason": null},
        {"agent_id": "sales", "from_number": "+15550100100", "to_number": "+447700900023", "direction": "outbound",
         "start_timestamp": 1751371200000, "call_status": "ended", "disconnection_reason": "voicemail_reached"}
    ]"#;
    let done = site.import_text(retell, &["--format", "retell"]);
    assert_eq!((done.code, done.count("accepted")), (Some(0), 3), "{}", done.stderr);
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[
        ("+447700900021", Some((SALES, at, Answered))),
        ("+447700900022", Some((SALES, at, Completed))),
        ("+447700900023", Some((SALES, at, Voicemail))),
    ]);
}

#[test]
fn exports_of_platforms_are_read_by_their_names() {
    let site = Site::with_outbound_agents();
    let at = "2025-07-01T12:00:00Z";
    let twilio = "Sid,Date Created,Start Time,From,To,Direction,Status,Answered By\n\
         1,\"Tue, 01 Jul 2025 12:00:00 +0000\",\"Tue, 01 Jul 2025 12:00:00 +0000\",+15550100100,+447700900001,outbound-api,completed,human\n\
         2,2025-07-01T11:59:00Z,2025-07-01T12:00:00Z,+15550100100,+447700900002,outbound-api,completed,machine_end_beep\n\
         3,2025-07-01T12:00:00Z,,+15550100100,+447700900003,outbound-dial,canceled,\n\
         4,2025-07-01T12:00:00Z,2025-07-01T12:00:00Z,+447700900009,+15550100100,inbound,completed,\n\
         5,2025-07-01T12:00:00Z,2025-07-01T12:00:00Z,+15550100100,+447700900004,outbound-api,in-progress,\n";
    let done = site.import_text(twilio, &["--format", "twilio", "--map", "agent==sales"]);
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 4, 1), "{}", done.stderr);
    site.expect(&[
        ("+447700900001", Some((SALES, at, Completed))),
        ("+447700900002", Some((SALES, at, Voicemail))),
        ("+447700900003", Some((SALES, at, NoAnswer))),
        ("+447700900004", Some((SALES, at, Answered))),
    ]);
    let retell = "call_id,agent_id,from_number,to_number,direction,start_timestamp,end_timestamp,disconnection_reason\n\
         1,sales,+15550100100,+447700900011,outbound,1751371200000,1751371260000,user_hangup\n\
         2,North,+15550100100,+447700900012,outbound,,1751371200000,dial_no_answer\n\
         3,sales,+447700900019,+15550100100,inbound,1751371200000,,user_hangup\n\
         4,sales,+15550100100,+447700900013,outbound,1751371200000,,brand_new_reason\n";
    let done = site.import_text(retell, &["--format", "retell"]);
    assert_eq!((done.lines(), done.count("accepted"), done.count("skipped")), (vec![5], 2, 1), "{}", done.stderr);
    site.expect(&[
        ("+447700900011", Some((SALES, at, Completed))),
        ("+447700900012", Some((NORTH, at, NoAnswer))),
        ("+447700900013", None),
    ]);
    let vapi = "id,type,phoneNumber.number,customer.number,startedAt,createdAt,endedReason\n\
         1,outboundPhoneCall,+15550100100,+447700900021,2025-07-01T12:00:00.000Z,2025-07-01T11:00:00.000Z,voicemail\n\
         2,outboundPhoneCall,+15550100100,+447700900022,,2025-07-01T12:00:00.000Z,customer-did-not-answer\n\
         3,inboundPhoneCall,+15550100100,+447700900023,2025-07-01T12:00:00.000Z,,customer-ended-call\n\
         4,outboundPhoneCall,+15550100100,+447700900024,2025-07-01T12:00:00.000Z,,pipeline-error-openai-llm-failed\n";
    let done = site.import_text(vapi, &["--format", "vapi", "--map", "agent==sales"]);
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 3, 1), "{}", done.stderr);
    site.expect(&[
        ("+447700900021", Some((SALES, at, Voicemail))),
        ("+447700900022", Some((SALES, at, NoAnswer))),
        ("+447700900024", Some((SALES, at, Completed))),
    ]);
    let undirected = site.import_text("from,to,start_time,status\n", &["--format", "twilio", "--map", "agent==sales"]);
    assert_eq!(undirected.code, Some(1));
    assert!(undirected.stderr.contains("there is no column `direction`"), "{}", undirected.stderr);
}

#[test]
fn direction_of_twilio_is_read_in_each_spelling_and_an_unknown_one_is_rejected() {
    let site = Site::with_outbound_agents();
    let directions = [
        "trunking-terminating",
        "Trunking Terminating",
        "Outbound API",
        "Outgoing Dial",
        "trunking-originating",
        "Trunking Originating",
        "Incoming",
        "sideways",
        "",
    ];
    let mut text = String::from("from,to,start_time,direction,status\n");
    for (contact, direction) in (1..).zip(directions) {
        writeln!(text, "{OURS},+44770090000{contact},2025-07-01T12:00:00Z,{direction},completed").expect("written");
    }
    let options = ["--format", "twilio", "--map", "agent==sales"];
    let done = site.import_text(&text, &options);
    assert_eq!((done.count("accepted"), done.count("skipped"), done.lines()), (4, 3, vec![9, 10]), "{}", done.stderr);
    let (_, why) = &done.rejected[0];
    assert!(why.starts_with("`direction`: \"sideways\" is not known as"), "{why}");
    let known = |contact: u8| (format!("+44770090000{contact}"), contact <= 4);
    for (contact, is_call) in (1..=9).map(known) {
        site.expect(&[(&contact, is_call.then_some((SALES, "2025-07-01T12:00:00Z", Completed)))]);
    }
    let named = site.import_text(&text, &[&options[..], &["--only", "direction=sideways"]].concat());
    assert_eq!((named.code, named.count("accepted"), named.count("skipped")), (Some(0), 1, 8), "{}", named.stderr);
}

#[test]
fn assistant_of_a_vapi_call_is_known_by_id_or_by_the_name_in_the_call() {
    let site = Site::with_outbound_agents();
    let object = |contact: u64, id: Option<&str>, assistant: serde_json::Value| {
        let call = serde_json::json!({
            "type": "outboundPhoneCall", "phoneNumber": { "number": OURS }, "customer": { "number": format!("+447700900{contact}") },
            "startedAt": "2025-07-01T12:00:00Z", "endedReason": "customer-busy", "assistantId": id, "assistant": assistant,
        });
        format!("{call}\n")
    };
    let lines = [
        object(711, None, serde_json::json!({ "name": "sales", "model": { "provider": "x" } })),
        object(712, Some("North"), serde_json::json!({ "name": "sales" })),
        object(713, Some("sales"), serde_json::Value::Null),
        object(714, None, serde_json::json!({ "model": { "provider": "x" } })),
        object(715, None, serde_json::Value::Null),
    ];
    let done = site.import_text(&lines.concat(), &["--format", "vapi"]);
    assert_eq!((done.count("accepted"), done.lines()), (3, vec![4, 5]), "{}", done.stderr);
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[
        ("+447700900711", Some((SALES, at, Busy))),
        ("+447700900712", Some((NORTH, at, Busy))),
        ("+447700900713", Some((SALES, at, Busy))),
        ("+447700900714", None),
        ("+447700900715", None),
    ]);
}

#[test]
fn json_of_platforms_is_read_as_their_tables_are() {
    let site = Site::with_outbound_agents();
    let agent = ["--map", "agent==sales"];
    let object = |direction: &str, contact: u64, status: &str, start: Option<&str>, answered_by: Option<&str>| {
        serde_json::json!({
            "sid": "CA1", "from": OURS, "to": format!("+447700900{contact}"), "direction": direction, "status": status,
            "date_created": "Tue, 01 Jul 2025 12:00:00 +0000", "start_time": start, "answered_by": answered_by,
            "subresource_uris": { "recordings": "/x" },
        })
    };
    let at = "2025-07-01T12:00:00Z";
    let twilio = [
        object("outbound-dial", 503, "canceled", None, None),
        object("outbound-api", 502, "completed", Some(at), Some("machine_start")),
        object("inbound", 509, "completed", Some(at), None),
    ];
    let lines = twilio.map(|call| format!("{call}\n")).concat();
    let done = site.import_text(&lines, &[&["--format", "twilio"][..], &agent].concat());
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 2, 1), "{}", done.stderr);
    site.expect(&[
        ("+447700900502", Some((SALES, at, Voicemail))),
        ("+447700900503", Some((SALES, at, NoAnswer))),
        ("+447700900509", None),
    ]);
    let done = site.import(&sample("retell.json"), &[&["--format", "retell"][..], &agent].concat());
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 3, 2), "{}", done.stderr);
    site.expect(&[
        ("+447700900601", Some((SALES, at, Completed))),
        ("+447700900602", Some((SALES, "2025-07-01T12:05:00Z", Voicemail))),
        ("+447700900603", Some((SALES, "2025-07-01T12:06:00Z", NoAnswer))),
        ("+447700900609", None),
    ]);
    let done = site.import(&sample("vapi.ndjson"), &[&["--format", "vapi"][..], &agent].concat());
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 3, 2), "{}", done.stderr);
    site.expect(&[
        ("+447700900701", Some((SALES, at, Completed))),
        ("+447700900702", Some((SALES, "2025-07-01T12:05:00Z", NoAnswer))),
        ("+447700900703", Some((SALES, "2025-07-01T12:06:00Z", Voicemail))),
        ("+447700900709", None),
    ]);
}

// Properties

/// A cell of a call record: well-formed, of a spreadsheet, or broken.
fn cell(of: [&'static str; 8]) -> impl Strategy<Value = String> {
    prop_oneof![6 => prop::sample::select(of.to_vec()).prop_map(str::to_owned), 1 => "[0-9./: '+-]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each record is accepted, skipped or rejected by its line and a reason. There are no more calls than records, and
    /// each call has the contact, the time and the outcome that some record states.
    #[test]
    fn no_input_makes_calls_that_no_record_states(rows in prop::collection::vec((
        cell(["+447700900001", "447700900001.0", "'+447700900001", "+447700900001.0", "447700900001/2", "=\"+447700900001\"", "0", ""]),
        cell(["2025-07-01 12:00:00", "2025/07/01 12:00", "20250701120000", "1751371200", "01/07/2025 12:00:00", "2025-07-01 12:00 PM", "2025-07-01", ""]),
        cell(["busy", "'busy", "BUSY", "486", "401", "perhaps", "USER_BUSY", "600"]),
    ), 1..60)) {
        let mut text = String::from("from,to,at,status\n");
        for (to, at, status) in &rows {
            let quoted = |cell: &str| cell.replace('"', "\"\"");
            writeln!(text, "{OURS},\"{}\",\"{}\",\"{}\"", quoted(to), quoted(at), quoted(status)).expect("written");
        }
        let site = Site::with_outbound_agents();
        // More lines may have the same reason than are reported otherwise.
        let done = site.import_text(&text, &["--map", "agent==sales", "--show-rejected", "100"]);
        let counted = done.count("accepted") + done.count("rejected") + done.count("skipped");
        prop_assert_eq!(counted, rows.len() as u64);
        prop_assert_eq!(done.rejected.len() as u64, done.count("rejected"));
        prop_assert!(done.rejected.iter().all(|(_, why)| why.starts_with('`')), "{:?}", done.rejected);
        prop_assert!(site.contacts() as u64 <= done.count("accepted"));
        site.expect(&[("+4477009000010", None), ("+4477009000012", None)]);
        for row in (2..).zip(&rows).filter(|(line, _)| !done.lines().contains(line)) {
            let (_, (to, at, status)) = row;
            let stated = to.contains("447700900001") && !to.starts_with("+447700900001.") && !to.contains('/');
            let known = ["2025-07-01 12:00:00", "2025/07/01 12:00", "20250701120000", "1751371200", "2025-07-01 12:00 PM"];
            let is_skipped = status == "401";
            prop_assert!(is_skipped || !stated || known.contains(&at.as_str()), "{:?}", row);
            if !is_skipped && stated && status.to_ascii_lowercase().contains("busy") {
                site.expect(&[("+447700900001", Some((SALES, "2025-07-01T12:00:00Z", Busy)))]);
            }
        }
    }
}
