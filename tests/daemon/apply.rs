//! `dialback apply` and `dialback dump`: an environment as one TOML file.

use crate::support;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::daemon::{Daemon, dialback, program};

const CLINIC: &str = r#"
[environment]
name = "Clinic"
country_code = "1"
national_prefix = "1"
international_prefix = "011"

[[numbers]]
number = "+12125550100"
default_agent = "Desk"

[[agents]]
name = "Sales"
direction = "outbound"
numbers = ["+12125550100"]

[[agents]]
name = "Desk"
direction = "inbound"
numbers = ["+12125550100"]
callback = { sources = ["Sales"], statuses = ["no-answer"] }
"#;

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("clinic.toml");
    fs::write(&path, text).expect("written");
    path.to_str().expect("plain").to_owned()
}

#[test]
fn file_is_applied_once_and_dumped_as_it_is() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, clinic) = (folder.path().join("data"), file(folder.path(), CLINIC));
    assert_eq!(dialback(&["apply", &clinic, "--data"], &data).0, 4, "no directory is made by accident");
    let (code, planned, wrong) = dialback(&["apply", &clinic, "--dry-run", "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    assert!(planned.contains("+ agent Sales") && planned.contains("this is a dry run") && !data.exists(), "{planned}");
    let (code, made, wrong) = dialback(&["apply", &clinic, "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    assert!(made.contains("+ callback Desk: of Sales") && made.contains(" changes made"), "{made}");
    let nothing = (0, "nothing changes\n".to_owned(), String::new());
    assert_eq!(dialback(&["apply", &clinic, "--data"], &data), nothing);

    // While a daemon runs, the same commands ask it.
    let daemon = Daemon::start(&data);
    let (code, dumped, wrong) = dialback(&["dump", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let back = file(folder.path(), &dumped);
    assert_eq!(dialback(&["apply", &back, "--prune", "--data"], &data), nothing);

    // Without its sources' agent, the role goes, too.
    let only_desk = "[environment]\nname = \"Clinic\"\n[[agents]]\nname = \"Desk\"\ndirection = \"inbound\"\n";
    let only_desk = file(folder.path(), only_desk);
    let (code, planned, _) = dialback(&["apply", &only_desk, "--prune", "--dry-run", "--data"], &data);
    assert!(code == 0 && planned.contains("- agent Sales") && planned.contains("- number +12125550100"), "{planned}");
    assert_eq!(dialback(&["dump", "--data"], &data).1, dumped, "a dry run changes nothing");
    assert_eq!(dialback(&["apply", &only_desk, "--prune", "--data"], &data).0, 0);
    let (_, dumped, _) = dialback(&["dump", "--json", "--data"], &data);
    let dumped: Value = serde_json::from_str(&dumped).expect("JSON");
    assert_eq!((dumped["agents"].as_array().map(Vec::len), dumped.get("numbers")), (Some(1), None));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn file_is_applied_to_a_remote_daemon_by_its_token() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, clinic) = (folder.path().join("data"), file(folder.path(), CLINIC));
    let daemon = Daemon::start(&data);
    let (_, token, _) = dialback(&["token", "create", "--data"], &data);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        command.args(arguments).env("DIALBACK_URL", daemon.url()).env("DIALBACK_TOKEN", token.trim());
        let output = command.current_dir(folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(run(&["apply", &clinic, "--rename"]).contains(" changes made"));
    assert_eq!(run(&["apply", &clinic]), "nothing changes\n");
    assert!(run(&["dump"]).contains("name = \"Clinic\""), "the file names the environment");
    assert!(!folder.path().join("dialback-data").exists());
}

/// The token or `--environment` selects one environment, and the file is another one's.
#[test]
fn file_of_another_environment_is_refused_unless_it_is_a_rename() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, clinic) = (folder.path().join("data"), file(folder.path(), CLINIC));
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    let before = dialback(&["dump", "--environment", "Clinic", "--data"], &data).1;
    let annex = file(folder.path(), "[environment]\nname = \"Annex\"\ncountry_code = \"1\"\n");
    let daemon = Daemon::start(&data);
    let (_, token, _) = dialback(&["token", "create", "--environment", "Clinic", "--data"], &data);
    let remote = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        let output = command.args(arguments).env("DIALBACK_TOKEN", token.trim()).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let url = daemon.url();
    let here = ["--environment", "Clinic", "--data", data.to_str().expect("plain")];
    for place in [&["--url", url][..], &here] {
        for more in [&["--dry-run"][..], &["--prune"], &[]] {
            let (code, said, wrong) = remote(&[&["apply", &annex], more, place].concat());
            assert_eq!(code, Some(1), "{said}{wrong}");
            for part in ["\"Annex\"", "\"Clinic\"", "--rename"] {
                assert!(wrong.contains(part), "{wrong}");
            }
            assert!(!wrong.contains(token.trim()), "no secret");
        }
    }
    assert_eq!(dialback(&["dump", "--environment", "Clinic", "--data"], &data).1, before, "nothing changed");
    assert_eq!(remote(&["apply", &annex, "--rename", "--data", here[3]]).0, Some(2), "what to rename is not said");

    // A file without settings has no name, and each place renames if it is told to.
    let unnamed =
        file(folder.path(), "[[agents]]\nname = \"Desk\"\ndirection = \"inbound\"\nnumbers = [\"+12125550100\"]\n");
    assert_eq!(remote(&["apply", &unnamed, "--dry-run", "--url", url]).0, Some(0));
    for (name, place) in [("Annex", &["--url", url][..]), ("Clinic", &["--environment", "Annex", "--data", here[3]])] {
        let renamed = file(folder.path(), &CLINIC.replace("Clinic", name));
        let (code, said, wrong) = remote(&[&["apply", &renamed, "--rename"], place].concat());
        assert!(code == Some(0) && said.ends_with("1 change made\n"), "{said}{wrong}");
    }
    assert_eq!(dialback(&["dump", "--environment", "Clinic", "--data"], &data).1, before, "renamed back");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn dry_run_shows_the_calls_that_would_be_routed_differently() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, clinic) = (folder.path().join("data"), file(folder.path(), CLINIC));
    let calls = folder.path().join("calls.csv");
    // More calls than one request has.
    let many = "+12125550100,anonymous\n".repeat(1200);
    fs::write(&calls, format!("dialed,caller,at\n{many}+12125550100,+12125550143\n+12125550177,,\n")).expect("written");
    let calls = calls.to_str().expect("plain");
    let compare = ["apply", &clinic, "--dry-run", "--calls", calls, "--data"];
    let (code, _, wrong) = dialback(
        &[&["apply", &clinic, "--dry-run", "--create-directory", "--calls", calls][..], &["--data"]].concat(),
        &data,
    );
    assert!(code == 1 && wrong.contains("does not exist"), "{wrong}");
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    let (code, said, wrong) = dialback(&compare, &data);
    assert!(code == 0 && said.ends_with("\n0 of 1202 calls would be routed differently\n"), "{said}{wrong}");

    let more = "[[numbers]]\nnumber = \"+12125550177\"\n[[agents]]\nname = \"Night\"\ndirection = \"inbound\"\n\
                numbers = [\"+12125550177\"]\n";
    let changed = CLINIC.replace("default_agent = \"Desk\"", "default_agent = \"nobody\"") + more;
    file(folder.path(), &changed);
    let (code, said, wrong) = dialback(&compare, &data);
    assert!(code == 0 && said.ends_with("1202 of 1202 calls would be routed differently\n"), "{wrong}");
    assert!(said.contains("2     default: Desk (ANONYMOUS_CALLER)  unrouted ("), "{said}");
    assert!(said.contains("default: Night (") && !said.contains("5550143"), "{said}");
    let daemon = Daemon::start(&data);
    let (code, said, wrong) = dialback(&["apply", &clinic, "--dry-run", "--json", "--calls", calls, "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["calls"]["total"], &said["calls"]["differing"]), (&1202.into(), &1202.into()));
    assert_eq!(said["calls"]["decisions"][1201]["line"], 1203);

    fs::write(calls, "dialed,caller\n+12125550100,\n12125550143x,\n").expect("written");
    let (code, _, wrong) = dialback(&compare, &data);
    assert!(code == 1 && wrong.contains("calls.1.dialed") && wrong.contains("line 2"), "{wrong}");
    assert!(!wrong.contains("5550143"), "{wrong}");
    assert_eq!(dialback(&["apply", &clinic, "--calls", calls, "--data"], &data).0, 2, "only with --dry-run");
    assert_eq!(daemon.stop(), 0);
}

/// Calls may come from a program that asks the same directory.
#[test]
fn directory_is_free_while_calls_are_read_from_standard_input() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, clinic) = (folder.path().join("data"), file(folder.path(), CLINIC));
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_dialback"))
        .args(["apply", &clinic, "--dry-run", "--calls", "-", "--data"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_secs(1));
    let (code, _, wrong) = dialback(&["dump", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let mut calls = waiting.stdin.take().expect("piped");
    calls.write_all(b"dialed,caller\n+12125550100,+12125550143\n").expect("it reads");
    drop(calls);
    let said = waiting.wait_with_output().expect("our child");
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.ends_with("0 of 1 calls would be routed differently\n"), "{said}");
}

#[test]
fn wrong_file_is_named_by_line_or_field_without_its_numbers() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let clinic = file(folder.path(), CLINIC);
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    for (text, expected) in [
        ("[environment]\nregion = \"US\"", "is required"),
        ("[[numbers]]\nnumbr = \"+12125550199\"", "line 2"),
        ("[[agents]]\nname = \"A\"\ndirection = \"+12125550199\"", "line 3"),
        ("[[numbers]]\nnumber = \"12125550199x\"", "numbers.0.number"),
        ("[[agents]]\nname = \"A\"\ndirection = \"inbound\"\nnumbers = [\"+12125550199\"]", "agents.0.numbers.0"),
    ] {
        let wrong = file(folder.path(), text);
        let (code, said, errors) = dialback(&["apply", &wrong, "--data"], &data);
        assert!(code == 1 && errors.contains(expected), "{text}: {said}{errors}");
        assert!(!errors.contains("5550199"), "{errors}");
    }
    assert_eq!(program(&["apply", "missing.toml"], folder.path()).0, 1);
}

/// A dump that failed leaves an empty file.
#[test]
fn file_without_its_environment_deletes_nothing() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let clinic = file(folder.path(), CLINIC);
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    let agents = || dialback(&["agent", "list", "--data"], &data).1;
    let before = agents();
    let empty = file(folder.path(), "");
    let (code, _, wrong) = dialback(&["apply", &empty, "--prune", "--data"], &data);
    assert!(code == 1 && wrong.contains("--prune needs [environment]"), "{code} {wrong}");
    assert_eq!(agents(), before);
    assert_eq!(dialback(&["apply", &empty, "--data"], &data).1, "nothing changes\n");
}

/// The last number is another environment's, or a source is unknown: neither leaves anything behind.
#[test]
fn refused_file_leaves_nothing_behind_and_a_dry_run_refuses_it_alike() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let unknown = file(folder.path(), &CLINIC.replace("sources = [\"Sales\"]", "sources = [\"Nobody\"]"));
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [&["apply", &unknown, "--create-directory"], more, &["--data"]].concat();
        let (code, _, wrong) = dialback(&arguments, &data);
        assert!(code == 1 && wrong.contains("agents.1.callback.sources.0"), "{code} {wrong}");
        assert!(!data.exists(), "no directory is left");
    }
    let clinic = file(folder.path(), CLINIC);
    assert_eq!(dialback(&["apply", &clinic, "--create-directory", "--data"], &data).0, 0);
    let environments = || dialback(&["environment", "list", "--data"], &data).1;
    let before = environments();
    let annex = CLINIC.replace("Clinic", "Annex");
    let taken = file(folder.path(), &annex);
    let mistyped = CLINIC.replace("Clinic", "Annex").replace("+12125550100", "+12125550101");
    for daemon in [None, Some(())] {
        let daemon = daemon.map(|()| Daemon::start(&data));
        for more in [&["--dry-run"][..], &[]] {
            let arguments = [&["apply", &*taken], more, &["--data"]].concat();
            let (code, _, wrong) = dialback(&arguments, &data);
            assert!(code == 1 && wrong.contains("numbers.0.number"), "{code} {wrong}");
        }
        assert_eq!(environments(), before);
        drop(daemon);
    }
    let free = file(folder.path(), &mistyped);
    let (code, _, wrong) = dialback(&["apply", &free, "--environment", "Anex", "--data"], &data);
    assert!(code == 1 && wrong.contains("Anex"), "an environment that was mistyped is not created: {wrong}");
    let (_, planned, _) = dialback(&["apply", &free, "--dry-run", "--data"], &data);
    let (code, made, wrong) = dialback(&["apply", &free, "--data"], &data);
    assert_eq!((code, made), (0, planned.replace(" changes, not made: this is a dry run", " changes made")), "{wrong}");
    assert_eq!(environments().lines().count(), before.lines().count() + 1);
}

