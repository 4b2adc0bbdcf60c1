//! Makes the storage engine begin a new journal and delete the old ones.
//!
//! The engine has no call for either. `docs/internals/purge.md` lists what this file relies on instead, and
//! `tests/store/service/engine.rs` checks each point against the engine's version in use.

use super::keyspaces::Keyspaces;
use crate::store::StoreError;
use crate::store::disk::journal;
use crate::store::disk::table_files;
use fjall::{Keyspace, PersistMode};
use std::thread;
use std::time::Duration;

/// The length of a journal at which the engine begins a new one with the next flush.
const JOURNAL_BYTES: usize = 64_000_000;
/// The amount of padding written at once. A commit waits for at most one such piece.
const PIECE: usize = 1 << 20;
/// The number of pieces between two checks whether the engine has begun a new journal. Each check clears the padding
/// first, so that the engine writes no table of it.
const PIECES_A_STEP: usize = 8;
/// The number of steps after which any journal is long enough.
const STEPS: usize = JOURNAL_BYTES.div_ceil(PIECE * PIECES_A_STEP) + 1;
/// The key of the padding, and of the removals that force a flush. No record has this key.
const NOTHING: [u8; 1] = [0];

/// How often all keyspaces are flushed to release the old journals. A background compaction may remove the table that
/// proves how far a keyspace was flushed, and commits continue meanwhile.
const ATTEMPTS: usize = 40;
/// How often each attempt checks whether the engine has deleted the old journals.
const LOOKS: usize = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// The number of checks after which all keyspaces are flushed again.
const LOOKS_A_FLUSH: usize = 5;
/// The number of checks after which a flush counts as stuck: ten minutes, because a compaction may run first on a
/// machine with one processor.
const FLUSH_LOOKS: usize = 60_000;
/// Checks before a reader counts as stuck: about ten minutes.
const READER_LOOKS: u32 = if cfg!(test) { 3 } else { 600 };
/// How often a keyspace is rewritten where a table stays.
const REWRITINGS: usize = 3;
/// Checks after which it is asked whether the engine has given up.
const LOOKS_A_QUESTION: usize = 50;

