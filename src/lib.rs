//! Dialback: the call-routing engine for callbacks.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod decision;
pub mod engine;
mod event;
pub mod history;
mod id;
pub mod metrics;
mod number;
mod outcome;
pub mod plan;

pub mod service;
mod slot;
pub mod store;
mod sync;
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub mod testing;
mod time;

pub use decision::{Candidate, Decision, Reason, Route, Saw, SourceCall, Step, Trace};
pub use engine::{Applied, ApplyError, Engine, Reader};
pub use event::{Call, Change, Configuration, Direction, Erasure, Event, Role};
pub use history::History;
pub use id::{AgentId, EnvironmentId, NumberId, TokenId};
pub use number::{Caller, DialPlan, Digits, E164, NumberError};
pub use outcome::{Outcome, OutcomeSet};
pub use plan::{ConfigError, Plan};
pub use service::{Service, ServiceError};
pub use slot::{AgentSlot, EnvironmentSlot, NumberSlot, Scope};
pub use time::{Lookback, Timestamp};
