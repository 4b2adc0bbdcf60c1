//! A fingerprint of a store's content.

use super::workload::{contact, environment, id_of, is_expired};
use dialback::history::Register;
use dialback::slot::Scope;
use dialback::store::{Entry, EventStore, FjallStore, StoreError, Stored};
use dialback::tally::Tally;
use dialback::{Configuration, E164};
use std::sync::Mutex;
use xxhash_rust::xxh3::xxh3_128;

/// A fingerprint of a store's content, which does not depend on the order of the pairs.
#[derive(Default)]
pub(super) struct Print(pub(super) u128);

impl Print {
    pub(super) fn add_configuration(&mut self, configuration: &Configuration) {
        self.0 = self.0.wrapping_add(xxh3_128(&serde_json::to_vec(configuration).expect("text")));
    }

    pub(super) fn add(&mut self, scope: Scope, contact: E164, register: Register) {
        self.0 = self.0.wrapping_add(mix(scope, contact, register));
    }

    pub(super) fn remove(&mut self, scope: Scope, contact: E164, register: Register) {
        self.0 = self.0.wrapping_sub(mix(scope, contact, register));
    }

    pub(super) fn add_tally(&mut self, tally: &Tally) {
        self.add_bytes(b'T', 0, format!("{tally:?}").as_bytes());
    }

    pub(super) fn add_bytes(&mut self, what: u8, number: u64, bytes: &[u8]) {
        self.0 = self.0.wrapping_add(mix_bytes(what, number, bytes));
    }

    /// Adds an entry of a call with an id or a context, or of an id.
    pub(super) fn add_entry(&mut self, what: u8, key: &[u8], value: &[u8]) {
        self.add_bytes(what, key.len() as u64, &[key, value].concat());
    }

    pub(super) fn remove_entry(&mut self, what: u8, key: &[u8], value: &[u8]) {
        self.remove_bytes(what, key.len() as u64, &[key, value].concat());
    }

    /// Adds the calls with ids and contexts of the first `erased` contacts, and all others.
    fn add_calls(&mut self, store: &FjallStore, erased: usize) -> Result<(), StoreError> {
        let calls = store.calls().expect("this store keeps them");
        calls.each(&[], &mut |key, value| {
            self.add_entry(b'C', key, value);
            true
        })?;
        for (key, _) in (0..erased).map(id_of) {
            if let Some(value) = calls.id(&key)? {
                self.add_entry(b'I', &key, &value);
            }
        }
        Ok(())
    }

    pub(super) fn remove_bytes(&mut self, what: u8, number: u64, bytes: &[u8]) {
        self.0 = self.0.wrapping_sub(mix_bytes(what, number, bytes));
    }

    /// Adds the fleet state, without the directory's own random pseudonym key.
    fn add_fleet_state(&mut self, store: &FjallStore) -> Result<(), StoreError> {
        let fleet_state = store.fleet_state().expect("this store keeps it");
        for Entry { number, events } in fleet_state.outbox(0, usize::MAX)? {
            self.add_bytes(b'O', number, &events);
        }
        if let Some(place) = fleet_state.place()? {
            self.add_bytes(b'P', 0, &place);
        }
        fleet_state.erasures()?.keys[1..].iter().for_each(|key| self.add_bytes(b'K', 0, key));
        Ok(())
    }

    /// Returns the fingerprint of all data that the store returns. The first `erased` contacts may be erased.
    pub(super) fn of(store: &mut FjallStore, erased: usize) -> Result<Self, StoreError> {
        let print = Mutex::new(Self::default());
        store.recover(&|stored| {
            let mut print = print.lock().expect("no panic");
            match stored {
                Stored::Configuration(configuration) => print.add_configuration(&configuration),
                Stored::Registers(pairs) => {
                    for (scope, contact, register) in
                        pairs.into_iter().filter(|(_, _, register)| !is_expired(*register))
                    {
                        print.add(scope, contact, register);
                    }
                }
                Stored::Tally(tally) => print.add_tally(&tally),
                Stored::Answered(answered) => {
                    print.add_bytes(b'A', answered.number, &answered.day.index().to_be_bytes());
                }
            }
            Ok(())
        })?;
        let mut print = print.into_inner().expect("no panic");
        for contact in (0..erased).map(contact) {
            if let Some(until) = store.erasure(environment(), contact)? {
                print.add(environment(), contact, until);
            }
        }
        print.add_calls(store, erased)?;
        print.add_fleet_state(store)?;
        Ok(print)
    }
}

fn mix_bytes(what: u8, number: u64, bytes: &[u8]) -> u128 {
    xxh3_128(&[&[what][..], &number.to_be_bytes(), bytes].concat())
}

fn mix(scope: Scope, contact: E164, register: Register) -> u128 {
    let pair = u128::from(scope.bits()) << 64 | u128::from(contact.code());
    let mixed = pair.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) ^ u128::from(register.bits());
    let mixed = mixed.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645);
    (mixed ^ (mixed >> 64)).wrapping_mul(0xD1B5_4A32_D192_ED03_94D0_49BB_1331_11EB)
}
