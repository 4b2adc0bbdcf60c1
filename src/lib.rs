//! Dialback decides which agent takes a return call.
//!
//! One of your outbound agents called a contact, and now the contact calls that number back. [`Engine::resolve`]
//! returns the inbound agent that should take the call. It is a pure function of the *plan* (the configuration), the
//! *history* (the last outbound call from each number to each contact), the dialed number, the caller and the time.
//! It never fails, never waits for a change, never allocates and never reads a clock. [`Engine::explain`] runs the
//! same code and also returns each line of the rule that was tried, with what it found.
//!
//! # Choosing an interface
//!
//! | you want | use |
//! | --- | --- |
//! | decisions inside your own gateway, with state that you load yourself | [`Engine`]: [`configure`](Engine::configure), [`apply`](Engine::apply), [`resolve`](Engine::resolve) |
//! | decisions and a durable state | [`Service`] over a [`store`] (feature `store`) |
//! | the control API inside your own program | `http::router` (feature `http`) |
//! | a durable engine in C | `capi` (feature `capi`), `include/dialback.h` |
//! | the SIP redirect server inside your own program | `sip::Door` (feature `sip`) |
//! | several nodes with one shared history | `fleet::Node` (feature `fleet`), `docs/fleet.md` |
//! | a daemon | the program `dialback` (feature `daemon`) |
//!
//! # Guarantees
//! * A decision reads one plan only, and names it ([`Decision::generation`]).
//! * The state is a fold of [`Event`]s. Calls and erasures converge in any order. Applying an event twice changes
//!   nothing.
//! * A configuration is validated as a whole. It takes effect at once, or it is rejected and changes nothing.
//! * No `Debug`, `Display` or error of this crate contains a whole phone number. Only [`E164::digits`] and
//!   [`E164::to_plus_form`] reveal one.
//!
//! # Cost
//! A decision costs a few cache misses: the dialed number, the register of the (number, contact) pair, and two or
//! three small entries of the plan. Measure it with `cargo bench --bench resolve`. A configuration change copies a
//! few chunks of the plan, whatever the size of the plan. A pair takes about 25 bytes of memory. [`history`] explains
//! the data structure, and `benches/README.md` compares its figures with others'.
//!
//! # Features
//! No feature is on by default: no async runtime and no I/O. Each feature only adds to the library: `serde`, `store`,
//! `regions`, `capi`, `http`, `sip`, `fleet`, `nats`, `daemon`.
#![deny(unsafe_code)]

#[cfg(feature = "sip")]
pub mod admission;
#[cfg(feature = "sip")]
pub mod agi;
#[cfg(feature = "capi")]
pub mod capi;
mod decision;
#[cfg(feature = "serde")]
pub mod declaration;
pub mod engine;
mod event;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod history;
#[cfg(feature = "http")]
pub mod http;
mod id;
pub mod inbound;
pub mod metrics;
mod named;
mod number;
mod outcome;
pub mod plan;
mod record;
pub mod service;
#[cfg(feature = "sip")]
pub mod sip;
pub mod slot;
pub mod store;
mod sync;
pub mod tally;
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub mod testing;
mod time;

pub use decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step, Trace};
pub use engine::{Applied, ApplyError, Engine, Reader, Routed};
pub use event::{
    Actor, Call, CallId, Change, Configuration, Context, ContextError, Counted, Details, Direction, Erasure, Event,
    Joined, Names, Report, Role, Stamp, StoredAnswer, StoredAnswerBody, StoredAnswerSubject, Update,
};
pub use history::History;
pub use id::{AgentId, EnvironmentId, NumberId, TokenId};
#[cfg(any(feature = "http", feature = "sip", feature = "capi"))]
pub use inbound::CallReads;
pub use inbound::{AddressBook, AddressTemplate, AgentAddresses, Destination, TemplateError};
#[cfg(feature = "sip")]
pub use inbound::{ContextFields, ContextFieldsError, Peers};
pub use named::NameError;
pub use number::{Attestation, Caller, DialPlan, Digits, E164, NumberError, Written};
pub use outcome::{CountsFrom, Outcome, OutcomeSet};
pub use plan::{ConfigError, Plan};
pub use record::{DecisionRecord, RecordedAgent, RecordedCall, RecordedCandidate, RecordedDoor};
pub use service::{Service, ServiceError, Statistics};
pub use time::{Clock, Day, Lookback, TimeError, Timestamp};

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The example of the page about the library is tested.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
