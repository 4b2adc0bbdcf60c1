//! What an operator sets.

use super::{Contacts, Peers};
use crate::time::Timestamp;
use std::sync::Arc;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is listened to.
    pub trust: Vec<Peers>,
    /// Where agents are reached.
    pub contacts: Contacts,
    /// What a call that goes to nobody is answered with.
    pub unrouted: Unrouted,
    /// Calls are answered from what is there while the service is still loading.
    pub serves_while_loading: bool,
}

/// What a call that goes to nobody is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Unrouted {
    /// 404: there is nobody of this number.
    #[default]
    NotFound,
    /// 480: there is nobody now.
    Unavailable,
}

impl Unrouted {
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Unavailable => 480,
        }
    }
}
