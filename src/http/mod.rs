//! The control API: configuration, call records and routes over HTTP.
//!
//! [`router`] makes an [`axum::Router`] around a [`Service`]; the caller brings the listener, the runtime and the clock.
//! Nothing here reads a clock of its own.
//!
//! * **Every answer is JSON**, also those to unknown paths, wrong methods and panics: `{"success": true, "data": …}`,
//!   `{"success": true, "message": …}` or `{"success": false, "message": …, "code": "UPPER_SNAKE"}`. Two are shorter by
//!   contract: `GET /health` and `POST /calls/bulk`. `GET /metrics` is not JSON at all.
//! * **Acknowledged means durable**, as far as the service's store is. A store that cannot be written is 503 `NOT_DURABLE`;
//!   routes are answered all the same.
//! * **Checks that depend on the configuration see the newest one**: they run where changes are put in order
//!   ([`Service::submit_configuration`]), so two clients that edit at once cannot pass each other's checks.
//! * **No phone number reaches a log line or an error text.** A request is logged with its method, its route's template
//!   and its status, never with its path or query.
//! * **What a tenant may not see does not exist for it**: foreign, unknown and malformed identities get the same bytes.
//!
//! | request, below `/api/v1` | token | answer |
//! | --- | --- | --- |
//! | `GET /agents?status=&direction=&search=&phone_number_id=&per_page=&page=` | environment | 200, a page |
//! | `POST /agents` | environment | 201, or 200 for the same again; 409 `AGENT_EXISTS` |
//! | `GET /agents/{id}` | environment | 200; 404 `AGENT_NOT_FOUND` |
//! | `DELETE /agents/{id}` | environment | 200; 409 `AGENT_IS_PUBLISHED` |
//! | `PUT /agents/{id}/calling` | environment | 200; 409 `AGENT_IS_CALLBACK`, `AGENT_IS_SOURCE`; 404 `NUMBER_NOT_FOUND` |
//! | `POST /agents/{id}/publish`, `…/unpublish` | environment | 200 |
//! | `GET /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /agents/{id}/callback` | environment | 200; 422 `INVALID_AGENT_DIRECTION`, `INVALID_SOURCE_AGENT` |
//! | `PUT /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT`; 422 as above |
//! | `DELETE /agents/{id}/callback` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `GET /phone-numbers?agent_id=&per_page=&page=` | environment | 200, a page; all where none is asked for |
//! | `GET /phone-numbers/{id}` | environment | 200; 404 `NUMBER_NOT_FOUND` |
//! | `GET /callback-agents`, `GET /callback-agents/source-agents` | environment | 200 |
//! | `GET /callback-agents/stats?start_date=&end_date=` | environment | 200 |
//! | `GET /callback-agents/{id}` | environment | 200; 404 `NOT_A_CALLBACK_AGENT` |
//! | `POST /callback-agents/{id}/check-constraints` | environment | 200; 422 `INVALID_CONFIGURATION` |
//! | `POST /phone-numbers` | environment | 201, or 200 for the same again; 409 `PHONE_NUMBER_TAKEN`, `PHONE_NUMBER_EXISTS` |
//! | `PUT /phone-numbers/{id}` | environment | 200; 422 `INVALID_DEFAULT_AGENT` |
//! | `DELETE /phone-numbers/{id}` | environment | 200; 409 `PHONE_NUMBER_IN_USE` |
//! | `DELETE /contacts/{number}` | environment | 200 |
//! | `POST /calls` | environment, gateway | 202; 404 `NUMBER_NOT_FOUND`, `AGENT_NOT_FOUND`; 409 `CONTACT_ERASED`, `QUOTA_EXCEEDED`; 503 `HISTORY_FULL` |
//! | `POST /calls/bulk` | environment, gateway | 200, lines accepted and rejected |
//! | `GET /route?dialed=&caller=&at=&explain=&format=` | any | 200 |
//! | `POST /routes/{decision_id}/answered` | environment, gateway | 200; 404 `DECISION_NOT_FOUND` |
//! | `POST /route/what-if` | environment | 200; refusals as of the callback role |
//! | `GET /environments`, `POST /environments` | operator | 200, 201 |
//! | `GET /tokens`, `POST /tokens`, `DELETE /tokens/{id}` | operator | 200, 201, 200; 404 `TOKEN_NOT_FOUND` |
//! | `GET /openapi.json` | none | 200, what all of this is |
//! | `GET /health` (also without the base path) | none | 200; 503 `NOT_DURABLE`, `STORE_HANGS`, `UPKEEP_FAILING` |
//! | `GET /health/live`, `GET /health/ready` | none | 200: the daemon runs; calls should be routed here |
//! | `GET /metrics` | none | 200, Prometheus text or OpenMetrics |
//!
//! Any of them may answer 401 `INVALID_TOKEN`, 403 `FORBIDDEN`, 422 `VALIDATION_ERROR` with what is wrong field by field, 503
//! `NOT_DURABLE`, `OUTCOME_UNKNOWN` or `TIMEOUT`; those with a body 400 `MALFORMED_JSON` or `BODY_CUT_SHORT`, 413 `BODY_TOO_LARGE` and 415
//! `UNSUPPORTED_MEDIA_TYPE`. Unknown fields and query parameters are refused, not ignored.
//!
//! [`Api::with_rates`] bounds how often the holder of a token may ask: 429 `RATE_LIMITED` with `Retry-After`. What it does not do:
//! it knows nothing of connections and TLS, which are for whoever listens.
//!
//! ```no_run
//! use dialback::http::{Api, Token, router};
//! use dialback::{Engine, Role, Service, Timestamp, service, store};
//! use std::sync::Arc;
//!
//! # async fn serve(listener: tokio::net::TcpListener, now: fn() -> Timestamp) -> std::io::Result<()> {
//! let service = Service::start(store::MemoryStore, Engine::new(), |_| {}).expect("nothing to read");
//! let operator = Token::issue(Role::Operator);
//! println!("operator token until the end of this run: {}", operator.secret);
//! let api = Api::new(Arc::new(service), Arc::new(now)).with_operator(operator.digest);
//! axum::serve(listener, router(api)).await
//! # }
//! ```

