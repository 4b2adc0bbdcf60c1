//! Restoring a data directory from an export.

use super::line::{Exported, ExportedCall, ExportedErasure, ExportedKnown, Line, VERSION, read_call};
use crate::event::Call;
use crate::history::Register;
use crate::plan::Plan;
use crate::slot::Scope;
use crate::store::calls::{CallKey, CallValue, Place, id_key};
use crate::store::fjall::store::FjallStore;
use crate::store::records::hex::{hex, unhex};
use crate::store::records::pseudonym::PseudonymKey;
use crate::store::records::register::{pseudonym_key, register_value};
use crate::store::{Batch, Durability, EventStore, Pseudonyms, StoreError};
use fjall::PersistMode;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// The number of records that are written together.
const AT_ONCE: usize = 4096;
/// The number of calls with an id or a context that are written together: up to 2 MiB.
const KNOWN_AT_ONCE: usize = 512;

/// Creates a data directory from an export. The directory must not exist or must be empty. If this fails, a directory
/// that did not exist is removed. Another one is left incomplete, and the next attempt creates it again.
///
/// # Errors
/// [`StoreError::Exists`] if there is a data directory already. Other errors name the line of the export.
pub fn restore(path: impl AsRef<Path>, mut source: impl BufRead) -> Result<Exported, StoreError> {
    let path = path.as_ref();
    let is_new = !path.exists();
    let mut reading = Reading::default();
    let (key, foreign_keys) = match reading.next(&mut source)? {
        Some(Line::Header { dialback_export, .. }) if dialback_export > VERSION => {
            return Err(StoreError::Newer { path: "the export".into(), found: dialback_export, known: VERSION });
        }
        Some(Line::Header { pseudonym_key, foreign_keys, .. }) => {
            let foreign: Option<Vec<_>> = foreign_keys.iter().map(|key| unhex(key)).collect();
            unhex(&pseudonym_key)
                .zip(foreign)
                .ok_or_else(|| reading.wrong("the pseudonym key or a foreign key is invalid"))?
        }
        _ => {
            return Err(
                reading.wrong("this is not the first line of an export: name a file that `dialback export` wrote")
            );
        }
    };
    let store = FjallStore::make(path, PseudonymKey::from_bytes(key))?;
    // Synced only once, before the directory is marked as complete.
    let mut restoring = Restoring {
        store: store.with_durability(Durability::Buffered),
        plan: Plan::new(),
        batch: Batch { pseudonyms: Pseudonyms { keys: foreign_keys, erasures: Vec::new() }, ..Batch::default() },
        erasures: Vec::new(),
        ids: BTreeMap::new(),
        last_known: None,
        restored: Exported::default(),
    };
    let restored = restoring.read(&mut reading, &mut source);
    if restored.is_err() && is_new && !restoring.store.shared().directory.is_marked() {
        drop(restoring);
        // If it cannot be removed, the next attempt creates it again.
        let _ = std::fs::remove_dir_all(path);
    }
    restored
}

/// Reads the lines of an export, and counts and hashes them.
#[derive(Default)]
struct Reading {
    number: u64,
    line: Vec<u8>,
    digest: Sha256,
}

impl Reading {
    fn next(&mut self, source: &mut impl BufRead) -> Result<Option<Line>, StoreError> {
        self.number += 1;
        self.line.clear();
        let read = source.read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| StoreError::Io { path: "the export".into(), error })?;
        if read == 0 {
            return Ok(None);
        }
        self.digest.update(&self.line);
        // The parser's error could quote its input.
        serde_json::from_slice(&self.line).map(Some).map_err(|_| self.wrong("not a valid line of an export"))
    }

    fn wrong(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: "the export".into(), what: format!("line {}: {what}", self.number) }
    }
}

struct Restoring {
    store: FjallStore,
    plan: Plan,
    batch: Batch,
    /// The keys and registers of erasures that wait to be written.
    erasures: Vec<(Vec<u8>, Register)>,
    /// The ids of calls that wait to be written, and the places of their calls.
    ids: BTreeMap<Vec<u8>, Vec<Place>>,
    /// The last call with an id or a context.
    last_known: Option<(CallKey, CallValue)>,
    restored: Exported,
}

