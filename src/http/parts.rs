//! What is in an [`Api`].

use super::openapi::Document;
use super::pace::Pace;
use super::requests::Requests;
use super::room::Rooms;
use super::work::Work;
use super::{Api, Clock, Limits};
use crate::address::AgentAddresses;
use crate::decision_id::DecisionIds;
use crate::metrics::{SipCounts, UpkeepCounts};
use crate::service::Service;
use std::ops::Deref;
use std::sync::Arc;

/// What all clones of an [`Api`] share.
#[derive(Clone)]
pub struct Parts {
    pub(super) service: Arc<Service>,
    pub(super) clock: Clock,
    pub(super) operator: Option<[u8; 32]>,
    pub(super) limits: Limits,
    pub(super) pace: Arc<Pace>,
    pub(super) serves_while_loading: bool,
    pub(super) requests: Arc<Requests>,
    pub(super) metrics_elsewhere: bool,
    pub(super) decisions: Arc<DecisionIds>,
    pub(super) document: Arc<Document>,
    pub(super) addresses: Arc<AgentAddresses>,
    pub(super) sip: Option<Arc<SipCounts>>,
    pub(super) upkeep: Option<Arc<UpkeepCounts>>,
    pub(super) work: Arc<Work>,
    pub(super) rooms: Arc<Rooms>,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
