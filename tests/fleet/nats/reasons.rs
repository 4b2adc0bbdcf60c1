//! The reasons that a daemon's health and log name when it cannot take part in its fleet.

use super::nats::NatsServer;
use crate::support::daemon::Daemon;
use crate::support::until::until;
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream::Config};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const USERS: &str = "authorization { users: [{ user: me, password: s3cret }, { user: poor, password: s3cret, \
                     permissions: { publish: \"$JS.API.INFO\", subscribe: \"_INBOX.>\" } }] }";

fn start(data: &Path, url: &str, more: &[&str]) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
    command.args(["serve", "--log", "info"]).args(more).env("DIALBACK_FLEET_NATS", url);
    Daemon::start_by(data, command).expect("it starts")
}

fn health(daemon: &Daemon) -> Value {
    let answer = ureq::get(format!("{}/health", daemon.url())).call().expect("it answers").body_mut().read_to_string();
    serde_json::from_str(&answer.expect("text")).expect("JSON")
}

/// Waits until the health names the state and the reason. Checks that they remain, that the log has each text once, and
/// that neither has a secret.
fn is_named(url: &str, more: &[&str], state: &str, reason: &str) {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = start(data.path(), url, more);
    let named = |health: &Value| {
        health["fleet"] == state && health["fleet_reason"].as_str().is_some_and(|why| why.contains(reason))
    };
    until(PATIENCE, reason, || named(&health(&daemon)).then_some(()));
    for _ in 0..15 {
        sleep(Duration::from_millis(200));
        let health = health(&daemon);
        assert!(named(&health) && !health.to_string().contains("s3cret"), "{health}");
    }
    let log = daemon.stop_and_read_log();
    assert!(log.contains(reason) && !log.contains("s3cret"), "{log}");
    // Each line begins with its time.
    let texts: Vec<_> = log.lines().filter_map(|line| line.split_once(' ')).map(|(_, text)| text).collect();
    let repeated = texts.iter().find(|text| texts.iter().filter(|other| other == text).count() > 2);
    assert!(repeated.is_none() && texts.len() < 20, "{log}");
}

#[test]
fn an_unreachable_server_is_named_and_logged_once() {
    is_named("nats://me:s3cret@127.0.0.1:1", &[], "away", "no connection to the server: IO error");
}

#[test]
fn a_rejected_login_a_missing_permission_and_a_foreign_stream_are_named_and_logged_once() {
    let server = NatsServer::start_with(&format!("jetstream {{ store_dir: \"STORE\" }}\n{USERS}"));
    let url = |login: &str| server.url().replace("nats://", &format!("nats://{login}@"));
    is_named(&url("me:s3cret2"), &[], "away", "authorization violation");
    is_named(&url("poor:s3cret"), &[], "away", "Permissions Violation for Publish to \"$JS.API.STREAM.INFO.DIALBACK\"");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let login = ConnectOptions::with_user_and_password("me".into(), "s3cret".into());
        let context = jetstream::new(login.connect(server.url()).await.expect("there"));
        let theirs = Config { name: "THEIRS".into(), subjects: vec!["theirs.*".into()], ..Config::default() };
        context.create_stream(theirs).await.expect("made");
    });
    is_named(&url("me:s3cret"), &["--fleet-stream", "THEIRS"], "away", "the stream THEIRS is not this fleet's");
}
