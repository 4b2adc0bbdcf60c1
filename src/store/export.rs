//! All that is stored, as lines of JSON: what `dialback export` writes and `dialback import` reads.
//!
//! ```text
//! {"dialback_export":1,"pseudonym_key":"…"}
//! {"configuration":{"sequence":1,"environment":"…","at":…,"changes":[…]}}
//! {"call":{"environment":"…","number":"+…","contact":"+…","at":…,"outcome":"busy","agent":"…"}}
//! {"erasure":{"environment":"…","pseudonym":"…","until":…}}
//! {"end":{"configurations":1,"calls":1,"erasures":1,"passed_over":0,"sha256":"…"}}
//! ```
//!
//! Every configuration comes first, in the order of their sequence: the last calls behind them name environments, numbers and agents,
//! never slots, and the configurations give each the slot that it had. Then the last call of every pair, in the order of their slots
//! and contacts; then the erasures, with the key that their pseudonyms were made under. Times are milliseconds since 1970. The last
//! line has the SHA-256 of all before it: an export without one, or with another, is not whole. A node of a fleet names the keys of the
//! other nodes' pseudonyms that it has, too (`"foreign_keys":["…"]`); neither its outbox nor its place in the stream is exported.
//!
//! One state has one export, byte for byte, and an export makes the state that it was taken of.

use super::StoreError;
use super::fjall::Shared;
use super::keys::{unpack_pair, unpack_scope};
use super::keyspaces::read_register;
use super::salvage;
use crate::event::{Call, Configuration};
use crate::history::{LastCall, Register};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::slot::Scope;
use crate::time::Timestamp;
use fjall::Readable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, Weak};

