//! Runs the real program as an operator does: starts it, sends requests over a socket, kills it, and starts it again.

use crate::support;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use support::daemon::{Daemon, Tenant, dialback, program};

const OURS: &str = "+12125550100";

#[test]
fn request_of_the_public_api_gets_its_response_field_for_field() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let path = format!("/agents/{}/callback", tenant.callback_agent);
    let (status, answer) = tenant.post(&path, &json!({ "source_agent_ids": [tenant.source_agent] }));
    let expected = json!({
        "success": true,
        "data": {
            "id": tenant.callback_agent,
            "name": "Callback Handler",
            "direction": "inbound",
            "callback_config": { "source_agent_ids": [tenant.source_agent] },
        },
    });
    assert_eq!((status, answer), (200, expected));
}

#[test]
fn acknowledged_changes_survive_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let contacts: Vec<String> = (100..200).map(|last| format!("+12125550{last}")).collect();
    for (place, contact) in contacts.iter().enumerate().filter(|(place, _)| place % 3 != 0) {
        let status = if place % 2 == 0 { "no-answer" } else { "completed" };
        assert_eq!(tenant.record_call(contact, status).0, 202);
    }
    let before: Vec<Value> = contacts.iter().map(|contact| tenant.decision(contact)).collect();
    daemon.kill();

    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    let after: Vec<Value> = contacts.iter().map(|contact| tenant.decision(contact)).collect();
    assert_eq!(before, after);
    let matched = after.iter().filter(|decision| decision["reason"] == "MATCHED").count();
    assert_eq!(matched, contacts.len() - contacts.len().div_ceil(3));
}

