//! Makes the storage engine begin a new journal and delete the old ones.
//!
//! The engine has no call for either. `docs/internals/purge.md` lists what this file relies on instead, and
//! `tests/service/engine.rs` checks each point against the engine's version in use.

use super::StoreError;
use super::journal;
use super::keyspaces::Keyspaces;
use super::table_files;
use fjall::{Keyspace, PersistMode};
use std::thread;
use std::time::Duration;

/// The journal's length from which the engine begins a new one when it next flushes something.
const JOURNAL_BYTES: usize = 64_000_000;
/// How much padding is written at a time. A commit waits for one piece at most.
const PIECE: usize = 1 << 20;
/// Pieces between two looks at whether the engine has begun a new journal. The padding is cleared then, so that the engine
/// makes no table of it.
const PIECES_A_STEP: usize = 8;
/// Steps after which the journal is long enough, however short it was.
const STEPS: usize = JOURNAL_BYTES.div_ceil(PIECE * PIECES_A_STEP) + 1;
/// The key of the padding and of each keyspace's removal of nothing. No record has it.
const NOTHING: [u8; 1] = [0];

/// How often the old journals' last obstacles are flushed. A compaction in the background may take away the table that says
/// how far a keyspace was flushed, and commits go on meanwhile.
const ATTEMPTS: usize = 40;
/// How often, in each attempt, it is checked whether the engine has deleted the old journals.
const LOOKS: usize = 25;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Checks after which everything is flushed once more.
const LOOKS_A_FLUSH: usize = 5;
/// Checks before a flush counts as stuck: ten minutes, since a compaction may come first on a machine with one processor.
const FLUSH_LOOKS: usize = 60_000;
/// Checks before a reader counts as stuck: about ten minutes.
const READER_LOOKS: u32 = if cfg!(test) { 3 } else { 600 };
/// How often a keyspace is rewritten where a table stays.
const REWRITINGS: usize = 3;
/// Checks after which it is asked whether the engine has given up.
const LOOKS_A_QUESTION: usize = 50;

/// Makes the engine delete every journal that exists now. Repeatable: journals that an earlier attempt or a killed process
/// left behind are deleted, too.
pub(super) fn leave_journals(keyspaces: &Keyspaces) -> Result<(), StoreError> {
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
    Err(StoreError::Engine("it keeps a journal that it should need no longer".into()))
}

/// Rewrites these keyspaces whole, and makes the engine delete every table of theirs that exists now. Call this when no reader
/// looks at a state from before what is to go.
pub(super) fn leave_tables(keyspaces: &Keyspaces, due: &[&Keyspace]) -> Result<(), StoreError> {
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
pub(super) fn leave_long_journals(keyspaces: &Keyspaces) -> Result<(), StoreError> {
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

/// Waits until no reader looks at a state before this sequence. With each flush, of whatever it is, the engine finds out how
/// far that is, and deletes the tables that are in none of the states since.
fn forget(keyspaces: &Keyspaces, sequence: u64) -> Result<(), StoreError> {
    for attempt in 0..READER_LOOKS {
        if is_forgettable(keyspaces, sequence) {
            return Ok(());
        }
        thread::sleep(BETWEEN_LOOKS * attempt.min(100));
        mark_padding(keyspaces)?;
        flush_one(keyspaces, &keyspaces.padding)?;
    }
    Err(StoreError::Engine("a reader has been looking at an old state for too long".into()))
}

/// Whether no reader looks at a state before this sequence: only then does a compaction leave removed keys out.
fn is_forgettable(keyspaces: &Keyspaces, sequence: u64) -> bool {
    keyspaces.database.supervisor.snapshot_tracker.get_seqno_safe_to_gc() >= sequence
}

/// Pads the active journal, step by step, until the engine begins one behind this number.
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

/// A value, which a compaction keeps: a keyspace without tables counts as never flushed, and every journal that names it stays.
fn mark_padding(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    keyspaces.padding.insert(NOTHING, []).map_err(|error| keyspaces.failed(error))
}

/// Flushes every keyspace, the padding too. Each has something newer than all of the journals before: a removal of nothing.
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
            // Fails where one of the engine's threads has ended with an error. Nothing would be flushed ever after.
            keyspaces.database.persist(PersistMode::Buffer).map_err(|error| keyspaces.failed(error))?;
        }
        thread::sleep(BETWEEN_LOOKS / 5);
    }
    Err(StoreError::Engine("it does not flush".into()))
}
