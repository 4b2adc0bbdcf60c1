//! Writing an export: all stored data as it was after one commit.

use super::line::{End, Exported, ExportedCall, ExportedErasure, ExportedKnown, Line, VERSION, read_call};
use super::salvage;
use crate::event::Call;
use crate::history::LastCall;
use crate::plan::Plan;
use crate::store::StoreError;
use crate::store::calls::{CallKey, CallValue};
use crate::store::fjall::shared::Shared;
use crate::store::records::hex::hex;
use crate::store::records::keys::{unpack_pair, unpack_scope};
use crate::store::records::register::{read_pseudonym, read_register};
use fjall::Readable;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, Weak};

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
            salvage::each(keyspaces, &snapshot, &keyspaces.contexts, salvage, &mut |key, value| {
                self.known(key, value)
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

    /// Returns whether the record belongs to a deleted environment, and is to be removed with the next purge.
    fn is_retired(&self, key: &[u8]) -> bool {
        let scope = key.first_chunk().and_then(|scope| unpack_scope(*scope));
        scope.is_some_and(|scope| self.plan.is_retired(scope))
    }

    fn register(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.is_retired(key) {
            return Ok(());
        }
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
        let environment = self.plan.environment_id_of(number.environment)?;
        let (from, agent) = (number.number?, self.plan.agent_entry(source)?.id);
        let call = Call { environment, agent, from, to: contact, at, outcome };
        let leads_back = read_call(&self.plan, &call) == Some((scope, register));
        leads_back.then_some(ExportedCall { environment, number: from, contact, at, outcome, agent })
    }

    fn known(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.is_retired(key) {
            return Ok(());
        }
        let read = CallKey::from_bytes(key).zip(CallValue::from_bytes(value));
        match read.and_then(|(key, value)| ExportedKnown::of(&self.plan, &key, &value)) {
            Some(known) => {
                self.out.write(&Line::Known { known })?;
                self.exported.known += 1;
            }
            None => self.pass_over("an invalid call with an id or a context")?,
        }
        Ok(())
    }

    fn erasure(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.is_retired(key) {
            return Ok(());
        }
        let read = || {
            let (scope, pseudonym) = read_pseudonym(key)?;
            let LastCall::Erased { until, is_ahead } = read_register(value)?.read() else { return None };
            let environment = self.plan.environment_id_of(scope.environment()?)?;
            Some(ExportedErasure { environment, pseudonym: hex(&pseudonym), until, is_ahead })
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
