//! A store in memory that keeps everything a fleet's node needs, and outlives its service.

use crate::event::Configuration;
use crate::history::Register;
use crate::number::E164;
use crate::slot::{EnvironmentSlot, Scope};
use crate::store::calls::{contact_of, environment_of};
#[cfg(feature = "store")]
use crate::store::pseudonym_of;
use crate::store::{
    Batch, Entry, EventStore, Excerpt, Excerpts, FeedEnds, FeedPage, FeedQuery, NewEvent, NewRecord, Pseudonyms,
    RecordPage, RecordPlace, RecordQuery, StoreError, Stored, StoredCalls, StoredEvent, StoredFeed, StoredFleetState,
    StoredRecord, StoredRecords, StoredWebhooks, WebhookPart, WebhookValue, event_content,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps commits like the embedded store, including erasures under pseudonyms. Clones share their contents, so one
/// clone can go into a service and another can start the next service.
#[derive(Clone, Debug)]
pub struct LastingStore(Arc<Mutex<Kept>>);

/// Without the embedded store there is no digest, and no fleet to tell: the contact stands for itself.
#[cfg(not(feature = "store"))]
fn pseudonym_of(_key: &[u8; 32], _environment: Scope, contact: E164) -> [u8; 16] {
    u128::from(contact.code()).to_be_bytes()
}

#[derive(Clone, Default, Debug)]
struct Kept {
    configurations: Vec<Configuration>,
    registers: BTreeMap<(Scope, E164), Register>,
    erasures: BTreeMap<(Scope, [u8; 16]), Register>,
    keys: Vec<[u8; 32]>,
    records: BTreeMap<(Scope, RecordPlace), NewRecord>,
    /// The events of all environments, each with its number.
    events: Vec<(u64, NewEvent)>,
    webhooks: BTreeMap<(Scope, u128, bool), WebhookValue>,
    outbox: BTreeMap<u64, Vec<u8>>,
    /// The calls that are known by an id or a context, and their ids.
    calls: [BTreeMap<Vec<u8>, Vec<u8>>; 2],
    place: Option<Vec<u8>>,
    /// Whether committed batches lose their outbox entries: a planted bug.
    loses_outbox: bool,
    /// Whether no batch is synced: a planted bug.
    is_slack: bool,
    /// The contents before the first batch that is not synced yet.
    synced: Option<Box<Kept>>,
}

impl LastingStore {
    /// Creates an empty store that makes pseudonyms with this key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Arc::new(Mutex::new(Kept { keys: vec![key], ..Kept::default() })))
    }

    /// Plants a bug: the store acknowledges batches without storing their outbox entries.
    #[must_use]
    pub fn that_loses_its_outbox(self) -> Self {
        self.kept(|kept| kept.loses_outbox = true);
        self
    }

    /// Plants a bug: the store does not sync any batch.
    #[must_use]
    pub fn that_syncs_nothing(self) -> Self {
        self.kept(|kept| kept.is_slack = true);
        self
    }

    /// Returns the number of entries in the outbox.
    pub fn waiting(&self) -> usize {
        self.kept(|kept| kept.outbox.len())
    }

    /// Returns all configurations.
    pub fn configurations(&self) -> Vec<Configuration> {
        self.kept(|kept| kept.configurations.clone())
    }

    /// Returns a separate store with the least that a power failure can leave: all batches that need no sync are
    /// lost.
    #[must_use]
    pub fn after_a_power_failure(&self) -> Self {
        let left = self.kept(|kept| kept.synced.as_deref().unwrap_or(kept).clone());
        Self(Arc::new(Mutex::new(left)))
    }

    /// Ends the service of this store with `end`, as if its process were killed: a service that ends by itself syncs its
    /// store, and a killed one does not.
    pub fn kill(&self, end: impl FnOnce()) {
        let synced = self.kept(|kept| kept.synced.clone());
        end();
        self.kept(|kept| kept.synced = kept.synced.take().or(synced));
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn erasure(&self, environment: Scope, contact: E164) -> Option<Register> {
        let name = |key: &[u8; 32]| (environment, pseudonym_of(key, environment, contact));
        self.keys.iter().filter_map(|key| self.erasures.get(&name(key)).copied()).max()
    }

    /// Writes the records of a batch, whose erasures are written, and removes those of erased contacts.
    fn keep_records(&mut self, batch: &Batch) {
        for new in &batch.records {
            self.records.insert((new.environment, RecordPlace { at: new.at, id: new.id }), new.clone());
        }
        for (id, at) in &batch.record_answers {
            let decided = self.records.values_mut().find(|record| record.id == *id);
            decided.map(|record| record.answered.get_or_insert(*at));
        }
        let mut records = std::mem::take(&mut self.records);
        records.retain(|(environment, _), record| {
            let erasure = record.contact.and_then(|contact| self.erasure(*environment, contact));
            !erasure.and_then(Register::erased_until).is_some_and(|until| record.is_erased_until(until))
        });
        self.records = records;
    }
}

impl StoredFeed for LastingStore {
    fn is_empty(&self) -> bool {
        self.kept(|kept| kept.events.is_empty())
    }

    fn ends(&self, environment: Scope) -> Option<FeedEnds> {
        let last = self.kept(|kept| {
            kept.events.iter().rfind(|(_, event)| event.environment == environment).map_or(1, |(number, _)| *number)
        });
        Some(FeedEnds { last, readable: last, highest: u64::MAX - 1, ..FeedEnds::default() })
    }

    fn page(&self, query: &FeedQuery) -> Result<Option<FeedPage>, StoreError> {
        let FeedQuery { environment, after, kinds, limit, .. } = *query;
        Ok(Some(self.kept(|kept| {
            let mut page = FeedPage { reached: after.max(1), ..FeedPage::default() };
            let later = kept.events.iter().filter(|(number, new)| *number > after && new.environment == environment);
            for (number, new) in later {
                page.is_more = page.events.len() >= limit;
                if page.is_more {
                    break;
                }
                page.reached = *number;
                let erasure = new.contact.and_then(|contact| kept.erasure(environment, contact));
                let is_erased = erasure.and_then(Register::erased_until).is_some_and(|until| new.known_at <= until);
                if kinds.contains(new.kind) && !is_erased {
                    let content = event_content(new.kind, &new.text);
                    page.events.push(StoredEvent {
                        sequence: *number,
                        kind: new.kind,
                        at: new.at,
                        id: new.id,
                        content,
                    });
                }
            }
            page
        })))
    }
}

impl StoredRecords for LastingStore {
    fn is_empty(&self) -> bool {
        self.kept(|kept| kept.records.is_empty())
    }

    fn find(&self, id: u128) -> Result<Option<StoredRecord>, StoreError> {
        Ok(self.kept(|kept| kept.records.values().find(|record| record.id == id).map(read)))
    }

    fn page(&self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let RecordQuery { environment, contact, since, before } = *query;
        let first = RecordPlace { at: since, id: 0 };
        if first >= before {
            return Ok(RecordPage::default());
        }
        let is_of = |record: &&NewRecord| contact.is_none() || record.contact == contact;
        Ok(self.kept(|kept| {
            let held = kept.records.range((environment, first)..(environment, before)).rev();
            let mut records: Vec<_> = held.map(|(_, record)| record).filter(is_of).map(read).collect();
            let is_rest = records.len() > RecordPage::MAX_EXAMINED;
            records.truncate(RecordPage::MAX_EXAMINED);
            let rest = records.last().map(|last| last.place).filter(|_| is_rest);
            RecordPage { records, rest, ..RecordPage::default() }
        }))
    }
}

fn read(record: &NewRecord) -> StoredRecord {
    StoredRecord {
        place: RecordPlace { at: record.at, id: record.id },
        environment: record.environment,
        answered: record.answered,
        content: serde_json::from_slice(&record.text).ok(),
    }
}

impl EventStore for LastingStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.kept(|kept| {
            let synced = kept.synced.take();
            let can_wait = batch.can_wait || kept.is_slack;
            kept.synced = can_wait.then(|| synced.unwrap_or_else(|| Box::new(kept.clone())));
            for configuration in &batch.configurations {
                assert_eq!(configuration.sequence, kept.configurations.len() as u64 + 1, "configurations have no gaps");
                kept.configurations.push(configuration.clone());
            }
            let own = kept.keys[0];
            for (scope, contact, register) in &batch.registers {
                if scope.environment().is_some() {
                    kept.erasures.insert((*scope, pseudonym_of(&own, *scope, *contact)), *register);
                } else if register.is_erasure() {
                    kept.registers.remove(&(*scope, *contact));
                } else {
                    kept.registers.insert((*scope, *contact), *register);
                }
            }
            for (kept, changes) in kept.calls.iter_mut().zip([&batch.calls.calls, &batch.calls.ids]) {
                for (key, value) in changes {
                    match value {
                        Some(value) => kept.insert(key.clone(), value.clone()),
                        None => kept.remove(key),
                    };
                }
            }
            for (scope, name, register) in &batch.pseudonyms.erasures {
                let held = kept.erasures.entry((*scope, *name)).or_insert(*register);
                *held = (*held).max(*register);
            }
            kept.keep_records(batch);
            for new in &batch.events {
                let is_known =
                    |(_, held): &(u64, NewEvent)| new.id.is_some() && (held.kind, held.id) == (new.kind, new.id);
                if !kept.events.iter().any(is_known) {
                    kept.events.push((kept.events.len() as u64 + 2, new.clone()));
                }
            }
            for value in &batch.webhooks {
                let key = (value.environment, value.id, value.part == WebhookPart::Settings);
                kept.webhooks.insert(key, value.clone());
            }
            kept.webhooks.retain(|_, value| value.value.is_some());
            for key in &batch.pseudonyms.keys {
                if !kept.keys.contains(key) {
                    kept.keys.push(*key);
                }
            }
            if !kept.loses_outbox {
                kept.outbox.extend(batch.outbox.iter().map(|entry| (entry.number, entry.events.clone())));
            }
            if let Some(published) = batch.published {
                kept.outbox.retain(|number, _| *number > published);
            }
            kept.place = batch.place.clone().or(kept.place.take());
        });
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.kept(|kept| {
            if !kept.is_slack {
                kept.synced = None;
            }
        });
        Ok(())
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        let (configurations, registers) = self.kept(|kept| (kept.configurations.clone(), kept.registers.clone()));
        configurations.into_iter().try_for_each(|configuration| see(Stored::Configuration(configuration)))?;
        let pairs = registers.into_iter().map(|((scope, contact), register)| (scope, contact, register));
        see(Stored::Registers(pairs.collect()))
    }

    fn excerpts(&self) -> Option<Arc<Excerpts>> {
        let store = self.clone();
        Some(Arc::new(move |before, wanted| {
            Excerpt::read(before, |sequence| {
                let held = store.configuration(sequence)?;
                Ok((held.filter(|held| wanted.is_none_or(|wanted| held.environment == wanted)), 1))
            })
        }))
    }

    fn calls(&self) -> Option<Arc<dyn StoredCalls>> {
        Some(Arc::new(self.clone()))
    }

    fn records(&self) -> Option<Arc<dyn StoredRecords>> {
        Some(Arc::new(self.clone()))
    }

    fn feed(&self) -> Option<Arc<dyn StoredFeed>> {
        Some(Arc::new(self.clone()))
    }

    fn webhooks(&self) -> Option<Arc<dyn StoredWebhooks>> {
        Some(Arc::new(self.clone()))
    }

    fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        Some(Arc::new(self.clone()))
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        Ok(self.kept(|kept| kept.erasure(environment, contact)))
    }
}

