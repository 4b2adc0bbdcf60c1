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
//! | `POST /agents` | environment | 201, or 200 if the same agent exists; 409 `AGENT_EXISTS` |
//! | `GET /agents/{id}` | environment | 200; 404 `AGENT_NOT_FOUND` |
//! | `DELETE /agents/{id}` | environment | 200; 409 `AGENT_IS_PUBLISHED` |
//! | `PUT /agents/{id}/calling` | environment | 200; 409 `AGENT_IS_CALLBACK`, `AGENT_IS_SOURCE`; 404 `NUMBER_NOT_FOUND` |
//! | `POST /agents/{id}/publish`, `…/unpublish` | environment | 200 |
//! | `GET /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /agents/{id}/callback` | environment | 200; 422 `INVALID_AGENT_DIRECTION`, `INVALID_SOURCE_AGENT` |
//! | `PUT /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT`; 422 like `POST` |
//! | `DELETE /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `GET /phone-numbers?agent_id=&per_page=&page=` | environment | 200, a page, or the whole list without `per_page` and `page` |
//! | `GET /phone-numbers/{id}` | environment | 200; 404 `NUMBER_NOT_FOUND` |
//! | `GET /callback-agents`, `GET /callback-agents/source-agents` | environment | 200 |
//! | `GET /callback-agents/stats?start_date=&end_date=` | environment | 200 |
//! | `GET /callback-agents/{id}` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /callback-agents/{id}/check-constraints` | environment | 200; 422 `INVALID_CONFIGURATION` |
//! | `POST /phone-numbers` | environment | 201, or 200 if the same number exists; 409 `PHONE_NUMBER_TAKEN`, `PHONE_NUMBER_EXISTS` |
//! | `PUT /phone-numbers/{id}` | environment | 200; 422 `INVALID_DEFAULT_AGENT` |
//! | `DELETE /phone-numbers/{id}` | environment | 200; 409 `PHONE_NUMBER_IN_USE` |
//! | `DELETE /contacts/{number}` | environment | 200 |
//! | `POST /calls` | environment, gateway | 202; 404 `NUMBER_NOT_FOUND`, `AGENT_NOT_FOUND`; 409 `CONTACT_ERASED`, `QUOTA_EXCEEDED`; 503 `HISTORY_FULL` |
//! | `POST /calls/bulk` | environment, gateway | 200, with the counts of accepted and rejected lines |
//! | `GET /route?dialed=&caller=&at=&explain=&format=` | any | 200 |
//! | `POST /routes/{decision_id}/answered` | environment, gateway | 200; 404 `DECISION_NOT_FOUND` |
//! | `POST /route/what-if` | environment | 200; the same errors as `PUT /agents/{id}/callback` |
//! | `GET /environments`, `POST /environments` | operator | 200, 201 |
//! | `GET /tokens`, `POST /tokens`, `DELETE /tokens/{id}` | operator | 200, 201, 200; 404 `TOKEN_NOT_FOUND` |
//! | `GET /export` | operator | 200, one JSON object a line; 501 `NOT_STORED` |
//! | `GET /openapi.json` | none | 200, the description of this API |
//! | `GET /health` (also without the base path) | none | 200; 503 `NOT_DURABLE`, `STORE_HANGS`, `UPKEEP_FAILING` |
//! | `GET /health/live`, `GET /health/ready` | none | 200: the daemon runs; the daemon accepts calls |
//! | `GET /metrics` | none | 200, Prometheus text or OpenMetrics |
//!
//! Each of these requests may return 401 `INVALID_TOKEN`, 403 `FORBIDDEN`, 422 `VALIDATION_ERROR` with the errors by
//! field, and 503 `NOT_DURABLE`, `OUTCOME_UNKNOWN` or `TIMEOUT`. Requests with a body may also return 400
//! `MALFORMED_JSON` or `BODY_CUT_SHORT`, 413 `BODY_TOO_LARGE` and 415 `UNSUPPORTED_MEDIA_TYPE`. Unknown fields and query
//! parameters are rejected, not ignored.
//!
//! [`Api::with_rates`] limits the request rate of each token: 429 `RATE_LIMITED` with `Retry-After`. This module does not
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

mod accept;
mod agents;
mod answer_budget;
mod answered;
mod auth;
mod body;
mod bulk;
mod callback;
mod callback_agents;
mod calls;
mod configure;
mod constraints;
mod contacts;
mod deadline;
mod dispatch;
mod environments;
mod error;
mod etag;
mod explain;
mod export;
mod form;
mod health;
mod idempotency;
mod list;
mod loading;
mod log;
mod metrics_text;
mod narrative;
mod new_id;
mod numbers;
mod openapi;
mod page;
mod path;
mod rate_limit;
mod read;
mod render;
mod reply;
mod requests;
mod route;
mod shares;
mod state;
mod statistics;
mod time_text;
mod token;
mod tokens;
mod unread_body;
mod what_if;
mod work;

