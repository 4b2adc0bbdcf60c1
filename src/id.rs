//! Identities: UUIDs that cannot be taken for one another.

use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// The identity with these 128 bits.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// Reads a UUID (RFC 9562, with or without hyphens); `None` where the text is none.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// An agent: something that talks on calls.
    AgentId
}
id! {
    /// A number of ours as the control API names it. The number itself is an [`E164`](crate::E164).
    NumberId
}
id! {
    /// A tenant.
    EnvironmentId
}
id! {
    /// A token of the control API, as it is listed and revoked. The token's secret is not part of it.
    TokenId
}

impl EnvironmentId {
    /// The installation itself (the nil UUID): owns what belongs to no tenant, such as gateway and operator tokens.
    pub const SYSTEM: Self = Self(Uuid::nil());
}
