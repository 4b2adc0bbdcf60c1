//! Webhooks as the store keeps them: values that it does not read.

use super::StoreError;
use crate::slot::Scope;
use std::fmt;

/// A part of a webhook that is written on its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WebhookPart {
    /// The settings of its owner.
    Settings,
    /// How far its deliveries have come.
    Progress,
}

/// A value of a webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookValue {
    /// The scope of its environment. With the environment, its webhooks are removed.
    pub environment: Scope,
    /// The id of the webhook.
    pub id: u128,
    /// The part.
    pub part: WebhookPart,
    /// The value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// Prints no value: it may contain a secret.
impl fmt::Debug for WebhookValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.value.as_ref().map(Vec::len);
        write!(f, "WebhookValue({:032x}, {:?}, {len:?} bytes)", self.id, self.part)
    }
}

/// Reads the stored webhooks.
pub trait StoredWebhooks: Send + Sync {
    /// Returns all values, in the order of environments and ids.
    ///
    /// # Errors
    /// The store cannot be read, or has been closed.
    fn all(&self) -> Result<Vec<WebhookValue>, StoreError>;
}