#[test]
fn record_of_a_routed_call_survives_a_kill_and_changes_and_leaves_with_its_contact() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    assert_eq!(tenant.record_call("+12125550143", "busy").0, 202);
    let decided = ["%2B12125550143", "%2B12125550144", "anonymous"].map(|caller| {
        let path = format!("/route?dialed=%2B12125550100&caller={caller}");
        tenant.get(&path).1["data"].clone()
    });
    let ids = decided.each_ref().map(|decided| decided["decision_id"].as_str().expect("an id").to_owned());
    let show = |tenant: &Tenant, id: &str| tenant.get(&format!("/routes/{id}"));
    let listed = |tenant: &Tenant| {
        let listed = tenant.get("/routes").1["data"].as_array().expect("a list").clone();
        listed.iter().map(|record| record["decision_id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let before = show(&tenant, &ids[0]).1;
    assert_eq!(before["data"]["reason"], "MATCHED", "{before}");
    assert_eq!(before["data"]["agent"]["name"], "Callback Handler", "{before}");
    // A listed record is on the disk: a killed process loses only what was not.
    assert_eq!(listed(&tenant), [&ids[2], &ids[1], &ids[0]].map(String::clone));
    daemon.kill();

    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    let rename = json!({"name": "Renamed"});
    assert_eq!(tenant.put(&format!("/agents/{}", tenant.callback_agent), &rename).0, 200);
    assert_eq!(show(&tenant, &ids[0]).1, before, "as it was decided");
    assert_eq!(tenant.delete("/contacts/%2B12125550143").0, 200);
    assert_eq!((show(&tenant, &ids[0]).0, show(&tenant, &ids[1]).0), (404, 200));
    assert_eq!(daemon.stop(), 0);

    let daemon = Daemon::start_with(data.path(), &["--max-records-per-environment", "1"]);
    let tenant = tenant.at(&daemon);
    let one = [ids[2].clone()];
    for _ in 0..100 {
        if listed(&tenant) == one {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(listed(&tenant), one, "the newest stays");
    assert_eq!(daemon.stop(), 0);

    let daemon = Daemon::start_with(data.path(), &["--keep-records-days", "0"]);
    let tenant = tenant.at(&daemon);
    assert_eq!(show(&tenant, &ids[2]).0, 501);
    assert_eq!(daemon.stop(), 0);
    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    assert_eq!(listed(&tenant), Vec::<String>::new(), "they were removed");
}

#[test]
fn feed_is_printed_for_people_and_as_lines_of_json() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    assert_eq!(tenant.record_call("+12125550143", "busy").0, 202);
    let events = |more: &[&str]| dialback(&[more, &["--data"]].concat(), data.path());
    let (code, text, wrong) = events(&["--json", "events", "--types", "call.recorded"]);
    assert_eq!(code, 0, "{wrong}");
    let printed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((printed.len(), &printed[0]["data"]["to"]), (1, &json!("+12125550143")), "{text}");
    let (code, text, wrong) = events(&["events"]);
    assert_eq!(code, 0, "{wrong}");
    let last = text.lines().last().expect("a line");
    assert!(last.contains("call.recorded") && last.ends_with("to +12125550143: busy"), "{text}");
    // From the last cursor there is nothing more.
    let cursor = printed[0]["cursor"].as_str().expect("a cursor");
    assert_eq!(events(&["events", "--after", cursor]), (0, String::new(), String::new()));
    let (code, _, wrong) = events(&["events", "--types", "call"]);
    assert!(code != 0 && wrong.contains("call.recorded"), "{code} {wrong}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn commands_use_a_running_daemon_and_otherwise_the_directory() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let contact = "+12125550143";
    assert_eq!(tenant.record_call(contact, "busy").0, 202);
    let ask = || dialback(&["resolve", OURS, contact, "--json", "--data"], data.path());
    let (code, asked_daemon, _) = ask();
    assert_eq!(code, 0, "{asked_daemon}");

    let (code, listed, _) = dialback(&["token", "list", "--json", "--data"], data.path());
    assert_eq!(code, 0);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert!(!listed.to_string().contains("talq_"), "a token is shown once");

    assert_eq!(daemon.stop(), 0, "SIGTERM ends it in order");
    assert!(!data.path().join("daemon.json").exists());
    let (code, asked_directory, _) = ask();
    assert_eq!(code, 0);
    let without_id = |text: &str| {
        let mut decision: BTreeMap<String, Value> = serde_json::from_str(text).expect("JSON");
        decision.remove("decision_id");
        decision
    };
    assert_eq!(without_id(&asked_daemon), without_id(&asked_directory));
}

#[test]
fn reported_statistics_survive_a_kill_and_an_orderly_stop_loses_none() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let contact = "+12125550143";
    let call = json!({
        "agent_id": tenant.source_agent, "from": OURS, "to": contact, "started_at": jiff::Timestamp::now().to_string(),
        "status": "busy",
    });
    assert_eq!(tenant.post("/calls", &call).0, 202);
    let route = |tenant: &Tenant, caller: &str| {
        let path = format!("/route?dialed=%2B12125550100&caller={}", caller.replace('+', "%2B"));
        tenant.get(&path).1["data"]["decision_id"].as_str().expect("an id").to_owned()
    };
    let counts = |tenant: &Tenant| {
        let stats = tenant.get("/callback-agents/stats").1["data"].clone();
        let fields = ["total_callbacks_received", "callbacks_answered", "callbacks_unmatched"];
        fields.map(|field| stats[field].as_u64().unwrap_or_else(|| panic!("{stats}")))
    };
    let report = |tenant: &Tenant, id: &str| tenant.post(&format!("/routes/{id}/answered"), &json!({})).0;
    let ids: Vec<String> = (0..5).map(|_| route(&tenant, contact)).collect();
    route(&tenant, "anonymous");
    assert_eq!((report(&tenant, &ids[0]), report(&tenant, &ids[1])), (200, 200));
    assert_eq!(counts(&tenant), [5, 2, 1]);
    daemon.kill();

    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    assert_eq!(counts(&tenant), [5, 2, 1]);
    // The first decision was reported before, the second was not.
    assert_eq!((report(&tenant, &ids[0]), report(&tenant, &ids[2])), (200, 200));
    assert_eq!(counts(&tenant), [5, 3, 1]);
    (0..7).for_each(|_| drop(route(&tenant, contact)));
    assert_eq!(daemon.stop(), 0);

    let daemon = Daemon::start(data.path());
    let tenant = tenant.at(&daemon);
    assert_eq!(counts(&tenant), [12, 3, 1]);
    // No client requested statistics, and more than a second passes.
    route(&tenant, "anonymous");
    std::thread::sleep(std::time::Duration::from_secs(3));
    daemon.kill();
    let daemon = Daemon::start(data.path());
    assert_eq!(counts(&tenant.at(&daemon)), [12, 3, 2]);
}

#[test]
fn revoked_token_is_rejected_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    assert_eq!(tenant.get("/agents").0, 200);
    let (_, listed, _) = dialback(&["token", "list", "--json", "--data"], data.path());
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id");
    assert_eq!(dialback(&["token", "revoke", id, "--data"], data.path()).0, 0);
    let (status, answer) = tenant.get("/agents");
    assert_eq!((status, &answer["code"]), (401, &json!("INVALID_TOKEN")));
}

#[test]
fn unusable_directory_is_named_and_stays_unchanged() {
    let held = tempfile::tempdir().expect("a directory");
    let _daemon = Daemon::start(held.path());
    let (code, _, message) = dialback(&["serve", "--listen", "127.0.0.1:0", "--data"], held.path());
    assert_eq!(code, 4);
    assert!(message.contains("another process holds"), "{message}");

    let foreign = tempfile::tempdir().expect("a directory");
    fs::write(foreign.path().join("thesis.tex"), "years of work").expect("written");
    let before = contents(foreign.path());
    for command in [
        &["serve", "--data"][..],
        &["resolve", OURS, "anonymous", "--data"],
        &["token", "list", "--data"],
        &["token", "create", "--data"],
        &["environment", "create", "a", "--data"],
    ] {
        let (code, _, message) = dialback(command, foreign.path());
        assert_eq!(code, 4);
        assert!(message.contains("not a data directory of dialback"), "{message}");
    }
    assert_eq!(contents(foreign.path()), before);
}

#[test]
fn command_creates_no_directory_unless_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a directory");
    let mistyped = folder.path().join("dialbakc-data");
    for command in [
        &["resolve", OURS, "anonymous", "--data"][..],
        &["token", "list", "--data"],
        &["token", "create", "--data"],
        &["environment", "create", "a", "--data"],
        &["reload", "--data"],
    ] {
        let (code, _, message) = dialback(command, &mistyped);
        assert_eq!(code, 4);
        assert!(message.contains("no such data directory"), "{message}");
    }
    let (code, _, message) =
        dialback(&["token", "create", "--role", "gateway", "--environment", "a", "--data"], &mistyped);
    assert_eq!(code, 1, "{message}");
    assert!(!mistyped.exists());
    // An empty directory is as wrong as none.
    std::fs::create_dir(&mistyped).expect("made");
    assert_eq!(dialback(&["token", "create", "--data"], &mistyped).0, 4);
    let (code, token, said) = dialback(&["token", "create", "--create-directory", "--data"], &mistyped);
    assert_eq!(code, 0, "{said}");
    let used = mistyped.canonicalize().expect("it is there");
    assert!(said.contains(used.to_str().expect("plain")) && token.starts_with("talq_"), "{said}");
}

#[test]
fn port_that_is_in_use_leaves_no_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let used = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = used.local_addr().expect("bound").to_string();
    for option in ["--listen", "--metrics-listen", "--agi-listen", "--sip-listen"] {
        let listen = ["--listen", "127.0.0.1:0", "--agent-address", "sip:a@b.example", option, &address];
        let listen = if option == "--listen" { &listen[4..] } else { &listen[..] };
        let (code, _, log) = dialback(&[&["serve"], listen, &["--data"]].concat(), &folder.path().join("data"));
        assert_eq!(code, 1, "{log}");
        assert!(log.contains(&format!("cannot listen on {address}")) && !log.contains(" ready"), "{log}");
        assert!(!folder.path().join("data").exists(), "{option}");
    }
}

