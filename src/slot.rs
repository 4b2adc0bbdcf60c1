//! Slots: the dense integers behind agents, numbers and environments.
//!
//! A slot (but for that of a tally) is given once, in the order of configuration events, and never given again to another: a history register
//! that names a slot means the same agent for ever. Slots stay on this machine; what leaves it carries UUIDs and numbers.

use std::fmt;

macro_rules! slot {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            /// How many slots there can ever be.
            pub const LIMIT: usize = $limit;

            /// The slot at this place of its dictionary; `None` past the limit.
            pub fn new(index: usize) -> Option<Self> {
                u32::try_from(index).ok().filter(|_| index < Self::LIMIT).map(Self)
            }

            /// The place in the dictionary.
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
    /// An agent's slot: 20 bits of a [`Register`](crate::history::Register), whose highest value is kept for erasures.
    AgentSlot, (1 << 20) - 1
}
slot! {
    /// A number's slot. Numbers count up from zero in the 24 bits of a [`Scope`], environments down from the top.
    NumberSlot, Scope::LIMIT - EnvironmentSlot::LIMIT
}
slot! {
    /// An environment's slot.
    EnvironmentSlot, 1 << 16
}

slot! {
    /// The slot of a tally: something that is counted by day. Unlike the others, it is given again, within its environment.
    TallySlot, (1 << 24) - 1
}

impl TallySlot {
    /// The lowest.
    pub const FIRST: Self = Self(0);

    /// The highest.
    pub const LAST: Self = Self((1 << 24) - 2);
}

impl AgentSlot {
    /// The lowest.
    pub const FIRST: Self = Self(0);

    /// The highest.
    pub const LAST: Self = Self((1 << 20) - 2);

    /// The slot with these bits; `None` past the limit.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        usize::try_from(bits).ok().and_then(Self::new)
    }
}

/// What a contact's register belongs to: one number of ours, or an environment (where its erasures are kept). 24 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(u32);

impl Scope {
    /// How many scopes there can be: 2^24.
    pub const LIMIT: usize = 1 << 24;

    const HIGHEST: u32 = (1 << 24) - 1;

    /// The 24 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The scope with these bits; `None` where there are more than 24.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits <= Self::HIGHEST { Some(Self(bits)) } else { None }
    }

    /// The number that this is the scope of; `None` where it is an environment's.
    pub(crate) fn number(self) -> Option<NumberSlot> {
        NumberSlot::new(self.0 as usize)
    }

    /// The environment that this is the scope of; `None` where it is a number's.
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
        // From the top down, so that numbers stay dense from zero and the two never meet.
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
    fn a_scope_is_a_numbers_or_an_environments() {
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
