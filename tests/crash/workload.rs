//! The workload, which depends on the seed only: small batches and batches of many sectors, new and old pairs,
//! configurations, restarts and purges. The engine's tables are small, so that it flushes and compacts all the time.

use super::diary::Diary;
use super::disk::Disk;
use super::record::Record;
use super::recording;
use crate::support::random::Random;
use dialback::history::Register;
use dialback::slot::{AgentSlot, EnvironmentSlot, Scope};
use dialback::store::{Batch, Entry, EventStore, FjallStore, StoreError};
use dialback::{Change, Configuration, DialPlan, E164, EnvironmentId, Lookback, Outcome, Timestamp};
use std::path::Path;

const VARIABLE: &str = "DIALBACK_CRASH_WORKLOAD";

#[derive(Clone)]
pub(super) struct Workload {
    pub(super) seed: u64,
    /// The number of the first batch.
    pub(super) first: u64,
    pub(super) batches: u64,
    /// The number of batches after which the store is closed and opened again.
    pub(super) reopen_every: u64,
    /// The number of batches after which it is purged.
    pub(super) purge_every: u64,
}

impl Workload {
    fn to_text(&self) -> String {
        let Self { seed, first, batches, reopen_every, purge_every } = self;
        format!("{seed} {first} {batches} {reopen_every} {purge_every}")
    }

    fn from_text(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [seed, first, batches, reopen_every, purge_every] = numbers[..] else { panic!("five numbers") };
        Self { seed, first, batches, reopen_every, purge_every }
    }

    /// Runs the workload in a separate process, in a directory that holds `before`. Returns its record.
    pub(super) fn run(&self, before: &Disk) -> Record {
        recording::record(before, 0, |_| {
            let mut process = recording::child("workload::run_in_this_process");
            process.env(VARIABLE, self.to_text());
            process
        })
    }

    pub(super) fn last(&self) -> u64 {
        self.first + self.batches - 1
    }
}

/// Returns the batch with this number. Each batch changes something that no earlier one did.
pub(super) fn batch(seed: u64, number: u64) -> Batch {
    let mut random = Random::new(seed, number);
    let mut batch = Batch::default();
    if is_configuration(number) {
        batch.configurations.push(configuration(&mut random, number / CONFIGURATION_EVERY + 1));
    }
    let pairs = match random.below(12) {
        0 if random.is_one_in(2) => 200,
        0..3 => 8 + random.below(30),
        _ => 1 + random.below(4),
    };
    let mut taken = std::collections::BTreeSet::new();
    for _ in 0..pairs {
        let (scope, index) = (random.below(2), random.below(150));
        if taken.insert((scope, index)) {
            let scope = Scope::from_bits(u32::try_from(scope).expect("small")).expect("a scope");
            let contact = contact(index);
            let at = Timestamp::from_secs(1_700_000_000 + number);
            let source = AgentSlot::new(random.below(1000)).expect("a slot");
            batch.registers.push((scope, contact, Register::call(at, Outcome::Busy, source)));
        }
    }
    if number.is_multiple_of(3) {
        detail(&mut random, number, &mut batch);
    }
    if number.is_multiple_of(5) {
        erase(&mut random, number, &mut batch);
    }
    if number.is_multiple_of(4) {
        let old =
            Register::call(Timestamp::from_secs(FLOOR - number), Outcome::Busy, AgentSlot::new(0).expect("a slot"));
        batch.registers.push((Scope::from_bits(0).expect("a scope"), expired_contact(number), old));
    }
    tell(&mut random, number, &mut batch);
    batch
}

/// Adds fleet state to a batch, as the service does: an outbox entry and the node's place.
fn tell(random: &mut Random, number: u64, batch: &mut Batch) {
    let len = if random.is_one_in(8) { 2000 } else { random.below(200) };
    batch.outbox.push(Entry { number, events: vec![u8::try_from(number % 251).expect("small"); len] });
    batch.published = number.checked_sub(4).filter(|_| number.is_multiple_of(3));
    batch.place = Some(number.to_be_bytes().to_vec()).filter(|_| !number.is_multiple_of(4));
    batch.can_wait = !is_configuration(number) && number % 4 == 2;
    if number.is_multiple_of(10) {
        batch.pseudonyms.keys.push([u8::try_from(number / 10 % 3).expect("small"); 32]);
    }
}

/// Adds an erasure of a contact to a batch, as the service does: for the environment and for each number.
fn erase(random: &mut Random, number: u64, batch: &mut Batch) {
    let index = random.below(ERASED);
    let contact = contact(index);
    let until = Register::erasure(Timestamp::from_secs(1_700_000_000 + number));
    batch.registers.retain(|(_, other, _)| *other != contact);
    let [call, id] = [call_of(index).0, id_of(index).0];
    batch.calls.calls.retain(|(key, _)| *key != call);
    batch.calls.ids.retain(|(key, _)| *key != id);
    batch.calls.calls.push((call, None));
    batch.calls.ids.push((id, None));
    batch.registers.push((environment(), contact, until));
    batch.registers.extend((0..2).map(|scope| (Scope::from_bits(scope).expect("a scope"), contact, until)));
}

