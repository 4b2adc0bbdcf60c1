//! Runs `dialback import` on files of every form: line ends, quotes, delimiters, JSON and compression.

use super::{Done, OURS, SALES, Site, texts};
use dialback::Outcome::{Completed, NoAnswer, Voicemail};
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

const HEADER: &str = "from,to,at,agent,status";
const CALL: &str = "+15550100100,+447700900001,2025-07-01T12:00:00Z,sales,completed";
const NEXT: &str = "+15550100100,+447700900002,2025-07-01T12:01:00Z,sales,completed";

/// Imports a file with these bytes, and creates what is missing.
fn import_into(site: &Site, bytes: impl AsRef<[u8]>, options: &[&str]) -> Done {
    site.import(&site.file(bytes), &[options, &["--create-missing"]].concat())
}

fn import(bytes: impl AsRef<[u8]>, options: &[&str]) -> Done {
    import_into(&Site::empty(), bytes, options)
}

/// Checks the exit code, and the numbers of accepted and rejected records and of created agents.
fn expect(done: &Done, code: i32, counts: [u64; 3]) {
    let found = ["accepted", "rejected", "created_agents"].map(|name| done.count(name));
    assert_eq!((done.code, found), (Some(code), counts), "{}", done.stderr);
}

fn expect_accepted(bytes: impl AsRef<[u8]>, options: &[&str], calls: u64) {
    expect(&import(bytes, options), 0, [calls, 0, 1]);
}

fn expect_refused(bytes: impl AsRef<[u8]>, options: &[&str], why: &str) {
    let done = import(bytes, options);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.summary.is_null() && done.stderr.contains(why), "{}", done.stderr);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

#[test]
fn carriage_returns_alone_end_lines() {
    expect_accepted(format!("{HEADER}\r{CALL}\r{NEXT}\r"), &[], 2);
}

#[test]
fn call_in_the_place_of_the_header_is_refused() {
    let options = ["--map", "from=1,to=2,at=3,agent=4"];
    expect_refused(format!("{CALL}\n{NEXT}\n"), &options, "the first line is a call): add --no-header");
    expect_accepted(format!("{CALL}\n{NEXT}\n"), &[&options[..], &["--no-header"]].concat(), 2);
}

#[test]
fn long_quoted_value_makes_no_calls_of_its_lines() {
    let transcript = |lines: usize| format!("\"{}\"", format!("{NEXT},x\n").repeat(lines));
    let record = |lines| format!("{CALL},{}\n", transcript(lines));
    // 68 kilobytes, which is more than was read as one record before.
    expect_accepted(format!("{HEADER},notes\n{}", record(1_100)), &[], 1);

    let site = Site::empty();
    let kept = site.path("rejected");
    let large = record(140_000);
    assert!(large.len() > 8 * 1024 * 1024);
    let options = ["--reject-file", kept.to_str().expect("UTF-8")];
    let done = import_into(&site, format!("{HEADER},notes\n{large}{NEXT},\n").as_bytes(), &options);
    expect(&done, 3, [1, 1, 1]);
    assert!(fs::read_to_string(&kept).expect("kept") == format!("{HEADER},notes\n{large}"), "the whole record is kept");
}

#[test]
fn sql_statements_create_no_agents() {
    let row = r#"("Sales","+15550100100","+447700900001","default","2025-07-01 12:00:00","2025-07-01 12:00:08","2025-07-01 12:03:20","200","192","NORMAL_CLEARING","u1","u2", "sales");"#;
    let text = format!("INSERT INTO cdr VALUES {row}\n");
    expect_refused(text, &["--format", "freeswitch"], "the file has SQL statements in place of records");
}

#[test]
fn space_before_a_quote_and_null_and_comments_are_read_as_meant() {
    let row = CALL.replace(",sales,", ", \"sales\",");
    expect_accepted(format!("# calls of 2025\n{HEADER}\n{row}\n"), &[], 1);
    let done = import(format!("{HEADER}\n{}\n", CALL.replace("sales", "NULL")), &[]);
    expect(&done, 3, [0, 1, 0]);
    assert!(done.stderr.contains("the agent is missing"), "{}", done.stderr);
}

