//! `GET /export`: the required role, and that an incomplete export is recognized as such.

use crate::support::server::Server;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use dialback::http::{Api, Token, router};
use dialback::store::{Batch, EventStore, Export, StoreError, Stored};
use dialback::{Role, Service, Timestamp};
use std::io::Write;
use std::sync::Arc;
use tower::ServiceExt;

/// A store that exports many lines and then may fail.
struct Exporting(bool);

impl EventStore for Exporting {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }

    fn export(&self) -> Option<Arc<Export>> {
        let fails = self.0;
        Some(Arc::new(move |out: &mut dyn Write| {
            for line in 0..100_000 {
                writeln!(out, "{line}").map_err(|error| StoreError::Io { path: "out".into(), error })?;
            }
            if fails { Err(StoreError::Engine("/secret/path: a flipped bit".into())) } else { Ok(()) }
        }))
    }
}

#[tokio::test]
async fn export_requires_an_operator_token() {
    let server = Server::start();
    server.with_authorization(None).get("/export").await.is(401, "INVALID_TOKEN");
    for client in [server.tenant(), server.other(), server.gateway()] {
        client.get("/export").await.is(403, "UNAUTHORIZED");
    }
    server.operator().get("/export").await.is(501, "NOT_STORED");
}

#[tokio::test]
async fn failing_export_ends_with_an_error() {
    for fails in [false, true] {
        let service = Service::builder(Exporting(fails)).start().expect("starts");
        let operator = Token::issue(Role::Operator);
        let api = Api::new(Arc::new(service), Arc::new(|| Timestamp::from_secs(1_800_000_000)));
        let request = Request::builder()
            .uri("/api/v1/export")
            .header("authorization", format!("Bearer {}", operator.secret))
            .body(Body::empty())
            .expect("a request");
        let answer = router(api.with_operator(operator.digest)).oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        match to_bytes(answer.into_body(), usize::MAX).await {
            Ok(body) => {
                assert!(!fails && body.ends_with(b"\n99999\n"));
                assert_eq!(body.split(|byte| *byte == b'\n').count(), 100_001);
            }
            Err(error) => assert!(fails && !error.to_string().contains("secret"), "{error}"),
        }
    }
}
