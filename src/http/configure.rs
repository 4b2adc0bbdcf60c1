//! The way to a change of configuration, for handlers that wait for it without holding a thread.

use super::Api;
use super::deadline::Submitted;
use super::error::Refusal;
use crate::event::{Change, Event};
use crate::id::EnvironmentId;
use crate::plan::Plan;
use crate::service::Recording;
use crate::time::Timestamp;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Api {
    /// Changes the environment by what `decide` makes of the newest plan. Gives the plan right after that, and what
    /// `decide` had to say besides. Where it refuses, nothing changes.
    ///
    /// Whoever stops waiting stops nothing: the change takes its course.
    pub(super) async fn configure<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        decide: impl FnOnce(&Plan) -> Result<(Vec<Change>, T), Refusal> + Send + 'static,
    ) -> Result<(Arc<Plan>, T), Refusal> {
        self.configure_at(environment, self.now(), decide).await
    }

    /// The same at a moment that is known.
    pub(super) async fn configure_at<T: Send + 'static>(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        decide: impl FnOnce(&Plan) -> Result<(Vec<Change>, T), Refusal> + Send + 'static,
    ) -> Result<(Arc<Plan>, T), Refusal> {
        let (done, answer) = oneshot::channel();
        let (say, said) = oneshot::channel();
        let decide = move |plan: &Plan| {
            let (changes, besides) = match decide(plan) {
                Ok((changes, besides)) => (changes, Ok(besides)),
                Err(refusal) => (Vec::new(), Err(refusal)),
            };
            // Nobody listens where the client has gone; the change is made all the same.
            let _ = say.send(besides);
            Ok(changes)
        };
        Submitted::note();
        self.service.submit_configuration(environment, at, decide, |result| {
            let _ = done.send(result);
        });
        let plan = answer.await.map_err(|_| Refusal::internal())??;
        Ok((plan, said.await.map_err(|_| Refusal::internal())??))
    }

    /// As [`configure`](Self::configure), where there is nothing to say besides.
    pub(super) async fn change(
        &self,
        environment: EnvironmentId,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, Refusal> + Send + 'static,
    ) -> Result<Arc<Plan>, Refusal> {
        let (plan, ()) = self.configure(environment, |plan| Ok((decide(plan)?, ()))).await?;
        Ok(plan)
    }

    /// Hands in events; the receiver gets what each did once they are durable.
    pub(super) fn submit(&self, events: Vec<Event>) -> oneshot::Receiver<Recording> {
        let (done, answer) = oneshot::channel();
        Submitted::note();
        self.service.submit_at(self.now(), events, |recording| {
            let _ = done.send(recording);
        });
        answer
    }
}
