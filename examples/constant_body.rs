//! A server that returns a constant body, with the daemon's server stack: the comparison for `scripts/route-speed`.
//!
//! It uses the daemon's connection code (the same source file), the same runtime and the same axum router. Its only
//! route returns as many bytes as an answer of `GET /route`, with the same content type. It has no middleware, no
//! tokens and no query parsing. It prints its address and serves until it is terminated.

#[allow(dead_code, reason = "this server has no certificate")]
#[path = "../src/bin/dialback/serve/certificate.rs"]
mod certificate;
#[path = "../src/bin/dialback/serve/connection.rs"]
mod connection;
#[path = "../src/bin/dialback/serve/connections.rs"]
mod connections;
#[path = "../src/bin/dialback/serve/exchange.rs"]
mod exchange;
#[path = "../src/bin/dialback/serve/http2.rs"]
mod http2;
#[allow(dead_code, reason = "this server allows no origins")]
#[path = "../src/bin/dialback/serve/origins.rs"]
mod origins;
#[path = "../src/bin/dialback/serve/progress.rs"]
mod progress;
#[path = "../src/bin/dialback/serve/wire/mod.rs"]
mod wire;

/// The daemon's default limits.
mod limits {
    use std::time::Duration;

    #[derive(Clone, Copy)]
    pub(crate) struct ConnectionLimits {
        pub(crate) header_timeout: Duration,
        pub(crate) write_timeout: Duration,
    }

    pub(crate) const USUAL: ConnectionLimits =
        ConnectionLimits { header_timeout: Duration::from_secs(10), write_timeout: Duration::from_secs(30) };
}

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use connections::Listener;
use dialback::admission::Budget;
use origins::Origins;

const BODY: &str = concat!(
    r#"{"success":true,"data":{"decision":"callback","agent_id":"c7d2a8f4-91b3-4e0a-8f57-2b6c9d1e0f83","#,
    r#""reason":"MATCHED","source_agent_id":"5b1f0c9e-2a64-4d5e-9a3b-6f0d1c2e3a41","#,
    r#""called_at":"2026-06-01T11:00:00.000Z","call":{"call_id":null,"status":"no-answer","#,
    r#""called_at":"2026-06-01T11:00:00.000Z","from":"+15551234567","context":null},"decision_id":"2f1e0d9c-8b7a-4695-a483-72615f4e3d2c"}}"#
);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().route("/api/v1/route", get(async || ([(CONTENT_TYPE, "application/json")], BODY)));
        let door =
            Listener { socket: listener, tls: None, router, budget: Budget::of(512), origins: Origins::default() };
        connections::serve(vec![door], limits::USUAL, std::future::pending()).await;
    });
}
