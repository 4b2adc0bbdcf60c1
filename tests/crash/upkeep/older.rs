//! Data directories of older formats, as older versions wrote them.

use super::shop::Shop;
use crate::print::Print;
use crate::workload::contact;
use dialback::store::pseudonym_of;
use dialback::tally::{Count, Counted, Tally};

use dialback::Day;
use dialback::slot::{AgentSlot, EnvironmentSlot};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use std::fs;
use std::path::Path;

/// The keyspaces, each with the first format that has it.
const KEYSPACES: [(&str, u64); 8] = [
    ("configurations", 1),
    ("registers", 1),
    ("commits", 2),
    ("erasures", 3),
    ("settings", 3),
    ("padding", 3),
    ("statistics", 4),
    ("outbox", 5),
];
/// Small, so that the engine flushes while it converts.
const TABLE_BYTES: u64 = 30_000;
const PSEUDONYM_KEY: [u8; 32] = [7; 32];
/// The outbox entry and the place of a fleet's node.
const ENTRY: &[u8] = b"an entry of the outbox";
const PLACE: &[u8] = b"a place in the stream";

/// A data directory of a format before the current one.
pub(super) struct Older {
    pub(super) format: u64,
    pub(super) shop: Shop,
    /// The days with statistics.
    pub(super) days: u32,
}

impl Older {
    /// Returns a small directory, which is converted in one batch. It has statistics if their keys are to be converted.
    pub(super) fn small(format: u64) -> Self {
        Self { format, shop: Shop { erased: 30, calls: 100 }, days: if matches!(format, 4 | 5) { 20 } else { 0 } }
    }

    /// Returns a directory with more records to convert than one batch converts.
    pub(super) fn large(format: u64) -> Self {
        let erased = if format < 3 { 1400 } else { 30 };
        Self { format, shop: Shop { erased, calls: 100 }, days: if format < 4 { 0 } else { 1100 } }
    }

    /// Returns the fingerprint of the converted directory.
    pub(super) fn print(&self) -> Print {
        let mut print = self.shop.print();
        self.tallies().for_each(|(_, tally)| print.add_tally(&tally));
        if self.format >= 5 {
            print.add_bytes(b'O', 1, ENTRY);
            print.add_bytes(b'P', 0, PLACE);
        }
        print
    }

    /// Returns the counts, each with its slot.
    fn tallies(&self) -> impl Iterator<Item = (u32, Tally)> {
        let environment = EnvironmentSlot::new(0).expect("a slot");
        let agent = |index| AgentSlot::new(index).expect("a slot");
        let slots = [(0, Counted::Unmatched), (1, Counted::Callbacks { agent: agent(1), source: agent(0) })];
        (0..self.days).flat_map(move |day| {
            slots.map(|(slot, counted)| {
                let count = Count { received: u64::from(day) + 5, answered: u64::from(slot) };
                (slot, Tally { environment, day: Day::from_index(20_000 + day), counted, count })
            })
        })
    }

    pub(super) fn write(&self, path: &Path) {
        fs::create_dir_all(path).expect("made");
        fs::write(path.join("lock"), "").expect("written");
        let database = Database::builder(path.join("store")).worker_threads(1).open().expect("it opens");
        let options = || KeyspaceCreateOptions::default().max_memtable_size(TABLE_BYTES);
        let has = |since: &u64| *since <= self.format;
        let keyspaces =
            KEYSPACES.map(|(name, since)| has(&since).then(|| database.keyspace(name, options).expect("made")));
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        self.add_to(&mut batch, keyspaces.each_ref().map(Option::as_ref));
        batch.commit().expect("written");
        drop((keyspaces, database));
        let marker = format!("{{\"format\":{}}}\n", self.format);
        fs::write(path.join("dialback.json"), marker).expect("written");
    }

    fn add_to(&self, batch: &mut OwnedWriteBatch, keyspaces: [Option<&Keyspace>; 8]) {
        let [configurations, registers, commits, erasures, settings, _, statistics, outbox] = keyspaces;
        let (configurations, registers) = (configurations.expect("made"), registers.expect("made"));
        let configuration = serde_json::to_vec(&Shop::configuration()).expect("JSON");
        batch.insert(configurations, 1_u64.to_be_bytes(), configuration);
        let forgotten = self.shop.forgotten().map(|index| (Shop::number(), contact(index), super::shop::until()));
        let in_clear = self.shop.erasures().chain(forgotten).filter(|_| self.format < 3);
        for (scope, contact, register) in self.shop.held().chain(in_clear) {
            let key = [&scope.bits().to_be_bytes()[1..], &contact.code().to_be_bytes()[1..]].concat();
            batch.insert(registers, key, register.bits().to_be_bytes());
        }
        if let (Some(erasures), Some(settings)) = (erasures, settings) {
            batch.insert(settings, "pseudonym_key", PSEUDONYM_KEY);
            for (scope, contact, register) in self.shop.erasures() {
                let name = pseudonym_of(&PSEUDONYM_KEY, scope, contact);
                let key = [&scope.bits().to_be_bytes()[1..], &name[..]].concat();
                batch.insert(erasures, key, register.bits().to_be_bytes());
            }
            if statistics.is_some() {
                batch.insert(settings, "decision_key", [5; 16]);
            }
            if let Some(outbox) = outbox {
                batch.insert(outbox, 1_u64.to_be_bytes(), ENTRY);
                batch.insert(settings, "place", PLACE);
            }
        }
        if let Some(statistics) = statistics {
            for (slot, Tally { day, count, .. }) in self.tallies() {
                let key = [&b"t"[..], &0_u32.to_be_bytes(), &day.index().to_be_bytes(), &slot.to_be_bytes()].concat();
                batch.insert(statistics, key, [count.received, count.answered].map(u64::to_be_bytes).concat());
            }
        }
        if let Some(commits) = commits {
            batch.insert(commits, "commit", [7_u64.to_be_bytes(), 6_u64.to_be_bytes()].concat());
        }
    }
}
