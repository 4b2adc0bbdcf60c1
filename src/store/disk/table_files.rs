//! The files of a keyspace's tables, which the storage engine numbers in the order in which it makes them.

use crate::store::StoreError;
use crate::store::error::io_error;
use std::fs;
use std::path::Path;

/// The number of the newest table; `None` where there is none.
pub(in crate::store) fn last_number(keyspace: &Path) -> Result<Option<u64>, StoreError> {
    Ok(numbers(keyspace)?.into_iter().max())
}

/// The number of the oldest table; `None` where there is none.
pub(in crate::store) fn first_number(keyspace: &Path) -> Result<Option<u64>, StoreError> {
    Ok(numbers(keyspace)?.into_iter().min())
}

fn numbers(keyspace: &Path) -> Result<Vec<u64>, StoreError> {
    let tables = keyspace.join("tables");
    let mut numbers = Vec::new();
    for entry in fs::read_dir(&tables).map_err(io_error(&tables))? {
        let name = entry.map_err(io_error(&tables))?.file_name();
        // Operating systems leave files of their own, which the engine passes over, too.
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_numbers_are_compared_as_numbers_and_other_names_passed_over() {
        let keyspace = tempfile::tempdir().expect("a directory");
        let tables = keyspace.path().join("tables");
        assert!(matches!(last_number(keyspace.path()), Err(StoreError::Io { .. })));
        fs::create_dir(&tables).expect("made");
        assert_eq!(last_number(keyspace.path()).expect("read"), None);
        for name in ["9", "10", "2"] {
            fs::write(tables.join(name), "").expect("written");
        }
        assert_eq!(last_number(keyspace.path()).expect("read"), Some(10));
        assert_eq!(first_number(keyspace.path()).expect("read"), Some(2));
        fs::write(tables.join(".DS_Store"), "").expect("written");
        assert_eq!(first_number(keyspace.path()).expect("read"), Some(2));
    }
}
