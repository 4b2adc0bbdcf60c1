//! The storage engine's lists of tables, which dialback reads before the engine does.
//!
//! `keyspaces/N/current` names the current list, `keyspaces/N/vM`, and its checksum. The list has the checksum of each
//! table. Keyspace 0 holds the names of the other keyspaces.
//!
//! The engine checks neither of these checksums, and removes all files that the lists do not name: unlisted tables, and
//! keyspaces without a list or a name. This module therefore checks the lists first.

use crate::store::StoreError;
use crate::store::error::io_error;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// A table, as its list describes it.
pub(in crate::store) struct Table {
    pub(in crate::store) path: PathBuf,
    checksum: u128,
}

impl Table {
    /// Reads the whole table, and returns its length in bytes.
    pub(in crate::store) fn check(&self) -> Result<u64, StoreError> {
        let (checksum, len) = checksum(&self.path).map_err(io_error(&self.path))?;
        if checksum == self.checksum {
            Ok(len)
        } else {
            Err(damaged(
                &self.path,
                "its checksum differs from the one in its list: restore the directory from a backup",
            ))
        }
    }
}

/// Checks the files by which the engine decides what to remove: the lists of all keyspaces, and the tables of keyspace
/// 0.
pub(in crate::store) fn check(engine_path: &Path) -> Result<(), StoreError> {
    for keyspace in keyspaces(engine_path)? {
        let tables = tables_of(&keyspace)?;
        if keyspace.ends_with("0") {
            tables.iter().try_for_each(|table| table.check().map(|_| ()))?;
        }
    }
    Ok(())
}

/// Returns the directories of the keyspaces.
pub(in crate::store) fn keyspaces(engine_path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let path = engine_path.join("keyspaces");
    let current = path.join("0").join("current");
    if !current.is_file() {
        return Err(damaged(&current, "the file is missing: restore the directory from a backup"));
    }
    let mut keyspaces = Vec::new();
    for entry in fs::read_dir(&path).map_err(io_error(&path))? {
        let path = entry.map_err(io_error(&path))?.path();
        if path.is_dir() {
            keyspaces.push(path);
        }
    }
    Ok(keyspaces)
}

/// Returns the current tables of a keyspace.
pub(in crate::store) fn tables_of(keyspace: &Path) -> Result<Vec<Table>, StoreError> {
    let current = keyspace.join("current");
    let bytes = match fs::read(&current) {
        Ok(bytes) => bytes,
        // The keyspace was not completely created. The engine removes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_no_tables(keyspace) => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(&current, "the file is missing: restore the directory from a backup"));
        }
        Err(error) => return Err(io_error(&current)(error)),
    };
    let (version, expected) = parse_current(&bytes)
        .ok_or_else(|| damaged(&current, "not in the storage engine's format: restore the directory from a backup"))?;
    let list = keyspace.join(format!("v{version}"));
    let bytes = match fs::read(&list) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(
                &current,
                format!("names the list v{version}, which is missing: restore the directory from a backup"),
            ));
        }
        Err(error) => return Err(io_error(&list)(error)),
    };
    if xxh3_128(&bytes) != expected {
        return Err(damaged(
            &list,
            "its checksum differs from the one in `current`: restore the directory from a backup",
        ));
    }
    let tables = parse_list(&list).map_err(|error| damaged(&list, error.to_string()))?;
    let folder = keyspace.join("tables");
    let tables = tables.into_iter().map(|(id, checksum)| Table { path: folder.join(id.to_string()), checksum });
    let missing = |table: Table| {
        if table.path.is_file() {
            Ok(table)
        } else {
            Err(damaged(&table.path, "the file is missing: restore the directory from a backup"))
        }
    };
    tables.map(missing).collect()
}

fn has_no_tables(keyspace: &Path) -> bool {
    fs::read_dir(keyspace.join("tables")).map_or(true, |mut tables| tables.next().is_none())
}

/// Parses the file `current`: version (u64), checksum of the list (u128), kind of the checksum (0).
fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    (rest == [0]).then_some((u64::from_le_bytes(*version), u128::from_le_bytes(*checksum)))
}

/// Parses a list: the levels (u8), for each the runs (u8), for each the tables (u32). A table has an id (u64), the kind
/// of its checksum (u8), the checksum (u128) and a sequence (u64).
fn parse_list(path: &Path) -> io::Result<Vec<(u64, u128)>> {
    let reader = sfa::Reader::new(path).map_err(|error| io::Error::other(error.to_string()))?;
    let section =
        reader.toc().section(b"tables").ok_or_else(|| io::Error::other("the list has no section for tables"))?;
    let mut bytes = section.buf_reader(path)?;
    let mut tables = Vec::new();
    for _level in 0..u8::from_le_bytes(array(&mut bytes)?) {
        for _run in 0..u8::from_le_bytes(array(&mut bytes)?) {
            for _table in 0..u32::from_le_bytes(array(&mut bytes)?) {
                let id = u64::from_le_bytes(array(&mut bytes)?);
                let _kind: [u8; 1] = array(&mut bytes)?;
                let checksum = u128::from_le_bytes(array(&mut bytes)?);
                let _sequence: [u8; 8] = array(&mut bytes)?;
                tables.push((id, checksum));
            }
        }
    }
    Ok(tables)
}

fn array<const N: usize>(bytes: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    bytes.read_exact(&mut array)?;
    Ok(array)
}

fn checksum(path: &Path) -> io::Result<(u128, u64)> {
    let mut file = io::BufReader::with_capacity(1 << 18, fs::File::open(path)?);
    let (mut hasher, mut len) = (Xxh3Default::new(), 0);
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok((hasher.digest128(), len));
        }
        hasher.update(bytes);
        let read = bytes.len();
        len += read as u64;
        file.consume(read);
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.into() }
}
