//! No phone number reaches a log line, whatever is asked.
//!
//! A program of its own: whether anybody listens is remembered for the whole process, so a test beside this one could
//! make the log fall silent.
#![cfg(feature = "http")]

#[path = "support/server.rs"]
mod server;

use serde_json::json;
use server::{CONTACT, Desk, OURS, Server};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps every field of every event, as text.
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

#[tokio::test]
async fn the_request_log_has_the_template_and_never_the_path() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let server = Server::start();
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
    client.delete(&format!("/contacts/{CONTACT}")).await;
    client.post("/phone-numbers", json!({"number": OURS})).await;

    let log = lines.0.lock().unwrap().clone();
    assert!(log.contains("method=DELETE route=\"/api/v1/contacts/{number}\" status=200"), "{log}");
    assert!(log.contains("route=\"-\" status=404"), "{log}");
    for number in [OURS, CONTACT] {
        assert!(!log.contains(&number[5..]), "{log}");
    }
}
