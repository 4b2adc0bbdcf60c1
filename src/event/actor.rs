//! The actor of a configuration: the token or the program that made the change.

use super::Role;
use crate::id::TokenId;
use crate::time::Timestamp;

/// The actor of a configuration.
///
/// An actor of a kind that this version does not know reads as [`Unknown`](Self::Unknown).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Actor {
    /// A client with a token of the control API.
    Token {
        /// The token.
        id: TokenId,
        /// The permissions of its holder.
        role: Role,
        /// Its label at the time of the change, for people.
        label: String,
    },
    /// A command of the program `dialback`, on the machine of the data directory.
    Command,
    /// An import, on the machine of the data directory.
    Import,
    /// The actor is not recorded: an earlier version made the change, or a program that embeds the library and does not
    /// name the actor.
    #[default]
    #[cfg_attr(feature = "serde", serde(other))]
    Unknown,
}

/// The moment and the actor of a change. A [`Timestamp`] alone stands for an unknown actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// When the change is made.
    pub at: Timestamp,
    /// The actor that makes it.
    pub actor: Actor,
}

impl Actor {
    /// The maximum number of characters of a label that [`shortened`](Self::shortened) keeps.
    pub const MAX_SHORT_LABEL: usize = 64;

    /// Returns the stamp of a change that this actor makes at a moment.
    pub fn at(self, at: Timestamp) -> Stamp {
        Stamp { at, actor: self }
    }

    /// Returns whether the actor is not recorded.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's `skip_serializing_if` calls")]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    /// Returns the actor with the beginning of its label, for places that hold one actor for each environment.
    #[must_use]
    pub fn shortened(&self) -> Self {
        match self {
            Self::Token { id, role, label } => {
                Self::Token { id: *id, role: *role, label: label.chars().take(Self::MAX_SHORT_LABEL).collect() }
            }
            other => other.clone(),
        }
    }
}

impl From<Timestamp> for Stamp {
    fn from(at: Timestamp) -> Self {
        Actor::Unknown.at(at)
    }
}
