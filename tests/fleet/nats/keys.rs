//! Key files of real daemons: authentic messages count, and no others.

use super::nats::NatsServer;
use super::{open, options};
use crate::support::daemon::{Daemon, Tenant};
use crate::support::until::until;
use dialback::fleet::nats::NatsOptions;
use dialback::fleet::{Position, Settings, Stream};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the text of a key file.
fn keys(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}").repeat(32) + "\n").collect()
}

fn start(server: &NatsServer, data: &Path, keys: &str, more: &[&str]) -> Daemon {
    let file = data.with_extension("key");
    fs::write(&file, keys).expect("written");
    let (url, file) = (server.url(), file.display().to_string());
    let fixed = ["--log", "trace", "--fleet-nats", &url, "--fleet-key-file", &file];
    Daemon::start_with(data, &[&fixed[..], more].concat())
}

fn health(daemon: &Daemon) -> Value {
    let answer = ureq::get(format!("{}/health", daemon.url())).call().expect("it answers").body_mut().read_to_string();
    serde_json::from_str(&answer.expect("text")).expect("JSON")
}

fn is_settled(daemon: &Daemon) -> Option<()> {
    let health = health(daemon);
    (health["fleet"] == "following" && health["fleet_outbox"] == 0).then_some(())
}

/// Records a call at one node, and waits until the other one routes by it.
fn reaches(tenant: &Tenant, from: &Daemon, to: &Daemon, contact: &str) {
    assert_eq!(tenant.clone().at(from).record_call(contact, "busy").0, 202);
    let there = tenant.clone().at(to);
    let is_there = || (there.decision(contact)["agent_id"] == json!(tenant.callback_agent)).then_some(());
    until(PATIENCE, "the other node gets the call", is_there);
}

/// Checks that a log at its most detailed level has no key in any notation, and no number.
fn shows_nothing(log: &str) {
    let key = ["a1".repeat(4), "A1".repeat(4), "161, 161".into(), "\\xa1\\xa1".into(), "\\xA1\\xA1".into()];
    let numbers = ["1415555000", "12125550100"].map(String::from);
    // The client of NATS would show whole messages, also as Base64.
    let client = ["read operation", "JetStream request"].map(String::from);
    for text in key.iter().chain(&numbers).chain(&client) {
        assert_eq!(log.lines().find(|line| line.contains(text)), None, "{text}");
    }
}

#[test]
fn daemons_with_a_key_exchange_calls_skip_a_strangers_and_change_the_key_one_after_the_other() {
    let server = NatsServer::start();
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    let old = keys(&[0xA1]);
    let (one, two) =
        (start(&server, &path("one"), &old, &["--fleet-encrypt"]), start(&server, &path("two"), &old, &[]));
    // A node with another key neither counts nor reads anything. It begins while the stream holds all messages: there is
    // nothing to write a snapshot of yet.
    let stranger = start(&server, &path("stranger"), &keys(&[0xB2]), &[]);
    let skips = |daemon: &Daemon| health(daemon)["fleet_skipped"]["unknown_key"].as_u64();
    until(PATIENCE, "the stranger is skipped", || skips(&one).zip(skips(&two)).map(|_| ()));
    until(PATIENCE, "the stranger skips", || skips(&stranger).map(|_| ()));
    let tenant = Tenant::with_callback_sample(&one);
    tenant.configure_callback();
    reaches(&tenant, &one, &two, "+14155550001");
    reaches(&tenant, &two, &one, "+14155550002");
    assert_eq!(tenant.clone().at(&stranger).get("/agents").0, 401, "it does not have the fleet's tokens");
    drop(stranger);

    // One that comes when the stream begins with a snapshot waits for a snapshot that it can read, and says so.
    let stream = open(NatsOptions { partitions: Settings::PARTITIONS, ..options(&server) });
    let begins_late = || stream.bounds().is_ok_and(|bounds| bounds.first > Position(1)).then_some(());
    until(PATIENCE, "a snapshot replaces the first messages", begins_late);
    let late = start(&server, &path("late"), &keys(&[0xB2]), &[]);
    until(PATIENCE, "it says why", || late.read_log().contains("a key that this node lacks").then_some(()));
    let why = |health: &Value| health["fleet_reason"].as_str().is_some_and(|why| why.contains("this node lacks"));
    for _ in 0..20 {
        let health = health(&late);
        assert!(health["fleet"] == "joining" && why(&health), "{health}");
        sleep(Duration::from_millis(50));
    }
    let repeated = late.read_log().matches("a key that this node lacks").count();
    assert!(repeated < 3, "the log has it {repeated} times");
    drop(late);

    let (mut one, mut two) = (Some(one), Some(two));
    for (after, keys) in [(&[0xA1, 0xC3][..], "appended"), (&[0xC3, 0xA1], "moved")] {
        for (name, node) in [("one", &mut one), ("two", &mut two)] {
            let stopped = node.take().expect("it runs").stop_and_read_log();
            shows_nothing(&stopped);
            let daemon = start(&server, &path(name), &self::keys(after), &["--fleet-encrypt"]);
            until(PATIENCE, keys, || is_settled(&daemon));
            *node = Some(daemon);
        }
    }
    let (one, two) = (one.expect("it runs"), two.expect("it runs"));
    reaches(&tenant, &one, &two, "+14155550003");
    // The old key is not needed any more for what is published now.
    drop(two);
    let two = start(&server, &path("two"), &keys(&[0xC3]), &[]);
    reaches(&tenant, &one, &two, "+14155550004");
    for node in [one, two] {
        shows_nothing(&node.stop_and_read_log());
    }
}

/// The others skip what a node has published without the fleet's key, but the stream delivers it back to that node.
#[test]
fn what_a_node_published_without_the_key_reaches_the_others_once_it_has_the_key() {
    let server = NatsServer::start();
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name);
    let with_key = |name: &str| start(&server, &path(name), &keys(&[0xA1]), &[]);
    let (one, two) = (with_key("one"), with_key("two"));
    let tenant = Tenant::with_callback_sample(&one);
    tenant.configure_callback();
    reaches(&tenant, &one, &two, "+14155550001");
    until(PATIENCE, "it is settled", || is_settled(&two));
    drop(two);
    let two = Daemon::start_with(&path("two"), &["--log", "trace", "--fleet-nats", &server.url()]);
    assert_eq!(tenant.clone().at(&two).record_call("+14155550002", "busy").0, 202);
    until(PATIENCE, "it is delivered back", || is_settled(&two));
    until(PATIENCE, "it is skipped", || health(&one)["fleet_skipped"]["unsigned"].as_u64());
    let is_there =
        |node: &Daemon| tenant.clone().at(node).decision("+14155550002")["agent_id"] == json!(tenant.callback_agent);
    assert!(is_there(&two) && !is_there(&one));
    drop(two);
    let two = with_key("two");
    until(PATIENCE, "the other node gets the call", || is_there(&one).then_some(()));
    until(PATIENCE, "it is settled", || is_settled(&two));

    // The node does so once.
    let republished = |daemon: &Daemon| {
        let page = ureq::get(format!("{}/metrics", daemon.url())).call().expect("it answers");
        let page = page.into_body().read_to_string().expect("text");
        let line = page.lines().find(|line| line.starts_with("dialback_fleet_republished_total ")).expect("a line");
        line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a number")
    };
    assert!(republished(&two) > 0);
    drop(two);
    let two = with_key("two");
    until(PATIENCE, "it is settled", || is_settled(&two));
    assert_eq!(republished(&two), 0);
}
