//! What each batch says about itself, so that a missing one is noticed.

/// The key under which each batch carries its mark, as its last item. No key of another keyspace is six bytes long.
pub(super) const KEY: &[u8] = b"commit";

/// A batch's number, and the highest number that was durable for certain when the batch was written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct CommitMark {
    /// Counts the batches of a data directory, from 1.
    pub(super) number: u64,
    pub(super) synced: u64,
}

impl CommitMark {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.number) << 64 | u128::from(self.synced)).to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, synced) = bytes.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        let synced = u64::from_be_bytes(synced.try_into().ok()?);
        // Nothing is durable before it is written.
        (synced < number).then_some(Self { number, synced })
    }
}