#[test]
fn export_replaces_a_file_only_if_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    assert_eq!(dialback(&["token", "create", "--create-directory", "--data"], &data).0, 0);
    let file = folder.path().join("backup.ndjson");
    fs::write(&file, "precious").expect("written");
    let path = file.to_str().expect("plain");
    let (code, _, wrong) = dialback(&["export", path, "--data"], &data);
    assert!(code == 1 && wrong.contains("--overwrite"), "{wrong}");
    assert_eq!(fs::read_to_string(&file).expect("readable"), "precious");
    assert_eq!(dialback(&["export", path, "--overwrite", "--data"], &data).0, 0);
    assert!(fs::read_to_string(&file).expect("readable").contains("{\"end\":"));
}

#[test]
fn demo_prints_one_object_as_json() {
    let (code, text, _) = program(&["demo", "--no-serve", "--json"], Path::new("."));
    let demo: Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code, demo["decisions"].as_array().map(Vec::len)), (0, Some(12)));
    assert_eq!(demo["decisions"][0]["reason"], "MATCHED");
}

#[test]
fn manual_and_completions_name_each_command_and_no_setting_of_this_machine() {
    let folder = tempfile::tempdir().expect("a directory");
    let pages = folder.path().join("man1");
    let mut man = Command::new(env!("CARGO_BIN_EXE_dialback"));
    let made = man.arg("man").arg(&pages).env("DIALBACK_DATA", "/of/this/machine").output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (_, help, _) = program(&["--help"], folder.path());
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // The description of a command follows its name, or stands on the next line, indented further.
    let commands: Vec<&str> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains(&"serve") && commands.len() > 10, "{commands:?}");
    let (_, bash, _) = program(&["completions", "bash"], folder.path());
    for command in commands {
        let page = fs::read_to_string(pages.join(format!("dialback-{command}.1"))).expect(command);
        assert!(page.contains(".TH") && !page.contains("/of/this/machine"), "{page}");
        assert!(bash.contains(&format!("dialback__subcmd__{}", command.replace('-', "__"))), "{command}");
    }
    for shell in ["zsh", "fish"] {
        assert!(program(&["completions", shell], folder.path()).1.contains("dialback"), "{shell}");
    }
}

