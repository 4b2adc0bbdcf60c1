//! Semaphores by tenant.

use crate::id::EnvironmentId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of semaphores at which unused ones are dropped.
const HELD: usize = 1024;

/// A semaphore for each tenant, created at the tenant's first use. All have the same number of permits.
pub(in crate::http) struct Shares {
    permits: usize,
    tenants: Mutex<HashMap<EnvironmentId, Arc<Semaphore>>>,
}

impl Shares {
    pub(in crate::http) fn new(permits: usize) -> Self {
        Self { permits, tenants: Mutex::default() }
    }

    pub(in crate::http) fn of(&self, tenant: EnvironmentId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= HELD {
            // A permit or a waiting task holds a reference to its semaphore.
            tenants.retain(|_, held| Arc::strong_count(held) > 1);
        }
        Arc::clone(tenants.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(self.permits))))
    }
}

/// Waits for `permits` permits. Waiters are served in the order of their arrival.
pub(in crate::http) async fn acquire(semaphore: Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    semaphore.acquire_many_owned(permits).await.expect("never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_semaphores_are_dropped_and_used_ones_are_kept() {
        let shares = Shares::new(1);
        let first = EnvironmentId::from_u128(1);
        let held = shares.of(first);
        for tenant in 0..10 * HELD as u128 {
            shares.of(EnvironmentId::from_u128(tenant));
        }
        assert!(shares.tenants.lock().expect("sound").len() <= HELD);
        assert!(Arc::ptr_eq(&held, &shares.of(first)));
    }
}