impl Restoring {
    /// Reads the lines after the first one.
    fn read(&mut self, reading: &mut Reading, source: &mut impl BufRead) -> Result<Exported, StoreError> {
        loop {
            let before = hex(&reading.digest.clone().finalize());
            match reading
                .next(source)?
                .ok_or_else(|| reading.wrong("the export ends before its last line: export it again"))?
            {
                Line::Header { .. } => return Err(reading.wrong("a second header")),
                Line::End { end } => {
                    let restored = Exported { passed_over: end.exported.passed_over, ..self.restored };
                    if end.sha256 != before || end.exported != restored || reading.next(source)?.is_some() {
                        return Err(
                            reading.wrong("the export was changed or damaged: its counts or its SHA-256 differ")
                        );
                    }
                    self.finish()?;
                    return Ok(restored);
                }
                line => self.take(line, reading)?,
            }
        }
    }

    fn take(&mut self, line: Line, reading: &Reading) -> Result<(), StoreError> {
        match line {
            Line::Configuration { configuration } => {
                if self.restored.calls + self.restored.known + self.restored.erasures > 0 {
                    return Err(StoreError::Disorder);
                }
                self.plan.advance(&configuration)?;
                self.batch.configurations.push(configuration);
                self.restored.configurations += 1;
            }
            Line::Call { call } => {
                self.call(&call)
                    .ok_or_else(|| reading.wrong("a call with an agent or a number that no configuration creates"))?;
                self.restored.calls += 1;
            }
            Line::Known { known } => {
                self.known(&known).ok_or_else(|| {
                    reading.wrong("an invalid call with an id or a context, or one with an agent or a number that no configuration creates")
                })?;
                self.restored.known += 1;
            }
            Line::Erasure { erasure } => {
                self.erasure(&erasure).ok_or_else(|| {
                    reading.wrong("an invalid erasure, or one in an environment that no configuration creates")
                })?;
                self.restored.erasures += 1;
            }
            Line::Header { .. } | Line::End { .. } => return Err(reading.wrong("this line is out of order")),
        }
        let waiting = self.batch.configurations.len() + self.batch.registers.len() + self.erasures.len();
        let is_long = self.batch.calls.calls.len() >= KNOWN_AT_ONCE;
        if waiting < AT_ONCE && !is_long { Ok(()) } else { self.write() }
    }

    fn call(&mut self, call: &ExportedCall) -> Option<()> {
        let ExportedCall { environment, number, contact, at, outcome, agent } = *call;
        let call = Call { environment, agent, from: number, to: contact, at, outcome };
        let (scope, register) = read_call(&self.plan, &call)?;
        self.batch.registers.push((scope, contact, register));
        Some(())
    }

    fn known(&mut self, known: &ExportedKnown) -> Option<()> {
        let (key, mut value) = known.read(&self.plan)?;
        // A node of a fleet has two records of a call that counts only since a later report. Their lines follow each other.
        if let Some((_, earlier)) = self.last_known.take().filter(|(last, _)| *last == key) {
            value.merge(earlier);
        }
        if let Some(id) = &key.id {
            self.ids.entry(id_key(key.environment, id)).or_default().push(Place::of(&key));
        }
        self.batch.calls.calls.push((key.to_bytes(), Some(value.to_bytes())));
        self.last_known = Some((key, value));
        Some(())
    }

    /// Adds the ids that wait to the batch. In a fleet, calls of several pairs can have one id.
    fn write_ids(&mut self) -> Result<(), StoreError> {
        let stored = self.store.calls();
        for (id, added) in std::mem::take(&mut self.ids) {
            let held = stored.as_ref().map_or(Ok(None), |stored| stored.id(&id))?;
            let mut places = held.and_then(|held| Place::read_all(&held)).unwrap_or_default();
            for place in added {
                // Lines of one pair are in the order of their times, so the latest time of an id is the one that stays.
                places.retain(|held| (held.contact, held.number) != (place.contact, place.number));
                places.push(place);
            }
            self.batch.calls.ids.push((id, Place::write_all(places)));
        }
        Ok(())
    }

    fn erasure(&mut self, erasure: &ExportedErasure) -> Option<()> {
        let environment = Scope::from(self.plan.environment_slot(erasure.environment)?);
        let key = pseudonym_key(environment, &unhex(&erasure.pseudonym)?);
        self.erasures.push((key, Register::erased(erasure.until, erasure.is_ahead)));
        Some(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.write_ids()?;
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.store.commit(&batch)?;
        }
        if self.erasures.is_empty() {
            return Ok(());
        }
        let keyspaces = &self.store.shared().keyspaces;
        let mut write = keyspaces.database.batch().durability(Some(PersistMode::Buffer));
        for (key, register) in self.erasures.drain(..) {
            write.insert(&keyspaces.erasures, key, register_value(register));
        }
        self.store.write(write, false)
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.write()?;
        self.store.sync()?;
        self.store.shared().directory.mark()
    }
}