impl StoredWebhooks for LastingStore {
    fn all(&self) -> Result<Vec<WebhookValue>, StoreError> {
        Ok(self.kept(|kept| kept.webhooks.values().cloned().collect()))
    }
}

impl StoredCalls for LastingStore {
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        let entries: Vec<_> = self.kept(|kept| {
            let from = kept.calls[0].range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
            from.map(|(key, value)| (key.clone(), value.clone())).collect()
        });
        // The lock is not held while `see` runs, which may use the store.
        let _ = entries.iter().all(|(key, value)| see(key, value));
        Ok(())
    }

    fn id(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept(|kept| kept.calls[1].get(key).cloned()))
    }

    fn bytes(&self, environment: EnvironmentSlot) -> u64 {
        self.kept(|kept| {
            let held = kept.calls[0].iter().filter(|(key, _)| environment_of(key) == Some(environment));
            held.map(|(key, value)| (key.len() + value.len()) as u64).sum()
        })
    }

    fn contacts(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError> {
        let contacts: Vec<_> = self.kept(|kept| kept.calls[0].keys().filter_map(|key| contact_of(key)).collect());
        for (environment, contact) in contacts {
            see(environment, contact);
        }
        Ok(())
    }
}

impl StoredFleetState for LastingStore {
    fn outbox(&self, after: u64, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.kept(|kept| {
            let (mut entries, mut len) = (Vec::new(), 0);
            for (number, events) in kept.outbox.range(after + 1..) {
                len += events.len();
                entries.push(Entry { number: *number, events: events.clone() });
                if len >= bytes {
                    break;
                }
            }
            entries
        }))
    }

    fn last_entry(&self) -> Result<u64, StoreError> {
        Ok(self.kept(|kept| kept.outbox.last_key_value().map_or(0, |(number, _)| *number)))
    }

    fn place(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept(|kept| kept.place.clone()))
    }

    fn configuration(&self, sequence: u64) -> Result<Option<Configuration>, StoreError> {
        let index = usize::try_from(sequence).ok().and_then(|sequence| sequence.checked_sub(1));
        Ok(self.kept(|kept| kept.configurations.get(index?).cloned()))
    }

    fn erasures(&self) -> Result<Pseudonyms, StoreError> {
        Ok(self.kept(|kept| {
            let erasures = kept.erasures.iter().map(|((scope, name), register)| (*scope, *name, *register));
            Pseudonyms { keys: kept.keys.clone(), erasures: erasures.collect() }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::slot::{AgentSlot, NumberSlot};
    use crate::time::Timestamp;

    /// Returns a store with a batch that can wait, and whether a power failure now loses the batch.
    fn waiting() -> (LastingStore, impl Fn(&LastingStore) -> bool) {
        let mut store = LastingStore::new([7; 32]);
        let (number, agent) = (NumberSlot::new(0).expect("a slot"), AgentSlot::FIRST);
        let contact = E164::from_code(49_000).expect("a code");
        let register = Register::call(Timestamp::from_secs(1_800_000_000), Outcome::Busy, agent);
        let registers = vec![(Scope::from(number), contact, register)];
        store.commit(&Batch { registers, can_wait: true, ..Batch::default() }).expect("in memory");
        (store, |store| store.after_a_power_failure().kept(|kept| kept.registers.is_empty()))
    }

    #[test]
    fn synced_batch_survives_a_power_failure() {
        let (mut store, is_lost) = waiting();
        assert!(is_lost(&store));
        store.sync().expect("in memory");
        assert!(!is_lost(&store));
    }

    #[test]
    fn killed_service_leaves_its_batches_unsynced() {
        let (store, is_lost) = waiting();
        let mut its = store.clone();
        store.kill(move || its.sync().expect("in memory"));
        assert!(is_lost(&store));
    }
}