/// Makes the engine delete all journals that exist now. Can be repeated: it also deletes journals that an earlier
/// attempt or a killed process left behind.
pub(in crate::store) fn leave_journals(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    let last = journal::last_number(keyspaces.path())?;
    let now = keyspaces.database.seqno();
    begin_journal(keyspaces, last)?;
    for _ in 0..ATTEMPTS {
        flush(keyspaces)?;
        for _ in 0..LOOKS {
            if journal::first_number(keyspaces.path())? > last {
                return forget(keyspaces, now);
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }
    Err(StoreError::Engine("it does not delete an old journal".into()))
}

/// Rewrites these keyspaces whole, and makes the engine delete every table of theirs that exists now. Call this when no reader
/// looks at a state from before what is to go.
pub(in crate::store) fn leave_tables(keyspaces: &Keyspaces, due: &[&Keyspace]) -> Result<(), StoreError> {
    let last = due.iter().map(|keyspace| table_files::last_number(keyspace.path())).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..REWRITINGS {
        for keyspace in due {
            keyspace.major_compact().map_err(|error| keyspaces.failed(error))?;
        }
        let rewritten = keyspaces.database.seqno();
        flush(keyspaces)?;
        forget(keyspaces, rewritten)?;
        if are_gone(keyspaces, due, &last)? {
            return Ok(());
        }
    }
    Err(StoreError::Engine("it keeps a table that it should need no longer".into()))
}

/// Whether of each of these keyspaces every table up to this one is deleted, soon.
fn are_gone(keyspaces: &Keyspaces, due: &[&Keyspace], last: &[Option<u64>]) -> Result<bool, StoreError> {
    for look in 1..=LOOKS {
        let mut are_gone = true;
        for (keyspace, last) in due.iter().zip(last) {
            let first = table_files::first_number(keyspace.path())?;
            are_gone &= first.is_none_or(|first| Some(first) > *last);
        }
        if are_gone {
            return Ok(true);
        }
        thread::sleep(BETWEEN_LOOKS);
        if look % LOOKS_A_FLUSH == 0 {
            mark_padding(keyspaces)?;
            flush_one(keyspaces, &keyspaces.padding)?;
        }
    }
    Ok(false)
}

/// Flushes all keyspaces, and waits a while for the journals that became long during the purge. Where others write much, there
/// may be one more again and again.
pub(in crate::store) fn leave_long_journals(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    flush(keyspaces)?;
    for look in 1..=LOOKS {
        if keyspaces.database.journal_count() == 1 {
            break;
        }
        if look % LOOKS_A_FLUSH == 0 {
            // A flush of all may be in vain each time: before the last keyspace is flushed, a compaction may take away the table
            // of another. Flushed by themselves, such keyspaces are not compacted again so soon.
            if look / LOOKS_A_FLUSH % 2 == 1 { flush_compacted(keyspaces)? } else { flush(keyspaces)? }
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// Waits until no reader uses a state before this sequence. With each flush, the engine updates the oldest state in
/// use, and deletes tables that belong only to older ones.
fn forget(keyspaces: &Keyspaces, sequence: u64) -> Result<(), StoreError> {
    for attempt in 0..READER_LOOKS {
        if is_forgettable(keyspaces, sequence) {
            return Ok(());
        }
        thread::sleep(BETWEEN_LOOKS * attempt.min(100));
        mark_padding(keyspaces)?;
        flush_one(keyspaces, &keyspaces.padding)?;
    }
    Err(StoreError::Engine("a reader, such as an export, has used an old state for too long".into()))
}

/// Returns whether no reader uses a state before this sequence. Only then does a compaction drop removed keys.
fn is_forgettable(keyspaces: &Keyspaces, sequence: u64) -> bool {
    keyspaces.database.supervisor.snapshot_tracker.get_seqno_safe_to_gc() >= sequence
}

/// Pads the active journal in steps until the engine begins one with a higher number than `last`.
fn begin_journal(keyspaces: &Keyspaces, last: u64) -> Result<(), StoreError> {
    for step in 0..=STEPS {
        if step > 0 {
            pad(keyspaces)?;
        }
        mark_padding(keyspaces)?;
        flush_one(keyspaces, &keyspaces.padding)?;
        if journal::last_number(keyspaces.path())? > last {
            return Ok(());
        }
    }
    Err(StoreError::Engine("it does not begin a new journal".into()))
}

fn pad(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    let piece = vec![0; PIECE];
    for _ in 0..PIECES_A_STEP {
        keyspaces.padding.insert(NOTHING, &piece).map_err(|error| keyspaces.failed(error))?;
    }
    keyspaces.padding.clear().map_err(|error| keyspaces.failed(error))
}

/// Writes a value that compactions keep. A keyspace without tables counts as never flushed, and would keep all journals
/// that name it.
fn mark_padding(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    keyspaces.padding.insert(NOTHING, []).map_err(|error| keyspaces.failed(error))
}

/// Flushes all keyspaces, including the padding. Each gets a removal of an absent key first, which is newer than all
/// older journals.
fn flush(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    flush_these(keyspaces, |_| true)
}

/// Flushes the keyspaces of which the engine has compacted all that was flushed lately.
fn flush_compacted(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    flush_these(keyspaces, |keyspace| keyspace.l0_table_count() == 0)
}

fn flush_these(keyspaces: &Keyspaces, is_one: impl Fn(&Keyspace) -> bool) -> Result<(), StoreError> {
    let records: Vec<&Keyspace> = keyspaces.all().into_iter().filter(|keyspace| is_one(keyspace)).collect();
    let mut write = keyspaces.database.batch();
    for keyspace in &records {
        write.remove(keyspace, NOTHING);
    }
    write.insert(&keyspaces.padding, NOTHING, []);
    write.commit().map_err(|error| keyspaces.failed(error))?;
    for keyspace in records.into_iter().chain([&keyspaces.padding]) {
        flush_one(keyspaces, keyspace)?;
    }
    Ok(())
}

fn flush_one(keyspaces: &Keyspaces, keyspace: &Keyspace) -> Result<(), StoreError> {
    keyspace.rotate_memtable().map_err(|error| keyspaces.failed(error))?;
    for look in 0..FLUSH_LOOKS {
        if keyspace.sealed_memtable_count() == 0 {
            return Ok(());
        }
        if look % LOOKS_A_QUESTION == 0 {
            // This fails if a thread of the engine has ended with an error. Then no flush would ever complete.
            keyspaces.database.persist(PersistMode::Buffer).map_err(|error| keyspaces.failed(error))?;
        }
        thread::sleep(BETWEEN_LOOKS / 5);
    }
    Err(StoreError::Engine("it does not flush its memory to disk".into()))
}
