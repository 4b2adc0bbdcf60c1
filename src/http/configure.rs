//! Submits changes for handlers, which wait for the result without blocking a thread.

use super::Api;
use super::middleware::deadline::Submitted;
use super::response::error::Refusal;
use crate::event::{Change, Event};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use crate::service::Recording;
use crate::time::Timestamp;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Api {
    /// Changes the environment as `decide` determines from the newest plan. Returns the plan right after the change, and the
    /// second result of `decide`. The actor is the token of the request that is being handled.
    ///
    /// Dropping the future does not stop the change.
    ///
    /// # Errors
    /// If `decide` fails or the change is rejected. Then nothing changes, unless the error is `OUTCOME_UNKNOWN` or
    /// `NOT_REPLICATED`.
    pub(super) async fn configure<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        decide: impl FnOnce(&Plan) -> Result<(Vec<Change>, T), Refusal> + Send + 'static,
    ) -> Result<(Arc<Plan>, T), Refusal> {
        let decide = |plan: &Plan| decide(plan).map(|(changes, besides)| (Some(changes), besides));
        self.configure_at(environment, self.now(), decide).await
    }

    /// Changes the environment as [`configure`](Self::configure) does, at the time `at`. If `decide` returns `None`
    /// in place of changes, the answer does not depend on the other nodes of a fleet.
    pub(super) async fn configure_at<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        decide: impl FnOnce(&Plan) -> Result<(Option<Vec<Change>>, T), Refusal> + Send + 'static,
    ) -> Result<(Arc<Plan>, T), Refusal> {
        let (done, answer) = oneshot::channel();
        let (say, said) = oneshot::channel();
        let decide = move |plan: &Plan| {
            let (changes, besides) = match decide(plan) {
                Ok((changes, besides)) => (changes, Ok(besides)),
                Err(refusal) => (None, Err(refusal)),
            };
            // The receiver is gone if the client has disconnected. The change is made all the same.
            let _ = say.send(besides);
            Ok(changes)
        };
        Submitted::note();
        self.service().submit_decision(environment, Submitted::actor().at(at), decide, |result| {
            let _ = done.send(result);
        });
        let plan = answer.await.map_err(|_| Refusal::internal())??;
        Ok((plan, said.await.map_err(|_| Refusal::internal())??))
    }

    /// Changes the environment as [`configure`](Self::configure) does, for a `decide` with no second result.
    pub(super) async fn change(
        &self,
        environment: EnvironmentId,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, Refusal> + Send + 'static,
    ) -> Result<Arc<Plan>, Refusal> {
        let (plan, ()) = self.configure(environment, |plan| Ok((decide(plan)?, ()))).await?;
        Ok(plan)
    }

    /// Submits events. The receiver gets the result of each event once all are durable.
    pub(super) fn submit(&self, events: Vec<Event>) -> oneshot::Receiver<Recording> {
        let (done, answer) = oneshot::channel();
        Submitted::note();
        self.service().submit_at(self.now(), events, |recording| {
            let _ = done.send(recording);
        });
        answer
    }
}