mod agents;
mod answered;
mod apart;
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
mod environments;
mod error;
mod etag;
mod explain;
mod export;
mod exposition;
mod form;
mod fresh;
mod health;
mod idempotency;
mod list;
mod loading;
mod log;
mod narrative;
mod numbers;
mod openapi;
mod pace;
mod page;
mod parts;
mod path;
mod plain;
mod read;
mod render;
mod reply;
mod requests;
mod room;
mod route;
mod shares;
mod statistics;
mod time_text;
mod token;
mod tokens;
mod unread;
mod what_if;
mod work;

pub use pace::{Rates, SteadyClock};
pub use token::Token;

use crate::address::AgentAddresses;
use crate::decision_id::DecisionIds;
use crate::metrics::{SipCounts, UpkeepCounts};
use crate::service::Service;
use crate::time::Timestamp;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use error::Refusal;
use pace::Pace;
use parts::Parts;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use work::Work;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the control API stands on. Cheap to clone: a request does so for each layer around it, and counters that all processors
/// share are what that costs, so there is one of them.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// What a request may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's body; bulk uploads have none, but for each of their lines. 1 MiB unless set.
    pub body_bytes: usize,
    /// How long a request may take from its head to its answer; for bulk uploads, how long one step may: the wait for more of
    /// the body, or for the store. 30 seconds unless set.
    pub patience: Duration,
    /// How many agents an environment may ever have, deleted ones included: no more than 2^20 - 1 can ever be created in the
    /// installation. 131,072 unless set.
    pub agents: usize,
    /// The same for numbers, of which there can be about 2^24. 2,097,152 unless set.
    pub numbers: usize,
    /// How many pairs of a callback agent and a source agent an environment may have, those included that it removed within
    /// [`REST_DAYS`](crate::plan::REST_DAYS) days. There can be about 2^24. 262,144 unless set.
    pub callback_pairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // An eighth of what there is of agents and numbers: so many can use up theirs without taking anything from another. Pairs
        // take memory, 64 bytes each: so many of them take 16 MiB.
        let (agents, numbers, callback_pairs) = (1 << 17, 1 << 21, 1 << 18);
        Self { body_bytes: 1 << 20, patience: Duration::from_secs(30), agents, numbers, callback_pairs }
    }
}

