//! Webhooks: the service keeps values for them, and does not read these.

use super::command::{Command, Done, KeptWebhook};
use super::{Service, ServiceError};
use crate::store::{StoreError, WebhookValue};

impl Service {
    /// Returns whether the store keeps webhooks.
    pub fn keeps_webhooks(&self) -> bool {
        self.webhooks.0.is_some()
    }

    /// Returns all values of webhooks that are stored, with their environments. Values of environments that do not exist any
    /// more are left out. Nothing is stored if the store [keeps none](Self::keeps_webhooks).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn stored_webhooks(&self) -> Result<Vec<KeptWebhook>, StoreError> {
        let Some(stored) = &self.webhooks.0 else { return Ok(Vec::new()) };
        let plan = self.plan();
        let kept = |WebhookValue { environment, id, part, value }| {
            Some((plan.environment_of_scope(environment)?, id, part, value))
        };
        Ok(stored.all()?.into_iter().filter_map(kept).collect())
    }

    /// Submits values of webhooks, and returns at once. `done` is called when they are durable. Values of environments that do
    /// not exist are left out.
    pub fn submit_webhooks(
        &self,
        values: Vec<KeptWebhook>,
        done: impl FnOnce(Result<(), ServiceError>) + Send + 'static,
    ) {
        let done: Done<_> = Box::new(done);
        self.send(Command::KeepWebhooks { values, done });
    }
}
