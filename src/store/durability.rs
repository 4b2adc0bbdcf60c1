//! How durable an acknowledged change is.

use crate::named::named;

/// How durable a change is when it is acknowledged, and so which failures can still lose it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// The change is on the disk and synced. Neither a killed process nor a power failure loses an acknowledged change.
    #[default]
    Synced,
    /// The operating system holds the change. A killed process loses nothing. A power failure or a crash of the system
    /// loses up to about the last second.
    Buffered,
    /// Only this process holds the change. When the process ends for any reason, all changes since its start are lost.
    /// Data that the directory held before stays unchanged.
    Memory,
}

impl Durability {
    /// All values, the safest first.
    pub const ALL: [Self; 3] = [Self::Synced, Self::Buffered, Self::Memory];

    /// Returns the name: `synced`, `buffered` or `memory`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Buffered => "buffered",
            Self::Memory => "memory",
        }
    }
}

named!(Durability, "a durability: synced, buffered or memory");
