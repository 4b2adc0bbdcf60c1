//! How records are encoded: keys, pseudonyms, counts, and the mark of each commit.

pub(super) mod commit_mark;
pub(super) mod earlier_tallies;
pub(super) mod feed_key;
pub(super) mod hex;
pub(super) mod keys;
pub(super) mod pseudonym;
pub(super) mod record_key;
pub(super) mod register;
pub(super) mod tally_key;
pub(super) mod webhook_key;
