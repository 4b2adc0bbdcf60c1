//! The API's answers in a fleet.

use crate::support::server::{Desk, Server};
use axum::http::Method;
use dialback::metrics::{Fleet, FleetState};
use dialback::service::{Acknowledge, Sequencer};
use dialback::store::MemoryStore;
use dialback::{Configuration, Service, ServiceError};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A sequencer whose answers the test sets.
#[derive(Default)]
struct Told {
    order: Mutex<Option<ServiceError>>,
    confirmation: Mutex<Option<ServiceError>>,
    acknowledgement: Mutex<Option<ServiceError>>,
    fleet: Arc<Fleet>,
}

impl Sequencer for Told {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, _: &Configuration) -> Result<(), ServiceError> {
        self.order.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn confirm(&self, _: u64) -> Result<(), ServiceError> {
        self.confirmation.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn acknowledge(&self, _: u64, done: Acknowledge) {
        done(self.acknowledgement.lock().unwrap().clone().map_or(Ok(()), Err));
    }

    fn metrics(&self) -> Option<&Arc<Fleet>> {
        Some(&self.fleet)
    }
}

fn start() -> (Server, Arc<Told>) {
    let told = Arc::new(Told::default());
    let service = Service::builder(MemoryStore).sequencer(Arc::clone(&told) as _).start().expect("starts");
    (Server::start_service(service, |api| api), told)
}

#[tokio::test]
async fn change_not_ordered_by_the_fleet_is_rejected() {
    let (server, told) = start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let generation = server.generation();
    for (error, status, code) in [
        (ServiceError::Superseded, 409, "CONFIGURATION_SUPERSEDED"),
        (ServiceError::StreamAway("10.0.0.7 is away".into()), 503, "STREAM_AWAY"),
        (ServiceError::OutcomeUnknown("10.0.0.7 is silent".into()), 503, "OUTCOME_UNKNOWN"),
    ] {
        *told.order.lock().unwrap() = Some(error);
        for answer in [
            client.post("/agents", json!({"name": "Late", "direction": "inbound"})).await,
            client.post(&format!("/agents/{}/unpublish", desk.source), json!({})).await,
            server.operator().post("/environments", json!({"name": "Late"})).await,
        ] {
            answer.is(status, code);
            assert!(!answer.text.contains("10.0.0.7"), "{}", answer.text);
        }
        // Requests that need no order continue to work.
        assert_eq!(client.post("/calls", desk.call("busy")).await.status, 202);
    }
    assert_eq!(server.generation(), generation);
    *told.order.lock().unwrap() = None;
    assert_eq!(client.post("/agents", json!({"name": "Late", "direction": "inbound"})).await.status, 201);
    *told.acknowledgement.lock().unwrap() = Some(ServiceError::NotReplicated);
    client.post("/calls", desk.call("voicemail")).await.is(503, "NOT_REPLICATED");
}

#[tokio::test]
async fn bulk_upload_without_the_fleets_acknowledgement_says_what_is_recorded() {
    let (server, told) = start();
    let desk = Desk::set_up(&server.tenant()).await;
    *told.acknowledgement.lock().unwrap() = Some(ServiceError::NotReplicated);
    let text = format!("nonsense\n{}\n\n", desk.call("voicemail"));
    let answer = server.tenant().bulk(text).await;
    answer.is(503, "NOT_REPLICATED");
    let message = answer.body["message"].as_str().expect("a message");
    assert!(message.starts_with("The calls up to line 2 of this upload are durable on this node, but"), "{message}");
    assert_eq!(server.service.history().len(), 1);
}

/// This node may lack a newer change, which undoes what the request finds.
#[tokio::test]
async fn a_request_that_changes_nothing_is_acknowledged_only_if_the_fleet_confirms_it() {
    let (server, told) = start();
    let client = server.tenant();
    let desk = Desk::set_up(&client).await;
    let publish = format!("/agents/{}/publish", desk.source);
    let create = async || {
        let body = json!({"name": "Once", "direction": "inbound"});
        client.given(("idempotency-key", "once"), Method::POST, "/agents", Some(body)).await
    };
    let created = create().await;
    assert_eq!(created.status, 201);
    let generation = server.generation();
    for (error, status, code) in [
        (ServiceError::Superseded, 409, "CONFIGURATION_SUPERSEDED"),
        (ServiceError::StreamAway("10.0.0.7 is away".into()), 503, "STREAM_AWAY"),
    ] {
        *told.confirmation.lock().unwrap() = Some(error);
        client.post(&publish, json!({})).await.is(status, code);
        // Rejections, and answers that were given before, are not claims about the present.
        let unknown = "/agents/00000000-0000-4000-8000-000000000000/publish";
        assert_eq!(client.post(unknown, json!({})).await.status, 404);
        let again = create().await;
        assert_eq!((again.status, &again.text), (created.status, &created.text));
    }
    *told.confirmation.lock().unwrap() = None;
    assert_eq!(client.post(&publish, json!({})).await.status, 200);
    assert_eq!(server.generation(), generation);
}

#[tokio::test]
async fn health_and_metrics_report_a_node_that_is_behind() {
    let (server, told) = start();
    let nobody = server.with_authorization(None);
    assert_eq!(
        nobody.get("//health").await.text,
        r#"{"status":"ok","durability":"memory","fleet":"joining","fleet_outbox":0}"#
    );
    told.fleet.set_state(FleetState::Following);
    told.fleet.set_lag(500, 30_500);
    told.fleet.enter(3);
    let health = r#"{"status":"ok","durability":"memory","fleet":"following","fleet_outbox":3,"lag_seconds":30}"#;
    assert_eq!(nobody.get("//health").await.text, health);
    let page = crate::http::metrics::page(&server, "*/*").await.1;
    for line in [
        "dialback_fleet_lag_events 500",
        "dialback_fleet_lag_seconds 30.5",
        "dialback_fleet_outbox_entries 3",
        "dialback_fleet_state{state=\"following\"} 1",
        "dialback_fleet_state{state=\"stopped\"} 0",
        "dialback_fleet_republished_total 0",
        "dialback_fleet_snapshot_failures_total 0",
        "dialback_fleet_skipped_total{reason=\"foreign\"} 0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    crate::support::metrics_text::Page::read(&page).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"));
    told.fleet.set_state(FleetState::Stopped("configuration 7 is another".into()));
    told.fleet.set_lag(0, 0);
    assert_eq!(
        nobody.get("//health").await.text,
        r#"{"status":"ok","durability":"memory","fleet":"stopped","fleet_reason":"configuration 7 is another","fleet_outbox":3}"#
    );
    told.fleet.set_state(FleetState::Halted("message 7 is of a newer version".into()));
    let health = r#"{"status":"ok","durability":"memory","fleet":"halted","fleet_reason":"message 7 is of a newer version","fleet_outbox":3}"#;
    assert_eq!(nobody.get("//health").await.text, health);
    for (state, name) in [
        (FleetState::Away("no answer".into()), "away"),
        (FleetState::Full("no room".into()), "full"),
        (FleetState::Joining(Some("no snapshot".into())), "joining"),
    ] {
        let why = state.reason().expect("one").to_owned();
        told.fleet.set_state(state);
        let health = nobody.get("//health").await.text;
        assert!(health.contains(&format!(r#""fleet":"{name}","fleet_reason":"{why}""#)), "{health}");
    }
    let alone = Server::start();
    assert_eq!(alone.with_authorization(None).get("//health").await.text, r#"{"status":"ok","durability":"memory"}"#);
}
