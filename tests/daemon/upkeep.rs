//! The real daemon and its data directory: loading, erasing, and backups.

use crate::support::daemon as support;
use crate::support::disk_search::DiskSearch;
use crate::support::table_file::is_table;
use dialback::history::Register;
use dialback::slot::{AgentSlot, NumberSlot};
use dialback::store::{Batch, Durability, EventStore, FjallStore};
use dialback::{Change, Configuration, DialPlan, E164, EnvironmentId, Lookback, Outcome, Timestamp};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{Daemon, Tenant, dialback};

const PATIENCE: Duration = Duration::from_secs(120);
const CONTACT: &str = "+12125550143";
const OTHER: &str = "+12125550188";
/// The line of the log at the end of a purge.
const PURGED: &str = "removed erased and expired data from the disk";

/// Returns the files that contain the number.
fn files_with(path: &Path, number: &str) -> Vec<PathBuf> {
    DiskSearch::of_texts([number]).files(path)
}

#[test]
fn erased_contact_is_in_no_file_after_the_purge_interval() {
    let data = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start_with(data.path(), &["--purge-every", "2s"]);
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    for contact in [CONTACT, OTHER] {
        assert_eq!(tenant.record_call(contact, "no_answer").0, 202);
        assert!(!files_with(data.path(), contact).is_empty(), "the search finds what is there");
    }
    let (status, answer) = tenant.delete(&format!("/contacts/{}", CONTACT.replace('+', "%2B")));
    assert_eq!((status, &answer["data"]["pairs_erased"]), (200, &1.into()), "{answer}");
    let asked = Instant::now();
    // The number is gone some steps before the purge ends.
    while !daemon.read_log().contains(PURGED) || !files_with(data.path(), CONTACT).is_empty() {
        assert!(asked.elapsed() < PATIENCE, "it is still in {:?}", files_with(data.path(), CONTACT));
        sleep(Duration::from_millis(200));
    }
    assert_eq!(tenant.decision(OTHER)["reason"], "MATCHED", "the others are untouched");
    assert!(files_with(data.path(), OTHER).iter().any(|file| is_table(file)), "the search looks into tables");
    // A late report does not restore the contact, also not after another start.
    let late = |tenant: &Tenant| {
        assert_eq!(tenant.record_call(CONTACT, "voicemail").0, 202);
        assert_eq!(tenant.decision(CONTACT)["reason"], "NO_HISTORY");
    };
    late(&tenant);
    let log = daemon.stop_and_read_log();
    assert!(!log.contains(&CONTACT[1..]) && log.contains(PURGED), "{log}");
    let daemon = Daemon::start(data.path());
    late(&tenant.at(&daemon));
    let export = data.path().join("export.ndjson");
    let (code, _, errors) = dialback(&["export", export.to_str().expect("plain"), "--data"], data.path());
    assert_eq!(code, 0, "{errors}");
    assert_eq!(files_with(data.path(), CONTACT), Vec::<PathBuf>::new());
    assert!(files_with(data.path(), OTHER).contains(&export));
}

/// The time of the last purge is two hours in the future, because the clock was ahead during the purge.
#[test]
fn last_purge_dated_in_the_future_delays_no_purge_after_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let store = FjallStore::open(data.path()).expect("it opens");
    store.upkeep().purge(None, Timestamp::from_secs(now + 2 * 3600)).expect("it is written");
    drop(store);
    let daemon = Daemon::start_with(data.path(), &["--purge-every", "1h"]);
    let asked = Instant::now();
    while !daemon.read_log().contains(PURGED) {
        assert!(asked.elapsed() < PATIENCE, "{}", daemon.read_log());
        sleep(Duration::from_millis(100));
    }
    let log = daemon.read_log();
    assert_eq!(log.matches("the wall clock does not match").count(), 1, "{log}");
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let mut page = agent.get(format!("{}/metrics", daemon.url())).call().expect("an answer");
    let page = page.body_mut().read_to_string().expect("UTF-8");
    let value = |name: &str| -> f64 {
        let line =
            page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    };
    assert!(value("dialback_upkeep_last_success_timestamp_seconds") < seconds_of(now + 3600), "the present time");
    assert!(value("dialback_upkeep_last_duration_seconds") > 0.0 && value("dialback_upkeep_bytes") > 0.0, "{page}");
    assert!((value("dialback_upkeep_clock_jumps_total") - 1.0).abs() < f64::EPSILON, "{page}");
    assert_eq!(daemon.stop(), 0);
    // The next start finds a valid time.
    let daemon = Daemon::start_with(data.path(), &["--purge-every", "1h"]);
    sleep(Duration::from_millis(500));
    let log = daemon.stop_and_read_log();
    assert!(!log.contains("does not match the time of the last purge") && !log.contains(PURGED), "{log}");
}

