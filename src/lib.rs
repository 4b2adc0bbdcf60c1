//! Dialback decides which agent takes a call that comes back.
//!
//! A contact was called by one of your outbound agents and calls the number back. [`Engine::resolve`] answers which inbound
//! agent should take the call: a pure function of the *plan* (the configuration), the *history* (the last outbound call of every
//! number to every contact), the dialed number, the caller and the time. It never fails, blocks on a change, allocates or
//! reads a clock. [`Engine::explain`] answers the same from the same code, with every line of the rule and what it saw.
//!
//! # What to use
//!
//! | you want | use |
//! | --- | --- |
//! | decisions inside your own gateway, state from elsewhere | [`Engine`]: [`configure`](Engine::configure), [`apply`](Engine::apply), [`resolve`](Engine::resolve) |
//! | the same, durable | [`Service`] over a [`store`] (feature `store`) |
//! | the control API inside your own program | `http::router` (feature `http`) |
//! | the same from C | `capi` (feature `capi`), `include/dialback.h` |
//! | the SIP redirect door inside your own program | `sip::Door` (feature `sip`) |
//! | several nodes that share one history | `fleet::Node` (feature `fleet`), `docs/fleet.md` |
//! | a daemon | the program `dialback` (feature `daemon`) |
//!
//! # Guarantees
//! * A decision reads one plan from beginning to end; it says which ([`Decision::generation`]).
//! * State is a fold of [`Event`]s. Calls and erasures converge whatever their order; a replayed event changes nothing.
//! * A configuration is validated whole and takes effect at once, or is refused and changes nothing.
//! * No `Debug`, `Display` or error of this crate holds a whole phone number; [`E164::digits`] and
//!   [`E164::to_plus_form`] are the doors.
//!
//! # Costs
//! A decision costs a few cache misses: the dialed number, the pair's register, and two or three small entries of the plan. Measure with
//! `cargo bench --bench resolve`. A change of configuration copies a few chunks of the plan, whatever its size. A pair takes
//! about 25 bytes of memory. See [`history`] for how, and `benches/README.md` for figures beside others'.
//!
//! # Features
//! None by default: no async runtime, no I/O. They only add: `serde`, `store`, `capi`, `http`, `sip`, `agi`, `fleet`, `nats`,
//! `daemon`.
#![deny(unsafe_code)]

mod address;
#[cfg(feature = "agi")]
pub mod agi;
#[cfg(feature = "capi")]
pub mod capi;
mod decision;
#[cfg(any(feature = "agi", feature = "http", feature = "sip"))]
#[cfg_attr(not(all(feature = "http", feature = "sip")), allow(dead_code, reason = "each door has its own use of it"))]
mod decision_id;
pub mod engine;
mod event;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod history;
#[cfg(feature = "http")]
pub mod http;
mod id;
pub mod metrics;
mod number;
mod outcome;
#[cfg(any(feature = "agi", feature = "sip"))]
mod peers;
pub mod plan;
pub mod service;
#[cfg(feature = "sip")]
pub mod sip;
mod slot;
pub mod store;
mod sync;
pub mod tally;
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub mod testing;
mod time;

pub use address::{AddressTemplate, AgentAddresses, Destination, TemplateError};
pub use decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step, Trace};
pub use engine::{Applied, ApplyError, Engine, Reader, Routed};
pub use event::{Answer, AnswerAbout, AnswerBody, Call, Change, Configuration, Direction, Erasure, Event, Role};
pub use history::History;
pub use id::{AgentId, EnvironmentId, NumberId, TokenId};
pub use number::{Caller, DialPlan, Digits, E164, NumberError};
pub use outcome::{Outcome, OutcomeSet};
#[cfg(any(feature = "agi", feature = "sip"))]
pub use peers::Peers;
pub use plan::{ConfigError, Plan};
pub use service::{Service, ServiceError, Statistics};
pub use slot::{AgentSlot, EnvironmentSlot, NumberSlot, Scope, TallySlot};
pub use time::{Day, Lookback, Timestamp};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
