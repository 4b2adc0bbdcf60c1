//! `dialback import --dry-run`.

use super::{Site, assert_no_number, sample, texts};
use crate::support::daemon::Daemon;
use dialback::Timestamp;
use serde_json::json;
use std::fs;
use std::time::SystemTime;

#[test]
fn dry_run_states_what_an_import_would_do_and_changes_nothing() {
    let site = Site::empty();
    let options = ["--format", "asterisk", "--time-zone", "Europe/Berlin", "--only", "dcontext=outbound"];
    let options = [&options[..], &["--create-missing", "--dry-run"]].concat();
    let done = site.import(&sample("Master-asterisk.csv"), &options);
    assert_eq!(done.code, Some(3), "a line would be rejected: {}", done.stderr);
    assert_eq!((done.count("accepted"), done.lines()), (5, vec![7]));
    assert!(!site.path("data").exists());
    let summary = &done.summary;
    assert_eq!((&summary["environment"], &summary["creates_environment"]), (&json!("default"), &json!(true)));
    assert_eq!(summary["time_zone"], "Europe/Berlin");
    assert_eq!((done.count("created_numbers"), done.count("created_agents")), (2, 2));
    assert_eq!(summary["new_agents"], json!(["\"sales\"", "\"support\""]));
    assert_eq!(summary["new_numbers"].as_array().map(Vec::len), Some(2));
    assert_eq!((&summary["first_call"], &summary["in_the_future"]), (&json!("2025-07-01T12:00:00Z"), &json!(0)));
    let words = summary["statuses"].as_array().expect("a list");
    assert!(words.contains(&json!({ "word": "\"NO ANSWER\"", "outcome": "no_answer", "count": 1 })), "{summary}");
    assert_eq!(summary["samples"][0]["status"], "\"ANSWERED\"");
    assert_eq!(summary["samples"][0]["outcome"], "completed");
}

#[test]
fn dry_run_for_people_masks_numbers() {
    let site = Site::configured();
    let generation = site.service().plan().generation();
    let output = site.command(&sample("bad-lines.csv"), &["--environment", "tenant", "--dry-run"]).output();
    let output = output.expect("runs");
    let (out, err) = texts(&output);
    for part in [
        "dry run: nothing was changed\n  environment tenant\n  accepted              5\n  rejected             23\n",
        "\n  first call  2025-07-01T12:00:00Z\n  last call   2025-07-01T12:00:20Z\n  in future             0\n",
        "\n  time zone   UTC, for times without an offset: change it with --time-zone\n",
        "\nstatuses, and the outcomes that they are read as\n",
        "\nfirst calls\n  line 2: +155******00 to ",
        "\nrejected lines by reason\n",
    ] {
        assert!(out.contains(part), "{part:?} is missing in {out}");
    }
    assert_no_number(&out);
    assert_no_number(&err);
    let service = site.service();
    assert_eq!((service.plan().generation(), service.history().len()), (generation, 0));
}

#[test]
fn dry_run_counts_calls_in_the_future() {
    let site = Site::configured();
    let now = Timestamp::try_from(SystemTime::now()).expect("after 1970").millis() / 1000;
    let lines = [now - 3600, now + 3600, now + 7200].map(|at| format!("+15550100100,+447700900001,{at},sales\n"));
    let file = site.file(format!("from,to,at,agent\n{}", lines.concat()));
    let done = site.import(&file, &["--environment", "tenant", "--dry-run"]);
    assert_eq!((done.code, done.count("accepted"), done.count("in_the_future")), (Some(0), 3, 2));
    let imported = site.import(&file, &["--environment", "tenant"]);
    assert_eq!(imported.count("in_the_future"), 2, "the summary of an import warns too");
}

#[test]
fn dry_run_counts_all_new_agents_and_ends_as_the_import_would() {
    let site = Site::empty();
    let line = |line| format!("+15550100100,+447700900001,1751371200,call-{line}\n");
    let text = format!("from,to,at,agent\n{}", (0..5).map(line).collect::<String>());
    let options = ["--create-missing", "--create-at-most", "3", "--dry-run"];
    let done = site.import(&site.file(&text), &options);
    assert_eq!((done.code, done.count("created_agents")), (Some(1), 5));
    assert!(done.stderr.contains("the file names 5 new agents, and --create-at-most allows 3"), "{}", done.stderr);
}

#[test]
fn reject_file_of_a_dry_run_can_be_repaired() {
    let site = Site::configured();
    let kept = site.path("rejected.csv");
    let options = ["--environment", "tenant", "--dry-run", "--reject-file", kept.to_str().expect("UTF-8")];
    assert_eq!(site.import(&sample("bad-lines.csv"), &options).code, Some(3));
    assert!(fs::read(&kept).expect("kept").starts_with(b"from,to,at,agent,status\n+15550100100,"));
    let (out, _) = texts(&site.command(&sample("bad-lines.csv"), &options).output().expect("runs"));
    let begin = format!("dry run: nothing was imported, and the rejected lines are in {}\n", kept.display());
    assert!(out.starts_with(&begin), "{out}");
}

