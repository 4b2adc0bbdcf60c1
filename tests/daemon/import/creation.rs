//! The entities that an import may create, and a failed import that leaves nothing behind.

use super::proxy::{self, Fate};
use super::{SALES, Site, sample};
use crate::support::daemon::Daemon;
use dialback::Outcome;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

/// Returns a file in which each call has an agent of its own, as if the call id was the agent.
fn agent_in_each_line(lines: usize) -> String {
    let mut text = String::from("from,to,at,agent\n");
    for line in 0..lines {
        writeln!(text, "+15550100100,+4477{line:08},2025-07-01T12:00:00Z,call-{line}").expect("a string takes all");
    }
    text
}

#[test]
fn more_new_agents_than_allowed_end_the_import_and_leave_no_directory() {
    let site = Site::empty();
    let file = site.file(agent_in_each_line(20_000));
    let done = site.import(&file, &["--create-missing"]);
    assert_eq!(done.code, Some(1));
    let why = "the file names more than 1000 new agents, and --create-at-most allows 1000";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    assert!(!site.path("data").exists(), "nothing was created");

    let done = site.import(&file, &["--create-missing", "--create-at-most", "20000"]);
    assert_eq!((done.code, done.count("created_agents")), (Some(0), 20_000), "{}", done.stderr);
}

#[test]
fn more_new_numbers_than_allowed_end_the_import_and_change_no_environment() {
    let site = Site::configured();
    let mut text = String::from("from,to,at,agent\n");
    for line in 0..10 {
        writeln!(text, "+1555010020{line},+4477{line:08},2025-07-01T12:00:00Z,sales").expect("a string takes all");
    }
    let options = ["--environment", "tenant", "--create-missing", "--create-at-most", "9"];
    let done = site.import(&site.file(&text), &options);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("more than 9 new numbers"), "{}", done.stderr);
    let service = site.service();
    assert_eq!(service.plan().generation(), 2, "the two configurations of the set-up");
    assert!(service.history().is_empty());
}

#[test]
fn error_after_the_first_calls_says_that_they_are_stored() {
    let site = Site::empty();
    let mut text = String::from("from,to,at,agent\n");
    for line in 0..70_000 {
        writeln!(text, "+15550100100,+4477{line:08},1751371200,sales").expect("a string takes all");
    }
    text += "+15550100100,+447700900001,1751371200,one\n+15550100100,+447700900001,1751371200,two\n";
    let done = site.import(&site.file(&text), &["--create-missing", "--create-at-most", "2"]);
    assert_eq!(done.code, Some(1));
    let calls = site.service().history().len();
    assert!(calls >= 65_536);
    let thousands = format!("{},{:03} calls", calls / 1000, calls % 1000);
    let stored = format!("; stored before this, and kept: the environment `default`, 1 number, 1 agent, {thousands}; ");
    assert!(done.stderr.contains(&stored), "{}", done.stderr);
    assert!(done.stderr.contains("importing the file again is safe"), "{}", done.stderr);
}

/// Directs the commands for this data directory to a proxy. The daemon's own token stays.
fn direct_to(site: &Site, proxy: &str) {
    let path = site.path("data/daemon.json");
    let mut contact: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    contact["url"] = proxy.into();
    fs::write(path, contact.to_string()).expect("written");
}

#[test]
fn failed_creation_in_a_daemon_says_what_was_created() {
    let file = |site: &Site| site.file(agent_in_each_line(8));
    for (refused, after, fate, stored) in [
        ("POST /api/v1/environments", 0, Fate::Refuse(403), None),
        ("POST /api/v1/environments", 0, Fate::Refuse(500), Some("a part may be stored")),
        ("POST /api/v1/phone-numbers", 0, Fate::Refuse(403), Some("kept: the environment `default`; ")),
        ("POST /api/v1/agents", 2, Fate::Refuse(403), Some("kept: the environment `default`, 1 number, 2 agents; ")),
        (
            "POST /api/v1/agents",
            3,
            Fate::LoseAnswer,
            Some("kept: at least the environment `default`, 1 number, 3 agents; "),
        ),
        (
            "POST /api/v1/calls",
            0,
            Fate::Refuse(403),
            Some("kept: at least the environment `default`, 1 number, 8 agents; "),
        ),
    ] {
        let site = Site::empty();
        let daemon = Daemon::start(&site.path("data"));
        let (seen, contact) = (AtomicU64::new(0), fs::read(site.path("data/daemon.json")).expect("readable"));
        let proxy = proxy::start(daemon.url(), move |request| {
            let path = request.trim_end_matches("/bulk?details=true");
            if path == refused && seen.fetch_add(1, SeqCst) >= after { fate } else { Fate::Forward }
        });
        direct_to(&site, &proxy);
        let done = site.import(&file(&site), &["--create-missing"]);
        assert_eq!(done.code, Some(1), "{refused}: {}", done.stderr);
        match stored {
            None => assert!(!done.stderr.contains("stored"), "{refused}: {}", done.stderr),
            Some(stored) => {
                assert!(done.stderr.contains(stored), "{refused}: {}", done.stderr);
                assert!(done.stderr.contains("importing the file again is safe"), "{refused}: {}", done.stderr);
            }
        }
        fs::write(site.path("data/daemon.json"), contact).expect("written");
        let again = site.import(&file(&site), &["--create-missing"]);
        assert_eq!((again.code, again.count("accepted")), (Some(0), 8), "{refused}: {}", again.stderr);
        assert_eq!(daemon.stop(), 0);
        let service = site.service();
        let plan = service.plan();
        let counts: Vec<_> = plan.environments().map(|one| (one.numbers().count(), one.agents().count())).collect();
        assert_eq!(counts, [(1, 8)], "{refused}");
    }
}

