//! Where the options of `dialback serve` come from, and how a running daemon takes over new ones.

use crate::support;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use support::certificates::Certificates;
use support::daemon::{Daemon, Tenant, dialback, program};
use support::tls;
use support::until::until;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `serve --check-config --json` with these arguments and environment variables, and returns the options.
fn options(arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.args(["serve", "--check-config", "--json"]).args(arguments).envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["options"].clone()
}

#[test]
fn command_line_comes_before_environment_before_file_before_default() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, data) = (folder.path().join("dialback.toml"), folder.path().join("data"));
    fs::write(
        &file,
        "max-pairs = 1000\nlisten = \"127.0.0.1:1\"\nbody-limit = 4096\nserve-while-loading = true\n\
         agent-address = \"sip:{agent_id}@a.example\"\nsip-listen = [\"127.0.0.1:2\", \"127.0.0.1:3\"]\n\
         sip-trust = \"10.0.0.0/8\"\n",
    )
    .expect("written");
    let (file, data) = (file.to_str().expect("plain"), data.to_str().expect("plain"));
    let arguments = ["--config", file, "--data", data, "--listen", "127.0.0.1:9"];
    let shown = options(&arguments, &[("DIALBACK_BODY_LIMIT", "8192"), ("DIALBACK_LISTEN", "127.0.0.1:8")]);
    let expected = [
        ("listen", json!("127.0.0.1:9"), "command line"),
        ("body-limit", json!(8192), "environment"),
        ("max-pairs", json!(1000), "file"),
        ("serve-while-loading", json!(true), "file"),
        ("sip-listen", json!(["127.0.0.1:2", "127.0.0.1:3"]), "file"),
        ("sip-trust", json!(["10.0.0.0/8"]), "file"),
        ("request-timeout", json!(30), "default"),
    ];
    for (flag, value, source) in expected {
        assert_eq!(shown[flag], json!({ "value": value, "source": source }), "{flag}");
    }
    // The file may be named by a variable. A list on the command line replaces that of the file.
    let shown = options(&["--data", data, "--sip-listen", "127.0.0.1:4"], &[("DIALBACK_CONFIG", file)]);
    assert_eq!(shown["sip-listen"], json!({ "value": ["127.0.0.1:4"], "source": "command line" }));
}

#[test]
fn shown_options_are_a_file_that_is_read_again() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, data) = (folder.path().join("dialback.toml"), folder.path().join("data"));
    let data = data.to_str().expect("plain");
    let given = ["--data", data, "--max-pairs", "77", "--purge-every", "3h", "--serve-while-loading"];
    let (code, text, errors) = program(&[&["serve", "--check-config"], &given[..]].concat(), folder.path());
    assert_eq!(code, 0, "{errors}");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" = ")).collect();
    assert!(lines.iter().any(|line| line.starts_with("# ")) && lines.contains(&"max-pairs = 77  # command line"));
    fs::write(&file, lines.join("\n")).expect("written");
    let again = options(&["--config", file.to_str().expect("plain")], &[]);
    for flag in ["data", "max-pairs", "purge-every", "serve-while-loading"] {
        assert_eq!(again[flag]["source"], "file", "{flag}");
    }
    assert_eq!((&again["data"]["value"], &again["purge-every"]["value"]), (&json!(data), &json!("3h")));
}

#[test]
fn each_option_of_serve_has_an_environment_variable() {
    let folder = tempfile::tempdir().expect("a directory");
    let (_, help, _) = program(&["serve", "--help"], folder.path());
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = options(&["--data", folder.path().join("data").to_str().expect("plain")], &[]);
    // `--json` sets the form of each command's answer.
    let flags: Vec<&String> = shown.as_object().expect("an object").keys().filter(|flag| *flag != "json").collect();
    assert!(flags.len() > 40, "{flags:?}");
    for flag in flags {
        let variable = format!("[env: DIALBACK_{}", flag.replace('-', "_").to_uppercase());
        // The value follows, unless it is not shown.
        let is_shown = ["=", "]"].iter().any(|end| words.contains(&format!("{variable}{end}")));
        assert!(is_shown, "--{flag} lacks {variable}");
    }
}

