//! No request puts a phone number into a log line.
//!
//! This is a separate program: tracing caches for the whole process whether a subscriber exists, so another test
//! could silence the log.
use crate::support::own_process::in_own_process;
use crate::support::server;
use dialback::store::{Batch, EventStore, StoreError, Stored};
use dialback::testing::lasting::LastingStore;
use serde_json::json;
use server::{CONTACT, Client, Desk, OURS, Server};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A subscriber that keeps each field of each event as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

impl Visit for Lines {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
        self.0.lock().unwrap().push('\n');
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A store that accepts configurations and rejects calls.
struct Broken;

impl EventStore for Broken {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.registers.is_empty() { Ok(()) } else { Err(StoreError::Engine("the disk is gone".into())) }
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Reports ids and contexts that are phone numbers: accepted ones, and some that are refused.
async fn report_details(desk: &Desk, client: &Client<'_>) {
    let mut call = desk.call("busy");
    call["call_id"] = json!(CONTACT);
    call["context"] = json!({CONTACT: OURS});
    assert_eq!(client.post("/calls", call.clone()).await.status, 202);
    assert_eq!(client.bulk(call.to_string()).await.body["accepted"], 1);
    let update = json!({"call_id": CONTACT, "status": "voicemail", "context": {"caller": CONTACT}});
    assert_eq!(client.post("/calls", update).await.status, 202);
    assert_eq!(client.get(&format!("/calls/{CONTACT}")).await.status, 200);
    client.get(&format!("/route?dialed={OURS}&caller={CONTACT}")).await;
    client.get(&format!("/contacts/{CONTACT}")).await;
    client.get(&format!("/calls/{CONTACT}x")).await.is(404, "CALL_NOT_FOUND");
    let update = json!({"call_id": format!("{CONTACT}x"), "status": "voicemail"});
    client.post("/calls", update).await.is(404, "CALL_NOT_FOUND");
    let mut other = call.clone();
    other["to"] = json!("+15557650000");
    client.post("/calls", other).await.is(409, "CALL_ID_REUSED");
    call["context"] = json!([CONTACT]);
    client.post("/calls", call).await.is(422, "VALIDATION_ERROR");
    let twice = format!("{{\"call_id\": \"{CONTACT}\", \"call_id\": \"{CONTACT}\"}}");
    client.bulk(twice).await;
}

#[tokio::test]
async fn request_log_contains_path_templates_only() {
    if !in_own_process(|| ()) {
        return;
    }
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::start_on(LastingStore::new([7; 32]));
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    client.post("/calls", desk.call("busy")).await;
    client.bulk(desk.call("busy").to_string()).await;
    client.bulk(format!("{{\"to\": \"{CONTACT}\"")).await;
    client.post("/calls", json!({CONTACT: OURS})).await;
    client.get(&format!("/route?dialed={OURS}&caller={CONTACT}&explain=true")).await;
    client.get(&format!("/route?dialed={OURS}x&{CONTACT}=1")).await;
    client.get(&format!("/nothing/{CONTACT}")).await;
    client.get(&format!("/agents/{CONTACT}")).await;
    report_details(&desk, &client).await;
    client.delete(&format!("/contacts/{CONTACT}")).await;
    client.post("/phone-numbers", json!({"number": OURS})).await;

    let log = lines.0.lock().unwrap().clone();
    let answered = |route: &str, status: &str| {
        let head = format!("route=\"{route}\" id=");
        let rest = log.split(&head).skip(1).filter_map(|rest| rest.split_once('\n'));
        rest.into_iter().any(|(line, _)| line[16..].starts_with(&format!(" message=answered status={status} latency=")))
    };
    assert!(log.contains("method=DELETE route=\"/api/v1/contacts/{number}\" id="), "{log}");
    assert!(answered("/api/v1/contacts/{number}", "200") && answered("-", "404"), "{log}");
    let named = client.named(&format!("/agents?search={CONTACT}"), CONTACT).await;
    let log = lines.0.lock().unwrap().clone();
    assert!(log.contains(&format!("id={named} ")), "the answer has the name that the log has: {log}");

    // A failed store is logged once, not for each request.
    let failing = Server::start_on(Broken);
    let tenant = failing.tenant();
    let lost = Desk::set_up(&tenant).await;
    for _ in 0..100 {
        tenant.post("/calls", lost.call("busy")).await.is(503, "NOT_DURABLE");
        tenant.send(axum::http::Method::GET, "//health", None, axum::body::Body::empty()).await.is(503, "NOT_DURABLE");
    }
    let log = lines.0.lock().unwrap().clone();
    let told: Vec<&str> = log.split("refused=").skip(1).map(|rest| rest.split_once(' ').unwrap().0).collect();
    assert_eq!(told, ["1", "2", "4", "8", "16", "32", "64"]);
    assert!(log.contains("why=the storage engine failed: the disk is gone"), "{log}");

    for number in [OURS, CONTACT] {
        assert!(!log.contains(&number[5..]), "{log}");
    }
}