#[test]
fn lines_beyond_the_quota_are_rejected_by_name() {
    let site = Site::configured();
    // Six agents exist.
    let options = ["--environment", "tenant", "--create-missing", "--max-agents", "8", "--max-numbers", "1"];
    let done = site.import(&site.file(agent_in_each_line(5)), &options);
    let why = "This environment has reached its limit of 8 agents; deleted ones count too";
    assert_eq!(done.rejected, [4, 5, 6].map(|line| (line, why.to_owned())));
    assert_eq!((done.count("accepted"), done.count("created_agents")), (2, 2));
    let text = "from,to,at,agent\n+15550100200,+447700900001,1751371200,sales\n";
    let done = site.import(&site.file(text), &options);
    let why = "This environment has reached its limit of 1 phone numbers; deleted ones count too";
    assert_eq!(done.rejected, [(2, why.to_owned())]);
    assert_eq!(site.service().plan().environment(super::TENANT).map(|one| one.agents().count()), Some(8));
}

#[test]
fn failed_import_leaves_no_directory_and_no_environment() {
    let create = ["--create-missing"];
    for (text, options) in [
        ("src;dst\n1;2\n", &create[..]),
        ("", &create),
        ("from,to,at,agent\n+15550100100,+447700900001,2025-07-01T12:00:00Z,sales\n", &[]),
        // All lines are rejected, so there is nothing to create for.
        ("from,to,at,agent\n+15550100100,+447700900001,never,sales\n", &create),
    ] {
        let site = Site::empty();
        let done = site.import(&site.file(text), options);
        assert_ne!(done.code, Some(0), "{text:?}");
        assert!(!site.path("data").exists(), "{text:?}: {}", done.stderr);
    }
    let site = Site::empty();
    site.import(&site.file("src;dst\n"), &create);
    let done = site
        .import(&sample("Master-asterisk.csv"), &["--format", "asterisk", "--create-missing", "--environment", "acme"]);
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    let names: Vec<_> = site.service().plan().environments().map(|one| one.name().to_owned()).collect();
    assert_eq!(names, ["acme"]);
}

#[test]
fn mistyped_environment_is_not_created() {
    let site = Site::configured();
    let done = site.import(&sample("bad-lines.csv"), &["--environment", "tenan", "--create-missing"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("dialback environment create"), "{}", done.stderr);
    assert_eq!(site.service().plan().environments().count(), 2);
}

#[test]
fn former_reject_file_stays_after_a_failed_import() {
    let site = Site::configured();
    let kept = site.path("rejected.csv");
    fs::write(&kept, "former rejects\n").expect("written");
    let options = ["--environment", "tenant", "--reject-file", kept.to_str().expect("UTF-8")];
    for text in ["src,dst\n", ""] {
        assert_eq!(site.import(&site.file(text), &options).code, Some(1));
        assert_eq!(fs::read_to_string(&kept).expect("kept"), "former rejects\n");
    }
    let elsewhere = [&options[2..], &["--environment", "nobody"]].concat();
    assert_eq!(site.import(&sample("bad-lines.csv"), &elsewhere).code, Some(1));
    assert_eq!(fs::read_to_string(&kept).expect("kept"), "former rejects\n");
    assert!(!site.path("rejected.csv.new").exists());
    assert_eq!(site.import(&sample("bad-lines.csv"), &options).code, Some(3));
    let text = fs::read(&kept).expect("kept");
    assert!(text.starts_with(b"from,to,at,agent,status\n"));
    assert!(!site.path("rejected.csv.new").exists());
}

#[test]
fn rejects_can_go_to_a_pipe_which_stays() {
    let site = Site::configured();
    let pipe = site.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let read = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).expect("readable")
    });
    let options = ["--environment", "tenant", "--reject-file", pipe.to_str().expect("UTF-8")];
    assert_eq!(site.import(&sample("bad-lines.csv"), &options).code, Some(3));
    assert!(read.join().expect("read").starts_with(b"from,to,at,agent,status\n"));
    assert!(fs::metadata(&pipe).expect("still there").file_type().is_fifo());
}

#[test]
fn invisible_characters_make_no_other_agent() {
    let site = Site::with_outbound_agents();
    let line =
        |contact: u64, agent: &str| format!("+15550100100,+44770090000{contact},2025-07-01T12:00:00Z,{agent},busy\n");
    let around = ["\u{200B}sales", "sales\u{FEFF}", "\u{A0}sales\u{2060}", "\u{200E}=\"sales\"", "sales\u{200C} \u{1}"];
    let inside = ["sa\u{200B}les", "sales\u{AD}east", "sa\u{A0}les", "true", "NaN"];
    let lines: String =
        (1..).zip(around.into_iter().chain(inside)).map(|(contact, agent)| line(contact, agent)).collect();
    let done = site.import_text(&format!("from,to,at,agent,status\n{lines}"), &["--create-missing"]);
    assert_eq!((done.count("accepted"), done.count("created_agents")), (5, 0), "{}", done.stderr);
    let why = |name: &str| {
        format!(
            "`agent`: \"{name}\" cannot be the name of a new agent: it is longer than 200 bytes, has a character that is not visible, or is a word for no value"
        )
    };
    done.expect_rejected(&[
        (7, &why("sa\\u{200b}les")),
        (8, &why("sales\\u{ad}east")),
        (9, &why("sa\\u{a0}les")),
        (10, &why("true")),
        (11, &why("NaN")),
    ]);
    let call = Some((SALES, "2025-07-01T12:00:00Z", Outcome::Busy));
    for contact in 1..=5 {
        site.expect(&[(&format!("+44770090000{contact}"), call)]);
    }
}