#[test]
fn wrong_file_is_named_without_its_contents() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("dialback.toml");
    for (text, expected) in [
        ("lissten = \"127.0.0.1:1\"", "dialback.toml, line 1: lissten: there is no such option"),
        ("config = \"other.toml\"", "config: there is no such option"),
        ("max-pairs = 1.5", "max-pairs: write a text in quotes, a whole number, or a list of these"),
        ("serve-while-loading = \"yes\"", "serve-while-loading: write true or false"),
        ("[sip]\nlisten = 1", "sip: there is no such option"),
        ("max-pairs = 9\nlisten = \"nowhere\"", "dialback.toml, line 2: listen: invalid value 'nowhere' for '--listen"),
        ("tls-cert = \"/nowhere/cert.pem\"", "--tls-key"),
        ("a = 1\nfleet-nats = \"nats://node:hunter2@host", "line 2"),
    ] {
        fs::write(&file, text).expect("written");
        let arguments = ["serve", "--check-config", "--config", file.to_str().expect("plain"), "--data", "data"];
        let (code, _, wrong) = program(&arguments, folder.path());
        assert_eq!(code, 2, "{text}: {wrong}");
        assert!(wrong.contains(expected) && !wrong.contains("hunter2"), "{text}: {wrong}");
    }
    let (code, _, wrong) = program(&["serve", "--check-config", "--config", "missing.toml"], folder.path());
    assert!(code == 2 && wrong.contains("missing.toml"), "{wrong}");
    // A login is not shown.
    fs::write(&file, "fleet-nats = \"nats://node:hunter2@127.0.0.1:4222\"").expect("written");
    let (code, said, wrong) =
        program(&["serve", "--check-config", "--config", "dialback.toml", "--data", "data"], folder.path());
    assert!(code == 0 && said.contains("fleet-nats = \"(not shown)\"") && !said.contains("hunter2"), "{said}{wrong}");
}

/// Sends SIGHUP and waits until the log has one more line with these words.
fn hang_up(daemon: &Daemon, words: &str) {
    let count = || daemon.read_log().matches(words).count();
    let before = count();
    daemon.signal("-HUP");
    until(PATIENCE, "the reload is logged", || (count() > before).then_some(()));
}

