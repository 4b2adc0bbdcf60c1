//! A part of the stored configurations, for lists of changes.

use super::StoreError;
use crate::event::Configuration;
use crate::id::EnvironmentId;
use std::fmt;

/// A function that reads the configurations with lower sequences than the given one, newest first, while others commit. If
/// an environment is given, the excerpt has only its configurations.
pub type Excerpts = dyn Fn(u64, Option<EnvironmentId>) -> Result<Excerpt, StoreError> + Send + Sync;

/// A part of the stored configurations, newest first.
#[derive(Clone, Default)]
pub struct Excerpt {
    /// The configurations.
    pub configurations: Vec<Configuration>,
    /// The number of bytes that were read.
    pub bytes: usize,
    /// The lowest sequence that was examined. The rest is below it. After the first configuration this is 1.
    pub reached: u64,
}

impl Excerpt {
    /// The most configurations that one excerpt examines, which bounds its time to about a millisecond.
    pub const MAX_EXAMINED: u64 = 128;
    /// The number of bytes after which an excerpt ends. One configuration can be longer.
    pub const MAX_BYTES: usize = 1 << 18;

    /// Returns the configurations below `before` that `read` returns. `read` also returns the number of bytes that it read,
    /// and no configuration if it belongs to another environment.
    ///
    /// # Errors
    /// The first error of `read`.
    pub fn read(
        before: u64,
        mut read: impl FnMut(u64) -> Result<(Option<Configuration>, usize), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut excerpt = Self { configurations: Vec::new(), bytes: 0, reached: before };
        let lowest = before.saturating_sub(Self::MAX_EXAMINED).max(1);
        while excerpt.reached > lowest && excerpt.bytes < Self::MAX_BYTES {
            let (configuration, bytes) = read(excerpt.reached - 1)?;
            excerpt.configurations.extend(configuration);
            excerpt.bytes += bytes;
            excerpt.reached -= 1;
        }
        Ok(excerpt)
    }
}

/// Prints the size only, because names and numbers belong into no log.
impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { configurations, bytes, reached } = self;
        write!(f, "Excerpt({} configurations, {bytes} bytes, from {reached})", configurations.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn stored(sequence: u64) -> Configuration {
        Configuration::new(sequence, EnvironmentId::from_u128(1), Timestamp::from_secs(sequence), Vec::new())
    }

    #[test]
    fn excerpt_examines_a_bounded_part_and_says_where_the_rest_is() {
        let all = |before, len| Excerpt::read(before, |sequence| Ok((Some(stored(sequence)), len))).expect("read");
        let sequences =
            |excerpt: &Excerpt| -> Vec<u64> { excerpt.configurations.iter().map(|one| one.sequence).collect() };
        let last = all(4, 100);
        assert_eq!((sequences(&last), last.bytes, last.reached), (vec![3, 2, 1], 300, 1));
        let many = all(1001, 1);
        assert_eq!(
            (many.configurations.len() as u64, many.reached),
            (Excerpt::MAX_EXAMINED, 1001 - Excerpt::MAX_EXAMINED)
        );
        // A configuration that is longer than an excerpt is one all the same.
        let long = all(9, Excerpt::MAX_BYTES + 1);
        assert_eq!((sequences(&long), long.reached), (vec![8], 8));
        for none in [all(1, 1), all(0, 1)] {
            assert!(none.configurations.is_empty());
        }
        let foreign = Excerpt::read(1001, |_| Ok((None, 1))).expect("read");
        assert_eq!((foreign.configurations.len(), foreign.reached), (0, 1001 - Excerpt::MAX_EXAMINED));
    }
}
