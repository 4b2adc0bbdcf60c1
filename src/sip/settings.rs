//! What an operator sets.

use super::Peers;
use crate::address::{AgentAddresses, Destination};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::time::Timestamp;
use ezk_sip_types::uri::SipUri;
use std::sync::Arc;

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is listened to.
    pub trust: Vec<Peers>,
    /// Where agents are reached: SIP addresses.
    pub contacts: AgentAddresses,
    /// What a call that goes to nobody is answered with.
    pub unrouted: Unrouted,
    /// Calls are answered from what is there while the service is still loading.
    pub serves_while_loading: bool,
}

impl Settings {
    /// Whether each of these is a SIP address once it is filled in.
    pub fn are_addresses(contacts: &AgentAddresses) -> bool {
        let (environment, agent) = (EnvironmentId::from_u128(0), AgentId::from_u128(0));
        let Ok(dialed) = E164::parse_international("+12125550100") else { return false };
        let example = Destination { environment, agent, dialed };
        contacts.templates().all(|template| template.fill(&example).parse::<SipUri>().is_ok())
    }
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
