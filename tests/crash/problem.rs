//! The problems that a judge can find.

use std::fmt;

#[derive(Clone, Debug)]
pub(super) enum Problem {
    /// The store does not open, or cannot be read.
    Refused(String),
    /// The store's content is not a prefix of the batches.
    NoPrefix,
    Lost {
        held: u64,
        acknowledged: u64,
    },
    Invented {
        held: u64,
        begun: u64,
    },
    /// It opened, but a change committed then was missing the next time.
    NotContinued(String),
    /// The next purge failed, or left data that it should have removed.
    NotPurged(String),
    /// Something claims to be complete that is not.
    Incomplete(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the store is refused: {why}"),
            Self::NoPrefix => f.write_str("the store holds something other than the first so many batches"),
            Self::Lost { held, acknowledged } => {
                write!(f, "lost: batch {acknowledged} was acknowledged, and the store holds {held}")
            }
            Self::Invented { held, begun } => {
                write!(f, "invented: {begun} batches were begun, and the store holds {held}")
            }
            Self::NotContinued(why) => write!(f, "the store does not go on: {why}"),
            Self::NotPurged(why) => write!(f, "the next purge: {why}"),
            Self::Incomplete(what) => write!(f, "it claims to be complete and is not: {what}"),
        }
    }
}