#[test]
fn log_filter_without_a_level_is_wrong_usage() {
    let without_level =
        ["", " ", ",", "info,", ",dialback=debug", "info,,dialback=debug", "dialback=", "info,dialback="];
    for filter in ["loud", "dialback", "info,loud", "dialback=loud"].into_iter().chain(without_level) {
        let (code, _, wrong) = program(&["--log", filter, "demo", "--no-serve"], Path::new("."));
        assert!(code == 2 && wrong.contains("use off, error, warn"), "{filter}: {wrong}");
    }
    for filter in ["off", "warn,dialback=debug", "dialback=trace"] {
        assert_eq!(program(&["--log", filter, "demo", "--no-serve"], Path::new(".")).0, 0, "{filter}");
    }
}

#[test]
fn no_log_line_contains_a_whole_phone_number() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_logging(data.path(), "trace");
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    let contact = "+12125550143";
    tenant.record_call(contact, "busy");
    tenant.decision(contact);
    // Rejected requests may be logged, too.
    tenant.record_call("+12125550143999999999", "busy");
    tenant.post("/phone-numbers", &json!({ "number": OURS }));
    tenant.post("/phone-numbers", &json!({ "number": [contact] }));
    tenant.get(&format!("/route?dialed={contact}&caller={contact}"));
    tenant.get(&format!("/no/such/path/{contact}"));
    let log = daemon.stop_and_read_log();
    assert!(log.lines().count() > 10, "trace is on: {log}");
    for digits in [OURS, contact].map(|number| &number[1..]) {
        assert!(!log.contains(digits), "a whole number in the log");
    }
}

#[test]
fn log_of_a_command_contains_no_phone_number_and_no_daemon_token() {
    let data = tempfile::tempdir().expect("a directory");
    let _daemon = Daemon::start(data.path());
    let contact = "+12125550143";
    for filter in
        ["trace", "debug", "ureq=trace,ureq_proto=trace", "ureq::unversioned::transport=trace,ureq_proto::util=trace"]
    {
        let (code, _, log) = dialback(&["resolve", OURS, contact, "--log", filter, "--data"], data.path());
        assert_eq!(code, 3, "{log}");
        for private in [&OURS[1..], &contact[1..], "oper_"] {
            assert!(!log.contains(private), "{filter}: {log}");
        }
    }
}

/// The library that reads numbers of a region logs them.
#[test]
fn log_of_an_import_into_a_region_contains_no_phone_number() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let (code, _, errors) =
        dialback(&["environment", "create", "Clinic", "--region", "GB", "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{errors}");
    let calls = place.path().join("calls.csv");
    fs::write(&calls, "from,to,at,status,agent\n+442079460100,02079460958,2026-06-01T12:00:00Z,busy,Sales\n")
        .expect("written");
    let calls = calls.to_str().expect("a plain path");
    for filter in ["trace", "rlibphonenumber=trace", "log=trace,rlibphonenumber::phonenumberutil=trace"] {
        let (code, said, log) = dialback(&["import", calls, "--create-missing", "--log", filter, "--data"], &data);
        assert_eq!(code, 0, "{said} {log}");
        for private in ["2079460958", "207946"] {
            assert!(!log.contains(private), "{filter}: {log}");
        }
    }
}

