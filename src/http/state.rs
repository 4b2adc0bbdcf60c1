//! The state of an [`Api`].

use super::answer_budget::AnswerBudget;
use super::openapi::Document;
use super::rate_limit::RateLimits;
use super::requests::Requests;
use super::work::Work;
use super::{Api, Limits};
use crate::inbound::Inbound;
use crate::metrics::{SipCounts, UpkeepCounts};
use std::ops::Deref;
use std::sync::Arc;

/// The state that all clones of an [`Api`] share.
#[derive(Clone)]
pub struct ApiState {
    pub(super) inbound: Inbound,
    pub(super) operator: Option<[u8; 32]>,
    pub(super) limits: Limits,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) requests: Arc<Requests>,
    pub(super) metrics_elsewhere: bool,
    pub(super) document: Arc<Document>,
    pub(super) sip: Option<Arc<SipCounts>>,
    pub(super) upkeep: Option<Arc<UpkeepCounts>>,
    pub(super) work: Arc<Work>,
    pub(super) answer_budget: Arc<AnswerBudget>,
}

impl Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}