/// Adds a report with an id and a context to a batch: of a new call, or of one that is known.
fn detail(random: &mut Random, number: u64, batch: &mut Batch) {
    let index = random.below(ERASED);
    let ((call, mut value), (id, place)) = (call_of(index), id_of(index));
    let len = if random.is_one_in(4) { 4000 } else { random.below(300) };
    value.extend(format!("{{\"batch\":{number},\"text\":\"{}\"}}", "x".repeat(len)).into_bytes());
    batch.calls.calls.push((call, Some(value)));
    batch.calls.ids.push((id, Some(place)));
}

/// Returns the key of the call with an id to this contact, and its value without the text of the context.
pub(super) fn call_of(index: usize) -> (Vec<u8>, Vec<u8>) {
    let at = Timestamp::from_secs(1_700_000_000 + index as u64).millis().to_be_bytes();
    let (scope, contact) = (environment().bits().to_be_bytes(), contact(index).code().to_be_bytes());
    let id = format!("call-{index}");
    let key = [&scope[1..], &contact[1..], &[0; 3], &at[2..], &[0; 3], id.as_bytes()].concat();
    (key, [&[Outcome::Busy.code()], &at[2..]].concat())
}

/// Returns the key and the value of that call's id.
pub(super) fn id_of(index: usize) -> (Vec<u8>, Vec<u8>) {
    let (call, _) = call_of(index);
    ([&call[..3], &call[22..]].concat(), call[3..19].to_vec())
}

/// Returns a contact. Contacts are far apart, so that a search for one does not find another.
pub(super) fn contact(index: usize) -> E164 {
    E164::from_code(493_000_000_000 + index as u64 * 1_000_003).expect("a code")
}

/// Returns a contact whose only call has expired when it is written.
fn expired_contact(number: u64) -> E164 {
    E164::from_code(336_000_000_000 + number * 1_000_003).expect("a code")
}

/// Returns the contacts whose only call has expired, of more batches than any workload has.
pub(super) fn expired_contacts() -> impl Iterator<Item = E164> {
    (0..2000).step_by(4).map(expired_contact)
}

/// The expiry floor, in seconds since 1970.
const FLOOR: u64 = 1_600_000_000;

pub(super) fn floor() -> Register {
    Register::floor(Timestamp::from_secs(FLOOR))
}

/// Returns whether a purge may remove this register.
pub(super) fn is_expired(register: Register) -> bool {
    register.bits() < floor().bits()
}

/// Returns the scope of the first environment.
pub(super) fn environment() -> Scope {
    EnvironmentSlot::new(0).expect("a slot").into()
}

/// The number of contacts that may be erased.
pub(super) const ERASED: usize = 12;

const CONFIGURATION_EVERY: u64 = 9;

fn is_configuration(number: u64) -> bool {
    number == 1 || number.is_multiple_of(CONFIGURATION_EVERY)
}

/// Returns a configuration with a name that is sometimes longer than the engine's compression threshold.
fn configuration(random: &mut Random, sequence: u64) -> Configuration {
    let len = if random.is_one_in(4) { 3000 + random.below(6000) } else { random.below(700) };
    let letter = |random: &mut Random| char::from(b'a' + u8::try_from(random.below(26)).expect("small"));
    let name: String = (0..len).map(|_| letter(random)).collect();
    let change = Change::EnvironmentSet { name, dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let at = Timestamp::from_secs(1_700_000_000 + sequence);
    Configuration::new(sequence, EnvironmentId::from_u128(1), at, vec![change])
}

pub(super) fn open(path: &Path) -> Result<FjallStore, StoreError> {
    FjallStore::open_with_small_tables(path, 3000)
}

/// Not a test by itself: the child process that is recorded.
#[test]
#[ignore = "other tests run it in a child process"]
fn run_in_this_process() {
    let Ok(text) = std::env::var(VARIABLE) else { return };
    let root = recording::root().expect("a root");
    let workload = Workload::from_text(&text);
    let path = root.join("data");
    let mut store = open(&path).expect("it opens");
    let mut diary = Diary::begin(&root);
    for number in workload.first..=workload.last() {
        let batch = batch(workload.seed, number);
        diary.begun(number);
        store.commit(&batch).expect("it is durable");
        // A batch that can wait is not acknowledged by itself. The next acknowledgement covers it.
        if !batch.can_wait {
            diary.acknowledged(number);
        }
        if number.is_multiple_of(5) {
            // Let the engine's own threads run.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if number.is_multiple_of(workload.purge_every) {
            store.upkeep().purge(Some(floor()), Timestamp::from_secs(1_700_000_000)).expect("purged");
        }
        if number.is_multiple_of(workload.reopen_every) {
            drop(store);
            store = open(&path).expect("it opens");
        }
    }
    drop(store);
}
