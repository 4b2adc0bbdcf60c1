//! The commands for environments, agents, numbers, callback roles and contacts: on a stopped directory, on one that a
//! daemon holds, and on a remote daemon.

use crate::support;
use dialback::store::FjallStore;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::daemon::{Daemon, Tenant, dialback, program};

/// Runs commands against one place.
struct Place<'a> {
    /// The arguments that name the place.
    arguments: Vec<&'a str>,
    variables: Vec<(&'a str, String)>,
}

impl Place<'_> {
    fn of(data: &Path) -> Place<'_> {
        Place { arguments: vec!["--data", data.to_str().expect("plain")], variables: Vec::new() }
    }

    fn try_run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        command.args(arguments).args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("it exits by itself"), text(output.stdout), text(output.stderr))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let (code, said, wrong) = self.try_run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}{wrong}");
        said
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    /// Runs a command that fails, and returns its message.
    fn wrong(&self, arguments: &[&str]) -> String {
        let (code, said, wrong) = self.try_run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {said}{wrong}");
        wrong
    }
}

/// Configures a callback from nothing, and removes everything again.
fn configure(place: &Place<'_>) {
    let number = place.json(&["number", "add", "+12125550100"]);
    assert_eq!(number["number"], "+12125550100");
    place.run(&["agent", "create", "Sales", "--direction", "outbound", "--number", "+12125550100", "--publish"]);
    let desk = place.json(&["agent", "create", "Desk", "--direction", "inbound", "--label", "Floor 1"]);
    assert_eq!((&desk["current_status"], &desk["label"]), (&"draft".into(), &"Floor 1".into()));
    let id = number["id"].as_str().expect("an id");
    place.run(&["agent", "set", "Desk", "--number", id, "--no-label"]);
    assert!(place.run(&["agent", "publish", "Desk"]).contains("published"));
    let shown = place.run(&["agent", "show", "Desk"]);
    let line = |heading: &str| shown.lines().find(|line| line.starts_with(heading)).map(str::to_owned);
    assert!(line("numbers").is_some_and(|line| line.ends_with(" +12125550100")), "{shown}");
    assert!(line("label").is_some_and(|line| line.ends_with(" -")), "{shown}");

    place.run(&["callback", "set", "Desk", "--source", "Sales", "--status", "no-answer,busy", "--lookback-days", "7"]);
    let roles = place.run(&["callback", "list"]);
    let role = roles.lines().nth(1).expect("one role");
    assert!(role.contains(" Desk ") && role.contains(" Sales ") && role.ends_with(" 7 days"), "{roles}");
    let role = place.json(&["callback", "show", "Desk"]);
    assert_eq!(role["callback_config"]["callback_trigger_statuses"], serde_json::json!(["no-answer", "busy"]));

    assert!(place.run(&["number", "list"]).contains(" Desk (auto) "));
    assert!(place.run(&["number", "set", "+12125550100", "--default-agent", "nobody"]).contains(" nobody"));
    assert!(place.run(&["number", "set", id, "--default-agent", "Desk"]).contains(" Desk\n"));
    assert!(place.run(&["contact", "show", "+12125550143"]).contains("nothing is known"));
    assert!(place.run(&["contact", "forget", "+12125550143"]).contains("erased"));

    assert!(place.run(&["callback", "remove", "Desk"]).contains("removed"));
    assert_eq!(place.json(&["callback", "list"]), serde_json::json!([]));
    assert!(place.wrong(&["agent", "delete", "Sales"]).contains("unpublish it first"));
    for agent in ["Sales", "Desk"] {
        assert!(place.run(&["agent", "unpublish", agent]).contains(" draft"));
        place.run(&["agent", "delete", agent]);
    }
    assert_eq!(place.run(&["agent", "list"]).lines().count(), 1, "only the headings");
    place.run(&["number", "delete", "+12125550100"]);
    assert_eq!(place.json(&["number", "list"]), serde_json::json!([]));
}

