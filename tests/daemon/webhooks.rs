//! Webhooks, from the request that creates one to the receiver.

use crate::support::daemon::{Daemon, Tenant, dialback};
use crate::support::receiver::{Received, Receiver, Reply};
use serde_json::{Value, json};
use standardwebhooks::Webhook as Verifier;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const FIRST: &str = "+14155550123";
const SECOND: &str = "+14155550124";

fn start(data: &Path) -> Daemon {
    Daemon::start_with(data, &["--webhook-allow", "127.0.0.1", "--log", "debug"])
}

/// Creates a webhook for calls. Returns its id and its secret.
fn create(tenant: &Tenant, url: &str) -> (String, String) {
    let (status, answer) = tenant.post("/webhooks", &json!({ "url": url, "types": ["call.recorded"] }));
    assert_eq!(status, 201, "{answer}");
    let text = |field: &str| answer["data"][field].as_str().expect("text").to_owned();
    (text("id"), text("secret"))
}

/// Records a call at a minute of an hour, so that each one is a new one.
fn call(tenant: &Tenant, to: &str, minute: u32) {
    let call = json!({
        "agent_id": tenant.source_agent, "from": "+12125550100", "to": to, "status": "busy",
        "started_at": format!("2026-11-20T10:{minute:02}:00Z"),
    });
    let (status, answer) = tenant.post("/calls", &call);
    assert_eq!(status, 202, "{answer}");
}

fn verify(messages: &Received, secret: &str) -> bool {
    let mut headers = axum::http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, messages.header(name).parse().expect("a header"));
    }
    let verifier = Verifier::new(secret).expect("a secret");
    verifier.verify(messages.body.as_bytes(), &headers).is_ok()
}

fn contacts(messages: &[Received]) -> Vec<String> {
    messages.iter().map(|one| one.json()["data"]["to"].as_str().expect("a contact").to_owned()).collect()
}

fn show(tenant: &Tenant, id: &str) -> Value {
    let (status, answer) = tenant.get(&format!("/webhooks/{id}"));
    assert_eq!(status, 200, "{answer}");
    answer["data"].clone()
}

/// Waits until the webhook has this value.
fn wait_for(tenant: &Tenant, id: &str, field: &str, value: &Value) -> Value {
    let began = Instant::now();
    loop {
        let shown = show(tenant, id);
        if shown[field] == *value {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{shown}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn event_arrives_signed_and_is_not_repeated_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(204));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    call(&tenant, SECOND, 1);
    let (id, secret) = create(&tenant, &receiver.url());
    call(&tenant, FIRST, 2);
    let messages = receiver.wait_for(1);
    assert_eq!(contacts(&messages), [FIRST], "only what came after it");
    assert!(verify(&messages[0], &secret), "signed");
    let mut changed = messages[0].clone();
    changed.body = changed.body.replace("busy", "idle");
    assert!(!verify(&changed, &secret));
    assert_eq!((messages[0].path.as_str(), messages[0].header("content-type")), ("/hook", "application/json"));
    let content = messages[0].json();
    assert_eq!((&content["type"], &content["data"]["status"]), (&json!("call.recorded"), &json!("busy")));
    assert!(content["timestamp"].as_str().expect("text").ends_with('Z'));
    let events = tenant.get("/events?types=call.recorded").1;
    let cursor = events["data"][1]["cursor"].as_str().expect("a cursor");
    assert_eq!(messages[0].header("webhook-id"), format!("msg_{cursor}"), "the id is that of the event");
    wait_for(&tenant, &id, "waiting", &json!(0));
    assert!(!tenant.get("/webhooks").1.to_string().contains("whsec_"), "shown once");
    let deliveries = tenant.get(&format!("/webhooks/{id}/deliveries")).1;
    assert_eq!(deliveries["data"][0]["response_status"], 204, "{deliveries}");
    let metrics = ureq::get(format!("{}/metrics", daemon.url())).call().expect("an answer");
    let metrics = metrics.into_body().read_to_string().expect("UTF-8");
    for line in ["dialback_webhook_attempts_total{result=\"accepted\"} 1", "dialback_webhooks{status=\"active\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }

    daemon.stop();
    let daemon = start(directory.path());
    let tenant = tenant.at(&daemon);
    call(&tenant, SECOND, 3);
    let messages = receiver.wait_for(2);
    assert_eq!(contacts(&messages), [FIRST, SECOND], "nothing is repeated");
    assert!(verify(&messages[1], &secret), "the secret is kept");
    let log = daemon.stop_and_read_log();
    for secret in ["4155550123", "4155550124", &secret[6..], "/hook"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn refused_event_comes_again_before_later_ones_of_its_contact_and_others_do_not_wait() {
    let directory = tempfile::tempdir().expect("a directory");
    // The first attempt of the first contact fails.
    let failed = std::sync::atomic::AtomicBool::new(false);
    let receiver = Receiver::start(move |one| {
        let is_first =
            one.body.contains(FIRST) && !failed.swap(one.body.contains(FIRST), std::sync::atomic::Ordering::SeqCst);
        Reply::Status(if is_first { 503 } else { 200 })
    });
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, _) = create(&tenant, &receiver.url());
    call(&tenant, FIRST, 1);
    receiver.wait_for(1);
    call(&tenant, FIRST, 2);
    call(&tenant, SECOND, 3);
    let messages = receiver.wait_for(4);
    assert_eq!(contacts(&messages), [FIRST, SECOND, FIRST, FIRST]);
    let ids: Vec<_> = messages.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids[0], ids[2], "the id of a repetition is the same");
    assert_ne!(ids[2], ids[3]);
    let shown = wait_for(&tenant, &id, "waiting", &json!(0));
    assert_eq!((&shown["status"], &shown["missed"]), (&json!("active"), &json!(0)));
}

#[test]
fn killed_daemon_repeats_at_most_the_last_second() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(200));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, _) = create(&tenant, &receiver.url());
    (0..20).for_each(|minute| call(&tenant, FIRST, minute));
    receiver.wait_for(20);
    // The progress is saved once a second.
    sleep(Duration::from_millis(2500));
    (20..23).for_each(|minute| call(&tenant, FIRST, minute));
    receiver.wait_for(23);
    daemon.kill();
    let daemon = start(directory.path());
    let tenant = tenant.at(&daemon);
    call(&tenant, SECOND, 30);
    // It can arrive before those that are repeated.
    let began = Instant::now();
    while !receiver.all().iter().any(|one| one.body.contains(SECOND)) {
        assert!(began.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
    wait_for(&tenant, &id, "waiting", &json!(0));
    let mut count = std::collections::BTreeMap::<String, usize>::new();
    for one in receiver.all() {
        *count.entry(one.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert_eq!(count.len(), 24, "nothing is lost");
    assert!(count.values().all(|times| *times <= 2), "repeated once at most: {count:?}");
    assert!(count.values().filter(|times| **times == 2).count() <= 3, "only those of the last second: {count:?}");
}

#[test]
fn stop_in_full_flow_repeats_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| {
        sleep(Duration::from_millis(100));
        Reply::Status(200)
    });
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    create(&tenant, &receiver.url());
    (0..60).for_each(|number| call(&tenant, &format!("+1415555{:04}", 1000 + number), number % 60));
    receiver.wait_for(10);
    assert_eq!(daemon.stop(), 0);
    let before = receiver.all().len();
    assert!(before < 60, "it was in full flow");
    let daemon = start(directory.path());
    receiver.wait_for(60);
    daemon.stop();
    let mut ids: Vec<_> = receiver.all().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), receiver.all().len()), (60, 60), "each once");
}

