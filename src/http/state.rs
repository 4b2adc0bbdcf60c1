//! The state of an [`Api`](super::Api).

use super::Limits;
use super::middleware::answer_budget::AnswerBudget;
use super::middleware::body_budget::BodyBudget;
use super::middleware::rate_limit::RateLimits;
use super::middleware::readers::Readers;
use super::middleware::requests::Requests;
use super::middleware::stored_reads::StoredReads;
use super::middleware::work::Work;
use super::openapi::document::Document;
use super::request::last_used::LastUsed;
use super::response::error::Refusal;
use super::webhooks::registry::Webhooks;
use crate::id::EnvironmentId;
use crate::inbound::Inbound;
use crate::metrics::{SipCounts, UpkeepCounts};
use crate::service::Service;
use std::sync::Arc;

/// Takes over the settings that have changed. Returns those that need a restart, or why nothing has changed.
pub type Reload = Arc<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>;

/// The state that all clones of an [`Api`](super::Api) share.
#[derive(Clone)]
pub struct ApiState {
    pub(super) inbound: Inbound,
    pub(super) operator: Option<[u8; 32]>,
    pub(super) limits: Limits,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) last_used: Arc<LastUsed>,
    pub(super) requests: Arc<Requests>,
    pub(super) metrics_elsewhere: bool,
    /// Unknown fields are refused in all requests.
    pub(super) is_strict: bool,
    pub(super) document: Arc<Document>,
    pub(super) sip: Option<Arc<SipCounts>>,
    pub(super) upkeep: Option<Arc<UpkeepCounts>>,
    pub(super) reload: Option<Reload>,
    pub(super) work: Arc<Work>,
    pub(super) stored_reads: Arc<StoredReads>,
    pub(super) readers: Arc<Readers>,
    pub(super) answer_budget: Arc<AnswerBudget>,
    pub(super) body_budget: Arc<BodyBudget>,
    pub(super) webhooks: Option<Arc<Webhooks>>,
}

impl ApiState {
    /// Returns what is read from the store, on a thread that no other request needs.
    ///
    /// # Errors
    /// The disk does not answer in time.
    pub(super) async fn read_stored<T: Send + 'static>(
        &self,
        tenant: EnvironmentId,
        read: impl FnOnce(&Service) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let service = Arc::clone(self.inbound.service());
        let found = self.stored_reads.within(self.limits.patience, tenant, move || read(&service)).await;
        found.ok_or_else(Refusal::too_slow)
    }
}