/// The version of the lines that is written, and the newest that is read.
pub(super) const VERSION: u64 = 1;

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Line {
    Header {
        dialback_export: u64,
        pseudonym_key: String,
        /// Of other nodes of a fleet, under which some of the pseudonyms were made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        foreign_keys: Vec<String>,
    },
    Configuration {
        configuration: Configuration,
    },
    Call {
        call: ExportedCall,
    },
    Erasure {
        erasure: ExportedErasure,
    },
    End {
        end: End,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportedCall {
    pub(super) environment: EnvironmentId,
    #[serde(with = "crate::number::serde_text")]
    pub(super) number: E164,
    #[serde(with = "crate::number::serde_text")]
    pub(super) contact: E164,
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) agent: AgentId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportedErasure {
    pub(super) environment: EnvironmentId,
    pub(super) pseudonym: String,
    pub(super) until: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(super) struct End {
    #[serde(flatten)]
    pub(super) exported: Exported,
    pub(super) sha256: String,
}

/// How much was exported, or imported.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exported {
    /// Configurations.
    pub configurations: u64,
    /// Pairs, each with its last call.
    pub calls: u64,
    /// Erasures that have not expired.
    pub erasures: u64,
    /// Damaged records, or stretches of them, that could not be exported and were passed over.
    pub passed_over: u64,
}

/// Exports a store from another thread than the one that commits. Does nothing once the store is gone.
#[derive(Clone)]
pub struct Exporter(Weak<Shared>);

impl Exporter {
    pub(super) fn new(store: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(store))
    }

    /// Writes all that is stored as of one commit, while others go on committing. `salvage` passes over what is damaged, and counts
    /// it, where an error would be the end otherwise.
    ///
    /// # Errors
    /// What cannot be read, or what `out` says.
    pub fn export(&self, out: &mut dyn Write, salvage: bool) -> Result<Exported, StoreError> {
        let gone = || StoreError::Engine("the store has been closed".into());
        let store = self.0.upgrade().ok_or_else(gone)?;
        // A purge would leave behind for good what this still sees.
        let _no_purge = store.purging.read().unwrap_or_else(PoisonError::into_inner);
        Export::begin(&store, out, salvage)?.run()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// An export under way.
struct Export<'a> {
    store: &'a Shared,
    snapshot: fjall::Snapshot,
    out: Lines<'a>,
    plan: Plan,
    exported: Exported,
    salvage: bool,
}

impl<'a> Export<'a> {
    fn begin(store: &'a Shared, out: &'a mut dyn Write, salvage: bool) -> Result<Self, StoreError> {
        let mut out = Lines { out: io::BufWriter::with_capacity(1 << 16, out), digest: Sha256::new() };
        let foreign = store.foreign_keys.read().unwrap_or_else(PoisonError::into_inner);
        let foreign_keys = foreign.iter().map(|key| hex(key.bytes())).collect();
        drop(foreign);
        out.write(&Line::Header { dialback_export: VERSION, pseudonym_key: hex(store.key.bytes()), foreign_keys })?;
        let snapshot = store.keyspaces.database.snapshot();
        Ok(Self { store, snapshot, out, plan: Plan::new(), exported: Exported::default(), salvage })
    }

    fn run(mut self) -> Result<Exported, StoreError> {
        self.configurations()?;
        let keyspaces = &self.store.keyspaces;
        let (snapshot, salvage) = (self.snapshot.clone(), self.salvage);
        self.exported.passed_over +=
            salvage::each(keyspaces, &snapshot, &keyspaces.registers, salvage, &mut |key, value| {
                self.register(key, value)
            })?;
        self.exported.passed_over +=
            salvage::each(keyspaces, &snapshot, &keyspaces.erasures, salvage, &mut |key, value| {
                self.erasure(key, value)
            })?;
        let sha256 = hex(&self.out.digest.clone().finalize());
        self.out.write(&Line::End { end: End { exported: self.exported, sha256 } })?;
        self.out.out.flush().map_err(unwritable)?;
        Ok(self.exported)
    }

    /// A configuration that is missing cannot be passed over: what comes behind it would have other slots.
    fn configurations(&mut self) -> Result<(), StoreError> {
        let keyspaces = &self.store.keyspaces;
        for (item, expected) in self.snapshot.iter(&keyspaces.configurations).zip(1..) {
            let configuration = keyspaces.read_configuration(item, expected)?;
            self.plan.advance(&configuration)?;
            self.out.write(&Line::Configuration { configuration })?;
            self.exported.configurations += 1;
        }
        Ok(())
    }

    fn register(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        match self.call(key, value) {
            Some(call) => {
                self.out.write(&Line::Call { call })?;
                self.exported.calls += 1;
            }
            None => self.pass_over("a register that nobody wrote")?,
        }
        Ok(())
    }

    /// The call of a register, by the names that lead back to it.
    fn call(&self, key: &[u8], value: &[u8]) -> Option<ExportedCall> {
        let (scope, contact) = unpack_pair(key.try_into().ok()?)?;
        let register = read_register(value)?;
        let LastCall::Placed { at, outcome, source } = register.read() else { return None };
        let number = self.plan.number_entry(scope.number()?)?;
        let environment = self.plan.environment_id(number.environment);
        let (from, agent) = (number.number?, self.plan.agent_entry(source)?.id);
        let call = Call { environment, agent, from, to: contact, at, outcome };
        let leads_back = read_call(&self.plan, &call) == Some((scope, register));
        leads_back.then_some(ExportedCall { environment, number: from, contact, at, outcome, agent })
    }

    fn erasure(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let read = || {
            let (scope, pseudonym) = key.split_first_chunk()?;
            let environment = unpack_scope(*scope)?.environment()?;
            let LastCall::Erased { until } = read_register(value)?.read() else { return None };
            let environment = self.plan.environment_id_of(environment)?;
            (pseudonym.len() == 16).then(|| ExportedErasure { environment, pseudonym: hex(pseudonym), until })
        };
        match read() {
            Some(erasure) => {
                self.out.write(&Line::Erasure { erasure })?;
                self.exported.erasures += 1;
            }
            None => self.pass_over("an erasure that nobody wrote")?,
        }
        Ok(())
    }

    fn pass_over(&mut self, what: &str) -> Result<(), StoreError> {
        if !self.salvage {
            return Err(self.store.keyspaces.damaged(what));
        }
        self.exported.passed_over += 1;
        Ok(())
    }
}

/// The scope and the register of a call that is known to have been recorded.
pub(super) fn read_call(plan: &Plan, call: &Call) -> Option<(Scope, Register)> {
    let (_, number, agent) = plan.call_slots(call)?;
    Some((number.into(), Register::call(call.at, call.outcome, agent)))
}

struct Lines<'a> {
    out: io::BufWriter<&'a mut dyn Write>,
    digest: Sha256,
}

impl Lines<'_> {
    fn write(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).expect("a line has only text and integers");
        text.push(b'\n');
        self.digest.update(&text);
        self.out.write_all(&text).map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> StoreError {
    StoreError::Io { path: "the export".into(), error }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("four bits");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// As many bytes as there are digits for.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}
