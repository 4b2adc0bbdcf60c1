//! The part of a request body that has arrived.

use super::auth;
use crate::http::Api;
use crate::http::middleware::body_budget::{FREE, Room};
use crate::http::response::error::Refusal;
use crate::id::EnvironmentId;
use axum::body::Bytes;
use axum::http::HeaderMap;

/// A growing buffer with reserved memory.
pub(in crate::http) struct Collected<'a> {
    api: &'a Api,
    headers: &'a HeaderMap,
    /// The tenant on whose account the memory is reserved, once it is needed.
    tenant: Option<EnvironmentId>,
    /// The length of the longest body.
    most: usize,
    bytes: Vec<u8>,
    room: Room,
}

impl<'a> Collected<'a> {
    /// Creates an empty buffer for a body of at most `most` bytes.
    pub(in crate::http) fn new(api: &'a Api, headers: &'a HeaderMap, most: usize) -> Self {
        Self { api, headers, tenant: None, most, bytes: Vec::new(), room: Room::default() }
    }

    pub(in crate::http) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends data.
    ///
    /// # Errors
    /// `TOO_MANY_BODIES` if there is no memory for it, and `INVALID_TOKEN` if there is no valid token to whose account the
    /// memory counts.
    pub(in crate::http) fn push(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let capacity = grown(self.bytes.capacity(), self.bytes.len() + data.len(), self.most);
        if capacity > self.bytes.capacity() {
            self.reserve(capacity)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Returns the data. The memory stays reserved until the last reference to it is dropped.
    pub(in crate::http) fn finish(self) -> Bytes {
        if self.bytes.capacity() <= FREE {
            return self.bytes.into();
        }
        Bytes::from_owner(Whole { bytes: self.bytes, _room: self.room })
    }

    fn reserve(&mut self, capacity: usize) -> Result<(), Refusal> {
        if capacity <= FREE {
            return Ok(());
        }
        let tenant = match self.tenant {
            Some(tenant) => tenant,
            None => auth::holder(self.headers, self.api).ok_or_else(Refusal::invalid_token)?,
        };
        self.tenant = Some(tenant);
        let budget = &self.api.body_budget;
        if budget.resize(&mut self.room, tenant, capacity) { Ok(()) } else { Err(budget.refuse()) }
    }
}

/// Returns the capacity of a buffer that has to hold `needed` bytes: the capacity doubles, up to `most`.
pub(in crate::http) fn grown(capacity: usize, needed: usize, most: usize) -> usize {
    if needed <= capacity { capacity } else { (2 * capacity).min(most).max(needed) }
}

/// A whole body with its reserved memory.
struct Whole {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
