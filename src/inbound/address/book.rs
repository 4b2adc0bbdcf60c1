//! The addresses of agents that a running daemon uses.

use super::{AgentAddresses, Destination};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Addresses of agents that can be replaced while calls are routed. All clones share them.
#[derive(Clone, Default, Debug)]
pub struct AddressBook(Arc<ArcSwap<AgentAddresses>>);

impl AddressBook {
    /// Replaces all addresses. Calls that are decided from now on get the new ones.
    pub fn replace(&self, addresses: AgentAddresses) {
        self.0.store(Arc::new(addresses));
    }

    /// Returns the current addresses.
    pub fn current(&self) -> Arc<AgentAddresses> {
        self.0.load_full()
    }

    /// Returns the address of the destination, or `None` if the agent has none. Waits for nothing.
    pub fn of(&self, destination: &Destination) -> Option<String> {
        self.0.load().of(destination)
    }

    /// Returns the address of the destination, or the agent's id if it has no address. Waits for nothing.
    pub fn of_or_id(&self, destination: &Destination) -> String {
        self.0.load().of_or_id(destination)
    }
}

impl From<AgentAddresses> for AddressBook {
    fn from(addresses: AgentAddresses) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(addresses)))
    }
}
