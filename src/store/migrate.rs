//! From older formats to this one.
//!
//! # Erasures: from formats 1 and 2 to format 3
//! They kept erasures among the registers, with the erased numbers in clear: one under the environment's scope, and one under
//! each number's that the contact had a pair with. Format 3 keeps the former under a pseudonym and the latter not at all.
//!
//! # Statistics: from formats 4 and 5 to format 6
//! They kept counts by the slot of a tally. Format 6 keeps them by agents, since slots of tallies are given again.
//!
//! Nothing is lost where this is cut short: each step moves some of them in one batch, and what has been moved is found no more by
//! the next attempt. The format is said to be the new one only when all are.

use super::StoreError;
use super::earlier_tallies::EarlierTallies;
use super::fjall::{FjallStore, Shared, erasure_key, read_pair};
use super::keys::pack_pair;
use super::purge::set_purged_at;
use super::tally_key;
use crate::time::Timestamp;
use fjall::PersistMode;
use std::sync::Arc;

/// Erasures that are moved with one sync.
const AT_ONCE: usize = 4096;

pub(super) fn erasures(store: &mut FjallStore) -> Result<(), StoreError> {
    let shared = Arc::clone(store.shared());
    let Shared { keyspaces, key, .. } = &*shared;
    // The erased numbers are in the files until the first purge, which is due at once.
    set_purged_at(keyspaces, Timestamp::from_millis(0))?;
    let begin = || keyspaces.database.batch().durability(Some(PersistMode::SyncAll));
    let mut write = begin();
    for item in keyspaces.registers.iter() {
        let (stored_key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let pair = read_pair(&stored_key, &value);
        let (scope, contact, register) = pair.ok_or_else(|| keyspaces.damaged("a register that nobody wrote"))?;
        if !register.is_erasure() {
            continue;
        }
        if scope.environment().is_some() {
            write.insert(&keyspaces.erasures, erasure_key(key, scope, contact), register.bits().to_be_bytes());
        }
        write.remove(&keyspaces.registers, pack_pair(scope, contact));
        if write.len() >= AT_ONCE {
            store.write(std::mem::replace(&mut write, begin()), false)?;
        }
    }
    if write.is_empty() { Ok(()) } else { store.write(write, false) }
}

pub(super) fn tallies(store: &mut FjallStore) -> Result<(), StoreError> {
    let shared = Arc::clone(store.shared());
    let Shared { keyspaces, .. } = &*shared;
    let mut slots = EarlierTallies::default();
    for (item, expected) in keyspaces.configurations.iter().zip(1..) {
        slots.follow(&keyspaces.read_configuration(item, expected)?);
    }
    let begin = || keyspaces.database.batch().durability(Some(PersistMode::SyncAll));
    let mut write = begin();
    for item in keyspaces.statistics.prefix(tally_key::EARLIER) {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let tally = tally_key::read_earlier(&key, &value, |slot| slots.counted(slot));
        let tally = tally.ok_or_else(|| keyspaces.damaged("a count that nobody wrote"))?;
        write.insert(&keyspaces.statistics, tally_key::of_tally(&tally), tally_key::value(tally.count));
        write.remove(&keyspaces.statistics, key);
        if write.len() >= AT_ONCE {
            store.write(std::mem::replace(&mut write, begin()), false)?;
        }
    }
    if write.is_empty() { Ok(()) } else { store.write(write, false) }
}
