//! The commits of a store: each has a number, which the watermark follows.

use super::keyspaces::Keyspaces;
use crate::store::StoreError;
use crate::store::disk::installation::{self, Installation};
use crate::store::disk::watermark::Watermark;
use crate::store::records::commit_mark::{self, CommitMark};
use fjall::OwnedWriteBatch;

pub(in crate::store) struct Commits {
    /// The directory's installation id, which is written with each batch.
    installation: Installation,
    /// The mark of the last batch.
    mark: CommitMark,
    /// The number of the last batch that is certainly durable.
    synced: u64,
    watermark: Watermark,
}

impl Commits {
    /// Continues after the batch with this mark, which is durable.
    pub(in crate::store) fn after(mark: CommitMark, installation: Installation, watermark: Watermark) -> Self {
        Self { installation, mark, synced: mark.number, watermark }
    }

    /// Commits a batch with its mark. `is_synced` says that the batch is durable once it is committed.
    pub(in crate::store) fn write(
        &mut self,
        keyspaces: &Keyspaces,
        mut batch: OwnedWriteBatch,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        let mark = CommitMark { number: self.mark.number + 1, synced: self.synced };
        batch.insert(&keyspaces.commits, installation::KEY, *self.installation.bytes());
        // The mark must be the last item of the batch.
        batch.insert(&keyspaces.commits, commit_mark::KEY, mark.to_bytes());
        batch.commit().map_err(|error| keyspaces.failed(error))?;
        self.mark = mark;
        if is_synced {
            self.raise_watermark();
        }
        Ok(())
    }

    /// Records that all commits so far are durable.
    pub(in crate::store) fn raise_watermark(&mut self) {
        self.synced = self.mark.number;
        // If this fails, the old watermark claims less than is true, which is safe.
        let _ = self.watermark.write(self.synced);
    }
}