#[test]
fn dry_run_shows_failed_attempts_as_the_import_would_store_them() {
    let site = Site::with_outbound_agents();
    let text = "method,sip_code,time,src_user,dst_user,bot\n\
         INVITE,503,2025-07-01 12:00:00,+15550100100,+447700900001,sales\n\
         INVITE,200,2025-07-01 12:00:00,+15550100100,+447700900001,North\n\
         INVITE,486,2025-07-01 12:01:00,+15550100100,+447700900001,sales\n";
    let options = ["--format", "kamailio", "--map", "agent=bot", "--dry-run"];
    let file = site.file(text);
    let done = site.import(&file, &options);
    assert_eq!((done.count("accepted"), done.count("answered_attempts")), (3, 1), "{}", done.stderr);
    let samples = done.summary["samples"].as_array().expect("a list").iter();
    let samples: Vec<_> = samples.map(|one| (&one["line"], &one["agent"], &one["status"], &one["outcome"])).collect();
    let sample = |line: u64, agent, status, outcome| (json!(line), json!(agent), json!(status), json!(outcome));
    let expected = [
        sample(2, "\"North\"", "\"503\"", "completed"),
        sample(3, "\"North\"", "\"200\"", "completed"),
        sample(4, "\"sales\"", "\"486\"", "busy"),
    ];
    assert!(
        samples.into_iter().eq(expected.iter().map(|(line, agent, status, outcome)| (line, agent, status, outcome)))
    );
    let (out, _) = texts(&site.command(&file, &options).output().expect("runs"));
    assert!(out.contains("\n  attempts              1  of these: failed attempts of answered calls"), "{out}");
}

#[test]
fn dry_run_shows_each_call_of_a_list_on_one_line_as_its_own() {
    let site = Site::with_outbound_agents();
    let call = |contact: u64, agent, status| {
        json!({ "from": "+15550100100", "to": format!("+44770090000{contact}"), "at": 1_751_371_200, "agent": agent,
            "status": status })
    };
    let list = json!([call(1, "sales", "busy"), call(2, "North", "completed"), call(3, "sales", "failed")]);
    let done = site.import_text(&list.to_string(), &["--dry-run"]);
    let samples = done.summary["samples"].as_array().expect("a list").iter();
    let samples: Vec<_> = samples.map(|one| (&one["line"], &one["agent"], &one["status"], &one["outcome"])).collect();
    let expected = [("sales", "busy"), ("North", "completed"), ("sales", "failed")]
        .map(|(agent, status)| (json!(1), json!(format!("{agent:?}")), json!(format!("{status:?}")), json!(status)));
    assert!(
        samples
            .iter()
            .copied()
            .eq(expected.iter().map(|(line, agent, status, outcome)| (line, agent, status, outcome))),
        "{samples:?}"
    );
}

#[test]
fn dry_run_names_a_zone_of_rules_as_it_was_given() {
    let site = Site::with_outbound_agents();
    let rules = "CET-1CEST,M3.5.0,M10.5.0/3";
    let file = site.file("from,to,at,agent\n+15550100100,+447700900001,2025-07-01 14:00:00,sales\n");
    let done = site.import(&file, &["--dry-run", "--time-zone", rules]);
    assert_eq!(
        (&done.summary["time_zone"], &done.summary["first_call"]),
        (&json!(rules), &json!("2025-07-01T12:00:00Z"))
    );
}

#[test]
fn dry_run_does_not_hold_a_daemon_to_the_quotas_of_the_command() {
    let site = Site::with_outbound_agents();
    let file = site.file("from,to,at,agent\n+15550100100,+447700900001,2025-07-01 14:00:00,new\n");
    let options = ["--create-missing", "--dry-run", "--max-agents", "2"];
    let done = site.import(&file, &options);
    assert_eq!((done.lines(), &done.summary["quotas_checked"]), (vec![2], &json!(true)), "two agents exist");
    let daemon = Daemon::start_with(&site.path("data"), &["--max-agents", "3"]);
    let done = site.import(&file, &options);
    assert_eq!((done.count("accepted"), &done.summary["quotas_checked"]), (1, &json!(false)), "{}", done.stderr);
    let (out, _) = texts(&site.command(&file, &options).output().expect("runs"));
    assert!(out.contains("\n  quotas      those of the daemon, which a dry run does not know\n"), "{out}");
    let import = |agent: &str| {
        let text = format!("from,to,at,agent\n+15550100100,+447700900001,2025-07-01 14:00:00,{agent}\n");
        site.import(&site.file(text), &["--create-missing", "--max-agents", "2"])
    };
    assert_eq!(import("new").count("created_agents"), 1);
    let done = import("newer");
    assert!(done.lines() == [2] && done.rejected[0].1.contains("limit of 3 agents"), "{}", done.stderr);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn export_has_no_dry_run() {
    let site = Site::empty();
    let file = site.file("{\"dialback_export\":1}\n");
    let done = site.import(&file, &["--dry-run"]);
    assert_eq!(done.code, Some(1));
    assert!(!site.path("data").exists());
}
