//! Import into a running daemon: the messages, exit codes and effects are those of an import into the directory.

use super::{Done, OURS, Site, sample};
use crate::support::daemon::{Daemon, dialback};
use dialback::plan::NumberView;
use dialback::{Caller, Timestamp};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// The sample files, each with its options.
fn samples() -> Vec<(&'static str, Vec<&'static str>)> {
    let tenant = ["--environment", "tenant"];
    let with = |more: &[&'static str]| [&tenant[..], more].concat();
    vec![
        ("bad-lines.csv", with(&[])),
        ("bad-lines-crlf.csv", with(&["--create-missing"])),
        ("Master-asterisk.csv", with(&["--format", "asterisk", "--time-zone", "Europe/Berlin"])),
        ("Master-freeswitch.csv", with(&["--format", "freeswitch", "--create-missing"])),
        ("acc-kamailio.csv", with(&["--format", "kamailio", "--map", "agent==sales"])),
        ("bad-lines.csv", vec!["--environment", "nobody"]),
        ("bad-lines.csv", vec![]),
        ("bad-lines.csv", with(&["--map", "agent=bot"])),
        ("bad-lines.csv", with(&["--dry-run", "--create-missing"])),
    ]
}

/// Exit code, rejected lines, summary and errors of an import.
type Reported = (Option<i32>, Vec<(u64, String)>, Value, Vec<String>);

/// Returns what an import reported, without durations.
pub(super) fn reported(done: &Done) -> Reported {
    let mut summary = done.summary.clone();
    if let Some(summary) = summary.as_object_mut() {
        summary.remove("seconds");
        // A dry run does not know those of a daemon.
        summary.remove("quotas_checked");
        summary.remove("calls_per_second");
    }
    let errors = done.stderr.lines().filter(|line| line.contains("\"success\"")).map(str::to_owned);
    (done.code, done.rejected.clone(), summary, errors.collect())
}

/// Returns the exported calls and the names of the configuration, without the ids and times that differ.
fn calls(site: &Site) -> Vec<String> {
    let (code, text, errors) = dialback(&["export", "--data"], &site.path("data"));
    assert_eq!(code, 0, "{errors}");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let call = |line: Value| {
        let call = line["call"].as_object()?.clone();
        Some(format!("{} {} {} {}", call["number"], call["contact"], call["at"], call["outcome"]))
    };
    let mut calls: Vec<_> = lines.filter_map(call).collect();
    calls.sort();
    calls
}

#[test]
fn directory_on_the_command_line_outranks_the_daemon_of_the_environment() {
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start(&there.path("data"));
    let file = sample("bad-lines.csv");
    let import = |url: &str| {
        let mut command = here.command(&file, &["--environment", "tenant"]);
        let output = command.env("DIALBACK_URL", url).env("DIALBACK_TOKEN", "wrong").output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(import(daemon.url()).0, Some(3), "the lines are imported into --data");
    assert_eq!(import("").0, Some(3), "an empty variable names no daemon");
    assert_eq!((calls(&here).len(), calls(&there).len()), (5, 0));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.arg("import").arg(&file).current_dir(here.path("")).env("DIALBACK_URL", daemon.url());
    let output = command.env("DIALBACK_TOKEN", "wrong").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "without --data, the variable names the destination");
}

#[test]
fn import_into_a_daemon_reports_and_stores_what_an_import_into_a_directory_does() {
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start(&there.path("data"));
    for (name, options) in samples() {
        let (to_daemon, to_directory) = (there.import(&sample(name), &options), here.import(&sample(name), &options));
        assert_eq!(reported(&to_daemon), reported(&to_directory), "{name} {options:?}");
    }
    assert_eq!(calls(&there), calls(&here));
    assert_eq!(daemon.stop(), 0);
    let names = |site: &Site| {
        let service = site.service();
        let plan = service.plan();
        let environment = plan.environment(super::TENANT).expect("the tenant");
        let agents: Vec<_> =
            environment.agents().map(|agent| (agent.name().to_owned(), agent.is_published())).collect();
        let mut numbers: Vec<_> = environment.numbers().map(NumberView::number).collect();
        numbers.sort();
        (agents.len(), numbers)
    };
    assert_eq!(names(&there), names(&here));
    assert_eq!(calls(&there), calls(&here));
}

/// Of calls that differ in nothing but the agent, the agent that was created last counts.
#[test]
fn entities_are_created_in_a_daemon_in_the_order_of_the_file() {
    let mut text = String::from("from,to,at,agent,status\n");
    for agent in 0..40 {
        writeln!(text, "{OURS},+447700900001,2025-07-01T12:00:00Z,agent-{},busy", agent * 7 % 40).expect("written");
    }
    let import = |site: &Site| {
        let done = site.import_text(&text, &["--create-missing"]);
        assert_eq!((done.code, done.count("accepted")), (Some(0), 40), "{}", done.stderr);
    };
    let (there, here) = (Site::empty(), Site::empty());
    let daemon = Daemon::start(&there.path("data"));
    import(&there);
    assert_eq!(daemon.stop(), 0);
    import(&here);
    for site in [there, here] {
        let service = site.service();
        let caller = Caller::Number(super::number("+447700900001"));
        let call = service.resolve(super::number(OURS), caller, super::NOW).call.expect("a call");
        let plan = service.plan();
        let agent = plan.environments().find_map(|of| of.agents().find(|agent| agent.id() == call.agent));
        let agent = agent.expect("the agent");
        assert_eq!(agent.name(), "agent-33", "the agent of the last line");
    }
}

#[test]
fn missing_environment_is_created_in_a_daemon() {
    let site = Site::empty();
    let daemon = Daemon::start(&site.path("data"));
    let options = ["--format", "asterisk", "--only", "dcontext=outbound"];
    let done = site.import(&sample("Master-asterisk.csv"), &options);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("--create-missing"), "{}", done.stderr);
    let create = [&options[..], &["--create-missing"]].concat();
    let refused = [&create[..], &["--create-at-most", "1"]].concat();
    assert_eq!(site.import(&sample("Master-asterisk.csv"), &refused).code, Some(1));
    let (_, listed, _) = dialback(&["environment", "list", "--json", "--data"], &site.path("data"));
    assert_eq!(listed.trim(), "[]", "a failed import leaves no environment");
    let done = site.import(&sample("Master-asterisk.csv"), &create);
    assert_eq!((done.code, done.lines()), (Some(3), vec![7]), "{}", done.stderr);
    assert_eq!((done.count("accepted"), done.count("created_numbers"), done.count("created_agents")), (5, 2, 2));
    let again = site.import(&sample("Master-asterisk.csv"), &create);
    assert_eq!((again.count("accepted"), again.count("unchanged")), (5, 5));
    assert_eq!((again.count("created_numbers"), again.count("created_agents")), (0, 0));
    let (_, tokens, _) = dialback(&["token", "list", "--json", "--data"], &site.path("data"));
    assert_eq!(tokens.trim(), "[]", "an import leaves no token");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn calls_that_the_daemon_rejects_are_reported_by_line() {
    let mut text = String::from("from,to,at,agent,status\n");
    for contact in 0..350 {
        writeln!(text, "{OURS},+4477{contact:08},1751371200,sales,busy").expect("a string takes all");
    }
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start_with(&there.path("data"), &["--max-pairs-per-environment", "20"]);
    let import = |site: &Site| {
        let kept = site.path("rejected.csv");
        let limits = ["--max-pairs-per-environment", "20", "--show-rejected", "1000", "--reject-file"];
        let options = [&["--environment", "tenant"], &limits[..], &[kept.to_str().expect("UTF-8")]].concat();
        let done = site.import(&site.file(&text), &options);
        let kept = fs::read_to_string(kept).expect("kept");
        assert!(kept.starts_with("from,to,at,agent,status\n+15550100100,+4477000000"), "{kept}");
        assert_eq!(kept.lines().count(), 331, "each rejected record is kept");
        done
    };
    let (to_daemon, to_directory) = (import(&there), import(&here));
    assert_eq!((to_daemon.code, to_daemon.count("accepted"), to_daemon.count("rejected")), (Some(3), 20, 330));
    assert_eq!(to_daemon.lines().len(), 330, "more than one answer of the API lists");
    assert_eq!(reported(&to_daemon), reported(&to_directory));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn url_and_token_name_a_daemon() {
    let site = Site::configured();
    let daemon = Daemon::start(&site.path("data"));
    let (_, token, _) = dialback(&["token", "create", "--environment", "tenant", "--data"], &site.path("data"));
    let (_, operator, _) = dialback(&["token", "create", "--role", "operator", "--data"], &site.path("data"));
    let import = |url: &str, token: &str, more: &[&str]| {
        let file = site.path("token");
        fs::write(&file, token).expect("written");
        let file = file.to_str().expect("UTF-8").to_owned();
        let options = [&["--url", url, "--token-file", &file], more].concat();
        // The directory of this import does not exist: it is not used.
        let elsewhere = Site::empty();
        let done = elsewhere.import(&sample("bad-lines.csv"), &options);
        assert!(!elsewhere.path("data").exists());
        done
    };
    let done = import(daemon.url(), &token, &[]);
    assert_eq!((done.code, done.count("accepted"), done.count("rejected")), (Some(3), 5, 23), "{}", done.stderr);
    // A tenant must not learn which numbers other tenants have.
    let why = "`from` is not a number of this environment: add the number, or use --create-missing";
    assert!(done.rejected.contains(&(17, why.to_owned())), "{:?}", done.rejected);
    let created = import(daemon.url(), &token, &["--create-missing"]);
    let why = "`from` is not a number of this environment, and the daemon did not add it: check the number, and that the \
        token is that of your environment";
    assert!(created.rejected.contains(&(17, why.to_owned())), "{:?}", created.rejected);
    assert!(!created.stderr.contains("another environment"), "{}", created.stderr);

    for (url, token, more, why) in [
        (daemon.url(), token.as_str(), &["--environment", "other"][..], "`other`"),
        (daemon.url(), operator.as_str(), &[], "--url needs the token of an environment"),
        (daemon.url(), "talq_x", &[], "The token is missing or not valid"),
        ("ftp://localhost:1", token.as_str(), &[], "--url must begin with https:// or http://"),
        ("http://127.0.0.1:1", token.as_str(), &[], "does not answer"),
        ("http://a b", token.as_str(), &[], "--url is not a valid URL"),
        ("http://", token.as_str(), &[], "--url is not a valid URL"),
        ("http://alice:hunter2@127.0.0.1:1", token.as_str(), &[], "--url is not a valid URL"),
        ("http://127.0.0.1:1/?token=hunter2", token.as_str(), &[], "--url is not a valid URL"),
        ("http://127.0.0.1:99999", token.as_str(), &[], "--url is not a valid URL"),
        (daemon.url(), "two\nlines", &[], "a character that no token has"),
        (daemon.url(), "talq_\u{e9}", &[], "a character that no token has"),
        (daemon.url(), "\n", &[], "the token is empty"),
    ] {
        let done = import(url, token, more);
        assert_eq!(done.code, Some(1), "{url} {}", done.stderr);
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
    }
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn token_of_another_environment_creates_nothing_for_rejected_calls() {
    let site = Site::configured();
    let daemon = Daemon::start(&site.path("data"));
    let (_, token, _) = dialback(&["token", "create", "--environment", "other", "--data"], &site.path("data"));
    let file = site.path("token");
    fs::write(&file, token).expect("written");
    let options = ["--create-missing", "--url", daemon.url(), "--token-file", file.to_str().expect("UTF-8")];
    let counts = ["accepted", "rejected", "created_numbers", "created_agents"];
    let mut text = String::from("from,to,at,agent\n");
    for contact in 0..5_000 {
        writeln!(text, "{OURS},+4477{contact:08},1751371200,bot-{}", contact % 3).expect("a string takes all");
    }
    let done = site.import_text(&text, &options);
    assert_eq!((done.code, counts.map(|name| done.count(name))), (Some(3), [0, 5_000, 0, 0]), "{}", done.stderr);
    assert_eq!((&done.summary["first_call"], &done.summary["last_call"]), (&Value::Null, &Value::Null));
    let planned = site.import_text(&text, &[&options[..], &["--dry-run"]].concat());
    assert_eq!((planned.code, planned.count("accepted")), (Some(0), 5_000), "{}", planned.stderr);
    let checked = ["foreign_numbers_checked", "from_known_numbers"].map(|name| planned.summary[name].clone());
    assert_eq!(checked, [json!(false), json!(false)]);
    let output = site.command(&site.file(&text), &[&options[..], &["--dry-run"]].concat()).output().expect("runs");
    let (out, _) = super::texts(&output);
    for part in [
        "\n  numbers     the daemon may refuse new ones, which a dry run with this token does not know\n",
        "\n  no call is from a number of this environment, which has 2: check that it is yours\n",
    ] {
        assert!(out.contains(part), "{part:?} is missing in {out}");
    }
    // One line of the environment's own number, after more lines than are held back.
    for contact in 0..70_000 {
        writeln!(text, "{OURS},+4478{contact:08},1751371200,bot-{}", contact % 3).expect("a string takes all");
    }
    text.push_str("+15550100177,+447700900001,1751371200,bot-1\n");
    let done = site.import_text(&text, &options);
    assert_eq!(counts.map(|name| done.count(name)), [1, 75_000, 0, 1], "{}", done.stderr);
    assert_eq!(done.summary["first_call"], "2025-07-01T12:00:00Z");
    assert_eq!(daemon.stop(), 0);
    let service = site.service();
    let plan = service.plan();
    let agents = plan.environment(super::OTHER_TENANT).expect("the environment").agents();
    assert_eq!(agents.map(|agent| agent.name().to_owned()).collect::<Vec<_>>(), ["bot-1"]);
}

#[test]
fn moments_of_a_summary_are_those_of_calls_that_were_not_rejected() {
    let now = Timestamp::try_from(SystemTime::now()).expect("after 1970").millis() / 1000;
    let later = now + 3600;
    let text = format!(
        "from,to,at,agent\n{OURS},+447700900001,1751371200,sales\n{OURS},+447700900002,1735689600,sales\n\
         {OURS},+447700900003,{later},sales\n{OURS},+447700900001,1751371260,sales\n"
    );
    let limits = ["--max-pairs-per-environment", "1"];
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start_with(&there.path("data"), &limits);
    let import = |site: &Site| site.import(&site.file(&text), &[&["--environment", "tenant"], &limits[..]].concat());
    let (to_daemon, to_directory) = (import(&there), import(&here));
    assert_eq!((to_daemon.lines(), to_daemon.count("accepted")), (vec![3, 4], 2), "{}", to_daemon.stderr);
    let moments = ["first_call", "last_call", "in_the_future"].map(|name| to_daemon.summary[name].clone());
    assert_eq!(moments, [json!("2025-07-01T12:00:00Z"), json!("2025-07-01T12:01:00Z"), json!(0)]);
    assert_eq!(reported(&to_daemon), reported(&to_directory));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn rejected_call_leaves_the_moments_of_other_calls_on_its_line() {
    let call = |contact: u64, at: u64| json!({ "from": OURS, "to": format!("+44770090000{contact}"), "at": at, "agent": "sales" });
    let text = json!([call(1, 1_751_371_200), call(2, 1_735_689_600), call(1, 1_751_371_260)]).to_string();
    let limits = ["--max-pairs-per-environment", "1"];
    let (there, here) = (Site::configured(), Site::configured());
    let daemon = Daemon::start_with(&there.path("data"), &limits);
    let import = |site: &Site| site.import(&site.file(&text), &[&["--environment", "tenant"], &limits[..]].concat());
    let (to_daemon, to_directory) = (import(&there), import(&here));
    assert_eq!((to_daemon.lines(), to_daemon.count("accepted")), (vec![1], 2), "{}", to_daemon.stderr);
    let moments = ["first_call", "last_call"].map(|name| to_daemon.summary[name].clone());
    assert_eq!(moments, [json!("2025-07-01T12:00:00Z"), json!("2025-07-01T12:01:00Z")]);
    assert_eq!(reported(&to_daemon), reported(&to_directory));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn erased_calls_do_not_count_as_accepted() {
    let site = Site::configured();
    let daemon = Daemon::start(&site.path("data"));
    let text =
        format!("from,to,at,agent\n{OURS},+447700900001,1751371200,sales\n{OURS},+447700900002,1751371200,sales\n");
    let options = ["--environment", "tenant"];
    assert_eq!(site.import(&site.file(&text), &options).count("accepted"), 2);
    let (_, token, _) = dialback(&["token", "create", "--environment", "tenant", "--data"], &site.path("data"));
    let request = ureq::http::Request::builder()
        .method("DELETE")
        .uri(format!("{}/api/v1/contacts/%2B447700900001", daemon.url()))
        .header("authorization", format!("Bearer {}", token.trim()));
    let answer = ureq::agent().run(request.body(()).expect("a request")).expect("an answer");
    assert_eq!(answer.status(), 200);
    let check = |done: Done| {
        let counts = ["accepted", "unchanged", "erased", "rejected"].map(|name| done.count(name));
        assert_eq!((done.code, counts), (Some(0), [1, 1, 1, 0]), "{}", done.stderr);
    };
    check(site.import(&site.file(&text), &options));
    assert_eq!(daemon.stop(), 0);
    check(site.import(&site.file(&text), &options));
}

#[test]
fn calls_that_do_not_count_are_reported_and_not_stored() {
    let site = Site::configured();
    let daemon = Daemon::start(&site.path("data"));
    let set = ["environment", "set", "tenant", "--counts-from", "answered", "--data"];
    assert_eq!(dialback(&set, &site.path("data")).0, 0);
    let line = |contact: &str, status: &str| format!("{OURS},{contact},1751371200,sales,{status}\n");
    let (busy, answered) = (line("+447700900001", "busy"), line("+447700900002", "answered"));
    let text = format!("from,to,at,agent,status\n{busy}{answered}");
    let check = |done: Done| {
        let counts = ["accepted", "uncounted", "rejected"].map(|name| done.count(name));
        assert_eq!((done.code, counts), (Some(0), [1, 1, 0]), "{}", done.stderr);
    };
    let options = ["--environment", "tenant"];
    check(site.import(&site.file(&text), &options));
    assert_eq!(daemon.stop(), 0);
    check(site.import(&site.file(&text), &options));
}

#[test]
fn many_calls_are_imported_into_a_daemon() {
    let site = Site::empty();
    let daemon = Daemon::start(&site.path("data"));
    let mut text = String::from("from,to,at,agent\n");
    for call in 0..90_000_u64 {
        let (from, contact, at, agent) =
            (15_550_100_000 + call / 900, call % 80_000, 1_751_371_200 + call, call / 9_000);
        writeln!(text, "+{from},+4477{contact:08},{at},agent-{agent}").expect("a string takes all");
    }
    text.push_str("+1,+1,+1,+1\n");
    let done = site.import(&site.file(&text), &["--create-missing"]);
    assert_eq!((done.count("accepted"), done.lines()), (90_000, vec![90_002]), "{}", done.stderr);
    assert_eq!((done.count("created_numbers"), done.count("created_agents")), (100, 10));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(site.service().history().len(), 90_000);
}

#[test]
fn directory_that_another_program_holds_is_refused_with_exit_code_4() {
    let site = Site::configured();
    let _held = site.service();
    let done = site.import(&sample("bad-lines.csv"), &["--environment", "tenant"]);
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    assert!(Path::new(&site.path("data")).exists());
    assert!(serde_json::from_str::<Value>(done.stderr.trim()).is_ok_and(|line| line["success"] == json!(false)));
}

#[test]
fn numbers_are_read_with_the_dial_plan_of_the_daemon() {
    let mut text = String::from("from,to,at,agent\n");
    for to in [
        "07700 900001",
        "+44 (0)7700 900002",
        "00 44 7700 900003",
        "030 901820",
        "0911",
        "112",
        "7700900004",
        "+4477009",
    ] {
        writeln!(text, "+447700900100,{to},1751371200,sales").expect("a string takes all");
    }
    let german = ["--country-code", "49", "--national-prefix", "0", "--international-prefix", "00"];
    let with_lengths = [&german[..], &["--national-number-lengths", "8,10,11"]].concat();
    for plan in [&["--region", "GB"][..], &german, &with_lengths, &[]] {
        let make = || {
            let site = Site::empty();
            let create = [&["environment", "create", "acme", "--create-directory"], plan, &["--data"]].concat();
            assert_eq!(dialback(&create, &site.path("data")).0, 0, "{plan:?}");
            site
        };
        let (there, here) = (make(), make());
        let daemon = Daemon::start(&there.path("data"));
        let import = |site: &Site| site.import(&site.file(&text), &["--create-missing"]);
        assert_eq!(reported(&import(&there)), reported(&import(&here)), "{plan:?}");
        assert_eq!(daemon.stop(), 0);
        assert!(!calls(&here).is_empty());
        assert_eq!(calls(&there), calls(&here), "{plan:?}");
    }
}
