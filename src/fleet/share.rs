//! The partitions whose calls a node keeps.

use crate::number::E164;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The partitions whose calls a node keeps: all of them, unless it lists some. Each number is in one partition, the
/// same on every node.
///
/// A node with a part of the partitions can route only callbacks to the numbers in them. In everything else it takes
/// part like the others: it publishes what is recorded on it, for any partition, and keeps every configuration and
/// every erasure.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Share(Option<Arc<[u16]>>);

impl Share {
    /// All partitions.
    pub const ALL: Self = Self(None);

    /// Returns the share with these partitions.
    ///
    /// # Examples
    /// ```
    /// use dialback::fleet::Share;
    ///
    /// let share = Share::of([3, 0, 3]);
    /// assert!(share.takes(0) && share.takes(3) && !share.takes(1));
    /// assert_eq!(share, Share::of([0, 3]));
    /// ```
    pub fn of(partitions: impl IntoIterator<Item = u16>) -> Self {
        let mut partitions: Vec<u16> = partitions.into_iter().collect();
        partitions.sort_unstable();
        partitions.dedup();
        Self(Some(partitions.into()))
    }

    /// Returns whether calls of this partition are kept.
    pub fn takes(&self, partition: u16) -> bool {
        self.0.as_ref().is_none_or(|partitions| partitions.binary_search(&partition).is_ok())
    }

    /// Returns whether all partitions are kept.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Returns a value that distinguishes shares, and is 0 for all partitions. A node whose share has changed lacks the
    /// calls that it did not keep before.
    pub(super) fn mark(&self) -> u32 {
        self.0.as_ref().map_or(0, |partitions| {
            let bytes: Vec<u8> = partitions.iter().flat_map(|partition| partition.to_be_bytes()).collect();
            u32::try_from(xxh3_64(&bytes) >> 32).expect("32 bits") | 1
        })
    }
}

/// Returns the partition of one of our numbers. All nodes with this number of partitions compute the same one.
///
/// # Examples
/// ```
/// use dialback::E164;
/// use dialback::fleet::{Settings, partition_of};
///
/// let number = E164::parse_international("+1 555 123 4567")?;
/// assert_eq!(partition_of(number, Settings::PARTITIONS), 13);
/// # Ok::<(), dialback::NumberError>(())
/// ```
pub fn partition_of(number: E164, partitions: u16) -> u16 {
    partition(xxh3_64(&number.code().to_be_bytes()), partitions)
}

pub(super) fn partition(hash: u64, partitions: u16) -> u16 {
    u16::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}