#[test]
fn daemon_stops_in_order_directly_after_its_start() {
    for _ in 0..20 {
        let data = tempfile::tempdir().expect("a directory");
        // Stop the daemon as soon as its file exists.
        assert_eq!(Daemon::start(data.path()).stop(), 0);
        assert!(!data.path().join("daemon.json").exists());
    }
}

#[test]
fn unfinished_request_does_not_prevent_the_stop() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let mut client = TcpStream::connect(daemon.address()).expect("it listens");
    client.write_all(b"GET /health HTTP/1.1\r\nHost:").expect("it reads");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn address_of_a_killed_daemon_is_not_used_while_another_process_holds_the_directory() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    Tenant::with_callback_sample(&daemon);
    daemon.kill();
    assert!(data.path().join("daemon.json").exists());
    let mut import = Command::new(env!("CARGO_BIN_EXE_dialback"))
        .args(["import", "-", "--data"])
        .arg(data.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // The import reads the header before it opens the directory. Opening removes the address of the killed daemon.
    import.stdin.as_mut().expect("piped").write_all(b"from,to,at,agent\n").expect("it reads");
    while import.try_wait().expect("our child").is_none() && data.path().join("daemon.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (code, _, message) = dialback(&["token", "list", "--data"], data.path());
    drop(import.stdin.take());
    import.wait().expect("our child");
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("another process holds"), "{message}");
}

#[test]
fn commands_ignore_proxy_settings() {
    let data = tempfile::tempdir().expect("a directory");
    let _daemon = Daemon::start(data.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    // No proxy listens on this address.
    for proxy in ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env(proxy, "http://127.0.0.1:1");
    }
    let output = command.args(["token", "list", "--data"]).arg(data.path()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn closed_standard_output_is_a_failure_and_closed_standard_error_is_not() {
    let data = tempfile::tempdir().expect("a directory");
    assert_eq!(dialback(&["environment", "create", "acme", "--create-directory", "--data"], data.path()).0, 0);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        command.args(arguments).env("DIALBACK_DATA", data.path()).stdout(Stdio::null());
        command
    };
    for arguments in [
        &["environment", "list"][..],
        &["token", "list", "--json"],
        &["token", "create"],
        &["resolve", OURS, "anonymous"],
        &["demo", "--no-serve"],
    ] {
        let output = command(arguments).stdout(unread_pipe()).output().expect("it runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.contains("cannot write the output"), "{arguments:?}: {message}");
    }
    let logging = command(&["token", "list", "--log", "info"]).stderr(unread_pipe()).status();
    assert_eq!(logging.expect("it runs").code(), Some(0));
    let refused = command(&["token", "revoke", "unknown"]).stderr(unread_pipe()).status();
    assert_eq!(refused.expect("it runs").code(), Some(1));
}

#[test]
fn token_id_that_needs_escaping_is_not_found() {
    let data = tempfile::tempdir().expect("a directory");
    for id in ["two words", "ü", "a/b", "a?b", "%"] {
        let (code, _, message) = dialback(&["token", "revoke", id, "--data"], data.path());
        assert_eq!((code, message.as_str()), (1, "dialback: Token not found\n"), "{id}");
    }
}

#[test]
fn the_demo_shows_every_reason() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let output = support::daemon::program(&["demo", "--no-serve"], nowhere.path());
    assert_eq!(output.0, 0);
    for reason in dialback::Reason::ALL {
        assert!(output.1.contains(reason.name()), "{reason} is missing:\n{}", output.1);
    }
}

#[test]
fn help_has_examples_and_wrong_usage_exits_with_2() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let (code, help, _) = support::daemon::program(&["--help"], nowhere.path());
    assert_eq!(code, 0);
    assert!(help.contains("Exit codes:") && help.contains("dialback demo"), "{help}");
    assert_eq!(support::daemon::program(&["no-such-command"], nowhere.path()).0, 2);
}

/// Returns a pipe whose reading end is closed, as `head` leaves it.
fn unread_pipe() -> std::io::PipeWriter {
    std::io::pipe().expect("a pipe").1
}

/// Returns all files below the directory with their bytes.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect()
}