pub use rate_limit::{Rates, SteadyClock};
pub use token::Token;

use crate::inbound::{AgentAddresses, Inbound};
use crate::metrics::{SipCounts, UpkeepCounts};
use crate::service::Service;
use crate::time::{Clock, Timestamp};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use error::Refusal;
use rate_limit::RateLimits;
use state::ApiState;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use work::Work;

/// The state that all handlers of the control API share.
///
/// A clone is cheap: it copies one pointer. Each layer clones the `Api` for each request, and each clone writes to a
/// counter that all processors share.
#[derive(Clone)]
pub struct Api(Arc<ApiState>);

/// The limits of a request and of an environment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum size of a request body in bytes. A bulk upload has no limit as a whole, but each of its lines has this
    /// one. Default: 1 MiB.
    pub body_bytes: usize,
    /// The time limit of a request, from its head to its response. In a bulk upload it limits each step: the wait for more
    /// of the body, or for the store. Default: 30 seconds.
    pub patience: Duration,
    /// The maximum number of agents that an environment may ever have, including deleted ones. An installation can create at
    /// most 2^20 - 1 agents in total. Default: 131,072.
    pub agents: usize,
    /// The maximum number of phone numbers that an environment may ever have, including deleted ones. An installation can
    /// hold about 2^24 in total. Default: 2,097,152.
    pub numbers: usize,
    /// The maximum number of pairs of a callback agent and a source agent in an environment. Pairs removed within the last
    /// [`REST_DAYS`](crate::plan::REST_DAYS) days count too. An installation can hold about 2^24. Default: 262,144.
    pub callback_pairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // An eighth of the agents and numbers that an installation can hold: eight environments can reach their limits before
        // the installation is full. A pair takes 64 bytes of memory, so the default limit of pairs takes 16 MiB.
        let (agents, numbers, callback_pairs) = (1 << 17, 1 << 21, 1 << 18);
        Self { body_bytes: 1 << 20, patience: Duration::from_secs(30), agents, numbers, callback_pairs }
    }
}

