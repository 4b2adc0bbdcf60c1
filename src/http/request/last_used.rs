//! When each token was last used: in memory, to the minute.
//!
//! A request takes no lock for it and, in the same minute, writes nothing. Tables hold the times by the first bytes of
//! the tokens' digests. They are made as they are needed, each twice as large as the one before it. A token that finds no
//! place in the last table has no time. Places of revoked tokens are not reused before the next start.

use crate::sync::{AtomicU64, Ordering};
use crate::time::Timestamp;
use std::fmt;
use std::sync::OnceLock;

/// The milliseconds for which a recorded time stands.
const COARSE: u64 = 60_000;

/// The number of places of the first table.
const FIRST: usize = 1 << 10;

/// The number of tables. Together they have 261,120 places, of 16 bytes each.
const TABLES: usize = 8;

/// The number of places that are tried in one table.
const TRIES: usize = 8;

/// The times of the tokens that were used since the start.
pub(in crate::http) struct LastUsed {
    tables: [OnceLock<Box<[Place]>>; TABLES],
}

#[derive(Default)]
struct Place {
    /// The first bytes of the token's digest. Zero if the place is free.
    token: AtomicU64,
    /// When the token was used, in milliseconds since 1970.
    at: AtomicU64,
}

impl Default for LastUsed {
    fn default() -> Self {
        Self { tables: [const { OnceLock::new() }; TABLES] }
    }
}

impl LastUsed {
    /// Records that the token with this digest is used now.
    pub(in crate::http) fn note(&self, digest: &[u8; 32], now: Timestamp) {
        let key = key(digest);
        for (size, table) in self.tables.iter().enumerate() {
            let table = table.get_or_init(|| table_of(FIRST << size));
            if let Some(place) = places(table, key).find(|place| place.is_of(key) || place.take(key)) {
                // Relaxed: the time depends on no other memory.
                if place.at.load(Ordering::Relaxed).abs_diff(now.millis()) >= COARSE {
                    place.at.store(now.millis(), Ordering::Relaxed);
                }
                return;
            }
        }
    }

    /// Returns when the token with this digest was last used. The token may have been used up to a minute later. `None` if it
    /// was not used since the start.
    pub(in crate::http) fn of(&self, digest: &[u8; 32]) -> Option<Timestamp> {
        let key = key(digest);
        let tables = self.tables.iter().map_while(OnceLock::get);
        let place = tables.flat_map(|table| places(table, key)).find(|place| place.is_of(key))?;
        match place.at.load(Ordering::Relaxed) {
            // Another thread has taken the place and not written the time yet.
            0 => None,
            at => Some(Timestamp::from_millis(at)),
        }
    }
}

impl Place {
    fn is_of(&self, key: u64) -> bool {
        self.token.load(Ordering::Relaxed) == key
    }

    /// Takes a free place. Returns whether the place belongs to the token now, also if another thread took it for it.
    fn take(&self, key: u64) -> bool {
        let taken = self.token.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok() || taken == Err(key)
    }
}

fn table_of(places: usize) -> Box<[Place]> {
    (0..places).map(|_| Place::default()).collect()
}

fn key(digest: &[u8; 32]) -> u64 {
    let bytes = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*bytes).max(1)
}

/// Returns the places that may hold the token.
fn places(table: &[Place], key: u64) -> impl Iterator<Item = &Place> {
    let mask = table.len() - 1;
    // The digest is random, and the number of places is a power of two.
    let home = usize::try_from(key & mask as u64).unwrap_or(0);
    (0..TRIES).map(move |step| &table[(home + step) & mask])
}

impl fmt::Debug for LastUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastUsed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn digest(token: u32) -> [u8; 32] {
        Sha256::digest(token.to_be_bytes()).into()
    }

    #[test]
    fn time_is_recorded_once_a_minute() {
        let (used, start) = (LastUsed::default(), Timestamp::from_secs(1_800_000_000));
        assert_eq!(used.of(&digest(1)), None);
        for (millis, recorded) in [(0, 0), (59_999, 0), (60_000, 60_000), (1_000_000, 1_000_000)] {
            used.note(&digest(1), start.plus_millis(millis));
            assert_eq!(used.of(&digest(1)), Some(start.plus_millis(recorded)));
        }
        // The clock was set back.
        used.note(&digest(1), start);
        assert_eq!((used.of(&digest(1)), used.of(&digest(2))), (Some(start), None));
    }

    /// More tokens than places: each keeps its own time or has none, and the memory is bounded.
    #[test]
    fn tokens_without_a_place_have_no_time() {
        let used = LastUsed::default();
        let at = |token: u32| Timestamp::from_secs(1_800_000_000).plus_millis(u64::from(token));
        let tokens = 300_000;
        (0..tokens).for_each(|token| used.note(&digest(token), at(token)));
        let known = (0..tokens).filter(|token| match used.of(&digest(*token)) {
            Some(found) => {
                assert_eq!(found, at(*token));
                true
            }
            None => false,
        });
        let known = known.count();
        let places = (FIRST << TABLES) - FIRST;
        assert!(known > places / 2 && known <= places, "{known} of {places}");
        assert_eq!(
            (0..100_000).filter(|token| used.of(&digest(*token)).is_none()).count(),
            0,
            "the first all have one"
        );
    }
}
