//! Slots: the dense integers that stand for agents, numbers and environments inside the engine.
//!
//! Slots are assigned in the order of configuration events. A slot, except that of a tally, is never reused, so a history
//! register that names a slot always means the same agent. Slots are never sent to other machines; UUIDs and phone
//! numbers are.

use std::fmt;

macro_rules! slot {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            /// The number of slots that can ever be assigned.
            pub const LIMIT: usize = $limit;

            /// Returns the slot at this index. `None` if the index is not below [`LIMIT`](Self::LIMIT).
            pub fn new(index: usize) -> Option<Self> {
                u32::try_from(index).ok().filter(|_| index < Self::LIMIT).map(Self)
            }

            /// Returns the index of the slot.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}#{}", stringify!($name), self.0)
            }
        }
    };
}

slot! {
    /// The slot of an agent: 20 bits of a [`Register`](crate::history::Register). The two highest 20-bit values are
    /// reserved for erasures.
    AgentSlot, (1 << 20) - 2
}
slot! {
    /// The slot of a number. In the 24 bits of a [`Scope`], numbers count up from zero and environments count down
    /// from the top.
    NumberSlot, Scope::LIMIT - EnvironmentSlot::LIMIT
}
slot! {
    /// The slot of an environment.
    EnvironmentSlot, 1 << 16
}

slot! {
    /// The slot of a tally, which is counted by day. It is reused within its environment.
    TallySlot, (1 << 24) - 1
}

impl TallySlot {
    /// The lowest slot.
    pub const FIRST: Self = Self(0);

    /// The highest slot.
    pub const LAST: Self = Self((1 << 24) - 2);
}

impl AgentSlot {
    /// The lowest.
    pub const FIRST: Self = Self(0);

    /// The highest.
    pub const LAST: Self = Self((1 << 20) - 3);

    /// Returns the slot with these bits. `None` if they exceed the limit.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        usize::try_from(bits).ok().and_then(Self::new)
    }
}

/// The owner of a contact's register: one number, or an environment (for its erasures). It has 24 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(u32);

impl Scope {
    /// The number of possible scopes, 2^24.
    pub const LIMIT: usize = 1 << Self::BITS;

    /// The number of bits, which the history's key words have room for.
    pub(crate) const BITS: u32 = if cfg!(small) { 18 } else { 24 };

    const HIGHEST: u32 = (1 << Self::BITS) - 1;

    /// Returns the 24 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the scope with these bits. `None` if there are more than 24.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits <= Self::HIGHEST { Some(Self(bits)) } else { None }
    }

    /// Returns the number of this scope. `None` if it is an environment's scope.
    pub(crate) fn number(self) -> Option<NumberSlot> {
        NumberSlot::new(self.0 as usize)
    }

    /// Returns the environment of this scope. `None` if it is a number's scope.
    pub(crate) fn environment(self) -> Option<EnvironmentSlot> {
        EnvironmentSlot::new((Self::HIGHEST - self.0) as usize)
    }
}

impl From<NumberSlot> for Scope {
    fn from(slot: NumberSlot) -> Self {
        Self(slot.0)
    }
}

impl From<EnvironmentSlot> for Scope {
    fn from(slot: EnvironmentSlot) -> Self {
        // Environments count down from the top, so that numbers are dense from zero. The limits keep the two ranges
        // apart.
        Self(Self::HIGHEST - slot.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope#{}", self.0)
    }
}

#[cfg(all(test, feature = "store"))]
mod tests {
    use super::*;

    #[test]
    fn scope_converts_back_to_its_number_or_environment() {
        let numbers = [0, 1, NumberSlot::LIMIT - 1].map(|index| NumberSlot::new(index).expect("a slot"));
        for slot in numbers {
            assert_eq!((Scope::from(slot).number(), Scope::from(slot).environment()), (Some(slot), None));
        }
        let environments = [0, 1, EnvironmentSlot::LIMIT - 1].map(|index| EnvironmentSlot::new(index).expect("a slot"));
        for slot in environments {
            assert_eq!((Scope::from(slot).number(), Scope::from(slot).environment()), (None, Some(slot)));
        }
    }
}