#[test]
fn environment_is_configured_by_commands_in_each_place() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let local = Place::of(&data);
    assert_eq!(local.try_run(&["agent", "list"]).0, 4, "no directory is made");
    local.run(&["environment", "create", "Clinic", "--create-directory"]);
    configure(&local);
    let daemon = Daemon::start(&data);
    configure(&local);
    let token = local.run(&["token", "create"]).trim().to_owned();
    let url = daemon.url().to_owned();
    configure(&Place { arguments: Vec::new(), variables: vec![("DIALBACK_URL", url), ("DIALBACK_TOKEN", token)] });
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn commands_wait_for_another_command_that_holds_the_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    Place::of(&data).run(&["environment", "create", "Clinic", "--create-directory"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(Place::of(&data).run(&["agent", "list"]).lines().count(), 1));
        }
    });
    let held = FjallStore::open(&data).expect("a store");
    let (code, _, wrong) = Place::of(&data).try_run(&["agent", "list"]);
    assert!(
        code == 4 && wrong.contains("another command or a daemon that starts: repeat the command later"),
        "{wrong}"
    );
    drop(held);
    let long = folder.path().join("d".repeat(300));
    assert_eq!(Place::of(&long).try_run(&["agent", "list"]).0, 4);
    assert_eq!(Place::of(&long).try_run(&["environment", "create", "Clinic", "--create-directory"]).0, 4);
}

#[test]
fn id_of_an_environment_outranks_the_name_of_another() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let place = Place::of(&data);
    place.run(&["environment", "create", "First", "--create-directory"]);
    let first = place.json(&["environment", "list"])[0]["id"].as_str().expect("an id").to_owned();
    place.run(&["environment", "create", &first]);
    place.run(&["number", "add", "+12125550100", "--environment", &first]);
    assert!(place.run(&["number", "list", "--environment", "First"]).contains("+12125550100"));
}

