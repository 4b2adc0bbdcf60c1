//! The daemon's options for NATS servers: files that it checks, and secrets that it does not show.

use super::certificates::Certificates;
use super::nats::NatsServer;
use crate::support::daemon::{Daemon, program};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs `serve --check-config`. Returns the exit code, and what it prints.
fn check(arguments: &[&str]) -> (i32, String) {
    let data = tempfile::tempdir().expect("a directory");
    let data = data.path().join("data").display().to_string();
    let fixed = ["serve", "--check-config", "--data", &data, "--fleet-nats", "nats://127.0.0.1:1"];
    let (code, output, errors) = program(&[&fixed[..], arguments].concat(), Path::new("."));
    (code, output + &errors)
}

#[test]
fn check_config_refuses_a_missing_or_wrong_file_by_its_name() {
    let files = Certificates::new();
    files.issue("gateway");
    files.issue("stranger");
    let path = |name: &str| files.path(name).display().to_string();
    let (ca, cert, key, other) = (path("ca.pem"), path("gateway.pem"), path("gateway.key"), path("stranger.key"));
    let text = path("text");
    fs::write(&text, "me\ns3cret\nmore\n").expect("written");
    let login = path("login");
    fs::write(&login, "me\ns3cret\n").expect("written");
    let missing = path("missing");
    let (right, wrong) = (path("fleet.key"), path("wrong.key"));
    fs::write(&right, format!("# since March\n{}\n", "5c".repeat(32))).expect("written");
    fs::write(&wrong, "s3cret\n").expect("written");
    for arguments in [
        &["--fleet-ca", &ca, "--fleet-cert", &cert, "--fleet-key", &key, "--fleet-login-file", &login][..],
        &["--fleet-key-file", &right, "--fleet-encrypt", "--fleet-accept-unsigned"],
    ] {
        let (code, said) = check(arguments);
        assert_eq!(code, 0, "{said}");
    }
    for (arguments, named) in [
        (&["--fleet-ca", &missing][..], &missing),
        (&["--fleet-ca", &text], &text),
        (&["--fleet-ca", &key], &key),
        (&["--fleet-key-file", &missing], &missing),
        (&["--fleet-key-file", &wrong], &wrong),
        (&["--fleet-login-file", &missing], &missing),
        (&["--fleet-login-file", &text], &text),
        (&["--fleet-creds", &text], &text),
        (&["--fleet-nkey", &text], &text),
        (&["--fleet-cert", &text, "--fleet-key", &key], &text),
        (&["--fleet-cert", &cert, "--fleet-key", &text], &text),
        (&["--fleet-cert", &cert, "--fleet-key", &other], &other),
    ] {
        let (code, said) = check(arguments);
        assert_eq!(code, 1, "{arguments:?}: {said}");
        assert!(said.contains(named.as_str()) && !said.contains("s3cret"), "{arguments:?}: {said}");
    }
    for arguments in [
        &["--fleet-cert", &cert][..],
        &["--fleet-login-file", &login, "--fleet-nkey", &login],
        &["--fleet-encrypt"],
        &["--fleet-max-bytes", "much"],
    ] {
        assert_eq!(check(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(check(&["--fleet-domain", "a.b"]).0, 1);
}

/// The log is at its most detailed level, and the first server rejects the login.
#[test]
fn a_secret_is_neither_in_the_log_nor_on_the_command_line() {
    let refusing = NatsServer::start_with("authorization { users: [{ user: me, password: other }] }");
    let server = NatsServer::start_with(
        "jetstream { store_dir: \"STORE\" }\n authorization { users: [{ user: me, password: \"s3cret@\" }] }",
    );
    let data = tempfile::tempdir().expect("a directory");
    let urls = [&refusing, &server].map(|server| server.url().replace("nats://", "nats://me:s3cret%40@")).join(",");
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        command.args(["serve", "--log", "trace"]).env("DIALBACK_FLEET_NATS", &urls);
        let daemon = Daemon::start_by(data.path(), command).expect("it starts");
        let began = Instant::now();
        while !daemon.read_log().contains("found the fleet's stream") {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", daemon.read_log());
            sleep(Duration::from_millis(50));
        }
        let line = fs::read_to_string(format!("/proc/{}/cmdline", daemon.id())).unwrap_or_default();
        let log = daemon.stop_and_read_log();
        assert!(!line.contains("s3cret") && !line.contains("me:"), "{line}");
        assert!(log.contains("connected to NATS"), "the log has lines about the connection");
        let leak = log.lines().find(|line| line.contains("s3cret"));
        assert_eq!(leak, None);
    }
}

#[test]
fn a_login_on_the_command_line_is_warned_of() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--log", "warn", "--fleet-nats", "nats://me:s3cret@127.0.0.1:1"]);
    let log = daemon.stop_and_read_log();
    assert!(log.contains("is visible to other users") && !log.contains("s3cret"), "{log}");
}