/// An environment far below its limits is larger than what a daemon accepts as one request.
#[test]
fn large_environment_is_dumped_and_applied_and_a_daemon_names_its_limit() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let number = |last: usize| format!("+1212{:07}", 2_000_000 + last);
    let numbers = (0..20_000).map(|last| format!("[[numbers]]\nnumber = \"{}\"\n", number(last)));
    let agents = (0..3000).map(|last| {
        let (direction, number) = (if last % 2 == 0 { "inbound" } else { "outbound" }, number(last));
        format!("[[agents]]\nname = \"A{last}\"\ndirection = \"{direction}\"\nnumbers = [\"{number}\"]\n")
    });
    let text = "[environment]\nname = \"Large\"\n".to_owned() + &numbers.chain(agents).collect::<String>();
    let large = file(folder.path(), &text);
    let (code, _, wrong) = dialback(&["apply", &large, "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let (code, dumped, wrong) = dialback(&["dump", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let dump = folder.path().join("dump.toml");
    fs::write(&dump, &dumped).expect("written");
    let dump = dump.to_str().expect("plain");
    let nothing = (0, "nothing changes\n".to_owned(), String::new());
    assert_eq!(dialback(&["apply", dump, "--prune", "--data"], &data), nothing);
    assert_eq!(dialback(&["apply", dump, "--create-directory", "--data"], &copy).0, 0);
    assert_eq!(dialback(&["dump", "--data"], &copy).1, dumped);

    let daemon = Daemon::start(&data);
    let (code, _, wrong) = dialback(&["apply", dump, "--data"], &data);
    assert!(code == 1 && wrong.contains("dump.toml") && wrong.contains("1048576 bytes"), "{wrong}");
    let needed = wrong.split("`--body-limit ").nth(1).and_then(|rest| rest.split('`').next()).expect("a limit");
    assert_eq!(daemon.stop(), 0);
    let daemon = Daemon::start_with(&data, &["--body-limit", needed]);
    assert_eq!(dialback(&["apply", dump, "--prune", "--data"], &data), nothing);
    assert_eq!(daemon.stop(), 0);
}

/// Names come from tenants, and the operator reads them in a terminal.
#[test]
fn names_and_labels_do_not_control_the_terminal() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let forged = CLINIC.replace("\"Clinic\"", "\"Clinic\\u001B[2J\\nnothing changes\"");
    let forged = forged.replace("\"Sales\"", "\"Sales\\u001B]0;x\\u0007\\u009B2J\\n- agent Desk\\u202E\"");
    let clinic = file(folder.path(), &forged);
    let is_plain = |text: &str| !text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}'));
    let create = ["apply", &*clinic, "--create-directory", "--data"];
    let (code, made, wrong) = dialback(&create, &data);
    assert!(code == 0 && is_plain(&made) && made.contains("+ agent Sales"), "{made}{wrong}");
    assert!(!made.lines().any(|line| line == "- agent Desk" || line == "nothing changes"), "{made}");
    let label = "gate\u{1b}[1A\u{1b}[2K\nforged";
    let create = ["token", "create", "--role", "gateway", "--label", label, "--data"];
    assert_eq!(dialback(&create, &data).0, 0);
    let (code, listed, _) = dialback(&["token", "list", "--data"], &data);
    assert!(code == 0 && is_plain(&listed) && listed.lines().count() == 2, "{listed}");
    let (code, shown, _) = dialback(&["resolve", "+12125550100", "anonymous", "--explain", "--data"], &data);
    assert!(code == 0 && is_plain(&shown), "{shown}");

    // What programs read is exact.
    let (code, dumped, _) = dialback(&["dump", "--data"], &data);
    assert!(code == 0 && !dumped.contains('\u{fffd}'), "{dumped}");
    let back = file(folder.path(), &dumped);
    assert_eq!(dialback(&["apply", &back, "--prune", "--data"], &data).1, "nothing changes\n");
}

