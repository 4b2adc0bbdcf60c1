//! The addresses of agents that a running daemon uses.

use super::AgentAddresses;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// Addresses of agents that can be replaced while calls are routed. All clones share them.
#[derive(Clone, Default, Debug)]
pub struct AddressBook(Arc<ArcSwap<AgentAddresses>>);

impl AddressBook {
    /// Replaces all addresses. Calls that are decided from now on get the new ones.
    pub fn replace(&self, addresses: AgentAddresses) {
        self.0.store(Arc::new(addresses));
    }

    /// Returns the current addresses. Waits for nothing.
    pub fn current(&self) -> Guard<Arc<AgentAddresses>> {
        self.0.load()
    }
}

impl From<AgentAddresses> for AddressBook {
    fn from(addresses: AgentAddresses) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(addresses)))
    }
}
