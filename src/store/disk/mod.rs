//! The data directory beside the storage engine: its lock, its permissions, and the checks of its files.

pub(super) mod data_end;
pub mod descriptors;
pub(super) mod directory;
pub(super) mod disk_use;
pub(super) mod expected;
pub(super) mod installation;
pub(super) mod journal;
pub(super) mod manifest;
pub(super) mod modes;
pub(super) mod table_files;
pub(super) mod watermark;
