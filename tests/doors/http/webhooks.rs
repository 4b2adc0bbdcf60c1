//! `/webhooks`: the requests. `tests/daemon/webhooks.rs` has the deliveries.

use crate::support::server::{Answer, Client, Desk, START, Server};
use dialback::Service;
use dialback::http::{Message, Sender, Sent};
use dialback::service::FeedSettings;
use dialback::store::FjallStore;
use serde_json::{Value, json};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Answers each message when the test allows it: with 410 at an address that ends in `/gone`.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    status: u16,
    /// The address and the content of each message.
    messages: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Sender for Gate {
    fn check(&self, url: &str) -> Result<(), &'static str> {
        if url.starts_with("https://") { Ok(()) } else { Err("must begin with https://") }
    }

    fn most(&self) -> usize {
        256
    }

    fn send(&self, message: Message) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let there = self.clone();
        Box::pin(async move {
            let content = serde_json::from_slice(&message.body).expect("JSON");
            let status = if message.url.ends_with("/gone") { 410 } else { there.status };
            there.messages.lock().expect("sound").push((message.url, content));
            there.open.acquire().await.expect("never closed").forget();
            Sent::Answered(status)
        })
    }
}

impl Gate {
    fn closed() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), status: 200, messages: Arc::default() }
    }

    fn count(&self) -> usize {
        self.messages.lock().expect("sound").len()
    }

    /// Waits until so many messages are under way or accepted.
    async fn wait_for(&self, count: usize) {
        let wait = async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("they come");
    }
}

fn server(path: &Path, gate: &Gate) -> Server {
    let store = FjallStore::open(path).expect("it opens");
    let service = Service::builder(store).feed(FeedSettings::default()).start().expect("it starts");
    let sender = Arc::new(gate.clone());
    Server::start_service(service, |api| {
        let api = api.with_webhooks(sender, Handle::current());
        api.start_webhooks().expect("it reads");
        api
    })
}

async fn create(client: &Client<'_>, url: &str) -> Answer {
    client.post("/webhooks", json!({ "url": url })).await
}

#[tokio::test]
async fn webhooks_of_an_environment_are_bounded_and_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), &Gate::closed());
    let client = server.tenant();
    for number in 0..16 {
        assert_eq!(create(&client, &format!("https://example.com/{number}")).await.status, 201);
    }
    let answer = create(&client, "https://example.com/").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (409, &json!("QUOTA_EXCEEDED")));
    assert_eq!(create(&server.other(), "https://example.com/").await.status, 201);
    let all = client.get("/webhooks").await.data();
    assert_eq!(all.as_array().expect("a list").len(), 16);
    let urls = all.as_array().expect("a list").iter().map(|hook| hook["url"].as_str().expect("text").to_owned());
    assert_eq!(urls.collect::<std::collections::BTreeSet<_>>().len(), 16);
    let path = format!("/webhooks/{}", all[0]["id"].as_str().expect("an id"));
    let foreign = server.other().get(&path).await;
    assert_eq!((foreign.status.as_u16(), foreign.text), {
        let unknown = server.other().get("/webhooks/malformed").await;
        (404, unknown.text)
    });
    assert_eq!(server.other().delete(&path).await.status, 404);
    let taken = json!({"url": "https://example.com/", "id": all[1]["id"]});
    client.post("/webhooks", taken.clone()).await.is(409, "WEBHOOK_EXISTS");
    assert_eq!(client.delete(&path).await.status, 200);
    assert_eq!(
        server.other().post("/webhooks", taken).await.data()["id"],
        all[1]["id"],
        "each environment has its own ids"
    );
    assert_eq!(create(&client, "https://example.com/new").await.status, 201, "there is room again");
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path(), &Gate::closed());
    let client = server.tenant();
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": ""}), "url"),
        (json!({"url": "http://example.com"}), "url"),
        (json!({"url": format!("https://{}", "x".repeat(2041))}), "url"),
        (json!({"url": "https://example.com", "types": []}), "types"),
        (json!({"url": "https://example.com", "types": ["call"]}), "types"),
        (json!({"url": "https://example.com", "types": "call.recorded"}), "types"),
        (json!({"url": "https://example.com", "description": "x".repeat(256)}), "description"),
    ] {
        let answer = client.post("/webhooks", body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.body["errors"][field].is_array(), "{body}: {}", answer.text);
    }
    let all = create(&client, "https://example.com").await.data();
    assert_eq!(all["types"].as_array().expect("a list").len(), 4, "all types");
    let path = format!("/webhooks/{}", all["id"].as_str().expect("an id"));
    for (body, field) in [(json!({"enabled": "no"}), "enabled"), (json!({"url": "ftp://x"}), "url")] {
        let answer = client.put(&path, body).await;
        assert!(answer.status == 422 && answer.body["errors"][field].is_array(), "{}", answer.text);
    }
    let changed = client.put(&path, json!({"types": ["route.decided"], "enabled": false})).await.data();
    assert_eq!((&changed["types"], &changed["url"]), (&json!(["route.decided"]), &all["url"]));
    assert_eq!(client.put(&path, json!({"types": null})).await.data()["types"], all["types"], "null stands for all");
    let answer = client.post(&format!("{path}/rotate"), json!({"overlap_seconds": 2_592_001})).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn service_without_a_sender_or_a_feed_has_no_webhooks() {
    let server = Server::start();
    let answer = create(&server.tenant(), "https://example.com").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (501, &json!("NOT_STORED")));
}