impl Api {
    /// The API of a service, on a clock.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give.
    pub fn new(service: Arc<Service>, clock: Clock) -> Self {
        let decisions = Arc::new(DecisionIds::new(service.secret()));
        Self(Arc::new(Parts {
            service,
            clock,
            operator: None,
            limits: Limits::default(),
            serves_while_loading: false,
            pace: Arc::default(),
            requests: Arc::default(),
            metrics_elsewhere: false,
            decisions,
            document: Arc::default(),
            addresses: Arc::default(),
            sip: None,
            upkeep: None,
            work: Arc::default(),
            rooms: Arc::default(),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Leaves `GET /metrics` out of [`router`]: it is served on an address of its own, by [`operations`]. What is counted there
    /// is all tenants' together, which is nothing for one of them.
    #[must_use]
    pub fn with_metrics_elsewhere(self) -> Self {
        self.with(|parts| {
            parts.metrics_elsewhere = true;
            // That of before has one route more.
            parts.document = Arc::default();
        })
    }

    /// Shows in `GET /metrics` what comes in at a SIP door too.
    #[must_use]
    pub fn with_sip(self, counts: Arc<SipCounts>) -> Self {
        self.with(|parts| parts.sip = Some(counts))
    }

    /// Shows in `GET /metrics` how the store's upkeep goes, and in `GET /health` that it fails.
    #[must_use]
    pub fn with_upkeep(self, counts: Arc<UpkeepCounts>) -> Self {
        self.with(|parts| parts.upkeep = Some(counts))
    }

    /// Takes one more operator token, held in memory only, by its digest: what a first start needs to make tokens that
    /// stay.
    #[must_use]
    pub fn with_operator(self, digest: [u8; 32]) -> Self {
        self.with(|parts| parts.operator = Some(digest))
    }

    /// The same for everybody but the operator of [`with_operator`](Self::with_operator). Clones count together with it.
    #[must_use]
    pub fn without_operator(self) -> Self {
        self.with(|parts| parts.operator = None)
    }

    /// Bounds how often the holder of a token may ask, measured with this clock. Whoever is held in memory only may ask as often
    /// as it likes.
    #[must_use]
    pub fn with_rates(self, rates: Rates, clock: &SteadyClock) -> Self {
        self.with(|parts| parts.pace = Arc::new(Pace::new(rates, clock)))
    }

    /// Where agents are reached: `GET /route` names the address of the one who takes the call.
    #[must_use]
    pub fn with_addresses(self, addresses: AgentAddresses) -> Self {
        self.with(|parts| parts.addresses = Arc::new(addresses))
    }

    /// Runs requests that may take long on the blocking threads of this runtime, so that the runtime that serves the router stays
    /// free for routes. Without it, they run on the blocking threads of that runtime.
    #[must_use]
    pub fn with_workers(self, workers: Handle) -> Self {
        self.with(|parts| parts.work = Arc::new(Work::on(workers)))
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        self.with(|parts| parts.limits = limits)
    }

    /// Routes are answered from what is there while the service is still [loading](Service::load): a contact whose call has not been
    /// loaded yet goes to the default agent. Without this they are refused until everything is there.
    #[must_use]
    pub fn serving_while_loading(self, yes: bool) -> Self {
        self.with(|parts| parts.serves_while_loading = yes)
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The control API as a service for HTTP requests.
pub fn router(api: Api) -> Router {
    finished(described(&api).into(), api)
}

/// What an operator's tools ask, and takes no token: `GET /metrics` and the three of `GET /health`. For an address that only they
/// reach.
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

/// Every route there is, each with its description.
fn described(api: &Api) -> OpenApiRouter<Api> {
    // Each layer of a route clones all those inside it for each request, so that there is one of them and not one for each matter,
    // and none around decisions, which wait for nothing; and each route has its whole path, since a prefix would be taken off and
    // the path written anew.
    let usual = tenants().merge(operators()).route_layer(from_fn_with_state(api.clone(), apart::usual));
    let large = long().route_layer(from_fn_with_state(api.clone(), apart::large));
    let quick = gateways().route_layer(from_fn_with_state(api.clone(), apart::if_long));
    let open = service().route_layer(from_fn_with_state(api.clone(), deadline::watch));
    let streamed = streams().route_layer(from_fn_with_state(api.clone(), apart::stream));
    let v1 = usual.merge(large).merge(quick).merge(open).merge(streamed);
    let v1 = v1.routes(routes!(route::decide));
    let metrics = if api.metrics_elsewhere { OpenApiRouter::new() } else { metrics() };
    OpenApiRouter::with_openapi(openapi::frame()).merge(v1).merge(health()).merge(metrics)
}

/// What environment tokens configure and see.
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

/// What they ask that may have a longer answer.
fn long() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(callback_agents::show))
        .routes(routes!(statistics::show))
        .routes(routes!(what_if::compare))
}

/// What gateway tokens may do too, beside asking for routes.
fn gateways() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(calls::record)).routes(routes!(answered::report))
}

/// What only operators may do.
fn operators() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(environments::list, environments::create))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
}

/// What takes no token.
fn service() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi::show))
}

/// What is not below the base path; the first is there too.
fn health() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health::show)).routes(routes!(health::live)).routes(routes!(health::ready))
}

fn metrics() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(exposition::show))
}

/// What takes as long as it takes.
fn streams() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(bulk::record)).routes(routes!(export::show))
}
