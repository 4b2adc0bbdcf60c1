//! The one path of an inbound call: from the dialed and the calling text to a decision, its identity and the agent's
//! address.
//!
//! Each door (HTTP, SIP, FastAGI, C) reads its own protocol, goes through here, and writes its own answer:
//!
//! 1. [`Arrival::at`] or [`Arrival::read`] looks the dialed number up in one plan.
//! 2. [`Arrival::caller`] reads the caller by the dial plan of the environment that has the number, and withholds one
//!    whose attestation is too low. A door that reads the caller by itself calls [`Arrival::attested`].
//! 3. `Inbound::decide` decides, counts, and seals the decision's identity, under which a gateway later reports that the call
//!    connected. It also queues the decision's record.
//! 4. [`Arrival::destination`] names the agent, and [`AgentAddresses`] has the agent's address.
//!
//! 5. `CallReads` reads the id and the context of the call behind the decision, for a short time only.
//!
//! `Inbound` exists with the feature `http` or `sip`.

mod address;
mod arrival;
#[cfg(any(feature = "http", feature = "sip", feature = "capi"))]
mod call_reads;
#[cfg(feature = "sip")]
mod context_fields;
#[cfg(any(feature = "http", feature = "sip"))]
mod decision_id;
#[cfg(feature = "sip")]
mod peers;
#[cfg(any(feature = "http", feature = "sip"))]
mod router;

pub use address::{AddressBook, AddressTemplate, AgentAddresses, Destination, TemplateError};
pub use arrival::Arrival;
#[cfg(any(feature = "http", feature = "sip", feature = "capi"))]
pub use call_reads::CallReads;
#[cfg(feature = "sip")]
pub use context_fields::{ContextFields, ContextFieldsError};
#[cfg(any(feature = "http", feature = "sip"))]
pub use decision_id::{DecisionIds, Opened, Sealed};
#[cfg(feature = "sip")]
pub use peers::Peers;
#[cfg(feature = "sip")]
pub(crate) use router::CallToRead;
#[cfg(any(feature = "http", feature = "sip"))]
pub use router::Inbound;
