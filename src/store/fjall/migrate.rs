//! Converting older formats to the current one.
//!
//! # Erasures: from formats 1 and 2 to format 3
//! Formats 1 and 2 kept erasures among the registers, with the erased numbers in clear: one under the environment's
//! scope, and one for each pair of the contact. Format 3 keeps the former under a pseudonym, and does not keep the
//! latter.
//!
//! # Statistics: from formats 4 and 5 to format 6
//! Formats 4 and 5 kept counts by tally slot. Format 6 keeps them by agents, because tally slots are reused.
//!
//! An interrupted conversion loses nothing. Each step moves some records in one batch, and the next attempt no longer
//! finds the moved ones. The directory gets its new format only after all records were moved.

use super::commits::Commits;
use super::shared::Shared;
use crate::store::StoreError;
use crate::store::records::earlier_tallies::EarlierTallies;
use crate::store::records::keys::pack_pair;
use crate::store::records::register::{erasure_key, read_pair, register_value};
use crate::store::records::tally_key;
use crate::time::Timestamp;
use fjall::PersistMode;

/// The number of records that are moved with one sync.
const AT_ONCE: usize = 4096;

pub(in crate::store) fn erasures(shared: &Shared, commits: &mut Commits) -> Result<(), StoreError> {
    let Shared { keyspaces, key, .. } = shared;
    // The files still contain the erased numbers until the first purge, so make the purge due at once.
    keyspaces.set_purged_at(Timestamp::from_millis(0))?;
    let begin = || keyspaces.database.batch().durability(Some(PersistMode::SyncAll));
    let mut write = begin();
    for item in keyspaces.registers.iter() {
        let (stored_key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let pair = read_pair(&stored_key, &value);
        let (scope, contact, register) = pair.ok_or_else(|| keyspaces.damaged("an invalid register"))?;
        if !register.is_erasure() {
            continue;
        }
        if scope.environment().is_some() {
            write.insert(&keyspaces.erasures, erasure_key(key, scope, contact), register_value(register));
        }
        write.remove(&keyspaces.registers, pack_pair(scope, contact));
        if write.len() >= AT_ONCE {
            commits.write(keyspaces, std::mem::replace(&mut write, begin()), true)?;
        }
    }
    if write.is_empty() { Ok(()) } else { commits.write(keyspaces, write, true) }
}

pub(in crate::store) fn tallies(shared: &Shared, commits: &mut Commits) -> Result<(), StoreError> {
    let keyspaces = &shared.keyspaces;
    let mut slots = EarlierTallies::default();
    for (item, expected) in keyspaces.configurations.iter().zip(1..) {
        slots.follow(&keyspaces.read_configuration(item, expected)?);
    }
    let begin = || keyspaces.database.batch().durability(Some(PersistMode::SyncAll));
    let mut write = begin();
    for item in keyspaces.statistics.prefix(tally_key::EARLIER) {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let tally = tally_key::read_earlier(&key, &value, |slot| slots.counted(slot));
        let tally = tally.ok_or_else(|| keyspaces.damaged("an invalid count"))?;
        write.insert(&keyspaces.statistics, tally_key::of_tally(&tally), tally_key::value(tally.count));
        write.remove(&keyspaces.statistics, key);
        if write.len() >= AT_ONCE {
            commits.write(keyspaces, std::mem::replace(&mut write, begin()), true)?;
        }
    }
    if write.is_empty() { Ok(()) } else { commits.write(keyspaces, write, true) }
}