#[test]
fn hangup_before_the_daemon_has_read_its_settings_makes_it_reload_later() {
    let folder = tempfile::tempdir().expect("a directory");
    let [fifo, file, id] = ["dialback.toml", "file.toml", "id"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    // The shell becomes the program, and so leaves its id.
    let mut program = Command::new("sh");
    program.args(["-c", "echo $$ > \"$0\"; exec \"$@\""]).arg(&id).arg(env!("CARGO_BIN_EXE_dialback"));
    program.args(["serve", "--config"]).arg(&fifo);
    let signalling = thread::spawn(move || {
        // This returns when the program reads its settings. They are the file's from now on.
        let mut pipe = File::options().write(true).open(&fifo).expect("a pipe");
        fs::write(&file, "max-pairs = 5000\n").expect("written");
        fs::rename(&file, &fifo).expect("renamed");
        let id = fs::read_to_string(id).expect("written");
        assert!(Command::new("kill").args(["-HUP", id.trim()]).status().expect("kill runs").success());
        pipe.write_all(b"max-pairs = 4000\n").expect("it reads");
    });
    let daemon = Daemon::start_by(&folder.path().join("data"), program).expect("SIGHUP does not end it");
    signalling.join().expect("no panic");
    let is_logged = || daemon.read_log().contains("need a restart").then_some(());
    until(PATIENCE, "the daemon reloads", is_logged);
    assert!(daemon.read_log().contains("max-pairs"), "{}", daemon.read_log());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn reload_names_both_options_of_a_removed_certificate() {
    let certificates = Certificates::new();
    certificates.issue("daemon");
    let folder = tempfile::tempdir().expect("a directory");
    let (config, data) = (folder.path().join("dialback.toml"), folder.path().join("data"));
    let [cert, key] = ["daemon.pem", "daemon.key"].map(|file| certificates.path(file));
    fs::write(&config, format!("tls-cert = {cert:?}\ntls-key = {key:?}\n")).expect("written");
    let daemon = Daemon::start_with(&data, &["--config", config.to_str().expect("plain")]);
    fs::write(&config, "max-pairs = 4000\n").expect("written");
    let (code, said, _) = dialback(&["reload", "--json", "--data"], &data);
    assert_eq!((code, said.trim()), (0, r#"{"needs_restart":["max-pairs","tls-cert","tls-key"]}"#));
    assert_eq!(daemon.stop(), 0);
}

fn addresses(path: &Path, address: &str) {
    fs::write(path, json!({ "default": address }).to_string()).expect("written");
}

#[test]
fn reload_takes_over_addresses_and_log_filter_and_names_what_needs_a_restart() {
    let folder = tempfile::tempdir().expect("a directory");
    let (config, list) = (folder.path().join("dialback.toml"), folder.path().join("addresses.json"));
    let (data, config_text) = (folder.path().join("data"), config.to_str().expect("plain").to_owned());
    let write = |rest: &str| {
        fs::write(&config, format!("agent-addresses = {:?}\n{rest}", list.to_str().expect("plain"))).expect("written");
    };
    addresses(&list, "sip:old@a.example");
    write("");
    let daemon = Daemon::start_with(&data, &["--config", &config_text]);
    let tenant = Tenant::with_callback_sample(&daemon);
    let address = || {
        let (status, answer) = tenant.get("/route?dialed=%2B12125550100&caller=%2B12125550143");
        assert_eq!(status, 200, "{answer}");
        answer["data"]["agent_address"].clone()
    };
    assert_eq!(address(), "sip:old@a.example");

    addresses(&list, "sip:new@a.example");
    assert_eq!(dialback(&["reload", "--data"], &data), (0, "reloaded\n".into(), String::new()));
    assert_eq!(address(), "sip:new@a.example");
    addresses(&list, "sip:newer@a.example");
    hang_up(&daemon, "reloaded");
    assert_eq!(address(), "sip:newer@a.example");

    assert!(!daemon.read_log().contains("DEBUG"));
    write("listen = \"127.0.0.1:1\"\nmax-pairs = 5\nlog = \"debug\"\n");
    let (code, said, _) = dialback(&["reload", "--json", "--data"], &data);
    // The test's daemon has `--listen` on its command line, which comes first.
    assert_eq!((code, said.trim()), (0, r#"{"needs_restart":["max-pairs"]}"#));
    assert_eq!(tenant.get("/agents").0, 200);
    until(PATIENCE, "the new filter applies", || daemon.read_log().contains("DEBUG").then_some(()));

    // One wrong file: nothing is taken over, and the daemon goes on.
    addresses(&list, "sip:{nobody}@a.example");
    let (code, _, wrong) = dialback(&["reload", "--data"], &data);
    assert!(code == 1 && wrong.contains("addresses.json") && wrong.contains("Nothing has changed"), "{wrong}");
    write("max-pears = 5\n");
    hang_up(&daemon, "the reload failed");
    let is_logged = |what: &str| {
        let log = daemon.read_log();
        log.lines().any(|line| line.contains("the reload failed") && line.contains(what))
    };
    assert!(is_logged("dialback.toml, line 2: max-pears: there is no such option"), "{}", daemon.read_log());
    write("max-pairs = \"many\"\n");
    hang_up(&daemon, "the reload failed");
    assert!(is_logged("dialback.toml, line 2: max-pairs: invalid value 'many' for"), "{}", daemon.read_log());
    assert_eq!(address(), "sip:newer@a.example");
    assert_eq!(daemon.stop(), 0);
    let (code, _, wrong) = dialback(&["reload", "--data"], &data);
    assert!(code == 1 && wrong.contains("no daemon"), "{wrong}");
}

#[test]
fn reload_replaces_the_certificate_and_keeps_the_connections() {
    let certificates = Certificates::new();
    let (first, replacement) = (Certificates::new(), Certificates::new());
    first.issue("daemon");
    replacement.issue("daemon");
    let install = |from: &Certificates| {
        for file in ["daemon.pem", "daemon.key"] {
            fs::copy(from.path(file), certificates.path(file)).expect("copied");
        }
    };
    install(&first);
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let [cert, key] = ["daemon.pem", "daemon.key"].map(|file| certificates.path(file).display().to_string());
    let daemon = Daemon::start_with(&data, &["--tls-cert", &cert, "--tls-key", &key]);
    let address = daemon.public_address();
    let [old, new] = [&first, &replacement].map(|one| fs::read(one.authority()).expect("there"));

    let mut kept = tls::connect(&address, &old).expect("the first certificate");
    assert!(tls::get(&mut kept, "/health").contains("200 OK"));
    install(&replacement);
    assert_eq!(dialback(&["reload", "--data"], &data).0, 0);
    assert!(tls::connect(&address, &new).is_ok(), "the second certificate");
    assert!(tls::connect(&address, &old).is_err(), "the old certificate is not used any more");
    assert!(tls::get(&mut kept, "/health").contains("200 OK"), "the connection is still open");

    fs::write(&key, "no key").expect("written");
    let (code, _, wrong) = dialback(&["reload", "--data"], &data);
    assert!(code == 1 && wrong.contains("daemon.key") && !wrong.contains("no key"), "{wrong}");
    assert!(tls::connect(&address, &new).is_ok());
}