#[test]
fn receiver_that_is_gone_gets_nothing_until_it_is_enabled_again_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let gone = Receiver::start(|_| Reply::Status(410));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, _) = create(&tenant, &gone.url());
    call(&tenant, FIRST, 1);
    let shown = wait_for(&tenant, &id, "status", &json!("disabled"));
    assert_eq!(shown["disabled_reason"], "gone", "{shown}");
    call(&tenant, SECOND, 2);
    daemon.stop();
    let daemon = start(directory.path());
    let tenant = tenant.at(&daemon);
    assert_eq!(show(&tenant, &id)["disabled_reason"], "gone");
    call(&tenant, FIRST, 3);
    assert_eq!(gone.all().len(), 1);
    let back = Receiver::start(|_| Reply::Status(200));
    let (status, answer) = tenant.put(&format!("/webhooks/{id}"), &json!({ "url": back.url(), "enabled": true }));
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("active")), "{answer}");
    let mut messages = contacts(&back.wait_for(3));
    messages.sort();
    assert_eq!(messages, [FIRST, FIRST, SECOND], "everything since then");
}

#[test]
fn rotation_signs_with_both_secrets_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(200));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, old) = create(&tenant, &receiver.url());
    let (status, answer) = tenant.post(&format!("/webhooks/{id}/rotate"), &json!({}));
    assert_eq!(status, 201, "{answer}");
    let new = answer["data"]["secret"].as_str().expect("text").to_owned();
    assert!(answer["data"]["old_secret_until"].is_string());
    call(&tenant, FIRST, 1);
    let messages = receiver.wait_for(1);
    assert!(old != new && verify(&messages[0], &old) && verify(&messages[0], &new));
    assert_eq!(tenant.post(&format!("/webhooks/{id}/rotate"), &json!({ "overlap_seconds": 0 })).0, 201);
    call(&tenant, FIRST, 2);
    let messages = receiver.wait_for(2);
    assert!(!verify(&messages[1], &old) && !verify(&messages[1], &new), "both are over");
}

