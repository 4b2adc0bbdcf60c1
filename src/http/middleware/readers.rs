//! The requests that wait for events. Each keeps its connection, so there are bounds for a tenant and for all.

use crate::http::response::error::Refusal;
use crate::id::EnvironmentId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The most requests of all tenants, and those of one, that wait at a time.
const ALL: usize = 256;
const OF_ONE: usize = 16;

/// The waiting requests of each tenant.
#[derive(Default)]
pub(in crate::http) struct Readers(Mutex<HashMap<EnvironmentId, usize>>);

/// A request that may wait. Dropping it makes room for another one.
pub(in crate::http) struct Reader {
    readers: Arc<Readers>,
    tenant: EnvironmentId,
}

impl Readers {
    /// Admits a request of a tenant.
    ///
    /// # Errors
    /// Too many of the tenant's requests wait, or too many of all.
    pub(in crate::http) fn admit(self: &Arc<Self>, tenant: EnvironmentId) -> Result<Reader, Refusal> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = readers.get(&tenant).copied().unwrap_or(0);
        if own >= OF_ONE {
            return Err(Refusal::too_many_readers());
        }
        if readers.values().sum::<usize>() >= ALL {
            return Err(Refusal::no_room_for_readers());
        }
        readers.insert(tenant, own + 1);
        Ok(Reader { readers: Arc::clone(self), tenant })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = readers.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                readers.remove(&self.tenant);
            }
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_room_for_others_and_all_are_bounded() {
        let readers = Arc::<Readers>::default();
        let tenant = |number: usize| EnvironmentId::from_u128(1 + number as u128);
        let mut held: Vec<_> = (0..OF_ONE).map(|_| readers.admit(tenant(0)).expect("room")).collect();
        assert!(readers.admit(tenant(0)).is_err());
        held.extend((OF_ONE..ALL).map(|number| readers.admit(tenant(number)).expect("room")));
        assert!(readers.admit(tenant(ALL)).is_err());
        held.pop();
        assert!(readers.admit(tenant(ALL)).is_ok());
        drop(held);
        assert!(readers.0.lock().expect("sound").is_empty(), "nothing is left of a tenant that waits no longer");
    }
}
