//! The mark in each batch, by which a missing batch is found.

/// The key of the mark, which is the last item of each batch. No key of another keyspace has six bytes.
pub(in crate::store) const KEY: &[u8] = b"commit";

/// The number of a batch, and the highest batch number that was certainly durable when the batch was written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::store) struct CommitMark {
    /// The batch's number. Numbers count the batches of a data directory, from 1.
    pub(in crate::store) number: u64,
    pub(in crate::store) synced: u64,
}

impl CommitMark {
    pub(in crate::store) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.number) << 64 | u128::from(self.synced)).to_be_bytes()
    }

    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, synced) = bytes.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        let synced = u64::from_be_bytes(synced.try_into().ok()?);
        // A batch cannot be durable before it is written.
        (synced < number).then_some(Self { number, synced })
    }
}
