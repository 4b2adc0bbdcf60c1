//! The settings of the SIP door.

use super::Peers;
use crate::id::{AgentId, EnvironmentId};
use crate::inbound::{AddressBook, AgentAddresses, ContextFields, ContextFieldsError, Destination};
use crate::number::E164;
use ezk_sip_types::uri::SipUri;

/// The settings of the SIP door.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The addresses that messages are accepted from.
    pub trust: Vec<Peers>,
    /// The SIP addresses at which agents are reached.
    pub contacts: AddressBook,
    /// The response to a call that has no agent to route to.
    pub unrouted: Unrouted,
    /// The field that the dialed number is read from.
    pub dialed_from: DialedFrom,
    /// Whether calls are answered from the state loaded so far, while the service is still loading.
    pub serves_while_loading: bool,
    /// The fields of a call's context that a redirect carries, each in a header of its own.
    pub context_fields: ContextFields,
}

impl Settings {
    /// Returns the fields of contexts with these names, which must be parts of headers' names.
    ///
    /// # Errors
    /// See [`ContextFields::new`].
    pub fn context_fields<S: AsRef<str>>(names: &[S]) -> Result<ContextFields, ContextFieldsError> {
        ContextFields::new(names, &['-', '.'])
    }

    /// Returns whether every template yields a valid SIP URI.
    pub fn are_addresses(contacts: &AgentAddresses) -> bool {
        let (environment, agent) = (EnvironmentId::from_u128(0), AgentId::from_u128(0));
        let Ok(dialed) = E164::parse_international("+12125550100") else { return false };
        let example = Destination { environment, agent, dialed };
        contacts.templates().all(|template| template.fill(&example).parse::<SipUri>().is_ok())
    }
}

/// The field of an INVITE that the dialed number is read from. If it has no number of the configuration, the
/// Request-URI is read.
///
/// A caller can write `To`, `Diversion` and `History-Info`. Read them only if the gateway sets them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum DialedFrom {
    /// The Request-URI.
    #[default]
    RequestUri,
    /// To, for trunks that send an account in the Request-URI.
    To,
    /// History-Info and Diversion: the oldest number of the configuration, for numbers that are forwarded to another.
    Diversion,
}

/// The response to a call that has no agent to route to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Unrouted {
    /// 404 Not Found: the number has no agent.
    #[default]
    NotFound,
    /// 480 Temporarily Unavailable: the number has no agent at the moment.
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
