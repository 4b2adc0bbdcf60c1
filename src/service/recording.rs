//! Routing with records, and reading them.

use super::feed::FeedSettings;
use super::recorder::{RecordSettings, Recorder, Terms, record_of};
use super::{Service, no_thread, retention};
use crate::engine::{Noted, Routed};
use crate::id::EnvironmentId;
use crate::metrics::RecordCounts;
use crate::number::{Caller, E164};
use crate::plan::{NumberView, Plan};
use crate::record::RecordedDoor;
use crate::slot::Scope;
use crate::store::{RecordPage, RecordQuery, StoreError, StoredFeed, StoredRecord, StoredRecords};
use crate::time::Timestamp;
use std::sync::Arc;

impl Service {
    /// Starts the recorder, if the store keeps records or events. Without settings, it completes erasures in those that there
    /// are, and nothing else.
    pub(super) fn recording(
        mut self,
        records: Option<RecordSettings>,
        feed: Option<FeedSettings>,
    ) -> Result<Self, StoreError> {
        let is_due = |stored: &Arc<dyn StoredRecords>| records.is_some() || !stored.is_empty();
        let has_records = self.records.0.as_ref().is_some_and(is_due);
        let is_due = |stored: &Arc<dyn StoredFeed>| feed.is_some() || !stored.is_empty();
        let has_feed = self.feed.0.as_ref().is_some_and(is_due);
        if !has_records && !has_feed {
            return Ok(self);
        }
        let terms = Terms { records: records.filter(|_| has_records), feed: feed.filter(|_| has_feed) };
        let commands = self.commands.clone().expect("taken only when dropped");
        let recorder = Recorder::start(terms, commands, Arc::clone(&self.record_counts)).map_err(no_thread)?;
        self.recorder = Some(recorder);
        Ok(self)
    }

    /// Decides where a call goes and counts it, as [`route_on`](Self::route_on) does, and queues a record of the decision
    /// under the id that `id` returns. Two decisions must not have the same id: only the first one's record is kept.
    ///
    /// There is no record without [`Builder::records`](super::Builder::records), and none of a call to an unknown number,
    /// which may be a personal one.
    ///
    /// # Cost
    /// Besides that of `route_on`, the names of the agents are copied, and the record is put into a queue in memory. If
    /// the queue has no room, the record is dropped and counted.
    pub fn route_recorded(
        &self,
        plan: &Plan,
        (dialed, caller): (E164, Caller),
        now: Timestamp,
        door: RecordedDoor,
        id: impl FnOnce(&Routed) -> u128,
    ) -> (Routed, u128) {
        let (routed, noted) = self.route_noting(plan, dialed, caller, now);
        let id = id(&routed);
        self.queue_record(plan, (door, dialed, caller), now, &routed, noted.as_ref(), id);
        (routed, id)
    }

    /// Decides where a call goes and counts it, and returns the facts for its record if it is to have one.
    pub(crate) fn route_noting(
        &self,
        plan: &Plan,
        dialed: E164,
        caller: Caller,
        now: Timestamp,
    ) -> (Routed, Option<Noted>) {
        if self.recorder.as_ref().is_some_and(Recorder::is_on) && plan.dialed(dialed).is_some() {
            let (routed, noted) = self.engine.route_noting(plan, dialed, caller, now);
            return (routed, Some(noted));
        }
        (self.route_on(plan, dialed, caller, now), None)
    }

    /// Queues the record of a call that [`route_noting`](Self::route_noting) decided on the same plan.
    pub(crate) fn queue_record(
        &self,
        plan: &Plan,
        (door, dialed, caller): (RecordedDoor, E164, Caller),
        now: Timestamp,
        routed: &Routed,
        noted: Option<&Noted>,
        id: u128,
    ) {
        let (Some(recorder), Some(noted)) = (&self.recorder, noted) else { return };
        let Some(environment) = plan.dialed(dialed).map(NumberView::environment) else { return };
        if let Some(slot) = plan.environment_slot(environment) {
            let record = record_of(plan, environment, (door, dialed, caller), routed, noted);
            recorder.record(slot.into(), id, now, record);
        }
    }

    /// Notes in the record of a decision that its call was answered. Only the first answer counts. Without a record, nothing
    /// happens. `environment` is that of the decision, if it is known.
    pub fn note_answer(&self, environment: Option<EnvironmentId>, id: u128, at: Timestamp) {
        if let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.is_on()) {
            let plan = self.plan();
            let slot = environment.and_then(|environment| plan.environment_slot(environment));
            recorder.answer(slot.map(Scope::from), id, at);
        }
    }

    /// Calls `done` when the records of all earlier decisions can be read, or were lost.
    pub fn submit_records(&self, done: impl FnOnce() + Send + 'static) {
        match &self.recorder {
            Some(recorder) => recorder.flush(Box::new(done)),
            None => done(),
        }
    }

    /// Sets the time by which records and events expire. They are removed soon after. Before the first call, none expire.
    ///
    /// In a fleet, they also expire with the calls that no longer count, because erasures of other nodes are kept no
    /// longer: see [`retention_floor`](Self::retention_floor).
    pub fn expire_records(&self, now: Timestamp) {
        if let Some(recorder) = &self.recorder {
            let is_shared = self.sequencer.0.as_ref().is_some_and(|sequencer| sequencer.has_outbox());
            let oldest = is_shared.then(|| retention::oldest(&self.plan(), now));
            recorder.expire(now, oldest);
        }
    }

    /// Returns whether this service keeps records: not if it keeps them for no days.
    pub fn has_records(&self) -> bool {
        self.recorder.as_ref().is_some_and(Recorder::has_records)
    }

    /// Returns the record of a decision of this environment. Records of erased contacts are never returned.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn record_of(&self, environment: EnvironmentId, id: u128) -> Result<Option<StoredRecord>, StoreError> {
        let (plan, Some(records)) = (self.plan(), &self.records.0) else { return Ok(None) };
        let slot = plan.environment_slot(environment).map(Scope::from);
        Ok(records.find(id)?.filter(|found| Some(found.environment) == slot))
    }

    /// Returns a part of an environment's records, newest first. `query` receives the scope of the environment.
    ///
    /// # Errors
    /// The store cannot be read. A record that can be read and is not valid is no error.
    pub fn records_of(
        &self,
        environment: EnvironmentId,
        query: impl FnOnce(Scope) -> RecordQuery,
    ) -> Result<RecordPage, StoreError> {
        let (plan, Some(records)) = (self.plan(), &self.records.0) else { return Ok(RecordPage::default()) };
        match plan.environment_slot(environment) {
            Some(slot) => records.page(&query(slot.into())),
            None => Ok(RecordPage::default()),
        }
    }

    /// Returns the counters of decision records.
    pub fn record_counts(&self) -> &RecordCounts {
        &self.record_counts
    }
}
