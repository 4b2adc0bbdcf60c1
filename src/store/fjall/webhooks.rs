//! Webhooks in the embedded store.

use super::keyspaces::Keyspaces;
use super::shared::FjallReader;
use crate::store::records::webhook_key;
use crate::store::{Batch, StoreError, StoredWebhooks, WebhookValue};
use fjall::OwnedWriteBatch;
use serde_json::{Map, Value};

/// Adds the webhooks of a batch to the engine's write batch, except those of deleted environments.
pub(in crate::store) fn write(keyspaces: &Keyspaces, batch: &Batch, write: &mut OwnedWriteBatch) {
    for WebhookValue { environment, id, part, value } in &batch.webhooks {
        let key = webhook_key::of_part(*environment, *id, *part);
        match value {
            Some(value) if !keyspaces.retired.contains(*environment) => {
                write.insert(&keyspaces.webhooks, key, value.as_slice());
            }
            _ => write.remove(&keyspaces.webhooks, key),
        }
    }
}

/// Checks that all keys can be read, and that the values are JSON. The service knows more of them.
pub(in crate::store) fn check(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    for WebhookValue { value, .. } in all(keyspaces)? {
        let is_json = value.is_some_and(|text| serde_json::from_slice::<Map<String, Value>>(&text).is_ok());
        if !is_json {
            return Err(keyspaces.damaged("an invalid webhook"));
        }
    }
    Ok(())
}

fn all(keyspaces: &Keyspaces) -> Result<Vec<WebhookValue>, StoreError> {
    let read = |item: fjall::Guard| {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let (environment, id, part) =
            webhook_key::read(&key).ok_or_else(|| keyspaces.damaged("an invalid key of a webhook"))?;
        Ok(WebhookValue { environment, id, part, value: Some(value.to_vec()) })
    };
    keyspaces.webhooks.iter().map(read).collect()
}

impl StoredWebhooks for FjallReader {
    fn all(&self) -> Result<Vec<WebhookValue>, StoreError> {
        all(&self.store()?.keyspaces)
    }
}