#[test]
fn export_of_a_running_daemon_can_be_imported() {
    let (data, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let daemon = Daemon::start(data.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    tenant.configure_callback();
    for contact in [CONTACT, OTHER] {
        assert_eq!(tenant.record_call(contact, "no_answer").0, 202);
    }
    let file = copy.path().join("backup.ndjson");
    let name = file.to_str().expect("plain").to_owned();
    let (code, said, errors) = dialback(&["export", &name, "--data"], data.path());
    assert_eq!((code, said.as_str()), (0, ""), "{errors}");
    assert!(errors.contains("2 calls"), "{errors}");
    let backup = fs::read_to_string(&file).expect("there");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600, "phone numbers are in it");
    // Standard output gets the same export, with a daemon and without one.
    assert!(dialback(&["export", "-", "--data"], data.path()).1 == backup);
    let expected = [CONTACT, OTHER].map(|contact| tenant.decision(contact));
    assert_eq!(daemon.stop(), 0);
    assert!(dialback(&["export", "--data"], data.path()).1 == backup);

    let restored = copy.path().join("data");
    let (code, said, errors) = dialback(&["import", &name, "--data"], &restored);
    assert_eq!(code, 0, "{errors}");
    assert!(said.starts_with("imported: ") && said.contains("2 calls"), "{said}");
    let daemon = Daemon::start(&restored);
    let tenant = tenant.at(&daemon);
    assert_eq!([CONTACT, OTHER].map(|contact| tenant.decision(contact)), expected, "with the same token");
    assert!(dialback(&["export", "--data"], &restored).1 == backup);
    // An import fails into an existing directory, and from half an export.
    let (code, _, errors) = dialback(&["import", &name, "--data"], data.path());
    assert_eq!(code, 4, "{errors}");
    fs::write(&file, &backup[..backup.len() / 2]).expect("written");
    let (code, _, errors) = dialback(&["import", &name, "--data"], &copy.path().join("half"));
    assert!(code == 4 && errors.contains("line "), "{errors}");
    let (code, _, errors) = dialback(&["export", "--salvage", "--data"], &restored);
    assert!(code == 1 && errors.contains("a daemon holds"), "{errors}");
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
fn seconds_of(seconds: u64) -> f64 {
    seconds as f64
}

/// Creates a directory with many pairs, so that loading takes a while.
fn fill(path: &Path, pairs: u64) {
    let mut store = FjallStore::open(path).expect("it opens").with_durability(Durability::Buffered);
    let (environment, at) = (EnvironmentId::from_u128(1), Timestamp::from_secs(1_800_000_000));
    let (dial_plan, lookback) = (DialPlan::NONE, Lookback::default());
    let changes = vec![Change::EnvironmentSet { name: "acme".into(), dial_plan, lookback }];
    let configuration = Configuration::new(1, environment, at, changes);
    store.commit(&Batch { configurations: vec![configuration], ..Batch::default() }).expect("written");
    let scope = NumberSlot::new(0).expect("a slot").into();
    let register = Register::call(at, Outcome::Busy, AgentSlot::new(0).expect("a slot"));
    let contacts: Vec<u64> = (0..pairs).collect();
    for some in contacts.chunks(10_000) {
        let contact = |n: &u64| E164::from_code(12_000_000_000 + n * 7).expect("a code");
        let registers = some.iter().map(|n| (scope, contact(n), register)).collect();
        store.commit(&Batch { registers, ..Batch::default() }).expect("written");
    }
    store.sync().expect("synced");
}

struct Loading(Child);

impl Drop for Loading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn health_reports_the_progress_of_loading() {
    let data = tempfile::tempdir().expect("a directory");
    // Use more pairs if loading finished before a request could see it.
    for pairs in [400_000, 1_600_000, 6_400_000] {
        let path = data.path().join(pairs.to_string());
        fill(&path, pairs);
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let arguments = ["serve", "--listen", &free.to_string(), "--data"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialback"));
        let mut daemon = Loading(command.args(arguments).arg(&path).stderr(Stdio::null()).spawn().expect("it starts"));
        let asked = Instant::now();
        let mut seen: Vec<(String, u64)> = Vec::new();
        while seen.last().is_none_or(|(status, _)| status != "ok") {
            assert_eq!(daemon.0.try_wait().expect("our child"), None, "it goes on");
            assert!(asked.elapsed() < PATIENCE, "{seen:?}");
            let Some(health) = health(&format!("http://{free}")) else { continue };
            let status = health["status"].as_str().expect("a text").to_owned();
            let pairs = health["progress"]["pairs"].as_u64().unwrap_or(pairs);
            seen.push((status, pairs));
            seen.dedup();
        }
        assert!(seen.is_sorted_by_key(|(_, pairs)| *pairs), "it only goes forward: {seen:?}");
        assert!(seen[..seen.len() - 1].iter().all(|(status, _)| status == "loading"), "{seen:?}");
        if seen.iter().any(|(status, pairs)| status == "loading" && *pairs > 0) {
            return;
        }
    }
    panic!("nobody saw it load");
}

fn health(url: &str) -> Option<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut answer = agent.get(format!("{url}/health")).call().ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    let status = answer.status().as_u16();
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status, if value["status"] == "ok" { 200 } else { 503 }, "{value}");
    assert_eq!(answer.headers().contains_key("retry-after"), value["status"] == "loading");
    Some(value)
}
