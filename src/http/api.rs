//! The handle of the control API: the service, its clock and the settings of all handlers.

use super::Limits;
use super::middleware::body_budget::BodyBudget;
use super::middleware::rate_limit::{RateLimits, Rates, SteadyClock};
use super::middleware::work::Work;
use super::state::{ApiState, Reload};
use super::webhooks::registry::Webhooks;
use super::webhooks::sender::Sender;
use crate::inbound::{AddressBook, CallReads, Inbound};
use crate::metrics::{SipCounts, UpkeepCounts};
use crate::service::Service;
use crate::store::StoreError;
use crate::time::{Clock, Timestamp};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The state that all handlers of the control API share.
///
/// A clone is cheap: it copies one pointer. Each layer clones the `Api` for each request, and each clone writes to a
/// counter that all processors share.
#[derive(Clone)]
pub struct Api(Arc<ApiState>);

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
            last_used: Arc::default(),
            requests: Arc::default(),
            metrics_elsewhere: false,
            is_strict: false,
            document: Arc::default(),
            sip: None,
            upkeep: None,
            reload: None,
            work: Arc::default(),
            stored_reads: Arc::default(),
            readers: Arc::default(),
            answer_budget: Arc::default(),
            body_budget: Arc::new(BodyBudget::new(Limits::default().body_bytes)),
            webhooks: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut ApiState)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Omits `GET /metrics` from [`router`]. [`operations`] serves it on an address of its own. The metrics count all tenants
    /// together, so no single tenant should read them.
    ///
    /// [`router`]: super::router()
    /// [`operations`]: super::operations()
    #[must_use]
    pub fn with_metrics_elsewhere(self) -> Self {
        self.with(|state| {
            state.metrics_elsewhere = true;
            // The cached document lists `GET /metrics`.
            state.document = Arc::default();
        })
    }

    /// Sets whether unknown fields and query parameters are refused with 422. Otherwise they are ignored, and the answer names
    /// them in `X-Dialback-Ignored`, unless the request has `X-Dialback-Strict: true`.
    #[must_use]
    pub fn refusing_unknown_fields(self, yes: bool) -> Self {
        self.with(|state| state.is_strict = yes)
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

    /// Adds what `POST /reload` does. It runs on the blocking threads of the workers.
    #[must_use]
    pub fn with_reload(self, reload: Reload) -> Self {
        self.with(|state| state.reload = Some(reload))
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
    pub fn with_addresses(self, addresses: impl Into<AddressBook>) -> Self {
        self.with(|state| state.inbound = state.inbound.clone().with_addresses(addresses))
    }

    /// Reads the ids and contexts of calls together with other doors of the same service.
    #[must_use]
    pub fn with_call_reads(self, reads: Arc<CallReads>) -> Self {
        self.with(|state| state.inbound = state.inbound.clone().with_call_reads(reads))
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
        self.with(|state| {
            state.limits = limits;
            state.body_budget = Arc::new(BodyBudget::new(limits.body_bytes));
        })
    }

    /// Sets whether routes are answered while the service is still [loading](Service::loading). If so, a call from a contact
    /// that is not loaded yet goes to the default agent. Otherwise routes are rejected until loading has finished.
    #[must_use]
    pub fn serving_while_loading(self, yes: bool) -> Self {
        self.with(|state| state.inbound = state.inbound.clone().serving_while_loading(yes))
    }

    /// Sends webhooks with this sender, by tasks on this runtime. Call [`start_webhooks`](Self::start_webhooks) when the service
    /// has loaded its data.
    #[must_use]
    pub fn with_webhooks(self, sender: Arc<dyn Sender>, runtime: Handle) -> Self {
        self.with(|state| {
            let webhooks = Webhooks::new(sender, runtime, state.inbound.clone(), Arc::clone(&state.stored_reads));
            state.webhooks = Some(Arc::new(webhooks));
        })
    }

    /// Reads the stored webhooks, and begins to send. Until then, requests about webhooks are answered with 503. Does nothing
    /// if the service keeps no webhooks, or has no sender.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn start_webhooks(&self) -> Result<(), StoreError> {
        let webhooks = self.webhooks.as_ref().filter(|_| self.service().keeps_webhooks());
        webhooks.map_or(Ok(()), Webhooks::start)
    }

    /// Says that the service will stop: webhooks send nothing new, and their tests end.
    pub fn begin_stop(&self) {
        if let Some(webhooks) = &self.webhooks {
            webhooks.begin_stop();
        }
    }

    /// Stops sending, and stores how far it has come. Without it, messages of about the last second are repeated.
    pub async fn stop_webhooks(&self) {
        if let Some(webhooks) = &self.webhooks {
            webhooks.stop().await;
        }
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        self.inbound.service()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inbound.now()
    }
}

impl Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("limits", &self.limits).finish_non_exhaustive()
    }
}
