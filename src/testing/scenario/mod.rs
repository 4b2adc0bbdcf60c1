//! Scenarios as data: what is configured, which calls went out, who calls back, and who should answer.
//!
//! A file of `tests/data` holds many of them:
//!
//! ```toml
//! numbers = { main = "+15550100" }              # names for numbers of ours
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
//! name = "a contact that nobody called reaches nobody"
//! given = ["shop"]
//! pair = [3, 4]                                 # optional: the neighbouring lines of the rule it tells apart
//! steps = [
//!   { call = { by = "sales", from = "main", to = "ann", at = "2d ago", status = "busy" } },
//!   { route = { dialed = "main", caller = "+1555", reason = "NO_HISTORY" } },
//! ]
//! ```
//!
//! All that a file names is a name: agents, environments and identities of numbers become the same UUIDs in every run, and all
//! times are told from the scenario's present (`now`, `2d 1ms ago`, `in 1h`), because a door with a clock of its own cannot be
//! told which time it is. The steps are those of [`Step`]; each maps to one request of the control API.

mod door;
mod file;
mod library;
mod run;
mod span;

pub use door::{Action, Answer, Door, Refusal, Report};
pub use file::{File, RouteStep, Scenario, Step};
pub use library::{EngineDoor, ServiceDoor};
pub use run::run;

use crate::{AgentId, EnvironmentId, NumberId};

/// The agent of this name.
pub fn agent_id(name: &str) -> AgentId {
    AgentId::from_u128(uuid_bits("agent", name))
}

/// The environment of this name.
pub fn environment_id(name: &str) -> EnvironmentId {
    EnvironmentId::from_u128(uuid_bits("environment", name))
}

/// The number identity of this name.
pub fn number_id(name: &str) -> NumberId {
    NumberId::from_u128(uuid_bits("number", name))
}

/// A UUID of version 8 (made as its maker likes) from a name: FNV-1a, 128 bits.
fn uuid_bits(kind: &str, name: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = kind.bytes().chain([0]).chain(name.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid().as_u128()
}
