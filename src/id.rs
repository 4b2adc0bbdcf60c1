//! Ids: one UUID type for each kind of entity, so that they cannot be confused.

use crate::named::NameError;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// Creates the id with these 128 bits.
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// Returns the 128 bits of the id.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            /// Reads a UUID (RFC 9562, with or without hyphens).
            fn from_str(text: &str) -> Result<Self, NameError> {
                Uuid::try_parse(text).map(Self).map_err(|_| NameError::new("an id: write a UUID"))
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
    /// The id of an agent, which places or takes calls.
    AgentId
}
id! {
    /// The id of a phone number in the control API. The phone number itself is an [`E164`](crate::E164).
    NumberId
}
id! {
    /// The id of an environment, which is a tenant.
    EnvironmentId
}
id! {
    /// The id of a token of the control API, for listing and revoking it. It does not contain the secret.
    TokenId
}

impl EnvironmentId {
    /// The installation itself (the nil UUID). It owns everything that belongs to no tenant, such as gateway and
    /// operator tokens.
    pub const SYSTEM: Self = Self(Uuid::nil());
}