#[test]
fn last_line_that_may_be_cut_is_held_back() {
    let text = "at,agent,from,to\n2025-07-01T12:00:00Z,sales,+15550100100,+447700900001\n\
        2025-07-01T12:00:00Z,sales,+15550100100,+4477009";
    let site = Site::empty();
    let kept = site.path("rejected");
    let done = import_into(&site, text.as_bytes(), &["--reject-file", kept.to_str().expect("UTF-8")]);
    expect(&done, 3, [1, 1, 1]);
    assert!(done.stderr.contains("the last line has no line end"), "{}", done.stderr);
    let cut = fs::read_to_string(&kept).expect("kept");
    assert_eq!(cut, "at,agent,from,to\n2025-07-01T12:00:00Z,sales,+15550100100,+4477009");
    let again = import_into(&site, &cut, &[]);
    expect(&again, 3, [0, 1, 0]);
    assert!(again.stderr.contains("the last line has no line end"), "{}", again.stderr);
    // A line that the destination rejects comes in front of the cut one.
    let full = ["--max-pairs-per-environment", "1", "--reject-file", kept.to_str().expect("UTF-8")];
    let row = |to: &str| format!("2025-07-01T12:00:00Z,sales,+15550100100,{to}");
    let (second, cut) = (row("+447700900002\n"), row("+4477009"));
    let text = format!("at,agent,from,to\n{}{second}{cut}", row("+447700900001\n"));
    expect(&import_into(&Site::empty(), &text, &full), 3, [1, 2, 1]);
    let kept = fs::read_to_string(&kept).expect("kept");
    assert!(kept == format!("at,agent,from,to\n{second}{cut}"), "{kept}");
}

#[test]
fn lines_of_an_open_quote_make_no_calls() {
    let call = |contact: u64| format!("+15550100100,+44770090000{contact},2025-07-01T12:00:00Z,sales,completed");
    let (one, two, three, four) = (call(1), call(2), call(3), call(4));
    for (text, accepted, rejected) in [
        // A program that does not double quotes.
        (
            format!("{one},\"agent: hi\n{two},x\ncaller said \"stop\", and hung up\n{three},x\nbye\"\n{four},\n"),
            1,
            (2, 5),
        ),
        (format!("{one},\"caller said \"stop\", and\n{two},x\nbye\"\n{four},\n"), 1, (2, 3)),
        (format!("{one},\"first\n\"second\" {two},\n{three},x\nthird\"\n{four},\n"), 1, (2, 4)),
        // The first line has a comma too many, and then a quote has no partner.
        (format!("{one},\"said \"yes\", wants 5\" pipe\n{two},x\nbye\"\n"), 0, (2, 3)),
        (format!("{one},\"5\" pipe, long\"\n{two},x\n{three},x\n"), 0, (2, 3)),
        // A quotation ends at the line end, and the value does not.
        (format!("{one},\"he said \"hi\"\n{two},x\nbye\"\n{four},\n"), 1, (2, 3)),
        (format!("{one},\"5\" pipe, \"hi\"\n{two},x\nbye\"\n{four},\n"), 0, (2, 4)),
        (format!("{one},\"12\" x 24\" x 6\"\n{two},x\n{three},x\n"), 0, (2, 3)),
        // A quote has no partner, so the value may go on.
        (format!("{one},\"5\" pipe\"\n{two},x\n"), 0, (2, 2)),
        // A quote that is never closed.
        (format!("{one},\"open\n{two},\"x\"\n{three},x\n{four},\n"), 0, (2, 4)),
        (format!("{one},x\n{two},\"open\n{three},x\n"), 1, (3, 2)),
    ] {
        let site = Site::empty();
        let done = import_into(&site, format!("{HEADER},notes\n{text}"), &[]);
        assert_eq!((done.count("accepted"), done.count("rejected")), (accepted, 1), "{text}");
        let (line, lines) = rejected;
        done.expect_rejected(&[(line, &format!("a quote is not closed, so the record may have {lines} lines"))]);
    }
    // Each quote has its partner, and no value is open at the line end.
    expect_accepted(format!("{HEADER},notes\n{one},\"the \"man\"\"\n{two},x\n"), &[], 2);
    // A quote without a partner in each of two records: together they look closed, but no line of a value is a call.
    let two_records = format!("{one},\"a 5\" pipe, plain\"\n{two},\"said \"yes\", then\n{three},\"x\"\nbye\"\n");
    assert_eq!(import(format!("{HEADER},notes\n{two_records}"), &[]).count("accepted"), 0);
    let shifted = import(format!("{HEADER},notes\n{one},\"a \"b, c\" d\"\n{two},x\n"), &[]);
    expect(&shifted, 3, [1, 1, 1]);
    assert!(shifted.stderr.contains("quotes inside a value are not doubled"), "{}", shifted.stderr);
}

