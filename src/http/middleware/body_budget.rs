//! Memory for request bodies that have not arrived completely, or wait for their turn.
//!
//! The first [`FREE`] bytes of a body need no reservation: a connection has one request at a time, so the number of connections
//! bounds them, and a short request is always possible. A longer body reserves memory as it grows. All bodies together have
//! [`ALL`] KiB, and those of one tenant a fifth of that. A body that finds no memory is refused, because a client that has
//! stopped to send would keep the others waiting.

use super::shares::Shares;
use crate::http::response::error::Refusal;
use crate::id::EnvironmentId;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// The bytes of each body that need no reservation. Reports of calls are shorter.
pub(in crate::http) const FREE: usize = 16 << 10;

/// The memory in KiB of all bodies together, and of those of one tenant. Longer bodies that an operator allows get more.
const ALL: usize = 20 << 10;
const OF_ONE: usize = ALL / 5;

/// A body of the greatest length fits into its tenant's share this many times: once as text, and the rest for its values.
pub(in crate::http) const COPIES: usize = 4;

const KIB: usize = 1 << 10;

/// The memory that bodies may reserve.
pub(in crate::http) struct BodyBudget {
    all: Arc<Semaphore>,
    /// The permits of `all` while no body is held.
    total: usize,
    /// The most KiB of the values of one body.
    most: usize,
    tenants: Shares,
    refused: AtomicU64,
}

/// The memory that one body has reserved. Dropping it releases the memory.
#[derive(Default, Debug)]
pub(in crate::http) struct Room(Option<Permits>);

#[derive(Debug)]
struct Permits {
    tenant: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl BodyBudget {
    /// Creates a budget for bodies of at most `limit` bytes each. A tenant may always hold one of that size, and its values.
    pub(in crate::http) fn new(limit: usize) -> Self {
        let of_one = OF_ONE.max(limit.div_ceil(KIB).saturating_mul(COPIES)).min(Semaphore::MAX_PERMITS / 2);
        let total = ALL.max(2 * of_one);
        let (all, tenants) = (Arc::new(Semaphore::new(total)), Shares::new(of_one));
        Self { all, total, most: of_one * (COPIES - 1) / COPIES, tenants, refused: AtomicU64::new(0) }
    }

    /// Returns the most bytes that the values of one body may take.
    pub(in crate::http) fn most(&self) -> usize {
        self.most.saturating_mul(KIB)
    }

    /// Changes the size of a body's room to `bytes`. Returns `false` and keeps its size if the memory of all bodies, or of those
    /// of the tenant, is in use.
    #[must_use]
    pub(in crate::http) fn resize(&self, room: &mut Room, tenant: EnvironmentId, bytes: usize) -> bool {
        let wanted = if bytes <= FREE { 0 } else { bytes.div_ceil(KIB) };
        let held = room.kib();
        if wanted < held {
            room.shrink(held - wanted);
        } else if wanted > held {
            let Some(permits) = self.reserve(tenant, wanted - held) else { return false };
            room.grow(permits);
        }
        true
    }

    /// Counts a body that found no memory, and returns the error for it. Logs the first, second, fourth, eighth and so on.
    pub(in crate::http) fn refuse(&self) -> Refusal {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            let held_bytes = self.held_bytes();
            warn!(refused, held_bytes, "request bodies use all the memory that they may");
        }
        Refusal::too_many_bodies()
    }

    /// Returns the number of bytes in use.
    pub(in crate::http) fn held_bytes(&self) -> u64 {
        (self.total.saturating_sub(self.all.available_permits()) * KIB) as u64
    }

    /// Returns how many bodies were refused.
    pub(in crate::http) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn reserve(&self, tenant: EnvironmentId, kib: usize) -> Option<Permits> {
        let kib = u32::try_from(kib).ok()?;
        let tenant = self.tenants.of(tenant).try_acquire_many_owned(kib).ok()?;
        Some(Permits { tenant, all: Arc::clone(&self.all).try_acquire_many_owned(kib).ok()? })
    }
}

impl Room {
    fn kib(&self) -> usize {
        self.0.as_ref().map_or(0, |permits| permits.all.num_permits())
    }

    fn grow(&mut self, more: Permits) {
        match &mut self.0 {
            None => self.0 = Some(more),
            Some(permits) => {
                permits.tenant.merge(more.tenant);
                permits.all.merge(more.all);
            }
        }
    }

    fn shrink(&mut self, kib: usize) {
        if let Some(permits) = &mut self.0 {
            drop((permits.tenant.split(kib), permits.all.split(kib)));
        }
        self.0.take_if(|permits| permits.all.num_permits() == 0);
    }
}

impl fmt::Debug for BodyBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyBudget").field("held_bytes", &self.held_bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: EnvironmentId = EnvironmentId::from_u128(1);
    const OTHER: EnvironmentId = EnvironmentId::from_u128(2);
    const MIB: usize = 1 << 20;

    fn hold(budget: &BodyBudget, tenant: EnvironmentId, bytes: usize) -> Option<Room> {
        let mut room = Room::default();
        budget.resize(&mut room, tenant, bytes).then_some(room)
    }

    #[test]
    fn tenant_that_uses_up_its_share_leaves_the_rest_to_others_and_short_bodies_to_itself() {
        let budget = BodyBudget::new(MIB);
        let held: Vec<_> = std::iter::from_fn(|| hold(&budget, ONE, MIB)).collect();
        assert_eq!(held.len(), OF_ONE / KIB);
        assert_eq!(budget.held_bytes(), (held.len() * MIB) as u64);
        assert!(hold(&budget, ONE, FREE).is_some(), "a short body needs no reservation");
        assert!(hold(&budget, ONE, FREE + 1).is_none());
        assert!(hold(&budget, OTHER, MIB).is_some());
        drop(held);
        assert_eq!(budget.held_bytes(), 0);
        assert!(hold(&budget, ONE, MIB).is_some());
    }

    #[test]
    fn all_tenants_together_stay_within_the_budget() {
        let budget = BodyBudget::new(MIB);
        let tenants = (1..100).map(EnvironmentId::from_u128);
        let held: Vec<_> = tenants.filter_map(|tenant| hold(&budget, tenant, MIB)).collect();
        assert_eq!(held.len(), ALL / KIB);
        assert!(hold(&budget, OTHER, FREE).is_some());
    }

    #[test]
    fn room_grows_and_shrinks_and_keeps_its_size_when_refused() {
        let budget = BodyBudget::new(MIB);
        let mut room = Room::default();
        for (bytes, held) in
            [(1, 0), (FREE, 0), (FREE + 1, 17), (50_000, 49), (MIB, 1024), (20_000, 20), (3, 0), (MIB, 1024)]
        {
            assert!(budget.resize(&mut room, ONE, bytes), "{bytes}");
            assert_eq!((room.kib(), budget.held_bytes()), (held, (held * KIB) as u64), "{bytes}");
        }
        assert!(!budget.resize(&mut room, ONE, 5 * MIB));
        assert_eq!((room.kib(), budget.held_bytes()), (1024, MIB as u64));
    }

    #[test]
    fn body_of_any_limit_fits_beside_another_one() {
        let budget = BodyBudget::new(100 * MIB);
        let held = hold(&budget, ONE, 100 * MIB).expect("one fits");
        let values = hold(&budget, ONE, budget.most()).expect("and its values");
        assert!(hold(&budget, ONE, MIB).is_none());
        assert!(hold(&budget, OTHER, 100 * MIB).is_some());
        drop((held, values));
        assert!(hold(&BodyBudget::new(usize::MAX), ONE, MIB).is_some());
    }
}