async fn record(client: &Client<'_>, desk: &Desk, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut call = desk.call("busy");
        call["to"] = json!(format!("+1555765{number:04}"));
        assert_eq!(client.post("/calls", call).await.status, 202);
    }
}

#[tokio::test]
async fn messages_under_way_are_bounded_for_a_webhook_and_for_an_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = Gate::closed();
    let server = server(directory.path(), &gate);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    for number in 0..4 {
        assert_eq!(create(&client, &format!("https://example.com/{number}")).await.status, 201);
    }
    record(&client, &desk, 0..20).await;
    gate.wait_for(8).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(gate.count(), 8, "two of each webhook at first");
    gate.open.add_permits(80);
    gate.wait_for(80).await;
    record(&client, &desk, 20..100).await;
    gate.wait_for(112).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(gate.count(), 112, "sixteen of each quick one, and no more than 32 of one environment");
    gate.open.add_permits(10_000);
    gate.wait_for(400).await;
    let messages = gate.messages.lock().expect("sound").clone();
    let sent = messages.iter().map(|(url, content)| (url, content["data"]["to"].as_str().expect("a contact")));
    assert_eq!(sent.collect::<std::collections::BTreeSet<_>>().len(), 400, "each event came to each webhook");
}

#[tokio::test]
async fn answer_of_the_old_address_does_not_disable_the_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = Gate::closed();
    let server = server(directory.path(), &gate);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let path = create(&client, "https://example.com/gone").await.data();
    let path = format!("/webhooks/{}", path["id"].as_str().expect("an id"));
    record(&client, &desk, 0..1).await;
    gate.wait_for(1).await;
    client.put(&path, json!({"url": "https://example.com/new"})).await.data();
    gate.open.add_permits(10);
    gate.wait_for(2).await;
    assert_eq!(gate.messages.lock().expect("sound")[1].0, "https://example.com/new");
    let shown = async {
        loop {
            let shown = client.get(&path).await.data();
            if shown["waiting"] == 0 {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(60), shown).await.expect("it is accepted");
    assert_eq!((&shown["status"], &shown["missed"]), (&json!("active"), &json!(0)));
}

#[tokio::test]
async fn webhook_that_fails_for_five_days_is_disabled_until_it_is_enabled() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = Gate { status: 404, ..Gate::closed() };
    gate.open.add_permits(10_000);
    let server = server(directory.path(), &gate);
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let path = create(&client, "https://example.com/").await.data();
    let path = format!("/webhooks/{}", path["id"].as_str().expect("an id"));
    record(&client, &desk, 0..10).await;
    gate.wait_for(10).await;
    let status = async |wanted: &str| {
        let wait = async {
            while client.get(&path).await.data()["status"] != json!(wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("it is not {wanted}"));
        client.get(&path).await.data()
    };
    assert_eq!(status("failing").await["failing_since"], "2026-06-01T12:00:00.000Z");
    server.set_now(START.plus_millis(5 * 86_400_000));
    // It looks at the clock when its settings change.
    client.put(&path, json!({"description": "new"})).await.data();
    let shown = status("disabled").await;
    assert_eq!((&shown["disabled_reason"], &shown["waiting"]), (&json!("failing"), &json!(10)));
    let sent = gate.count();
    record(&client, &desk, 10..12).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(gate.count(), sent, "nothing is sent");
    client.put(&path, json!({"enabled": true})).await.data();
    gate.wait_for(sent + 10).await;
}
