//! The control API: configuration, call records and routes over HTTP.
//!
//! [`router`] builds an [`axum::Router`] around a [`Service`]. The caller supplies the listener, the runtime and the
//! clock. This module reads no clock of its own.
//!
//! * **Each response is JSON**, including the responses to unknown paths, wrong methods and panics:
//!   `{"success": true, "data": …}`, `{"success": true, "message": …}` or
//!   `{"success": false, "message": …, "code": "UPPER_SNAKE"}`. `GET /health` and `POST /calls/bulk` have shorter forms
//!   by contract. `GET /metrics`, `GET /export` and `GET /route` with `format=text` do not return one JSON document.
//! * **An acknowledged change is durable**, as far as the service's store is durable. If the store cannot be written,
//!   changes return 503 `NOT_DURABLE`, and routes are still answered.
//! * **Checks that depend on the configuration use the newest one.** They run where changes are ordered
//!   ([`Service::submit_configuration`]). Two clients that edit at the same time cannot bypass each other's checks.
//! * **No phone number reaches a log line or an error text.** The log names a request by its method, its route template
//!   and its status, never by its path or query.
//! * **Another tenant's entity looks like a nonexistent one.** Another tenant's ids, unknown ids and malformed ids get the
//!   same response bytes.
//!
//! | request, below `/api/v1` | token | response |
//! | --- | --- | --- |
//! | `GET /agents?status=&direction=&search=&phone_number_id=&per_page=&page=` | environment | 200, a page |
//! | `POST /agents` | environment | 201, or 200 if the same agent exists; 404 `NUMBER_NOT_FOUND`; 409 `AGENT_EXISTS` |
//! | `GET /agents/{id}` | environment | 200; 404 `AGENT_NOT_FOUND` |
//! | `PUT /agents/{id}` | environment | 200; the errors of `PUT /agents/{id}/calling` |
//! | `DELETE /agents/{id}` | environment | 200; 409 `AGENT_IS_PUBLISHED` |
//! | `PUT /agents/{id}/calling` | environment | 200; 409 `AGENT_IS_CALLBACK`, `AGENT_IS_SOURCE`; 404 `NUMBER_NOT_FOUND` |
//! | `POST /agents/{id}/publish`, `…/unpublish` | environment | 200 |
//! | `GET /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /agents/{id}/callback` | environment | 200; 422 `INVALID_AGENT_DIRECTION`, `INVALID_SOURCE_AGENT` |
//! | `PUT /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT`; 422 like `POST` |
//! | `DELETE /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `GET /phone-numbers?agent_id=&type=&search=&per_page=&page=` | environment | 200, a page, or the whole list without `per_page` and `page` |
//! | `GET /phone-numbers/{id}` | environment | 200; 404 `NUMBER_NOT_FOUND` |
//! | `GET /callback-agents`, `GET /callback-agents/source-agents` | environment | 200 |
//! | `GET /callback-agents/stats?start_date=&end_date=` | environment | 200 |
//! | `GET /callback-agents/{id}` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /callback-agents/{id}/check-constraints` | environment | 200; 422 `INVALID_CONFIGURATION` |
//! | `POST /phone-numbers` | environment | 201, or 200 if the same number exists; 409 `PHONE_NUMBER_TAKEN`, `PHONE_NUMBER_EXISTS` |
//! | `PUT /phone-numbers/{id}` | environment | 200; 422 `INVALID_DEFAULT_AGENT` |
//! | `DELETE /phone-numbers/{id}` | environment | 200; 422 `PHONE_NUMBER_IN_USE` |
//! | `GET /contacts/{number}`, `DELETE /contacts/{number}` | environment | 200 |
//! | `POST /calls` | environment, gateway | 202; 404 `NUMBER_NOT_FOUND`, `AGENT_NOT_FOUND`; 409 `CONTACT_ERASED`, `QUOTA_EXCEEDED`; 503 `HISTORY_FULL` |
//! | `POST /calls/bulk` | environment, gateway | 200, with the counts of accepted and rejected lines |
//! | `GET /route?dialed=&caller=&at=&explain=&format=` | any | 200 |
//! | `GET /routes?contact=&dialed=&agent_id=&source_agent_id=&reason=&decision=&since=&until=&cursor=` | environment | 200, a page; 501 `NOT_STORED` |
//! | `GET /routes/{decision_id}` | environment | 200; 404 `DECISION_NOT_FOUND`; 500 `RECORD_DAMAGED`; 501 `NOT_STORED` |
//! | `POST /routes/{decision_id}/answered` | environment, gateway | 200; 404 `DECISION_NOT_FOUND` |
//! | `POST /route/what-if` | environment | 200; the same errors as `PUT /agents/{id}/callback` |
//! | `GET /environment` | environment | 200 |
//! | `GET /environments`, `POST /environments` | operator | 200, 201; 409 `ENVIRONMENT_NAME_TAKEN` |
//! | `GET /environments/{id}`, `PUT /environments/{id}` | operator, or the environment's own | 200; 404 `ENVIRONMENT_NOT_FOUND`; 409 `ENVIRONMENT_NAME_TAKEN` |
//! | `DELETE /environments/{id}` | operator | 200; 404 `ENVIRONMENT_NOT_FOUND`; 409 `ENVIRONMENT_NOT_EMPTY` |
//! | `GET /configuration` | environment | 200 |
//! | `PUT /configuration?dry_run=&prune=` | environment; operator, to create an environment | 200; 409 `ENVIRONMENT_NAME_TAKEN`, `QUOTA_EXCEEDED` |
//! | `GET /changes?since=&actor=&environment_id=&cursor=` | environment, operator | 200, a page; 404 `ENVIRONMENT_NOT_FOUND`; 501 `NOT_STORED` |
//! | `GET /events?after=&types=&limit=&wait=` | environment | 200, a page; 410 `CURSOR_EXPIRED`; 429, 503 `TOO_MANY_READERS`; 500 `EVENTS_DAMAGED`; 501 `NOT_STORED` |
//! | `GET /events/stream?after=&types=` | environment | 200, server-sent events; the same errors |
//! | `GET /webhooks`, `POST /webhooks` | environment | 200, 201; 409 `QUOTA_EXCEEDED`, `WEBHOOK_EXISTS`; 501 `NOT_STORED` |
//! | `GET /webhooks/{id}`, `PUT /webhooks/{id}`, `DELETE /webhooks/{id}` | environment | 200; 404 `WEBHOOK_NOT_FOUND`; 501 `NOT_STORED` |
//! | `POST /webhooks/{id}/rotate` | environment | 201; the same errors |
//! | `POST /webhooks/{id}/test`, `GET /webhooks/{id}/deliveries` | environment | 200; the same errors |
//! | `GET /tokens`, `POST /tokens`, `DELETE /tokens/{id}` | operator | 200, 201, 200; 404 `TOKEN_NOT_FOUND` |
//! | `POST /tokens/{id}/rotate` | operator | 201; 404 `TOKEN_NOT_FOUND`; 409 `TOKEN_EXPIRED` |
//! | `GET /export` | operator | 200, one JSON object a line; 501 `NOT_STORED` |
//! | `GET /openapi.json` | none | 200, the description of this API |
//! | `GET /health` (also without the base path) | none | 200; 503 `NOT_DURABLE`, `STORE_HANGS`, `UPKEEP_FAILING` |
//! | `GET /health/live`, `GET /health/ready` | none | 200: the daemon runs; the daemon accepts calls |
//! | `GET /metrics` | none | 200, Prometheus text or OpenMetrics |
//!
//! Each of these requests may return 401 `INVALID_TOKEN`, 403 `UNAUTHORIZED`, 422 `VALIDATION_ERROR` with the errors by
//! field, and 503 `NOT_DURABLE`, `OUTCOME_UNKNOWN` or `TIMEOUT`. Requests with a body may also return 400
//! `MALFORMED_JSON`, `MALFORMED_REQUEST` or `BODY_CUT_SHORT`, 413 `BODY_TOO_LARGE`, 415 `UNSUPPORTED_MEDIA_TYPE` and 503
//! `TOO_MANY_BODIES`. Unknown fields and query parameters are ignored, and named in `X-Dialback-Ignored`. With
//! `X-Dialback-Strict: true` or `1` they are refused with 422. `PUT /configuration` always refuses them.
//!
//! [`Api::with_rates`] limits the request rate of each token: 429 `RATE_LIMIT_EXCEEDED` with `Retry-After`. This module does not
//! handle connections or TLS. The program that listens does.
//!
//! ```no_run
//! use dialback::http::{Api, Token, router};
//! use dialback::{Role, Service, Timestamp, service, store};
//! use std::sync::Arc;
//!
//! # async fn serve(listener: tokio::net::TcpListener, now: fn() -> Timestamp) -> std::io::Result<()> {
//! let service = Service::builder(store::MemoryStore).start().expect("nothing to read");
//! let operator = Token::issue(Role::Operator);
//! println!("operator token until the end of this run: {}", operator.secret);
//! let api = Api::new(Arc::new(service), Arc::new(now)).with_operator(operator.digest);
//! axum::serve(listener, router(api)).await
//! # }
//! ```
//!
//! [`Service`]: crate::Service
//! [`Service::submit_configuration`]: crate::Service::submit_configuration

mod api;
mod configure;
mod endpoints;
mod limits;
mod middleware;
mod new_id;
mod openapi;
mod request;
mod response;
mod router;
mod state;
mod webhooks;

pub use api::Api;
pub use endpoints::events::{EVENTS, OnWait, Stopping};
pub use limits::Limits;
pub use middleware::rate_limit::{Rates, SteadyClock};
pub use request::auth::{ACTING_AS, ACTING_FOR, OnValidToken};
pub use request::json::needed_body_limit;
pub use request::token::Token;
pub use response::header::EXPOSED;
pub use router::{operations, router};
pub use state::Reload;
pub use webhooks::sender::{Message, Sender, Sent};
