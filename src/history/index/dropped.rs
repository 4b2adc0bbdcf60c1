//! Reports the pairs that growths drop to the owner of the index.

/// Receives the pairs that a growth drops, as bare words, and names the registers that may be dropped early.
pub(crate) trait DropObserver: Send + Sync {
    /// A growth dropped a pair.
    fn dropped(&self, scope: u32, register: u64);

    /// A pair that was reported as dropped lives on in the next table.
    fn kept(&self, scope: u32, register: u64);

    /// Returns whether a growth that makes room may drop this register.
    fn is_droppable(&self, register: u64) -> bool;
}

/// Observes nothing, and lets no register be dropped early.
#[cfg(any(test, loom))]
pub(crate) struct Unobserved;

#[cfg(any(test, loom))]
impl DropObserver for Unobserved {
    fn dropped(&self, _: u32, _: u64) {}

    fn kept(&self, _: u32, _: u64) {}

    fn is_droppable(&self, _: u64) -> bool {
        false
    }
}
