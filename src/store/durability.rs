//! What an acknowledgement means.

use std::fmt;

/// What has become of a change when it is acknowledged, and so what can still be lost.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// It is on the disk, synced. Nothing acknowledged is lost, neither by a killed process nor by a power failure.
    #[default]
    Synced,
    /// It is with the operating system. A killed process loses nothing; a power failure or a crashed system loses up to about the
    /// last second.
    Buffered,
    /// It is in this process. When that ends, in whatever way, everything since its start is lost; what the data directory held
    /// before stays as it is.
    Memory,
}

impl Durability {
    /// All of them, the safest first.
    pub const ALL: [Self; 3] = [Self::Synced, Self::Buffered, Self::Memory];

    /// `synced`, `buffered` or `memory`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Buffered => "buffered",
            Self::Memory => "memory",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|durability| durability.name() == name)
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