impl Api {
    /// Creates the API of a service, with a clock.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn new(service: Arc<Service>, clock: Clock) -> Self {
        Self(Arc::new(ApiState {
            inbound: Inbound::new(service, clock),
            operator: None,
            limits: Limits::default(),
            rate_limits: Arc::default(),
            requests: Arc::default(),
            metrics_elsewhere: false,
            document: Arc::default(),
            sip: None,
            upkeep: None,
            work: Arc::default(),
            answer_budget: Arc::default(),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut ApiState)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Omits `GET /metrics` from [`router`]. [`operations`] serves it on an address of its own. The metrics count all tenants
    /// together, so no single tenant should read them.
    #[must_use]
    pub fn with_metrics_elsewhere(self) -> Self {
        self.with(|state| {
            state.metrics_elsewhere = true;
            // The cached document lists `GET /metrics`.
            state.document = Arc::default();
        })
    }

    /// Adds the counts of a SIP listener to `GET /metrics`.
    #[must_use]
    pub fn with_sip(self, counts: Arc<SipCounts>) -> Self {
        self.with(|state| state.sip = Some(counts))
    }

    /// Adds the state of the store's upkeep to `GET /metrics`, and its failures to `GET /health`.
    #[must_use]
    pub fn with_upkeep(self, counts: Arc<UpkeepCounts>) -> Self {
        self.with(|state| state.upkeep = Some(counts))
    }

    /// Accepts one more operator token, given by its digest and held in memory only. A new installation needs it to create its
    /// first stored tokens.
    #[must_use]
    pub fn with_operator(self, digest: [u8; 32]) -> Self {
        self.with(|state| state.operator = Some(digest))
    }

    /// Returns an `Api` that accepts no in-memory operator token. Both share all counts.
    #[must_use]
    pub fn without_operator(self) -> Self {
        self.with(|state| state.operator = None)
    }

    /// Limits the request rate of each token, measured with this clock. The operator token of
    /// [`with_operator`](Self::with_operator) is not limited.
    #[must_use]
    pub fn with_rates(self, rates: Rates, clock: &SteadyClock) -> Self {
        self.with(|state| state.rate_limits = Arc::new(RateLimits::new(rates, clock)))
    }

    /// Sets the addresses of agents. `GET /route` returns the address of the agent that takes the call.
    #[must_use]
    pub fn with_addresses(self, addresses: AgentAddresses) -> Self {
        self.with(|state| state.inbound = state.inbound.clone().with_addresses(addresses))
    }

    /// Runs long requests on the blocking threads of this runtime, so that the runtime that serves the router stays free for
    /// routes. Without it, long requests run on the blocking threads of the serving runtime.
    #[must_use]
    pub fn with_workers(self, workers: Handle) -> Self {
        self.with(|state| state.work = Arc::new(Work::on(workers)))
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        self.with(|state| state.limits = limits)
    }

    /// Sets whether routes are answered while the service is still [loading](Service::load). If so, a call from a contact
    /// that is not loaded yet goes to the default agent. Otherwise routes are rejected until loading has finished.
    #[must_use]
    pub fn serving_while_loading(self, yes: bool) -> Self {
        self.with(|state| state.inbound = state.inbound.clone().serving_while_loading(yes))
    }

    fn service(&self) -> &Arc<Service> {
        self.inbound.service()
    }

    fn now(&self) -> Timestamp {
        self.inbound.now()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Returns the control API as a router.
pub fn router(api: Api) -> Router {
    finished(described(&api).into(), api)
}

/// Returns the endpoints for an operator's tools, which need no token: `GET /metrics`, `GET /health`, `GET /health/live` and
/// `GET /health/ready`. Serve them on an address that only operators can reach.
pub fn operations(api: Api) -> Router {
    finished(health().merge(metrics()).into(), api)
}

fn finished(routes: Router<Api>, api: Api) -> Router {
    routes
        .fallback(async || Refusal::unknown_path())
        .method_not_allowed_fallback(async || Refusal::wrong_method())
        .layer((
            from_fn_with_state(api.clone(), log::requests),
            CatchPanicLayer::custom(|_| Refusal::internal().into_response()),
        ))
        .with_state(api)
}

/// Returns all routes with their descriptions.
fn described(api: &Api) -> OpenApiRouter<Api> {
    // Each layer clones all layers inside it for each request. Each kind of route therefore has one layer, and `GET /route` has
    // none: it waits for nothing. Each route has its full path, because axum strips a prefix by writing the path anew.
    let usual = tenants().merge(operators()).route_layer(from_fn_with_state(api.clone(), dispatch::usual));
    let large = long().route_layer(from_fn_with_state(api.clone(), dispatch::large));
    let quick = gateways().route_layer(from_fn_with_state(api.clone(), dispatch::if_long));
    let open = service().route_layer(from_fn_with_state(api.clone(), deadline::watch));
    let streamed = streams().route_layer(from_fn_with_state(api.clone(), dispatch::stream));
    let v1 = usual.merge(large).merge(quick).merge(open).merge(streamed);
    let v1 = v1.routes(routes!(route::decide));
    let metrics = if api.metrics_elsewhere { OpenApiRouter::new() } else { metrics() };
    OpenApiRouter::with_openapi(openapi::frame()).merge(v1).merge(health()).merge(metrics)
}

/// Returns the routes by which an environment token configures and reads its environment.
fn tenants() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(agents::list, agents::create))
        .routes(routes!(agents::show, agents::remove))
        .routes(routes!(agents::set_calling))
        .routes(routes!(agents::publish))
        .routes(routes!(agents::unpublish))
        .routes(routes!(callback::show, callback::create, callback::replace, callback::remove))
        .routes(routes!(callback_agents::list))
        .routes(routes!(callback_agents::list_sources))
        .routes(routes!(constraints::check))
        .routes(routes!(numbers::list, numbers::create))
        .routes(routes!(numbers::show, numbers::set_default_agent, numbers::remove))
        .routes(routes!(contacts::erase))
}

/// Returns the routes of an environment token whose responses may be long.
fn long() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(callback_agents::show))
        .routes(routes!(statistics::show))
        .routes(routes!(what_if::compare))
}

/// Returns the routes for environment and gateway tokens, except `GET /route`.
fn gateways() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(calls::record)).routes(routes!(answered::report))
}

/// Returns the routes for operator tokens only.
fn operators() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(environments::list, environments::create))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
}

/// Returns the routes below the base path that need no token.
fn service() -> OpenApiRouter<Api> {
    let health = OpenApiRouter::new().routes(routes!(health::show));
    OpenApiRouter::new().routes(routes!(openapi::show)).nest("/api/v1", health)
}

/// Returns the health routes, which are outside the base path. `GET /health` is also below it.
fn health() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health::show)).routes(routes!(health::live)).routes(routes!(health::ready))
}

fn metrics() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics_text::show))
}

/// Returns the routes whose requests have no time limit as a whole.
fn streams() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(bulk::record)).routes(routes!(export::show))
}