#[test]
fn long_record_with_an_open_quote_says_how_many_lines_it_has() {
    let text = format!("{HEADER},notes\n{CALL},\"open\n{}", format!("{NEXT},\n").repeat(140_000));
    let done = import(&text, &[]);
    expect(&done, 3, [0, 1, 0]);
    let why = "the record is longer than 8388608 bytes and has 140001 lines: check whether a quote is not closed";
    done.expect_rejected(&[(2, why)]);
}

#[test]
fn many_lines_after_a_doubtful_quote_are_scanned_once() {
    let text = format!("{HEADER},notes\n{CALL},\"5\" pipe, long\"\n{}", format!("{NEXT},x\n").repeat(40_000));
    expect(&import(&text, &[]), 3, [0, 1, 0]);
}

#[test]
fn repeated_heading_is_refused() {
    expect_refused(
        format!("{HEADER},to\n{CALL},+447700900009\n"),
        &[],
        "the columns 2 and 6 have the same heading `to`",
    );
}

#[test]
fn delimiters_and_titles_are_read() {
    let text = format!("{HEADER}\n{CALL}\n{NEXT}\n");
    for delimiter in [";", "\t", "|"] {
        expect_accepted(text.replace(',', delimiter), &[], 2);
    }
    expect_accepted(format!("sep=;\n{}", text.replace(',', ";")), &[], 2);
    expect_accepted(format!("Calls, 2025\n\n{text}"), &["--skip-lines", "2"], 2);
}

#[test]
fn compressed_files_are_read_and_damaged_ones_named() {
    let text = format!("{HEADER}\n{CALL}\n{NEXT}\n");
    let gzip = gzip(text.as_bytes());
    expect_accepted(&gzip, &[], 2);
    expect_refused(&gzip[..gzip.len() - 4], &[], "cannot read");
    let zstd = zstd(text.as_bytes());
    expect_accepted(&zstd, &[], 2);
    expect_refused(&zstd[..zstd.len() - 6], &[], "cannot read");
}

/// Returns a compressed file of more calls than an import holds back, whose damage shows only at its end.
fn damaged(compress: impl Fn(&[u8]) -> Vec<u8>, from_end: usize) -> Vec<u8> {
    let mut text = format!("{HEADER}\n");
    for contact in 0..80_000 {
        writeln!(text, "+15550100100,+4477{contact:08},2025-07-01T12:00:00Z,sales,completed")
            .expect("a string takes all");
    }
    let mut bytes = compress(text.as_bytes());
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    bytes
}

#[test]
fn damage_of_a_compressed_file_is_found_before_a_call_is_stored() {
    let gzip = damaged(gzip, 8);
    let cut = gzip[..gzip.len() - 9].to_vec();
    let kinds = [(&gzip, "its gzip data is damaged"), (&damaged(zstd, 1), "checksum"), (&cut, "cut short")];
    for (bytes, why) in kinds {
        let site = Site::empty();
        let done = import_into(&site, bytes, &[]);
        assert_eq!(done.code, Some(1), "{}", done.stderr);
        assert!(done.stderr.contains("cannot read") && done.stderr.contains(why), "{}", done.stderr);
        assert!(!done.stderr.contains("stored") && !site.path("data").exists(), "{}", done.stderr);
    }
}

#[test]
fn damage_of_compressed_standard_input_says_what_is_stored_and_may_be_wrong() {
    for bytes in [damaged(gzip, 8), damaged(zstd, 1)] {
        let site = Site::empty();
        let mut child = site.command(Path::new("-"), &["--create-missing"]);
        let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        child.stdin.take().expect("piped").write_all(&bytes).expect("read");
        let output = child.wait_with_output().expect("ends");
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{err}");
        let calls = site.contacts();
        assert!(calls >= 65_536, "{calls}");
        let stored =
            format!("kept: the environment `default`, 1 number, 1 agent, {},{:03} calls", calls / 1000, calls % 1000);
        assert!(err.contains("cannot read standard input: ") && err.contains(&stored), "{err}");
        assert!(err.contains("these calls may be wrong") && !err.contains("safe"), "{err}");
    }
}

