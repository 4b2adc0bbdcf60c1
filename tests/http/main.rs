//! Tests of the control API through its real router.
#![cfg(all(feature = "http", feature = "__testing"))]

#[path = "../support/metrics_text.rs"]
mod metrics_text;
#[path = "../support/server.rs"]
mod server;

mod agents;
mod answered;
mod bodies;
mod bulk;
mod callback;
mod callback_agents;
mod calls;
mod constraints;
mod contacts;
mod etags;
mod export;
mod failing;
mod fleet;
mod hostile;
mod idempotency;
mod isolation;
mod loading;
mod metrics;
mod numbers;
mod offload;
mod openapi;
mod operators;
mod quota;
mod random;
mod rate_limit;
mod refusals;
mod route;
mod statistics;
mod tenants;
mod what_if;
mod wire;