/// The file in `examples` is the demo's configuration.
#[test]
fn file_of_the_demo_can_be_applied() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml");
    let (code, said, wrong) = dialback(&["apply", demo, "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    assert!(said.contains("+ agent Renewals Desk"), "{said}");
    let (code, decided, _) = dialback(&["resolve", "+12125550100", "anonymous", "--data"], &data);
    assert!(code == 0 && decided.contains("ANONYMOUS_CALLER"), "{decided}");
}

/// Each number is a step, and together they are longer than the list of steps may be.
#[test]
fn changes_that_are_not_listed_are_counted() {
    const NUMBERS: usize = 20_000;
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let number = |n: usize| format!("[[numbers]]\nnumber = \"+1212{}\"\n", 5_000_000 + n);
    let numbers: Vec<_> = (0..NUMBERS).map(number).collect();
    let large = file(folder.path(), &format!("[environment]\nname = \"Large\"\n{}", numbers.concat()));
    let (code, made, wrong) = dialback(&["apply", &large, "--create-directory", "--data"], &data);
    assert_eq!(code, 0, "{wrong}");
    let listed = made.lines().filter(|line| line.starts_with("+ ")).count();
    let [.., rest, last] = made.lines().collect::<Vec<_>>()[..] else { panic!("{made}") };
    assert!(listed > 1000 && listed < NUMBERS, "{listed}");
    let (all, unlisted) = (NUMBERS + 1, NUMBERS + 1 - listed);
    assert_eq!((rest, last), (&*format!("… and {unlisted} more"), &*format!("{all} changes made")));
}