#[test]
fn other_kinds_of_files_are_refused_by_name() {
    expect_refused(b"PK\x03\x04\x14\0\0\0", &[], "spreadsheet");
    expect_refused(b"SQLite format 3\0\x10\0", &["--format", "asterisk"], "SQLite");
    expect_refused(b"f\0r\0o\0m\0,\0", &[], "UTF-16");
}

#[test]
fn json_without_the_field_that_decides_the_outcome_is_rejected() {
    let call = |more: &str| {
        format!(r#"{{"from":"{OURS}","to":"+447700900001","at":"2025-07-01T12:00:00Z","agent":"sales"{more}}}"#)
    };
    for (map, more, missing) in [
        ("status=outcom", r#","outcome":"busy""#, "status"),
        ("answered=answer", r#","status":"completed""#, "answered"),
        ("voicemail=machine", r#","status":"completed""#, "voicemail"),
    ] {
        let site = Site::configured();
        let done = site.import(&site.file(call(more) + "\n"), &["--environment", "tenant", "--map", map]);
        let why = format!("`{missing}`: the JSON object does not have this field");
        assert_eq!((done.code, &done.rejected), (Some(3), &vec![(1, why)]), "{map}");
    }
    let site = Site::configured();
    let file = site.file(call("") + "\n" + &call(r#","status":null"#) + "\n");
    assert_eq!(site.import(&file, &["--environment", "tenant"]).code, Some(0), "without --map, a status is optional");
    let acc = r#"{"method":"INVITE","src_user":"+15550100100","dst_user":"+447700900001","time":"2025-07-01T12:00:00Z","code":"503"}"#;
    let kamailio = ["--environment", "tenant", "--format", "kamailio", "--map", "agent==sales"];
    let done = site.import(&site.file(format!("{acc}\n")), &kamailio);
    assert_eq!(done.rejected, [(1, "`status`: the JSON object does not have this field".to_owned())]);
}

#[test]
fn object_around_the_list_of_a_platforms_calls_is_refused() {
    let call = r#"{"direction":"outbound-api","from":"+15550100100","to":"+447700900001","start_time":"2025-07-01T12:00:00Z","status":"completed"}"#;
    let twilio = ["--format", "twilio", "--map", "agent==sales"];
    let wrapped = format!("{{\"calls\":[{call}],\"page\":0,\"start\":0,\"next_page_uri\":null}}\n");
    let results = format!("{{\"results\":[{call}],\"metadata\":{{\"itemsPerPage\":100}}}}\n");
    let why = "the first JSON object is not a call of this format";
    for text in [&wrapped, &results, &format!("[{wrapped}]")] {
        expect_refused(text, &twilio, why);
        expect_refused(text, &[&twilio[..], &["--only", "status=completed"]].concat(), why);
        expect_refused(text, &["--format", "vapi", "--map", "agent==sales"], why);
        expect_refused(text, &["--format", "retell"], why);
        expect_refused(text, &["--format", "freeswitch"], why);
    }
    let undirected = call.replace("\"direction\":\"outbound-api\",", "");
    expect_refused(format!("{undirected}\n"), &twilio, "there is no column `direction`");
    let done = import(format!("{call}\n{undirected}\n{wrapped}"), &twilio);
    let missing = "`direction`: the JSON object does not have this field";
    done.expect_rejected(&[(2, missing), (3, missing)]);
    assert_eq!((done.count("accepted"), done.count("skipped")), (1, 0));
    let done = import(format!("{undirected}\n"), &[&twilio[..], &["--only", "status=completed"]].concat());
    expect(&done, 0, [1, 0, 1]);
}

#[test]
fn lines_of_white_space_or_delimiters_are_blank() {
    for (delimiter, blank) in [(",", ",,,,"), (",", "  \t "), (";", ";;;;"), (";", " ; ; ; ; "), ("\t", "\t\t\t\t")] {
        let text = format!("{HEADER}\n{blank}\n{CALL}\n{blank}\n{NEXT}\n{blank}");
        expect_accepted(text.replace(',', delimiter), &[], 2);
    }
}

#[test]
fn each_json_object_has_its_own_fields() {
    let at = "2025-07-01T12:00:00Z";
    let object = |contact: u64, more: &str| {
        format!("{{\"from\":\"{OURS}\",\"to\":\"+44770090000{contact}\",\"status\":\"completed\"{more}}}\n")
    };
    let site = Site::with_outbound_agents();
    let text = [
        object(1, ",\"at\":\"2025-07-01T12:00:00Z\",\"agent\":\"sales\""),
        object(2, ",\"at\":\"2025-07-01T12:00:00Z\",\"agent\":\"sales\",\"answered\":false"),
        object(3, ",\"started_at\":\"2025-07-01T12:00:00Z\",\"agent_id\":\"sales\",\"Answered\":null"),
        object(4, ",\"at\":null,\"started_at\":\"2025-07-01T12:00:00Z\",\"agent\":\"sales\",\"answered\":true"),
        object(5, ",\"agent\":\"sales\""),
    ]
    .concat();
    let done = site.import_text(&text, &[]);
    done.expect_rejected(&[(5, "`at`: the time is missing")]);
    site.expect(&[
        ("+447700900001", Some((SALES, at, Completed))),
        ("+447700900002", Some((SALES, at, NoAnswer))),
        ("+447700900003", Some((SALES, at, NoAnswer))),
        ("+447700900004", Some((SALES, at, Completed))),
    ]);
}

#[test]
fn json_of_a_platform_is_read_in_the_spelling_of_each_object() {
    let site = Site::with_outbound_agents();
    let text = "{\"direction\":\"outbound\",\"from_number\":\"+15550100100\",\"to_number\":\"+447700900001\",\
         \"start_timestamp\":1751371200000,\"agent_id\":\"sales\",\"disconnection_reason\":\"user_hangup\"}\n\
         {\"Call Direction\":\"outbound\",\"From\":\"+15550100100\",\"To\":\"+447700900002\",\"Start Time\":1751371200000,\
         \"Agent Name\":\"sales\",\"Disconnection Reason\":\"user_hangup\",\"In Voicemail\":true}\n\
         {\"call_direction\":\"inbound\",\"from\":\"+447700900003\",\"to\":\"+15550100100\",\"start_time\":1751371200000,\
         \"agent\":\"sales\",\"disconnection_reason\":\"user_hangup\"}\n";
    let done = site.import_text(text, &["--format", "retell"]);
    assert_eq!((done.code, done.count("accepted"), done.count("skipped")), (Some(0), 2, 1), "{}", done.stderr);
    let at = "2025-07-01T12:00:00Z";
    site.expect(&[("+447700900001", Some((SALES, at, Completed))), ("+447700900002", Some((SALES, at, Voicemail)))]);
    let text = "{\"caller_id_number\":\"+15550100100\",\"destination_number\":\"+447700900004\",\"accountcode\":\"sales\",\
         \"start_stamp\":\"2025-07-01 12:00:00\",\"hangup_cause\":\"NORMAL_CLEARING\"}\n";
    let done = site.import_text(text, &["--format", "freeswitch"]);
    done.expect_rejected(&[(1, "`answered`: the JSON object does not have this field")]);
}

#[test]
fn json_is_read_and_its_rejected_records_can_be_repaired() {
    let object = |to: &str| {
        serde_json::json!({
            "customer": { "number": to }, "phoneNumber": { "number": "+15550100100" },
            "at": "2025-07-01T12:00:00Z", "agent": "sales", "status": "completed", "messages": [{ "at": "x" }],
        })
    };
    let map = ["--map", "from=phoneNumber.number,to=customer.number"];
    let (one, bad) = (object("+447700900001"), object("nobody"));
    expect_accepted(format!("{one}\n{one}\n"), &map, 2);

    let site = Site::empty();
    let kept = site.path("rejected");
    let list = serde_json::to_string_pretty(&[one, bad]).expect("JSON");
    let options = [&map[..], &["--reject-file", kept.to_str().expect("UTF-8")]].concat();
    let done = import_into(&site, list.as_bytes(), &options);
    expect(&done, 3, [1, 1, 1]);
    assert!(done.stderr.contains("`to`: not a phone number"), "{}", done.stderr);
    let repaired = fs::read_to_string(&kept).expect("kept").replace("nobody", "+447700900002");
    let done = import_into(&site, repaired.as_bytes(), &map);
    expect(&done, 0, [1, 0, 0]);
}