#[test]
fn hanging_and_endless_receivers_delay_no_other_and_a_redirect_is_not_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let hanging = Receiver::start(|_| Reply::Hang);
    let endless = Receiver::start(|_| Reply::Endless);
    let redirecting = Receiver::start(|_| Reply::Redirect);
    let good = Receiver::start(|_| Reply::Status(200));
    create(&tenant, &hanging.url());
    create(&tenant, &hanging.url());
    let (endless_id, _) = create(&tenant, &endless.url());
    let (redirecting_id, _) = create(&tenant, &redirecting.url());
    create(&tenant, &good.url());
    (0..50).for_each(|number| call(&tenant, &format!("+1415555{:04}", 1000 + number), number));
    let began = Instant::now();
    good.wait_for(50);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}: less than a time limit", began.elapsed());
    // An answer without end is accepted by its status, and its connection is closed.
    wait_for(&tenant, &endless_id, "waiting", &json!(0));
    redirecting.wait_for(10);
    let shown = show(&tenant, &redirecting_id);
    assert_eq!(shown["status"], "failing", "{shown}");
    assert!(redirecting.all().iter().all(|one| one.path == "/hook"), "not followed");
    let deliveries = tenant.get(&format!("/webhooks/{redirecting_id}/deliveries")).1;
    assert_eq!(deliveries["data"][0]["response_status"], 302, "{deliveries}");
}

#[test]
fn erased_contact_is_not_sent_any_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let failing = Receiver::start(|_| Reply::Status(500));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, _) = create(&tenant, &failing.url());
    call(&tenant, FIRST, 1);
    call(&tenant, SECOND, 1);
    failing.wait_for(2);
    assert_eq!(tenant.delete(&format!("/contacts/{}", FIRST.replace('+', "%2B"))).0, 200);
    let good = Receiver::start(|_| Reply::Status(200));
    assert_eq!(tenant.put(&format!("/webhooks/{id}"), &json!({ "url": good.url() })).0, 200);
    let shown = wait_for(&tenant, &id, "waiting", &json!(0));
    assert_eq!((contacts(&good.all()), &shown["missed"]), (vec![SECOND.to_owned()], &json!(0)));
}

#[test]
fn private_addresses_are_refused_and_a_name_that_stands_for_one_is_not_connected_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let receiver = Receiver::start(|_| Reply::Status(200));
    for url in [
        receiver.url(),
        receiver.url().replace("http:", "https:"),
        "https://[::1]/".into(),
        "https://[::ffff:127.0.0.1]/".into(),
        "https://10.0.0.1/".into(),
        "https://169.254.169.254/latest".into(),
        "https://2130706433/".into(),
        "https://0x7f.1/".into(),
        "http://example.com/".into(),
        "ftp://example.com/".into(),
        "https://user:word@example.com/".into(),
        "https://example.com/#part".into(),
        "example.com".into(),
        "https://".into(),
        format!("https://example.com/{}", "x".repeat(2048)),
    ] {
        let (status, answer) = tenant.post("/webhooks", &json!({ "url": url }));
        assert_eq!(status, 422, "{url}: {answer}");
    }
    let name = format!("https://localhost:{}/hook", receiver.port());
    let (id, _) = create(&tenant, &name);
    let (status, answer) = tenant.post(&format!("/webhooks/{id}/test"), &json!({}));
    assert_eq!(
        (status, &answer["data"]["error"]),
        (200, &json!("the host is not known, or its address is not allowed")),
        "{answer}"
    );
    assert_eq!(receiver.connections(), 0);
    // Canary: a connection is counted.
    drop(std::net::TcpStream::connect(("127.0.0.1", receiver.port())).expect("it listens"));
    let began = Instant::now();
    while receiver.connections() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn stop_answers_a_test_message_that_is_under_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Hang);
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, _) = create(&tenant, &receiver.url());
    let (status, answer) = std::thread::scope(|scope| {
        let test = scope.spawn(|| tenant.post(&format!("/webhooks/{id}/test"), &json!({})));
        receiver.wait_for(1);
        assert_eq!(daemon.stop(), 0);
        test.join().expect("it is answered")
    });
    assert_eq!((status, &answer["code"]), (503, &json!("TIMEOUT")), "{answer}");
}

#[test]
fn test_message_shows_its_result_and_a_deleted_webhook_stays_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(418));
    let daemon = start(directory.path());
    let tenant = Tenant::with_callback_sample(&daemon);
    let (id, secret) = create(&tenant, &receiver.url());
    let (status, answer) = tenant.post(&format!("/webhooks/{id}/test"), &json!({}));
    assert_eq!((status, &answer["data"]["response_status"]), (200, &json!(418)), "{answer}");
    let messages = receiver.wait_for(1);
    assert!(verify(&messages[0], &secret));
    assert_eq!(messages[0].json()["type"], "webhook.test");
    assert_eq!(tenant.delete(&format!("/webhooks/{id}")).0, 200);
    assert_eq!(tenant.get(&format!("/webhooks/{id}")).0, 404);
    call(&tenant, FIRST, 1);
    daemon.stop();
    let daemon = start(directory.path());
    let tenant = tenant.at(&daemon);
    assert_eq!(tenant.get("/webhooks").1["data"], json!([]), "deleted for good");
    assert_eq!(receiver.all().len(), 1);
    drop(daemon);
    let (code, _, errors) = dialback(&["verify", "--data"], directory.path());
    assert_eq!(code, 0, "{errors}");
}
