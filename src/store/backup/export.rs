//! Exports: all stored data as lines of JSON. `dialback export` writes them and `dialback import` reads them.
//!
//! ```text
//! {"dialback_export":1,"pseudonym_key":"…"}
//! {"configuration":{"sequence":1,"environment":"…","at":…,"changes":[…]}}
//! {"call":{"environment":"…","number":"+…","contact":"+…","at":…,"outcome":"busy","agent":"…"}}
//! {"erasure":{"environment":"…","pseudonym":"…","until":…}}
//! {"end":{"configurations":1,"calls":1,"erasures":1,"passed_over":0,"sha256":"…"}}
//! ```
//!
//! The lines are in this order:
//!
//! 1. The header. A node of a fleet also lists the keys of other nodes' pseudonyms (`"foreign_keys":["…"]`).
//! 2. All configurations, in the order of their sequence. Later lines name environments, numbers and agents, never
//!    slots. The configurations assign each of them its old slot.
//! 3. The last call of each pair, in the order of their slots and contacts.
//! 4. The erasures. Their pseudonyms use the keys of the header.
//! 5. The end, with the SHA-256 of all lines before it. An export without this line, or with another digest, is
//!    incomplete.
//!
//! Times are milliseconds since 1970. An export contains no statistics, no outbox and no place in a stream.
//!
//! Equal states have equal exports, byte for byte, and importing an export restores the state that was exported.

use super::salvage;
use crate::event::{Call, Configuration};
use crate::history::{LastCall, Register};
use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::slot::Scope;
use crate::store::StoreError;
use crate::store::fjall::keyspaces::read_register;
use crate::store::fjall::store::Shared;
use crate::store::records::keys::{unpack_pair, unpack_scope};
use crate::time::Timestamp;
use fjall::Readable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, Weak};

/// The export version that is written, and the newest that is read.
pub(in crate::store) const VERSION: u64 = 1;

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(in crate::store) enum Line {
    Header {
        dialback_export: u64,
        pseudonym_key: String,
        /// The keys of other fleet nodes, under which some of the pseudonyms were made.
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
pub(in crate::store) struct ExportedCall {
    pub(in crate::store) environment: EnvironmentId,
    #[serde(with = "crate::number::serde_text")]
    pub(in crate::store) number: E164,
    #[serde(with = "crate::number::serde_text")]
    pub(in crate::store) contact: E164,
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) outcome: Outcome,
    pub(in crate::store) agent: AgentId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct ExportedErasure {
    pub(in crate::store) environment: EnvironmentId,
    pub(in crate::store) pseudonym: String,
    pub(in crate::store) until: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct End {
    #[serde(flatten)]
    pub(in crate::store) exported: Exported,
    pub(in crate::store) sha256: String,
}

/// The numbers of exported or imported records.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exported {
    /// Configurations.
    pub configurations: u64,
    /// Pairs, each with its last call.
    pub calls: u64,
    /// Erasures that have not expired.
    pub erasures: u64,
    /// Damaged records, or ranges of them, that could not be exported and were skipped.
    pub passed_over: u64,
}

/// Exports a store from another thread than the committer's. Fails if the store has been closed.
#[derive(Clone)]
pub struct Exporter(Weak<Shared>);

impl Exporter {
    pub(in crate::store) fn new(store: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(store))
    }

    /// Writes all stored data as it was after one commit. Other threads can commit meanwhile. With `salvage`, damaged
    /// records are skipped and counted; otherwise the first one is an error.
    ///
    /// # Errors
    /// A record that cannot be read, or an error of `out`.
    pub fn export(&self, out: &mut dyn Write, salvage: bool) -> Result<Exported, StoreError> {
        let gone = || StoreError::Engine("the store has been closed".into());
        let store = self.0.upgrade().ok_or_else(gone)?;
        // A purge would leave data on the disk that this snapshot still reads, and not remove it later.
        let _no_purge = store.purging.read().unwrap_or_else(PoisonError::into_inner);
        Export::begin(&store, out, salvage)?.run()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// An export in progress.
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

    /// Exports the configurations. A missing one cannot be skipped, because later ones would get wrong slots.
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
            None => self.pass_over("an invalid register")?,
        }
        Ok(())
    }

    /// Returns the call of a register, if importing it would give the same register again.
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
            None => self.pass_over("an invalid erasure")?,
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

/// Returns the scope and the register of a call that was recorded.
pub(in crate::store) fn read_call(plan: &Plan, call: &Call) -> Option<(Scope, Register)> {
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

pub(in crate::store) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("four bits");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// Returns the bytes of a hexadecimal text, or `None` if its length or a digit is wrong.
pub(in crate::store) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}
