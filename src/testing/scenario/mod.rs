//! Scenarios as data: the configuration, the outbound calls, the return calls, and the expected routes.
//!
//! Each file in `tests/data` holds several of them:
//!
//! ```toml
//! numbers = { main = "+15550100" }              # names for numbers of tenants
//! contacts = { ann = "+4930123456" }            # names for contacts
//!
//! [given]                                       # steps that scenarios share
//! shop = [
//!   { environment = { name = "acme" } },
//!   { number = { name = "main" } },
//!   { agent = { name = "sales", direction = "outbound" } },
//!   { calling = { agent = "sales", direction = "outbound", numbers = ["main"] } },
//!   { publish = "sales" },
//! ]
//!
//! [[scenario]]
//! name = "a contact without a call is unrouted"
//! given = ["shop"]
//! pair = [3, 4]                                 # optional: the neighbouring lines of the rule it distinguishes
//! steps = [
//!   { call = { by = "sales", from = "main", to = "ann", at = "2d ago", status = "busy" } },
//!   { route = { dialed = "main", caller = "+1555", reason = "NO_HISTORY" } },
//! ]
//! ```
//!
//! The names in a file stand for entities: agents, environments and number ids get the same UUIDs in every run. All
//! times are relative to the scenario's current time (`now`, `2d 1ms ago`, `in 1h`), because a program with its own
//! clock cannot be given a time. The steps are those of [`Step`]; each configuration step maps to one request of the
//! control API.

mod door;
mod file;
mod library;
mod run;
mod span;

pub use door::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer};
pub use file::{File, RouteStep, Scenario, Step};
pub use library::{EngineDoor, ServiceDoor};
pub use run::run;

use crate::{AgentId, EnvironmentId, NumberId};

/// Returns the id of the agent with this name.
pub fn agent_id(name: &str) -> AgentId {
    AgentId::from_u128(uuid_bits("agent", name))
}

/// Returns the id of the environment with this name.
pub fn environment_id(name: &str) -> EnvironmentId {
    EnvironmentId::from_u128(uuid_bits("environment", name))
}

/// Returns the id of the number with this name.
pub fn number_id(name: &str) -> NumberId {
    NumberId::from_u128(uuid_bits("number", name))
}

/// Returns a UUID of version 8 (custom data) made from a name with 128-bit FNV-1a.
fn uuid_bits(kind: &str, name: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = kind.bytes().chain([0]).chain(name.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid().as_u128()
}