#[test]
fn environments_are_managed_by_operators_and_by_their_own_token() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let daemon = Daemon::start(&data);
    let local = Place::of(&data);
    let remote = |token: &str| Place {
        arguments: vec!["--url", daemon.url()],
        variables: vec![("DIALBACK_TOKEN", token.trim().to_owned())],
    };
    let operator = remote(&local.run(&["token", "create", "--role", "operator"]));
    operator.run(&["environment", "create", "Clinic", "--country-code", "1"]);
    operator.run(&["environment", "create", "Works", "--lookback-seconds", "60"]);
    assert!(operator.run(&["environment", "list"]).contains("  Works\n"));
    operator.run(&["environment", "set", "Works", "--name", "Mill", "--lookback-days", "14"]);
    assert!(operator.wrong(&["environment", "set", "--lookback-days", "14"]).contains("several"));
    assert!(operator.wrong(&["agent", "list"]).contains("token of an environment"));

    let own = remote(&local.run(&["token", "create", "--environment", "Clinic"]));
    let set = own.run(&["environment", "set", "--region", "none", "--require-attestation", "B"]);
    assert!(
        set.contains(" Clinic\n") && set.lines().any(|line| line.starts_with("attestation") && line.ends_with(" B"))
    );
    let set = own.json(&["environment", "set", "--counts-from", "answered"]);
    assert_eq!((&set["counts_from"], &set["require_attestation"]), (&"answered".into(), &"B".into()));
    assert_eq!(own.try_run(&["environment", "set", "--counts-from", "none"]).0, 2, "there always is one");
    let set = own.json(&["environment", "set", "--lookback-seconds", "90"]);
    assert_eq!((&set["lookback_seconds"], &set["lookback_days"]), (&90.into(), &Value::Null));
    let both = ["environment", "set", "--lookback-seconds", "90", "--lookback-days", "1"];
    assert_eq!(own.try_run(&both).0, 2, "one of them says it all");
    let set = own.json(&["environment", "set", "--require-attestation", "none"]);
    assert_eq!((set.get("require_attestation"), &set["country_code"]), (None, &"".into()));
    assert_eq!(own.json(&["environment", "list"]).as_array().map(Vec::len), Some(1));
    assert!(own.wrong(&["environment", "set", "--name", "Mill"]).contains("this name"));
    assert_eq!(own.json(&["environment", "set", "--name", "Other"])["name"], "Other");
    assert!(own.wrong(&["environment", "set", "Mill", "--lookback-days", "1"]).contains("no environment"));
    own.run(&["number", "add", "+12125550100"]);

    assert!(operator.wrong(&["environment", "delete", "Other"]).contains("1 phone number:"));
    operator.run(&["environment", "delete", "Mill"]);
    assert_eq!(operator.json(&["environment", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn contact_is_shown_and_forgotten() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    assert_eq!(tenant.record_call("+12125550143", "busy").0, 202);
    let place = Place::of(data.path());
    let shown = place.run(&["contact", "show", "+12125550143"]);
    let call = "+12125550100  2026-11-20T10:00:00.000Z  busy    Sales Outreach";
    assert_eq!(shown.lines().nth(1), Some(call), "{shown}");
    assert!(!shown.contains("CALL ID"), "{shown}");
    assert_eq!(place.json(&["contact", "show", "+12125550143"])["entries_total"], 1);
    let known = serde_json::json!({
        "agent_id": tenant.source_agent, "from": "+12125550100", "to": "+12125550143", "status": "busy",
        "started_at": "2026-11-20T10:00:00Z", "call_id": "call-7", "context": {"order": 7},
    });
    assert_eq!(tenant.post("/calls", &known).0, 202);
    let shown = place.run(&["contact", "show", "+12125550143"]);
    assert!(shown.contains(call), "{shown}");
    let last = shown.lines().last().expect("a line");
    assert!(last.starts_with("call-7 ") && last.ends_with("{\"order\":7}"), "{shown}");
    assert!(place.run(&["contact", "forget", "+12125550143"]).contains("; 1 of your numbers"));
    assert!(place.run(&["contact", "show", "+12125550143"]).contains("nothing is known"));
    assert!(!place.wrong(&["contact", "show", "2125550143x"]).contains("5550143"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn wrong_name_or_number_is_explained_without_the_number() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let place = Place::of(&data);
    place.run(&["environment", "create", "Clinic", "--country-code", "1", "--create-directory"]);
    let mut ids = Vec::new();
    for _ in 0..7 {
        let twin = place.json(&["agent", "create", "Twin", "--direction", "outbound"]);
        ids.push(twin["id"].as_str().expect("an id").to_owned());
    }
    let several = place.wrong(&["agent", "publish", "Twin"]);
    assert!(several.contains("7 agents") && several.contains(&ids[0]) && several.contains('…'), "{several}");
    place.run(&["agent", "publish", &ids[6].to_uppercase()]);
    assert!(place.wrong(&["agent", "show", "Twi"]).contains("dialback agent list"), "a part of a name is no name");
    for arguments in [
        &["number", "delete", "+12125550199"][..],
        &["number", "delete", "2125550199"],
        &["number", "add", "2125550199x"],
        &["agent", "create", "A", "--direction", "inbound", "--number", "+12125550199"],
        &["contact", "forget", "2125550199x"],
    ] {
        let wrong = place.wrong(arguments);
        assert!(!wrong.contains("5550199"), "{wrong}");
    }
    for arguments in [&["agent", "set", "Twin"][..], &["environment", "set"], &["callback", "set", "Twin"]] {
        assert_eq!(place.try_run(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(program(&["agent", "list", "--url", "http://127.0.0.1:1"], folder.path()).0, 1, "no token");
    let named = ["agent", "list", "--environment", "Clinic", "--url", "http://127.0.0.1:1"];
    assert_eq!(program(&named, folder.path()).0, 2);
}

#[test]
fn long_lists_are_read_to_their_ends() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let agents: Vec<String> =
        (0..205).map(|n| format!("[[agents]]\nname = \"A {n}\"\ndirection = \"inbound\"\n")).collect();
    let agents = agents.concat();
    let file = folder.path().join("many.toml");
    std::fs::write(&file, format!("[environment]\nname = \"Clinic\"\n{agents}")).expect("written");
    let file = file.to_str().expect("plain");
    assert_eq!(dialback(&["apply", file, "--create-directory", "--data"], &data).0, 0);
    let place = Place::of(&data);
    assert_eq!(place.json(&["agent", "list"]).as_array().map(Vec::len), Some(205));
    assert_eq!(place.run(&["agent", "list", "--search", "a 20"]).lines().count(), 1 + 6);
}

/// The actor of a change says where it came from: a command, an import, or a token with the label of its time.
#[test]
fn changes_are_listed_with_their_actors_in_each_place() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let local = Place::of(&data);
    local.run(&["environment", "create", "Clinic", "--create-directory"]);
    local.run(&["agent", "create", "Sales", "--direction", "outbound"]);
    let daemon = Daemon::start(&data);
    local.run(&["agent", "publish", "Sales"]);
    let calls = folder.path().join("calls.csv");
    let line = "agent,from,to,at,status\nNew,+12125550100,+12125550143,2026-06-01T12:00:00Z,busy\n";
    std::fs::write(&calls, line).expect("written");
    local.run(&["import", calls.to_str().expect("UTF-8"), "--create-missing"]);
    let token = local.json(&["token", "create", "--label", "CRM"]);
    let (id, secret) = (token["id"].as_str().expect("an id"), token["token"].as_str().expect("a secret"));
    let variables = vec![("DIALBACK_URL", daemon.url().to_owned()), ("DIALBACK_TOKEN", secret.to_owned())];
    let remote = Place { arguments: Vec::new(), variables };
    remote.run(&["agent", "set", "Sales", "--name", "Outreach"]);
    assert_eq!(daemon.stop(), 0);

    let list = local.run(&["changes"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("AT ") && lines[0].ends_with("CHANGE"), "{list}");
    for (line, actor, change) in [
        (1, "token CRM", "Gave the agent Sales the name Outreach and no label."),
        (2, "a command on", "Issued the environment token CRM."),
        (3, "an import on", "Published the agent New."),
    ] {
        assert!(
            lines[line].contains(&format!(" Clinic       {actor}")) && lines[line].ends_with(change),
            "{line}: {list}"
        );
    }
    assert!(list.contains("an import on the daemon's machine  Added the number +12125550100."), "{list}");
    let own: Vec<_> = lines.iter().filter(|line| line.contains(" a command on ")).collect();
    assert!(own.iter().any(|line| line.ends_with("Published the agent Sales.")), "{list}");
    assert!(own.last().is_some_and(|line| line.contains("name Clinic")), "{list}");

    let named = local.json(&["changes", "--actor", id]);
    assert_eq!(named.as_array().map(Vec::len), Some(1));
    assert_eq!(named[0]["actor"]["label"], "CRM");
    assert_eq!(local.json(&["changes", "--environment", "Clinic", "--limit", "2"]).as_array().map(Vec::len), Some(2));
    assert!(local.run(&["changes", "--limit", "1"]).ends_with("and older ones: raise --limit, now 1\n"));
    assert!(local.run(&["changes", "--since", "2038-01-19T03:14:07Z"]).contains("no changes"));
    assert!(local.wrong(&["changes", "--actor", "me"]).contains("actor"));
    assert!(local.wrong(&["changes", "--environment", "Other"]).contains("no environment"));

    let daemon = Daemon::start(&data);
    let remote_list = remote.run(&["changes", "--url", daemon.url(), "--limit", "1"]);
    assert!(remote_list.contains("Gave the agent Sales the name Outreach"), "{remote_list}");
    local.run(&["number", "set", "+12125550100", "--default-agent", "nobody"]);
    let (code, explained, _) = local.try_run(&["resolve", "+12125550100", "anonymous", "--explain"]);
    assert_eq!(code, 3, "no agent takes the call: {explained}");
    assert!(explained.contains("before this call, by a command on the daemon's machine."), "{explained}");
    assert_eq!(daemon.stop(), 0);
}
